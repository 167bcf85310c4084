"""The command that extends a run by new bars."""

from __future__ import annotations

from typing import Annotated

import typer

from alfred.cli.options import AsJson, Fresh, Plugins, Run, Set, one_line_errors, prepare_process, print_json
from alfred.plugins import load_plugins

_SHOWN = 10


@one_line_errors
def update(
    path: Run,
    overrides: Set = None,
    plugins: Plugins = None,
    accept_restated: Annotated[
        bool, typer.Option("--accept-restated", help="Go on although bars of the past were restated.")
    ] = False,
    accept_jumps: Annotated[
        bool, typer.Option("--accept-jumps", help="Go on although a new close is off by a factor, such as a split.")
    ] = False,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Extend a run by the bars that its data hold now; what was judged stays as it is.

    The past is compared with what was known, bar by bar; only new sessions are forecast; agents are refitted when as
    many sessions have passed as their last fold was tested on. --set takes data.path, data.options, data.end,
    training.n_jobs, training.executor and training.address, and is remembered.
    """
    from alfred.console import results, show_progress
    from alfred.training.live.update import update as extend

    prepare_process()
    load_plugins(plugins or ())
    with show_progress() as reporter:
        found = extend(
            path,
            overrides or (),
            accept_restated=accept_restated,
            accept_jumps=accept_jumps,
            fresh=fresh,
            reporter=reporter,
        )
    if as_json:
        print_json(found.to_json())
        return
    for item in found.restated[:_SHOWN]:
        results.print(f"restated: {item}", highlight=False)
    if len(found.restated) > _SHOWN:
        results.print(f"restated: {len(found.restated) - _SHOWN} more, see --json", highlight=False)
    for symbol, factor in found.rescaled.items():
        results.print(f"adjusted: all prices of {symbol} times {factor:.8g}; returns are the same", highlight=False)
    for line in found.refitted:
        results.print(f"refitted: {line}", highlight=False)
    for note in found.notes:
        results.print(f"note: {note}", highlight=False)
    told = (
        f"{found.n_new} new session(s), known until {found.until}"
        if found.n_new
        else f"nothing new after {found.until}"
    )
    results.print(f"{told}; agents are refitted in {found.next_refit_in} session(s)", highlight=False)
