"""Runs a benchmark by its name: `python -m benchmarks NAME [options]`.

Without a name it lists them; `python -m benchmarks NAME --help` explains one.
"""

import importlib.util
import runpy
import sys

# name to use and to list; the module, where it bears another name
NAMES = {
    "train_step": "train_step",
    "pipeline": "pipeline",
    "pipeline_parts": "pipeline_parts",
    "phantom": "main_job",
    "step_profile": "step_profile",
    "critic": "critic",
    "text_encoder": "text_encoder",
    "optimizer": "optimizer",
    "auc": "phantom",
    "regions": "regions",
    "mutual_information": "mutual_information",
    "import_memory": "import_memory",
    "inspect_index": "inspect_index",
    "resume": "resume",
    "soak": "soak",
    "sentences": "sentences",
    "sizing": "sizing",
}


def present() -> dict[str, str]:
    """Benchmarks of this tree: their names and modules."""
    return {
        name: f"benchmarks.{module}"
        for name, module in NAMES.items()
        if importlib.util.find_spec(f"benchmarks.{module}")
    }


def first_line(module: str) -> str:
    """What a benchmark says of itself, without importing it."""
    import ast

    source = importlib.util.find_spec(module).origin
    with open(source, encoding="utf-8") as file:
        return ast.get_docstring(ast.parse(file.read())).splitlines()[0]


def main(words: list[str]) -> int:
    """Runs what is named, or lists all; returns the exit status."""
    found = present()
    if not words or words[0] in ("-h", "--help"):
        print("python -m benchmarks NAME [options]; NAME --help explains\n")
        for name, module in found.items():
            print(f"  {name:20} {first_line(module)}")
        return 0
    name, *rest = words
    if name not in found:
        known = ", ".join(found)
        print(f"{name}: no such benchmark. There are: {known}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m benchmarks {name}", *rest]
    runpy.run_module(found[name], run_name="__main__", alter_sys=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
