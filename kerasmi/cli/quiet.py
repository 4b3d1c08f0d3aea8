"""TensorFlow's start-up noise, kept from the user unless something fails."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from kerasmi.errors import KerasmiError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back what the block writes to stderr, below Python too.

    The C++ parts of TensorFlow write straight to file descriptor 2. When the
    block fails, what they wrote is shown after all; not so for the user's own
    errors, which are one line.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, _descriptor(held.fileno()) as back:
        try:
            yield
        except KerasmiError:
            raise
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(back, held.read())
            raise


@contextlib.contextmanager
def _descriptor(target: int) -> Iterator[int]:
    """Points descriptor 2 at `target`; gives where it pointed."""
    saved = os.dup(2)
    os.dup2(target, 2)
    try:
        yield saved
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
