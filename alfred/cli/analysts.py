"""`alfred analysts`: what the forecasters have to beat, and whether they do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfred.cli.options import AsJson, Config, Plugins, Set, one_line_errors, parse_date, print_json, read_experiment

app = typer.Typer(help="What forecasters have to beat, and whether they do.", no_args_is_help=True)

Horizon = Annotated[int, typer.Option(min=1, help="Sessions ahead.")]
Since = Annotated[str | None, typer.Option(help="First date to forecast from (YYYY-MM-DD).")]
_TEST_SHARE = 0.2


@app.command()
@one_line_errors
def baseline(
    horizon: Horizon = 64, since: Since = None, config: Config = None, overrides: Set = None, as_json: AsJson = False
) -> None:
    """Show how far naive persistence is off for each symbol, easiest first: the bar for every forecaster."""
    settings = read_experiment(config, overrides).data
    from alfred.analysts.baseline import compute_naive_table
    from alfred.console import print_table
    from alfred.data.sources import load_market

    market = load_market(settings)
    first = None if since is None else parse_date(since).isoformat()
    table = compute_naive_table(market, horizon, since=first)
    if as_json:
        print_json(table.reset_index().to_dict(orient="records"))
        return
    rows = [
        (str(symbol), f"{row['naive_mae_pct']:.2f}", str(row["n_windows"]), str(row["difficulty"]))
        for symbol, row in table.iterrows()
    ]
    heading = ("symbol", "MAE %", "windows", "difficulty")
    print_table(f"Naive persistence, {horizon} sessions ahead", heading, rows)


@app.command()
@one_line_errors
def compare(
    horizon: Horizon = 64,
    since: Since = None,
    every: Annotated[int, typer.Option(min=1, help="Sessions from one forecast to the next.")] = 5,
    tracker: Annotated[Path, typer.Option(help="Best configuration a symbol, with its history.")] = Path(
        "runs/improvements.json"
    ),
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Fit each analyst before a date and compare it with naive persistence after it, symbol by symbol."""
    experiment = read_experiment(config, overrides, plugins)
    from alfred.console import messages, results
    from alfred.data.sources import load_market
    from alfred.training.comparison import compare_analysts

    market = load_market(experiment.data)
    first = market.dates[int(market.n_dates * (1 - _TEST_SHARE))] if since is None else parse_date(since)
    with messages.status("fitting and forecasting"):
        comparisons = compare_analysts(market, experiment.analysts, horizon, since=str(first), every_days=every)
    improved = {item.analyst: item.record(tracker) for item in comparisons}
    if as_json:
        print_json([item.to_dict(improved[item.analyst]) for item in comparisons])
        return
    for item in comparisons:
        results.print(item.comparison.summarise(), highlight=False)
        if improved[item.analyst]:
            results.print(f"  best so far on {', '.join(improved[item.analyst])} ({tracker})", highlight=False)
