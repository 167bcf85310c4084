"""The top of the command line: a mistake in a command, an option or its value is one line as every other mistake is."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from alfred.cli.shells import name_shells
from alfred.errors import suggest

_ACCEPTED = {
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "greater_than_equal": "{ge} or more",
    "greater_than": "above {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "below {lt}",
}
_ROOMY = 56  # letters of a line that hold the longest option with a sentence beside it


class OneLineGroup(TyperGroup):
    """A group that answers a mistake with one line and exit code 2, without a box and without usage above it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; see the base class."""
        if not args or not {"-h", "--help"}.isdisjoint(args):
            _keep_words_whole()
        return super().parse_args(ctx, name_shells(args))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; see the base class."""
        # Typer's own options of completion install for the shell in use, whatever is named.
        self.params = [item for item in self.params if item.name not in ("install_completion", "show_completion")]
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            typer.secho("stopped", err=True)
            code = 130
        except Exception as error:
            message = getattr(error, "format_message", None)  # whatever class of its own typer derives from
            if message is None or not standalone_mode:
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                typer.echo(getattr(error, "message", "") or "", nl=False)
            else:
                typer.secho(f"error: {explain_usage(error)}", fg="red", err=True)
            code = 2
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def explain_usage(error: Exception) -> str:
    """Return what is wrong with a command, an option or its value, what is accepted, and where help is."""
    context: Any = getattr(error, "ctx", None)
    text = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    if refused := _explain_value(error):
        return refused
    if context is None:
        return text[:1].lower() + text[1:].rstrip(".")
    command = context.command
    option = getattr(error, "option_name", None)
    if option is not None and text.startswith("No such option"):
        known = [name for item in command.params for name in (*item.opts, *item.secondary_opts) if name[:2] == "--"]
        text = f"{context.command_path} has no option {option}; known: {', '.join(known)}.{suggest(option, known)}"
    elif match := re.match(r"No such command '(.*?)'", text):
        known = list(command.commands)
        text = (
            f"{context.command_path} has no command '{match[1]}'; known: {', '.join(known)}.{suggest(match[1], known)}"
        )
    else:
        text = f"{text.rstrip('.')}; see {context.command_path} --help"
    return text[:1].lower() + text[1:]


def _explain_value(error: Exception) -> str:
    """Return what an option must be and what it was given, or an empty text for a mistake of another kind."""
    parameter: Any = getattr(error, "param", None)
    listed = getattr(error.__cause__, "errors", None)
    if parameter is None or not callable(listed) or not (found := listed()):
        return ""
    first = found[0]
    name = next((item for item in parameter.opts if item.startswith("--")), str(parameter.name).upper())
    if match := re.search(r"'(.*)' is not one of (.*?)\.?$", str(first["msg"])):
        choices = re.findall(r"'(.*?)'", match[2])
        return f"{name}: it must be one of {', '.join(choices)}, got '{match[1]}'.{suggest(match[1], choices)}"
    accepted = _ACCEPTED.get(first["type"], "a value of another kind").format(**first.get("ctx", {}))
    return f"{name}: it must be {accepted}, got {first['input']!r}"


def _keep_words_whole() -> None:
    """Have help fold words that are too long for a column, where rich would cut them; options stay on one line."""
    from rich.table import Table
    from typer import rich_utils

    roomy = shutil.get_terminal_size().columns >= _ROOMY

    class FoldingTable(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*cells, **options)
            for column, cell in zip(self.columns, cells, strict=False):
                column.overflow = "fold"
                column.no_wrap = column.no_wrap or (roomy and str(cell).startswith("--"))
                for text in getattr(cell, "renderables", ()):
                    text.overflow = "fold"

    rich_utils.Table = FoldingTable  # type: ignore[attr-defined]
