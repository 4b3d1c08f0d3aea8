"""What is wrong with a recipe, one line for each key."""

import reprlib
from collections.abc import Iterator
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from kerasmi.recipe_schema import Recipe
from kerasmi.recipe_section import NO_EFFECT, Section, nearest, section_of

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "tuple_type": "a list, such as [a, b]",
    "model_type": "a section of keys",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_short": "at least one value",
    "literal_error": "one of {expected}",
    "string_pattern_mismatch": (
        "letters, digits, '.', '_' and '-', the first a letter or digit"
    ),
}


def describe(
    error: pydantic.ValidationError, root: type[Section] = Recipe
) -> list[str]:
    """`key.path: what was expected. Received: what was given`, for each.

    Args:
        error: what pydantic found.
        root: the section that was checked.
    """
    return list(dict.fromkeys(_lines(error, root)))


def without_effect(error: pydantic.ValidationError) -> list[str]:
    """The dotted keys that are refused because they would do nothing."""
    return [
        ".".join([*_keys(detail), detail["ctx"]["key"]])
        for detail in error.errors()
        if detail["type"] == NO_EFFECT
    ]


def _keys(detail: ErrorDetails) -> list[str]:
    return [str(key) for key in detail["loc"] if not isinstance(key, int)]


def _lines(
    error: pydantic.ValidationError, root: type[Section]
) -> Iterator[str]:
    for detail in error.errors():
        keys = _keys(detail)
        context = detail.get("ctx", {})
        if detail["type"] in ("recipe", NO_EFFECT):
            key = ".".join([*keys, context["key"]])
            yield f"{key}: {context['message']}"
        elif detail["type"] == "extra_forbidden":
            yield f"{'.'.join(keys)}: unknown key.{_hint(keys, root)}"
        else:
            yield f"{'.'.join(keys)}: {_message(detail, context)}"


def _message(detail: ErrorDetails, context: dict[str, Any]) -> str:
    if detail["type"] == "value_error":
        return str(context["error"])
    expected = _EXPECTED.get(detail["type"])
    if expected is None:
        expected = detail["msg"].removeprefix("Input should be ")
    values = {**context}
    if detail["type"] == "literal_error":
        values["expected"] = context["expected"].replace(" or ", ", ")
    # Not `repr`: aliases make lists of lists that no memory holds in full.
    received = reprlib.repr(detail["input"])
    if len(received) > 60:
        received = received[:57] + "..."
    return f"expected {expected.format(**values)}. Received: {received}"


def _hint(keys: list[str], root: type[Section]) -> str:
    section: type[Section] | None = root
    for key in keys[:-1]:
        section = section_of(section, key) if section else None
    if section is None:
        return ""
    return nearest(keys[-1], list(section.model_fields)) or (
        f" Known here: {', '.join(section.model_fields)}"
    )
