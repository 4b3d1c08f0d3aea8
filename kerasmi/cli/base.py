"""How every command behaves: help with examples, one line for an error."""

import errno
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from kerasmi.cli import starting
from kerasmi.errors import KerasmiError

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
DEBUG = "--debug"
# Carries the help; click has it since 8.2.
_NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())


class InterruptedRunError(Exception):
    """Ctrl-C, with what to tell the user."""


class _WithExamples(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = textwrap.dedent(examples).strip().splitlines()

    def format_epilog(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Writes the examples as they are typed."""
        if not self.examples:
            return
        formatter.write_paragraph()
        formatter.write("Examples:\n")
        for line in self.examples:
            formatter.write(f"  {line}\n")


class Verb(_WithExamples):
    """A command that does something; `--debug` shows a traceback."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(
            click.Option(
                [DEBUG],
                is_flag=True,
                expose_value=False,
                help="Show the traceback of an error.",
            )
        )


def is_debugged() -> bool:
    """Whether `--debug` was given to the verb that runs."""
    context = click.get_current_context()
    source = context.get_parameter_source(DEBUG.lstrip("-"))
    return source is ParameterSource.COMMANDLINE


class Nouns(_WithExamples, click.Group):
    """A group of commands."""


class Cli(Nouns):
    """The outermost group: turns what happens into lines and exit statuses.

    0 done; 1 the work failed; 2 usage, or a wrong recipe or wrong data; 130
    interrupted.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they are met."""
        return list(self.commands)

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **options: Any,
    ) -> NoReturn:
        """Runs the command line and exits."""
        args = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        starting.set_up_libraries()
        try:
            status = super().main(args, prog_name, **options)
        except Exception as error:
            if DEBUG in args and not isinstance(error, click.ClickException):
                traceback.print_exception(error)
            status, line = _explain(error)
            click.echo(line, err=True)
        # click hands back the status of `--help`, else what the command did.
        sys.exit(status if isinstance(status, int) else DONE)


def _explain(error: Exception) -> tuple[int, str]:
    if isinstance(error, _NO_ARGUMENTS):
        return WRONG, str(error)
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "kerasmi"
        text = _one_line(error.format_message()).removesuffix(".")
        return WRONG, f"Error: {text}; see {command} --help"
    if isinstance(error, click.ClickException):
        return WRONG, f"Error: {_one_line(error.format_message())}"
    if isinstance(error, KerasmiError):
        return WRONG, f"Error: {_one_line(str(error))}"
    if isinstance(error, InterruptedRunError):
        return INTERRUPTED, str(error)
    if isinstance(error, click.Abort):
        return INTERRUPTED, "Interrupted"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        # untold: it may be a report's sentence in the place of a folder
        text = "a name that is too long for a file or a folder: shorten it"
        return WRONG, f"Error: {text}, or see the order of arguments in --help"
    if isinstance(error, PermissionError) and error.filename is not None:
        place = _one_line(str(error.filename))
        remedy = "give another folder, or rights to this one"
        return WRONG, f"Error: {place}: no permission; {remedy}"
    kind = type(error).__name__
    text = _one_line(str(error))
    return FAILED, f"Error: {kind}: {text} ({DEBUG} shows where)"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 500 else f"{line[:497]}..."
