"""The command that says what to hold tomorrow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli.options import (
    Agent,
    AsJson,
    Plugins,
    Run,
    Set,
    one_line_errors,
    parse_date,
    prepare_process,
    print_json,
)
from alfred.plugins import load_plugins

if TYPE_CHECKING:
    from alfred.training.live.allocation import Allocation

_HEADINGS = ("symbol", "held", "target", "shares", "value", "cost", "why")


@one_line_errors
def allocate(
    path: Run,
    holdings: Annotated[
        Path | None, typer.Option(help="CSV with symbol,shares of what is held; a row CASH holds money.")
    ] = None,
    cash: Annotated[float | None, typer.Option(help="Money beside the holdings, in the currency of prices.")] = None,
    date: Annotated[str | None, typer.Option(help="Close of the decision, YYYY-MM-DD; the last one known.")] = None,
    agent: Agent = None,
    out: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Say what to hold from the next execution on, the trades that lead there, and why.

    The latest policy of the run decides at the last close that is known, all seeds averaged; `alfred update` brings new
    closes. Without holdings and cash, the trades are those of the run's own book.
    """
    import pandas as pd

    from alfred.data.files import write_atomically
    from alfred.errors import ConfigError
    from alfred.training.live.allocation import allocate as find_allocation
    from alfred.training.live.allocation import read_holdings
    from alfred.training.live.opened import open_live

    prepare_process()
    load_plugins(plugins or ())
    close = None if date is None else pd.Timestamp(parse_date(date))
    shares, money = (None, None) if holdings is None else read_holdings(holdings)
    if money is not None and cash is not None:
        raise ConfigError(f"{holdings} has a row CASH, and --cash names {cash:g}; leave one of them out")
    live = open_live(path, overrides or ())
    found = find_allocation(live, agent=agent, date=close, holdings=shares, cash=cash if money is None else money)
    if out is not None:
        write_atomically(out, lambda target: target.write_text(found.to_csv(), encoding="utf-8"))
    if as_json:
        print_json({"run": str(path), **found.to_json()})
        return
    _print(found, out)


def _print(found: Allocation, out: Path | None) -> None:
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_number, format_percent

    rows = []
    for line in found.lines:
        why = ", ".join(f"{item.signal} {format_percent(item.effect, sign=True)}" for item in line.reasons)
        cost = format_number(line.cost, 2) if line.cost is not None else f"{format_number(line.cost_pct, 4)}%"
        value = line.value if line.value is not None else None
        rows.append(
            (
                line.symbol,
                format_percent(line.weight, 2),
                format_percent(line.target, 2),
                "" if line.shares is None else format_number(line.shares, 2, sign=True),
                "" if value is None else format_number(value, 2, sign=True),
                cost,
                why,
            )
        )
    print_table(
        f"{found.agent}, decided at the close of {found.date}, traded at the {found.execution}", _HEADINGS, rows
    )
    worth = "" if found.wealth is None else f", of {format_number(found.wealth)} in all"
    results.print(
        f"turnover {format_percent(found.turnover, 2)}, costs {format_percent(found.cost, 3)}{worth}", highlight=False
    )
    ages = [
        f"{name} {item['date']} ({item['days']} days ago)" for name, item in found.age.items() if name != "available"
    ]
    results.print(f"known until: {', '.join(ages)}", highlight=False)
    for note in found.notes:
        results.print(f"note: {note}", highlight=False)
    if out is not None:
        results.print(f"table: {out}", highlight=False)
