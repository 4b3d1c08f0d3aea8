"""What is asked of every reader: a broken file is refused by name, or right."""

import contextlib
import resource
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz_engine import Break, mutant

from kerasmi.errors import KerasmiError

SECONDS = 2.0  # of one processor, for one file
MEBIBYTES = 400  # that the process may grow by
FILES = 1000  # broken copies for every reader
FURTHER = 250  # in another form, as gzipped, for a reader that has its own


@dataclass(frozen=True)
class Case:
    """A valid file, and how it is read.

    Attributes:
        whole: its bytes.
        read: reads other bytes in their place, as the program would.
        check: raises AssertionError for what no valid file gives; is given
            what `read` returned and the bytes.
        names: one of these stands in every refusal; empty: the caller of the
            reader names the file.
    """

    whole: bytes
    read: Callable[[bytes], Any]
    check: Callable[[Any, bytes], None]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reader:
    """A reader: its name, and what makes its `Case` in a folder.

    Attributes:
        name: of the reader and the form of its file.
        make: makes the file and says how it is read.
        packings: ways to break the file below its packing.
        form_of: the name of the same reader with its `FILES` copies, where
            this is a further form of what it reads.
    """

    name: str
    make: Callable[[Path], Case]
    packings: tuple[Break, ...] = ()
    form_of: str | None = None

    @property
    def files(self) -> int:
        """How many broken copies are read."""
        return FURTHER if self.form_of else FILES


def fuzz(
    reader: Reader, folder: Path, count: int, first: int = 0
) -> Counter[str]:
    """Reads `count` broken copies of a file; counts what became of them.

    Raises:
        AssertionError: a reader raised what is no error of ours, said it in
            several lines or without the file's name, took too long or too
            much memory, or accepted what cannot be.
    """
    case = reader.make(folder)
    case.check(case.read(case.whole), case.whole)
    before = _memory()
    fates: Counter[str] = Counter()
    for number in range(first, first + count):
        content = mutant(case.whole, number, reader.packings)
        try:
            with _stopped_late():
                fate = _fate(case, content)
            fates[fate] += 1
            assert _memory() - before < MEBIBYTES, "took too much memory"
        except Exception as error:
            where = folder / "broken"
            where.write_bytes(content)
            # as text: pytest fails on frames that were stopped in a line
            # that counts coverage, which have no number
            raise AssertionError(
                f"{reader.name}: broken copy {number} ({where}): "
                + "".join(traceback.format_exception(error))
            ) from None
    return fates


def _fate(case: Case, content: bytes) -> str:
    try:
        found = case.read(content)
    except KerasmiError as error:
        said = str(error)
        assert said.strip(), "refused without a word"
        assert len(said.splitlines()) == 1, f"several lines: {said!r}"
        assert said.isprintable(), f"refused with control characters: {said!r}"
        named = not case.names or any(name in said for name in case.names)
        assert named, f"the file is not named: {said}"
        return "refused"
    case.check(found, content)
    return "accepted"


@contextlib.contextmanager
def _stopped_late() -> Iterator[None]:
    """Raises in a block that takes too long."""

    def stop(*_: object) -> None:
        raise AssertionError(f"took more than {SECONDS} s of a processor")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _memory() -> float:
    """The largest size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
