"""The variants of the paper by name, and their order in tables.

`image-only-supervised`, `global-mi-cpc`, ..., `local-mi-mine`; each but the
first with its image encoder frozen or tuned.
"""

from typing import NamedTuple

IMAGE_ONLY = "image-only-supervised"
_SCOPES = ("global", "local")
_BOUNDS = ("cpc", "mine")
_ENCODERS = ("image_only", "frozen", "tuned")
_BETWEEN = "-mi-"


class Method(NamedTuple):
    """A row of Tables 2 and 3: a variant and what became of its encoder."""

    variant: str
    encoder: str

    def __str__(self) -> str:
        if self.variant == IMAGE_ONLY:
            return IMAGE_ONLY
        return f"{self.variant} {self.encoder}"

    @property
    def order(self) -> tuple:
        """Sorts methods as the paper does, bounds that it lacks last."""
        scope, bound = objective(self.variant)
        return (
            _place(scope, _SCOPES),
            _place(bound, _BOUNDS),
            bound,
            _place(self.encoder, _ENCODERS),
            self.encoder,
        )


def name(scope: str | None, bound: str | None) -> str:
    """The variant with an objective; both None is the image-only benchmark."""
    if scope is None or bound is None:
        return IMAGE_ONLY
    return f"{scope}{_BETWEEN}{bound}"


def objective(variant: str) -> tuple[str, str]:
    """The scope and the bound of a variant; both empty for image-only.

    Raises:
        ValueError: no variant's name.
    """
    if variant == IMAGE_ONLY:
        return "", ""
    scope, between, bound = variant.partition(_BETWEEN)
    if scope not in _SCOPES or not between or not bound:
        raise ValueError(
            f"expected '{IMAGE_ONLY}' or SCOPE{_BETWEEN}BOUND such as"
            f" 'local-mi-cpc'. Received: {variant!r}"
        )
    return scope, bound


def _place(word: str, words: tuple[str, ...]) -> int:
    if not word:
        return -1
    return words.index(word) if word in words else len(words)
