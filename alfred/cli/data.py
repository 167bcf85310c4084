"""`alfred data`: look at prices before trusting anything made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from alfred.cli.options import AsJson, Config, Plugins, Set, one_line_errors, parse_date, print_json, read_settings

app = typer.Typer(help="Look at prices, choose a universe, rank features, fetch more.", no_args_is_help=True)

_SHOWN = 40  # problems in a table; --json holds all of them


@app.command()
@one_line_errors
def describe(config: Config = None, overrides: Set = None, plugins: Plugins = None, as_json: AsJson = False) -> None:
    """Report coverage, gaps, jumps like unadjusted splits, stale prices and other problems of a source."""
    from alfred.console import print_table, results
    from alfred.data.quality.summary import describe_market

    settings = read_settings(config, overrides, plugins).data
    found = describe_market(settings)
    if as_json:
        print_json(found.to_dict())
        return
    results.print(
        f"{len(found.symbols)} symbols, {found.n_sessions} sessions, {found.first.date()} to {found.last.date()}, "
        f"{found.periods_per_year or 'an irregular number of'} a year, benchmark {found.benchmark or 'not found'}",
        highlight=False,
    )
    for note in found.notes:
        results.print(f"note: {note}", highlight=False)
    print_table(
        "Coverage",
        ("symbol", "first", "last", "rows", "share of sessions"),
        [
            (item.symbol, str(item.first.date()), str(item.last.date()), str(item.n_rows), f"{item.coverage:.1%}")
            for item in found.symbols
        ],
    )
    ended = [(item.symbol, item.delisting) for item in found.symbols if item.delisting is not None]
    if ended:
        print_table(
            "Delistings",
            ("symbol", "last day", "payout"),
            [
                (name, str(item.date.date()), "not known" if item.payout is None else f"{item.payout:.1%}")
                for name, item in ended
            ],
        )
    if not found.problems:
        results.print("no problems found", highlight=False)
        return
    rows = [(item.symbol, str(item.date.date()), item.kind, f"{item.value:.6g}") for item in found.problems[:_SHOWN]]
    print_table(f"Problems ({len(found.problems)})", ("symbol", "date", "kind", "value"), rows)
    if len(found.problems) > _SHOWN:
        results.print(f"... and {len(found.problems) - _SHOWN} more; --json lists them all", highlight=False)
    for reason in dict.fromkeys(item.reason for item in found.problems if item.reason):
        results.print(reason, highlight=False)


@app.command()
@one_line_errors
def uncorrelated(
    start: Annotated[str, typer.Option(help="Symbol to begin with, such as AAPL.")],
    count: Annotated[int, typer.Option("--count", "-n", help="Symbols to pick, the first included.")] = 11,
    min_history_days: Annotated[int, typer.Option(help="Returns that two symbols must share.")] = 756,
    until: Annotated[str | None, typer.Option(help="Last date that the choice may read (YYYY-MM-DD).")] = None,
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Pick greedily the symbols least correlated with those already picked."""
    from alfred.console import print_table
    from alfred.data.sources import load_market
    from alfred.data.universe import pick_uncorrelated
    from alfred.evaluation.formatting import format_number

    market = load_market(read_settings(config, overrides, plugins).data)
    if until is not None:
        market = market.until(parse_date(until).isoformat())
    picks = pick_uncorrelated(market, start, count, min_history_days)
    if as_json:
        print_json({"symbols": [pick.symbol for pick in picks], "picks": [pick.to_dict() for pick in picks]})
        return
    rows = [
        (pick.symbol, format_number(pick.mean_correlation), format_number(pick.max_correlation), str(pick.n_returns))
        for pick in picks
    ]
    print_table("Least correlated", ("symbol", "mean |correlation|", "largest", "returns"), rows)


@app.command()
@one_line_errors
def correlations(
    label: Annotated[Literal["magnitude", "direction"], typer.Option(help="What to correlate with.")] = "magnitude",
    horizon: Annotated[int, typer.Option(min=1, help="Sessions ahead.")] = 20,
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Rank the configured features by their correlation with what followed, corrected for the number of tests."""
    from alfred.console import print_table
    from alfred.data.features.catalogue import compute_features
    from alfred.data.features.correlations import rank_correlations
    from alfred.data.labels import make_labels
    from alfred.data.settings import FeatureSettings
    from alfred.data.sources import load_market

    experiment = read_settings(config, overrides, plugins)
    market = load_market(experiment.data)
    signals = compute_features(market, experiment.features or FeatureSettings())
    ranked = rank_correlations(signals, make_labels(market, horizon), label)
    if as_json:
        print_json([item.to_dict() for item in ranked])
        return
    rows = [
        (item.feature, f"{item.correlation:+.3f}", item.strength, f"{item.p_value:.3f}", f"{item.adjusted_p_value:.3f}")
        for item in ranked
    ]
    heading = ("feature", "correlation", "strength", "p", "p after all tests")
    print_table(f"Correlation with the {horizon}-session {label}", heading, rows)


@app.command()
@one_line_errors
def fetch(
    symbols: Annotated[list[str], typer.Argument(help="Yahoo's symbols, such as SPY AAPL BTC-USD.")],
    folder: Annotated[Path, typer.Option(help="Where to; read it with --set data.path=FOLDER.")] = Path("prices"),
    start: Annotated[str | None, typer.Option(help="First date (YYYY-MM-DD); the earliest when left out.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date, included; today when left out.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch again what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Download daily bars from Yahoo, symbol by symbol; what is there is kept, what failed is listed."""
    from alfred.console import messages, results
    from alfred.data.prices.yahoo import fetch_yahoo

    with messages.status(f"fetching {len(symbols)} symbols"):
        fetched = fetch_yahoo(
            symbols,
            folder,
            start=None if start is None else parse_date(start),
            end=None if end is None else parse_date(end),
            refresh=refresh,
        )
    if as_json:
        print_json(fetched.to_dict())
    else:
        results.print(
            f"{len(fetched.fetched)} fetched, {len(fetched.cached)} were there already, in {fetched.folder}",
            highlight=False,
        )
        for item in fetched.missing:
            messages.print(f"missing: {item.symbol}: {item.reason}", highlight=False, style="red")
    if fetched.missing:
        raise typer.Exit(1)
