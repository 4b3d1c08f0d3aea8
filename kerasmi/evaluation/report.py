"""`report.html`: a run or a grid on one page that needs nothing else.

No network, no script: styles and pictures are inside. What is missing in an
unfinished run is missing here, and the page says so.
"""

import os
from pathlib import Path

from kerasmi import output_files
from kerasmi.errors import RunError
from kerasmi.evaluation import report_grid, report_run
from kerasmi.evaluation.report_folder import (
    GRID,
    RECIPE,
    GridFolder,
    RunFolder,
)

REPORT = "report.html"


def page(folder: str | os.PathLike[str], show_text: bool = False) -> str:
    """The page of a run folder or of a grid folder.

    Args:
        folder: what `kerasmi run` made.
        show_text: whether images and report text that are not the phantom's
            are shown.

    Returns:
        An HTML document.

    Raises:
        RunError: the folder holds neither, or a file that cannot be read.
    """
    path = Path(folder)
    if (path / GRID).is_file():
        return report_grid.page(GridFolder(path), show_text)
    if (path / RECIPE).is_file():
        return report_run.page(RunFolder(path), show_text)
    raise RunError(
        f"{path}: neither a run nor a grid: it holds no {RECIPE} and no {GRID};"
        " `kerasmi run` makes one"
    )


def write(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    show_text: bool = False,
) -> Path:
    """Writes the page, whole or not at all.

    Args:
        folder: of a run or a grid.
        output: the file; None: `report.html` in the folder.
        show_text: as in `page`.

    Returns:
        The file.

    Raises:
        RunError: as `page`, or the file cannot be written.
    """
    text = page(folder, show_text)
    path = Path(output) if output is not None else Path(folder) / REPORT
    with (
        output_files.written(path, RunError, "give another --output"),
        output_files.replaced(path) as beside,
    ):
        beside.write_text(text, encoding="utf-8")
    return path
