"""The options of alfred itself that have to do with completion."""

from __future__ import annotations

from typing import Annotated

import typer

from alfred.cli.options import one_line_errors
from alfred.cli.shells import SHELLS, install, read_script


@one_line_errors
def _install(shell: str | None) -> None:
    if shell is not None:
        typer.echo(f"wrote {install(shell)}; {shell} completes alfred from its next start on")
        raise typer.Exit


@one_line_errors
def _show(shell: str | None) -> None:
    if shell is not None:
        typer.echo(read_script(shell), nl=False)
        raise typer.Exit


InstallFor = Annotated[
    str | None,
    typer.Option(
        "--install-completion",
        metavar="[SHELL]",
        callback=_install,
        is_eager=True,
        help=f"Teach a shell to complete: {', '.join(SHELLS)}; without a name, this one.",
    ),
]
ShowFor = Annotated[
    str | None,
    typer.Option("--show-completion", metavar="[SHELL]", callback=_show, is_eager=True, help="Print what that writes."),
]
