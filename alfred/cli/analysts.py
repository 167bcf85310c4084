"""`alfred analysts`: train forecasters as objects of their own, and see whether they beat naive persistence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.analysts.settings import MOST_SESSIONS
from alfred.cli.options import (
    Address,
    AsJson,
    Config,
    ExecutorName,
    Fresh,
    Plugins,
    Set,
    one_line_errors,
    parse_date,
    print_json,
    read_experiment,
)
from alfred.errors import ConfigError, suggest
from alfred.plugins import load_plugins

if TYPE_CHECKING:
    import pandas as pd

    from alfred.analysts.settings import AnalystSettings
    from alfred.config import Experiment

app = typer.Typer(help="Train forecasters, keep them, and see whether they beat persistence.", no_args_is_help=True)

Horizon = Annotated[int, typer.Option(min=1, max=MOST_SESSIONS, help="Sessions ahead.")]
Since = Annotated[str | None, typer.Option(help="First date to judge (YYYY-MM-DD); the last fifth when left out.")]
Only = Annotated[list[str] | None, typer.Option(help="Name of one analyst of the configuration. Repeatable.")]
Library = Annotated[Path, typer.Option("--folder", help="Where trained analysts stand.")]
_LIBRARY = Path("analysts")
_TEST_SHARE = 0.2
_COLUMNS = {
    "n": "{:.0f}",
    "mae_pct": "{:.3f}",
    "skill_pct": "{:+.2f}",
    "sign_accuracy": "{:.3f}",
    "rank_ic": "{:+.3f}",
    "rank_ic_t": "{:+.1f}",
    "crps": "{:.4f}",
    "coverage_90": "{:.3f}",
}


@app.command()
@one_line_errors
def baseline(
    horizon: Horizon = 64,
    since: Since = None,
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Show how far naive persistence is off for each symbol, easiest first: the bar for every forecaster."""
    settings = read_experiment(config, overrides, plugins).data
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
def target(
    r2: Annotated[float, typer.Option(help="The R² that is wanted, below 1.")] = 0.8,
    horizon: Horizon = 1,
    since: Since = None,
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Show what MSE, RMSE and MAE a wanted R² would mean for the log return at a horizon."""
    settings = read_experiment(config, overrides, plugins).data
    from alfred.console import print_table
    from alfred.data.sources import load_market
    from alfred.evaluation.forecast_metrics import compute_realised_returns
    from alfred.evaluation.forecasts.target import compute_error_targets

    market = load_market(settings)
    dates = market.dates if since is None else market.dates[market.dates >= parse_date(since).isoformat()]
    found = compute_error_targets(compute_realised_returns(market, dates, market.symbols, horizon), r2)
    if as_json:
        print_json(found._asdict())
        return
    rows = [(name.replace("_", " "), f"{value:.6g}") for name, value in found._asdict().items()]
    print_table(f"Log return {horizon} session(s) ahead, {market.n_symbols} symbols", ("", "value"), rows)


@app.command()
@one_line_errors
def compare(
    since: Since = None,
    only: Only = None,
    symbols: Annotated[bool, typer.Option("--symbols", help="A line for each symbol as well.")] = False,
    tracker: Annotated[Path, typer.Option(help="Best configuration a symbol, with its history.")] = Path(
        "runs/improvements.json"
    ),
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures of forecast against outcome, and of calibration.")
    ] = None,
    root: Annotated[Path, typer.Option("--runs", help="Folder of all runs; its cache is used.")] = Path("runs"),
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Walk each analyst forward, with refits as in a run, and compare it with naive persistence from a date on.

    MAE % is the error of the simple return in percentage points, by which analysts are chosen; skill is how much
    smaller it is than that of persistence, in per cent, with a 95 % interval.
    """
    experiment = read_experiment(config, overrides, plugins, executor, address)
    chosen = _choose(experiment, only)
    from alfred.console import messages, results, show_progress
    from alfred.data.sources import load_market
    from alfred.evaluation.report.forecast_plots import save_forecast_pictures
    from alfred.training.comparison import compare_analysts
    from alfred.training.jobs import count_workers, open_executor

    market = load_market(experiment.data)
    first = market.dates[int(market.n_dates * (1 - _TEST_SHARE))] if since is None else parse_date(since)
    cache = experiment.forecast.cache
    schedule = experiment.forecast.model_copy(update={"cache": None if cache is None else root / cache})
    with show_progress() as reporter, open_executor(experiment.training, root):
        found = compare_analysts(
            market,
            chosen,
            schedule,
            since=str(first),
            n_jobs=count_workers(experiment.training),
            reporter=reporter,
        )
    drawn = () if pictures is None else save_forecast_pictures(pictures, found.records, market)
    improved = found.track(tracker)
    if as_json:
        rows = [_drop_nan(row) for row in found.table.to_dict(orient="records")]
        print_json({"table": rows, "best_so_far": improved, "notes": found.notes, "pictures": [str(p) for p in drawn]})
        return
    _print_table(found.table, symbols=symbols)
    for name, better in improved.items():
        if better:
            results.print(f"{name}: best so far on {', '.join(better)} ({tracker})", highlight=False, markup=False)
    for note in found.notes:
        results.print(f"note: {note}", highlight=False, markup=False)
    for path in drawn:
        messages.print(f"picture: {path}", highlight=False, markup=False)


@app.command()
@one_line_errors
def train(
    until: Annotated[str | None, typer.Option(help="Last date that may be read (YYYY-MM-DD).")] = None,
    only: Only = None,
    folder: Library = _LIBRARY,
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Train analysts once and keep each in a folder of its name, for `kind: saved` with its `path`."""
    experiment = read_experiment(config, overrides, plugins, executor, address)
    chosen = _choose(experiment, only)
    from alfred.console import print_table, show_progress
    from alfred.data.sources import load_market
    from alfred.training.jobs import count_workers, open_executor
    from alfred.training.library import train_analysts

    market = load_market(experiment.data)
    last = None if until is None else parse_date(until).isoformat()
    with show_progress() as reporter, open_executor(experiment.training, folder):
        cards = train_analysts(
            market,
            chosen,
            folder,
            until=last,
            n_jobs=count_workers(experiment.training),
            reporter=reporter,
            fresh=fresh,
        )
    if as_json:
        print_json([{**card.model_dump(mode="json"), "path": str(folder / card.name)} for card in cards])
        return
    rows = [(card.name, card.kind, str(card.trained_until), str(folder / card.name)) for card in cards]
    print_table("Trained", ("name", "kind", "until", "folder"), rows)


@app.command("list")
@one_line_errors
def list_(folder: Library = _LIBRARY, as_json: AsJson = False) -> None:
    """List the trained analysts of a folder."""
    from alfred.console import print_table, results
    from alfred.training.library import list_trained

    found = list_trained(folder)
    if as_json:
        print_json([{**card.model_dump(mode="json"), "path": str(place)} for place, card in found])
        return
    if not found:
        results.print(
            f"no trained analyst in {folder}; make one with alfred analysts train", highlight=False, markup=False
        )
        return
    rows = [
        (
            place.name,
            card.kind,
            str(card.trained_from),
            str(card.trained_until),
            str(len(card.symbols)),
            card.created[:16],
        )
        for place, card in found
    ]
    print_table(f"Trained analysts in {folder}", ("name", "kind", "from", "until", "symbols", "trained at"), rows)


@app.command()
@one_line_errors
def show(
    name: Annotated[str, typer.Argument(help="Name of a trained analyst, or its folder.")],
    folder: Library = _LIBRARY,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Show what a trained analyst is: settings, dates, data, and whether its code has changed since."""
    load_plugins(plugins or ())
    from alfred.console import results
    from alfred.training.library import explain_code, find_trained, read_settings

    place, card = find_trained(name, folder)
    settings = read_settings(place, card)
    code = explain_code(card, settings)
    if as_json:
        print_json(
            {
                **card.model_dump(mode="json"),
                "path": str(place),
                "settings": settings.model_dump(mode="json"),
                "code is": code,
            }
        )
        return
    facts = {
        "kind": card.kind,
        "folder": str(place),
        "trained on": f"{card.trained_from} to {card.trained_until}, {len(card.symbols)} symbols",
        "trained at": card.created,
        "market": card.market[:16],
        "code": f"{card.code[:16]}, {code}",
        "versions": ", ".join(f"{package} {version}" for package, version in card.versions.items()),
        **{key: str(value) for key, value in settings.model_dump(mode="json").items() if key not in ("kind", "name")},
    }
    width = max(map(len, facts))
    results.print(card.name, style="bold", highlight=False, markup=False)
    for key, value in facts.items():
        results.print(f"  {key:<{width}}  {value}", highlight=False, markup=False)
    for note in card.notes:
        results.print(f"note: {note}", highlight=False, markup=False)
    results.print(
        f"in a configuration: {{kind: saved, name: {card.name}, path: {place}}}", highlight=False, markup=False
    )


def _choose(experiment: Experiment, only: Sequence[str] | None) -> list[AnalystSettings]:
    """Return the analysts of a configuration, or those that are named.

    Raises:
        ConfigError: A name is not among them, or there is no analyst.
    """
    known = {settings.label: settings for settings in experiment.analysts}
    if not known:
        raise ConfigError("the configuration has no analysts; name some, for instance --set 'analysts=[{kind: lstm}]'")
    for name in only or ():
        if name not in known:
            raise ConfigError(
                f"--only {name}: the configuration has no analyst of this name; it has {', '.join(known)}."
                f"{suggest(name, list(known))}"
            )
    return [settings for name, settings in known.items() if not only or name in only]


def _print_table(table: pd.DataFrame, *, symbols: bool) -> None:
    """Print a table for each horizon: all windows together, then symbol by symbol when asked for."""
    from alfred.console import print_table
    from alfred.evaluation.forecasts.shared_windows import ALL

    for horizon in sorted(set(table["horizon"])):
        at = table[table["horizon"] == horizon]
        shown = at if symbols else at[at["symbol"] == ALL]
        rows = []
        for row in shown.to_dict(orient="records"):
            name = f"{row['analyst']}{' (may know)' if row['may_know'] else ''}"
            if row["symbol"] != ALL:
                name = f"  {name} {row['symbol']}"
            cells = ["" if math.isnan(row[key]) else form.format(row[key]) for key, form in _COLUMNS.items()]
            low, high = row["skill_low"], row["skill_high"]
            cells.insert(3, "" if math.isnan(low) else f"{low:+.2f} to {high:+.2f}")
            rows.append((name, *cells))
        headings = ("analyst", "windows", "MAE %", "skill %", "interval", "sign", "rank IC", "t", "CRPS", "in 90 %")
        print_table(f"{horizon} session{'s' if horizon > 1 else ''} ahead", headings, rows)


def _drop_nan(row: dict[str, object]) -> dict[str, object]:
    """Return a row as JSON can hold it: what has no value is null."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
