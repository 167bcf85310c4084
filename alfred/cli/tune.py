"""`alfred tune`: search configurations with Optuna, resumed after a kill, and see what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfred.analysts.settings import MOST_SESSIONS
from alfred.cli.options import (
    AsJson,
    Config,
    Fresh,
    Plugins,
    Set,
    one_line_errors,
    parse_date,
    print_json,
    read_experiment,
)
from alfred.errors import ConfigError, suggest

if TYPE_CHECKING:
    from alfred.analysts.chosen.entries import BestEntry

app = typer.Typer(
    help="Search configurations with Optuna; the same command goes on after a kill.", no_args_is_help=True
)

SEARCHES = Path("runs/tuning")
Name = Annotated[str, typer.Option(help="Name of the search, and of its folder.")]
Folder = Annotated[Path, typer.Option("--folder", help="Folder of all searches.")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Where trials are kept: a journal file, sqlite:///FILE or postgresql://USER@HOST/NAME; a journal in the "
        "folder of the search when left out. Several commands may share one."
    ),
]
Trials = Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one a core when left out.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the sampler.")]
Mode = Annotated[
    str, typer.Option(help="tpe and random draw; grid tries every corner and middle, quick each family's defaults.")
]
SearchName = Annotated[str, typer.Argument(help="Name of a search.")]


@app.command()
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
    from alfred.cli.board import show_board
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
        print_json({"best": {s: _to_json(e, found.best) for s, e in found.entries.items()}, "folder": str(place)})
        return
    _print_entries(found.entries, found.best)


def split_names(text: str | None, option: str) -> list[str]:
    """Return names that are separated by commas.

    Raises:
        ConfigError: One is empty.
    """
    names = [] if text is None else [item.strip() for item in text.split(",")]
    if not all(names):
        raise ConfigError(f"{option} {text}: a name is empty; separate names by single commas")
    return names


def check_mode(mode: str) -> Any:
    """Return how trials are chosen.

    Raises:
        ConfigError: There is no such mode.
    """
    from alfred.training.search.study import MODES

    if mode not in MODES:
        raise ConfigError(f"--mode {mode} is unknown; known: {', '.join(MODES)}.{suggest(mode, MODES)}")
    return mode


def read_stamp(text: str | None) -> Any:
    """Return a date of the command line as pandas knows it, or None.

    Raises:
        ConfigError: It is not a date.
    """
    import pandas as pd

    return None if text is None else pd.Timestamp(parse_date(text))


def find_folder(folder: Path, name: str) -> Path:
    """Return the folder of a search.

    Raises:
        ConfigError: The name cannot be that of a folder.
    """
    from alfred.settings import check_name

    return folder / check_name(name, "search")


def _to_json(entry: BestEntry, best: Path) -> dict[str, Any]:
    return {
        **entry.model_dump(mode="json"),
        "skill_pct": entry.validation.skill_pct,
        "path": str(best / f"{entry.symbol}.yaml"),
    }


def _print_entries(entries: dict[str, BestEntry] | Any, best: Path) -> None:
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
