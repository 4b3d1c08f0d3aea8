"""What a user did wrong: one line, exit status 2, never a traceback."""


class KerasmiError(Exception):
    """A wrong recipe, data or folder; the message says how to fix it."""

    def __str__(self) -> str:
        """The message as one printable line.

        It quotes files, and what they hold may command a terminal.
        """
        return "".join(map(_printable, super().__str__()))


class RecipeError(KerasmiError):
    """A recipe that cannot be run: names the file and the key."""


class DataError(KerasmiError):
    """Data that cannot be used: names the file and the row or record."""


class RunError(KerasmiError):
    """A run folder that cannot be used: names the folder and why."""


class CheckpointError(KerasmiError):
    """A checkpoint that cannot be read: names the file and the tensors."""


class TrainingError(Exception):
    """Training that failed: exit status 1; the message says what to try."""


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return ascii(character)[1:-1]
