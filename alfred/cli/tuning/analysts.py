"""`alfred tune analysts`: search the best analyst of each symbol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfred.analysts.settings import MOST_SESSIONS
from alfred.cli.options import AsJson, Config, Fresh, Plugins, Set, one_line_errors, print_json, read_experiment
from alfred.cli.tuning.options import (
    SEARCHES,
    Folder,
    Mode,
    Name,
    Seed,
    Storage,
    Trials,
    Workers,
    check_mode,
    find_folder,
    read_stamp,
    split_names,
)

if TYPE_CHECKING:
    from alfred.analysts.chosen.entries import BestEntry


@one_line_errors
def analysts(
    config: Config = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols, separated by commas; all when left out.")] = None,
    trials: Trials = 30,
    workers: Workers = None,
    mode: Mode = "tpe",
    families: Annotated[
        str | None,
        typer.Option(help="Families to search, separated by commas, such as naive,ridge,lstm; all when left out."),
    ] = None,
    space: Annotated[Path | None, typer.Option(help="YAML file with ranges of your own, by family and key.")] = None,
    horizon: Annotated[int, typer.Option(min=1, max=MOST_SESSIONS, help="Sessions ahead.")] = 5,
    every: Annotated[int, typer.Option(min=1, help="Sessions from one forecast to the next.")] = 5,
    validate_from: Annotated[
        str | None, typer.Option(help="First session to validate on (YYYY-MM-DD); the last fifth before the test.")
    ] = None,
    test_from: Annotated[
        str | None, typer.Option(help="First session that the search may not know (YYYY-MM-DD); the last fifth.")
    ] = None,
    name: Name = "analysts",
    folder: Folder = SEARCHES,
    storage: Storage = None,
    seed: Seed = 0,
    overrides: Set = None,
    plugins: Plugins = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """For every symbol, search the analyst with the smallest error of the percentage return.

    The configuration gives the data and how often models are refitted. Searching processes are handed a market that
    ends before the test. The best of each symbol stands in FOLDER/NAME/best, one YAML file a symbol, for
    `kind: registry`; `alfred promote` says whether it is better than what stood before, on later sessions.
    """
    experiment = read_experiment(config, overrides, plugins)
    from alfred.cli.tuning.board import show_board
    from alfred.data.sources import load_market
    from alfred.training.jobs import count_cores
    from alfred.training.search.analysts.families import choose_families
    from alfred.training.search.analysts.tuning import Request, tune_analysts
    from alfred.training.search.storage import JOURNAL_FILE

    request = Request(
        name=name,
        symbols=tuple(split_names(symbols, "--symbols")),
        families=choose_families(split_names(families, "--families") or None, space),
        n_trials=trials,
        mode=check_mode(mode),
        seed=seed,
        horizon=horizon,
        every=every,
        refit_every=experiment.forecast.refit_every_days,
        validate_from=read_stamp(validate_from),
        test_from=read_stamp(test_from),
    )
    place = find_folder(folder, name)
    market = load_market(experiment.data)
    with show_board(len(request.symbols or market.universe) * trials) as watch:
        found = tune_analysts(
            market,
            request,
            place,
            storage=storage or str(place / JOURNAL_FILE),
            n_workers=workers or count_cores(),
            fresh=fresh,
            watch=watch,
        )
    if as_json:
        print_json(
            {
                "best": {s: _to_json(e, found.best) for s, e in found.entries.items()},
                "failures": dict(found.failures),
                "folder": str(place),
            }
        )
        return
    _print_entries(found.entries, found.best)
    for symbol, why in found.failures.items():
        typer.echo(f"no best analyst for {symbol}: it {why}")


def _to_json(entry: BestEntry, best: Path) -> dict[str, Any]:
    return {
        **entry.model_dump(mode="json"),
        "skill_pct": entry.validation.skill_pct,
        "path": str(best / f"{entry.symbol}.yaml"),
    }


def _print_entries(entries: Mapping[str, BestEntry], best: Path) -> None:
    from alfred.console import print_table, results

    rows = []
    for entry in entries.values():
        scores = entry.validation
        rows.append(
            (
                entry.symbol,
                entry.analyst["kind"],
                f"{scores.mae_pct:.3f}",
                f"{scores.naive_mae_pct:.3f}",
                f"{scores.skill_pct:+.2f}",
                str(scores.n_windows),
                str(entry.n_trials),
            )
        )
    headings = ("symbol", "best analyst", "MAE %", "naive MAE %", "skill %", "windows", "trials")
    print_table("Best on validation, and flattered by being the best of its trials", headings, rows)
    results.print(f"in a configuration: {{kind: registry, path: {best}}}", highlight=False, markup=False)
    results.print(f"is it better on later sessions? alfred promote --candidates {best}", highlight=False, markup=False)
