"""The word pieces of a BERT, and whether they are cased."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasmi.errors import CheckpointError
from kerasmi.reporter import counted

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CONFIG = "tokenizer_config.json"
_FAST = "tokenizer.json"
_PIECES = "vocab.txt"


@dataclass(frozen=True)
class Casing:
    """Whether text is lower-cased before it is cut into word pieces.

    Attributes:
        lower_case: whether.
        reason: which file says so.
        warning: what speaks against it, or nothing.
    """

    lower_case: bool
    reason: str
    warning: str = ""

    def __str__(self) -> str:
        return f"{'lower case' if self.lower_case else 'cased'} ({self.reason})"


def read_json(path: Path) -> dict[str, Any]:
    """The dictionary in a JSON file; empty where there is no such file.

    Raises:
        CheckpointError: something else than a dictionary in JSON.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not JSON: {error}; get it again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return content


def pieces(folder: Path) -> list[str]:
    """The word pieces in the order of their ids.

    From `vocab.txt`, or from `tokenizer.json` where there is none.

    Raises:
        CheckpointError: no vocabulary, or one that is not BERT's.
    """
    path = folder / _PIECES
    if path.is_file():
        try:
            lines = path.read_text("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path}: not UTF-8: {error}") from None
        found = lines[:-1] if lines[-1] == "" else lines
    else:
        path = folder / _FAST
        found = _fast(path)
    _check(path, found)
    return found


def _fast(path: Path) -> list[str]:
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent}: no vocabulary: expected {_PIECES} or {_FAST}"
        )
    model = read_json(path).get("model")
    ids = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(ids, dict) or sorted(
        i for i in ids.values() if type(i) is int
    ) != list(range(len(ids))):
        raise CheckpointError(f"{path}: no word-piece vocabulary")
    return sorted(ids, key=lambda piece: ids[piece])


def _check(path: Path, found: list[str]) -> None:
    missing = [token for token in SPECIAL_TOKENS if token not in found]
    if missing:
        raise CheckpointError(
            f"{path}: not a vocabulary of BERT: it lacks {', '.join(missing)};"
            " give that of the checkpoint"
        )
    seen: dict[str, int] = {}
    for row, piece in enumerate(found, start=1):
        if not piece:
            raise CheckpointError(f"{path}: an empty word piece in line {row}")
        if piece in seen:
            raise CheckpointError(
                f"{path}: {piece!r} stands in line {seen[piece]} and {row}"
            )
        seen[piece] = row


def casing(
    folder: Path, vocabulary: list[str], asked: bool | None = None
) -> Casing:
    """What the files say on casing, unless it is asked for.

    `tokenizer_config.json` first, then `tokenizer.json`, then the vocabulary
    itself: pieces with capital letters are only found in cased text.

    Args:
        folder: of the checkpoint.
        vocabulary: its word pieces.
        asked: the user's own choice.
    """
    capitals = sum(
        piece != piece.lower()
        for piece in vocabulary
        if not (piece.startswith("[") and piece.endswith("]"))
    )
    lower_case, reason = _said(folder, capitals)
    if asked is not None:
        lower_case, reason = asked, "as asked for"
    warning = ""
    if lower_case and capitals:
        warning = (
            "text is lower-cased, so that of the vocabulary"
            f" {counted(capitals, 'word piece')} with capital letters will"
            " never be used"
        )
    elif not lower_case and not capitals:
        warning = (
            "text is not lower-cased, but no word piece of the vocabulary has"
            " a capital letter: words with one become [UNK]"
        )
    return Casing(lower_case, reason, warning)


def _said(folder: Path, capitals: int) -> tuple[bool, str]:
    lower = read_json(folder / _CONFIG).get("do_lower_case")
    if isinstance(lower, bool):
        return lower, f"{_CONFIG}: do_lower_case is {str(lower).lower()}"
    normalizer = read_json(folder / _FAST).get("normalizer")
    if isinstance(normalizer, dict):
        lower = normalizer.get("lowercase")
        if isinstance(lower, bool):
            return lower, f"{_FAST}: lowercase is {str(lower).lower()}"
    if capitals:
        pieces = counted(capitals, "word piece")
        return False, f"{pieces} with capital letters"
    return True, "no word piece has a capital letter"


def strips_accents(folder: Path, lower_case: bool) -> bool:
    """Whether accents are removed: with lower case, unless the files differ."""
    strip = read_json(folder / _CONFIG).get("strip_accents")
    return strip if isinstance(strip, bool) else lower_case
