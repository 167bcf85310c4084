"""`alfred serve`: a local page over a folder of runs."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from alfred.cli.options import AsJson, one_line_errors, print_json
from alfred.errors import AlfredError, import_extra


@one_line_errors
def serve(
    folder: Annotated[Path, typer.Argument(help="The folder of all runs.")] = Path("runs"),
    port: Annotated[int, typer.Option(help="Port on this machine; a free one when left out.")] = 0,
    accounts: Annotated[
        Path | None, typer.Option(help="A folder of accounts on paper; `paper` when it is there.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Storage of further studies, as for `alfred tune report`.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show the runs of a folder as pages on this machine: what came of them, how far they are, and side by side.

    It answers on 127.0.0.1 only and writes nothing. Needs the extra `serve`.
    """
    import_extra("starlette", "serve")
    import_extra("uvicorn", "serve")
    from alfred.serve.server import HOST, answer, listen
    from alfred.serve.shelf import Shelf

    shelf = Shelf(folder)
    beside = Path("paper") if accounts is None and Path("paper").is_dir() else accounts
    accounts_shelf = None if beside is None else Shelf(beside)
    if storage is not None and "://" not in storage and not Path(storage).is_file():
        raise AlfredError(
            f"--storage {storage}: there is no such journal; name a file, sqlite:///FILE or postgresql://..."
        )
    with listen(port) as opened, _end_quietly():
        # The heavy rooms come in after whatever can be refused, and before the address is told.
        from alfred.serve.app import make_app

        own_port = int(opened.getsockname()[1])
        app = make_app(shelf, own_port, accounts=accounts_shelf, storage=storage)
        address = f"http://{HOST}:{own_port}/"
        if as_json:
            print_json({"address": address, "folder": str(folder), "port": own_port})
        else:
            typer.echo(f"{folder} at {address} (stop with Ctrl-C)", err=True)
        if open_browser and _has_screen():
            webbrowser.open(address)
        answer(app, opened)


@contextmanager
def _end_quietly() -> Iterator[None]:
    """Let Ctrl-C be the end, while the address is told as well as later."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


def _has_screen() -> bool:
    """Say whether a browser can show a window: without one, Python would begin one in the terminal and wait for it."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
