"""YAML as recipes use it: `5e-4` is a number, `yes` a word, keys unique."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from kerasmi.errors import RecipeError
from kerasmi.recipe_schema import Recipe
from kerasmi.recipe_section import NAME, dotted_keys, nearest

DEEPEST = 32  # levels of nesting; a recipe has three, a grid five
_UNKNOWN_TAG = "could not determine a constructor for the tag"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars on PyYAML's safe loader."""

    # PyYAML follows YAML 1.1: 5e-4 is text, `no` is False, 1:30 is 90.
    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}
    _depth = 0

    def fetch_flow_collection_start(self, token_class: type) -> None:
        """Scans `[` or `{`: its time grows with the square of the depth."""
        if self.flow_level >= DEEPEST:
            raise self._too_deep(self.get_mark())
        super().fetch_flow_collection_start(token_class)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node and those within it, `DEEPEST` levels at most."""
        if self._depth > DEEPEST:
            raise self._too_deep(self.peek_event().start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _too_deep(self, mark: yaml.Mark) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(
            problem=f"nested deeper than {DEEPEST} levels", problem_mark=mark
        )

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:
        """A mapping whose keys are words, each given once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not key.tag.endswith(":str"):
                self._refuse(key, "expected a name as key")
            if key.value in seen:
                self._refuse(key, f"`{key.value}` is given twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def _refuse(self, node: yaml.Node, problem: str) -> None:
        raise yaml.MarkedYAMLError(
            problem=problem, problem_mark=node.start_mark
        )


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


def parse(text: str) -> Any:
    """The value of a YAML text; raises `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_Loader)
    # PyYAML's own on a tag such as `!!int` before what is none.
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise yaml.YAMLError(
            f"a value is none of its tag's kind: {error}; remove the tag"
        ) from None


def scalar(value: Any) -> str:
    """One value as `parse` reads it back, on one line."""
    if isinstance(value, Path):
        value = str(value)
    text = yaml.safe_dump(
        list(value) if isinstance(value, tuple) else value,
        default_flow_style=True,
        sort_keys=False,
        width=float("inf"),
        allow_unicode=True,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def read(text: str, origin: str) -> dict[str, Any]:
    """The values of a recipe's text, or of a grid's.

    Raises:
        RecipeError: not YAML, a key given twice, or not a mapping.
    """
    try:
        values = parse(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: {_place(error)}") from None
    if not isinstance(values, dict):
        kind = "nothing" if values is None else f"a {type(values).__name__}"
        raise RecipeError(
            f"{origin}: not a recipe: expected sections, such as"
            f" `objective:`. Received: {kind}"
        )
    return values


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if problem.startswith(_UNKNOWN_TAG):
        # such as !!python/object: nothing is made of it
        tag = problem.removeprefix(_UNKNOWN_TAG).strip()
        problem = f"the tag {tag} is refused; give a plain value"
    if mark is None:
        return f"not YAML: {problem}"
    return (
        f"line {mark.line + 1}, column {mark.column + 1}: not YAML: {problem}"
    )


def name_of_file(origin: str) -> str:
    """The name of a recipe whose file tells none.

    Raises:
        RecipeError: no folder should have it.
    """
    name = Path(origin).stem
    if not re.fullmatch(NAME, name):
        raise RecipeError(
            f"{origin}: names its folder, for which letters, digits, '.', '_'"
            " and '-' are expected, the first a letter or digit; rename the"
            " file, or give a `name` in it"
        )
    return name


def override(
    values: dict[str, Any], overrides: Sequence[str], origin: str
) -> dict[str, Any]:
    """The values with each `key.path=value` put in its place.

    Raises:
        RecipeError: not of that form, an unknown key, or not YAML.
    """
    for text in overrides:
        path, value = assignment(text, origin)
        check_key(path, origin)
        values = _replaced(values, path.split("."), value)
    return values


def assignment(text: str, origin: str) -> tuple[str, Any]:
    """The key and the value of `key.path=value`.

    Raises:
        RecipeError: not of that form, or not YAML.
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise RecipeError(
            f"{origin}: {text}: expected key.path=value, such as seed=1"
        )
    try:
        return path, parse(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: {path}: {_place(error)}") from None


def check_key(path: str, origin: str) -> None:
    """Raises `RecipeError` when no recipe has a key of that name."""
    if path not in dotted_keys(Recipe):
        raise RecipeError(f"{origin}: {path}: unknown key.{_hint(path)}")


def _hint(path: str) -> str:
    leaf = path.rpartition(".")[2]
    within = [key for key in dotted_keys(Recipe) if key.endswith(f".{leaf}")]
    if within:
        return f" Did you mean {' or '.join(f'`{key}`' for key in within)}?"
    return nearest(path, dotted_keys(Recipe))


def _replaced(values: Any, path: list[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    values = dict(values) if isinstance(values, dict) else {}
    if rest:
        value = _replaced(values.get(first), rest, value)
    return {**values, first: value}
