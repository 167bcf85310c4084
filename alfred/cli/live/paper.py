"""The commands of accounts on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfred.cli.options import Agent, AsJson, Plugins, Run, one_line_errors, parse_date, prepare_process, print_json
from alfred.plugins import load_plugins

app = typer.Typer(
    help="Follow a run on paper: an account of its own, booked day by day as a backtest would.", no_args_is_help=True
)
Account = Annotated[Path, typer.Argument(help="Folder of the account.")]


@app.command()
@one_line_errors
def start(
    run: Run,
    account: Account,
    cash: Annotated[float, typer.Option(help="Money at the start, in the currency of the prices.")] = 100_000.0,
    date: Annotated[
        str | None, typer.Option("--from", help="Close of the first decision, YYYY-MM-DD; the last one known.")
    ] = None,
    agent: Agent = None,
    broker: Annotated[str, typer.Option(help="Where orders go and fills come from.")] = "csv",
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Start an account: it holds cash, and its first decision is traded at the next execution."""
    import pandas as pd

    from alfred.console import results
    from alfred.training.live.account import PaperAccount

    prepare_process()
    load_plugins(plugins or ())
    first = None if date is None else pd.Timestamp(parse_date(date))
    made = PaperAccount.create(run, account, agent=agent, start=first, capital=cash, broker=broker)
    if as_json:
        told = {"account": str(account), "agent": made.terms.agent, "start": made.terms.start}
        print_json({**told, "notes": list(made.notes)})
        return
    results.print(
        f"{account} follows {made.terms.agent} of {run}, first decision at the close of {made.terms.start}; "
        f"`alfred paper step {account}` books what comes",
        highlight=False,
    )
    for note in made.notes:
        results.print(f"note: {note}", highlight=False)


@app.command()
@one_line_errors
def step(
    account: Account,
    until: Annotated[str | None, typer.Option(help="Last session to book, YYYY-MM-DD; the last one known.")] = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Book every session that is known and not booked yet, each exactly once, and decide for the next one.

    `alfred update RUN` brings new sessions. A step that was interrupted goes on with the same command.
    """
    import pandas as pd

    from alfred.console import results
    from alfred.evaluation.formatting import format_percent
    from alfred.training.live.account import PaperAccount

    prepare_process()
    load_plugins(plugins or ())
    opened = PaperAccount.open(account)
    last = None if until is None else pd.Timestamp(parse_date(until))
    days = list(opened.step(last))
    if as_json:
        told = [
            {"date": str(day.date.date()), "wealth": day.wealth * opened.terms.capital, "corrected": day.corrected}
            for day in days
        ]
        print_json({"account": str(account), "booked": told})
        return
    for day in days:
        if day.corrected is not None:
            results.print(
                f"note: the session before {day.date.date()} was restated and is worth {day.corrected:.10g} now; the "
                f"difference is booked on {day.date.date()}",
                highlight=False,
            )
    if not days:
        results.print("nothing to book: every session that is known is booked", highlight=False)
        return
    money, gain = days[-1].wealth * opened.terms.capital, days[-1].wealth - 1.0
    results.print(
        f"{len(days)} session(s) booked until {days[-1].date.date()}: {money:,.2f} "
        f"({format_percent(gain, 2, sign=True)} since the start)",
        highlight=False,
    )


@app.command()
@one_line_errors
def status(account: Account, plugins: Plugins = None, as_json: AsJson = False) -> None:
    """Say what an account holds, what it has decided, and what is not booked yet."""
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_percent
    from alfred.training.live.report import describe_status

    prepare_process()
    load_plugins(plugins or ())
    found = describe_status(account)
    if as_json:
        print_json(found)
        return
    rows = [
        (item["symbol"], format_percent(item["weight"], 2), format_percent(item["decision"], 2))
        for item in found["weights"]
    ]
    print_table(f"{account}: {found['agent']}, close of {found['date']}", ("symbol", "held", "decided"), rows)
    results.print(
        f"{found['wealth']:,.2f} ({format_percent(found['gain'], 2, sign=True)} since {found['start']}), "
        f"{found['n_waiting']} session(s) to book; `alfred paper step {account}`",
        highlight=False,
    )
    for note in found["notes"]:
        results.print(f"note: {note}", highlight=False)


@app.command()
@one_line_errors
def report(account: Account, plugins: Plugins = None, as_json: AsJson = False) -> None:
    """Write the page of an account: realised against expected, costs and fills.

    It says whether the account is still the strategy that was judged.
    """
    from alfred.console import print_table, results
    from alfred.training.live.page import write_page
    from alfred.training.live.report import measure

    prepare_process()
    load_plugins(plugins or ())
    found = measure(account)
    page = write_page(account, found)
    if as_json:
        print_json({"account": str(account), "page": str(page), **found.to_json()})
        return
    print_table(f"{account}: realised against expected", ("", "realised", "expected"), found.tabulate())
    for sentence in found.sentences:
        results.print(sentence, highlight=False)
    results.print(f"page: {page}", highlight=False)
