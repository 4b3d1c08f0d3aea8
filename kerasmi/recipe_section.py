"""What a section of a recipe is: typed, documented keys that have an effect."""

import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import pydantic
from pydantic_core import PydanticCustomError

NO_EFFECT = "recipe_no_effect"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a recipe, and its folder


def wrong(key: str, message: str) -> PydanticCustomError:
    """A wrong value of `key`, a key of the section that is being checked."""
    context = {"key": key, "message": message}
    return PydanticCustomError("recipe", "{message}", context)


def no_effect(key: str, reason: str) -> PydanticCustomError:
    """A key that is refused because it would do nothing."""
    context = {"key": key, "message": f"has no effect {reason}; remove it"}
    return PydanticCustomError(NO_EFFECT, "{message}", context)


def nearest(name: str, names: Sequence[str]) -> str:
    """` Did you mean `...`?`, or nothing when no name is near."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


def field(
    default: Any,
    description: str,
    when: Mapping[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> Any:
    """A field; `when` names the values of its siblings that it needs."""
    extra: Any = {"when": when} if when else None
    return pydantic.Field(
        default=default,
        description=description,
        json_schema_extra=extra,
        validate_default=False,
        **options,
    )


class Section(pydantic.BaseModel):
    """A part of a recipe: frozen, typed without coercion, no unknown key."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    def idle(self, name: str) -> str | None:
        """Why the key `name` has no effect in this section, if it has none."""
        extra: Any = type(self).model_fields[name].json_schema_extra or {}
        for sibling, values in extra.get("when", {}).items():
            value = getattr(self, sibling)
            if value not in values:
                only = " or ".join(map(repr, values))
                return f"with `{sibling}: {value}`, only with {only}"
            if reason := self.idle(sibling):
                return reason
        return None

    @pydantic.model_validator(mode="after")
    def _refuse_keys_without_effect(self) -> Self:
        for name in sorted(self.model_fields_set):
            reason = self.idle(name)
            if reason and getattr(self, name) is not None:
                raise no_effect(name, reason)
        return self


def flatten(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that has an effect, after its dotted key."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if section.idle(name):
            continue
        if isinstance(value, Section):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def section_of(section: type[Section], name: str) -> type[Section] | None:
    """The section that a key of another section holds, if it holds one."""
    annotation = section.model_fields[name].annotation
    for kind in (annotation, *typing.get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def dotted_keys(section: type[Section], prefix: str = "") -> list[str]:
    """Every dotted key that a recipe may state."""
    found = []
    for name in section.model_fields:
        inner = section_of(section, name)
        found.append(prefix + name)
        found += dotted_keys(inner, f"{prefix}{name}.") if inner else []
    return found
