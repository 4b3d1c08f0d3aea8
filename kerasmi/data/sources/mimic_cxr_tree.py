"""Where the image files of MIMIC-CXR lie."""

from pathlib import Path

from kerasmi.errors import DataError


def places(root: Path) -> list[Path]:
    """Returns the folders of a release in which its files may lie."""
    versions = sorted(p for p in root.glob("2.*") if p.is_dir())
    above = [root.parent] if root.name == "files" else []
    inside = [p / "mimic-cxr-reports" for p in (root, *versions)]
    return [root, *versions, *above, *(p for p in inside if p.is_dir())]


def groups(root: Path) -> Path:
    """Returns the folder of a release that has `p10` to `p19`.

    Raises:
        DataError: There is none.
    """
    for folder in places(root):
        for candidate in (folder, folder / "files"):
            if any(p.is_dir() for p in candidate.glob("p[0-9][0-9]")):
                return candidate
    raise DataError(
        f"no image tree: looked for p10 to p19 and files/p10 to p19 in {root}. "
        "Give the folder that has `files`."
    )
