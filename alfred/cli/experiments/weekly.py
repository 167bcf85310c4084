"""`alfred experiments`: weekly stock-picking strategies, walked forward and judged side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from alfred.cli.options import (
    Address,
    AsJson,
    Config,
    ExecutorName,
    Fresh,
    Plugins,
    Root,
    Set,
    one_line_errors,
    print_json,
    read_experiment,
)
from alfred.errors import ConfigError, suggest
from alfred.training.experiments.registry import (
    NamedStrategy,
    choose_experiments,
    read_registry,
    resolve_experiments,
)
from alfred.training.experiments.settings import PHASES, Phase, RegistrySettings

app = typer.Typer(
    help="Walk weekly stock-picking experiments forward and judge them side by side.", no_args_is_help=True
)

File = Annotated[
    Path | None,
    typer.Option("--file", help="YAML file with experiments of yours (name, based_on, changes) and dates of phases."),
]
Only = Annotated[
    list[str] | None, typer.Option(help="Name of one experiment; the baseline is always walked. Repeatable.")
]
PhaseName = Annotated[str, typer.Option("--phase", help=f"One of {', '.join(PHASES)}.")]
_PHASE_TITLES = {
    "quick": "one year, monthly refits",
    "full": "weekly refits",
    "robustness": "neighbours of every experiment",
    "holdout": "one fit, the locked segment",
}


@app.command("list")
@one_line_errors
def list_(file: File = None, as_json: AsJson = False) -> None:
    """List the experiments: the eight built-in ones and those of --file."""
    _, found = _read(file)
    if as_json:
        print_json([_describe(item) for item in found])
        return
    from alfred.console import print_table

    rows = [
        (item.name, item.based_on if item.based_on != item.name else "", _spell(item), item.about) for item in found
    ]
    print_table("Experiments", ("name", "based on", "changes", "asks"), rows)


@app.command()
@one_line_errors
def run(
    config: Config = None,
    phase: PhaseName = "quick",
    file: File = None,
    only: Only = None,
    again: Annotated[
        bool, typer.Option("--again", help="Look at the holdout segment once more; that is written down.")
    ] = False,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Test the experiments over the dates of a phase, and decide about each: keep, reject, or cannot tell.

    Finished experiments are read again, and the same command goes on after an interruption. Each result is a trial that
    every verdict on these dates pays for.
    """
    chosen_phase = _check_phase(phase)
    if again and chosen_phase != "holdout":
        raise ConfigError(f"--again goes with --phase holdout alone, not with {phase}; leave it out")
    registry, found = _read(file)
    chosen = choose_experiments(found, only or ())
    experiment = read_experiment(config, overrides, plugins, executor, address)
    from alfred.console import show_progress
    from alfred.data.sources import load_market
    from alfred.training.experiments.run import run_phase

    market = load_market(experiment.data)
    with show_progress() as reporter:
        result = run_phase(
            experiment,
            registry,
            chosen,
            chosen_phase,
            market,
            root,
            reporter=reporter,
            fresh=fresh,
            again=again,
        )
    _print(result.to_json(), result.folder, as_json=as_json)


@app.command()
@one_line_errors
def show(phase: PhaseName = "quick", as_json: AsJson = False, root: Root = Path("runs")) -> None:
    """Show the table of a phase that was run, without computing anything."""
    chosen = _check_phase(phase)
    from alfred.training.experiments.run import FOLDER, load_result

    _print(load_result(root, chosen), root / FOLDER / chosen, as_json=as_json)


def _read(file: Path | None) -> tuple[RegistrySettings, list[NamedStrategy]]:
    registry = read_registry(file)
    return registry, resolve_experiments(registry.experiments, str(file))


def _check_phase(name: str) -> Phase:
    for phase in PHASES:
        if name == phase:
            return phase
    raise ConfigError(f"there is no phase '{name}'; known: {', '.join(PHASES)}.{suggest(name, PHASES)}")


def _spell(item: NamedStrategy) -> str:
    return ", ".join(f"{key}: {value}" for key, value in item.changed.items())


def _describe(item: NamedStrategy) -> dict[str, Any]:
    return {
        "name": item.name,
        "based_on": item.based_on,
        "about": item.about,
        "changes": dict(item.changed),
        "strategy": item.strategy.model_dump(mode="json"),
    }


def _print(found: Mapping[str, Any], folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({**found, "folder": str(folder)})
        return
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_number, format_percent

    rows: Sequence[Mapping[str, Any]] = found["results"]
    benchmark, equal = (row["name"] for row in rows[-2:])

    def percent(row: Mapping[str, Any], name: str, digits: int = 1, *, sign: bool = False) -> str:
        return "" if row[name] is None else format_percent(float(row[name]), digits, sign=sign)

    table = [
        (
            str(row["name"]),
            percent(row, "total_return"),
            percent(row, "return_minus_benchmark", sign=True),
            percent(row, "return_minus_equal_weight", sign=True),
            _number(row["sharpe"]),
            percent(row, "max_drawdown"),
            percent(row, "win_rate_weeks", 0),
            _number(row["turnover"], 1),
            format_number(float(row["names_held"]), 0),
        )
        for row in rows
    ]
    title = f"{found['phase']} ({_PHASE_TITLES[found['phase']]}), {found['start']} to {found['end']}, net of costs"
    heads = ("experiment", "return", f"− {benchmark}", f"− {equal}", "Sharpe", "max DD", "weeks won", "turns/y", "held")
    print_table(title, heads, table)
    judged = [
        (
            str(row["name"]),
            _difference(row["sharpe_minus_benchmark"], row["benchmark_ci"]),
            _difference(row["sharpe_minus_equal_weight"], row["equal_weight_ci"]),
            _difference(row["sharpe_minus_parent"], row["parent_ci"]),
            _number(row["deflated"]),
            str(row["decision"]),
        )
        for row in rows[:-2]
    ]
    compared = ("experiment", f"Sharpe − {benchmark}", f"Sharpe − {equal}", "Sharpe − based on", "deflated", "decision")
    print_table(f"Differences with their intervals, after {rows[0]['n_trials']} trials", compared, judged)
    for row in rows[:-2]:
        results.print(f"{row['name']}: {row['decision']}. {row['reason']}", highlight=False, markup=False)
    for item in found["robustness"]:
        results.print(
            f"{item['name']}: Sharpe difference {_number(item['difference'], sign=True)} is {item['finding']} "
            f"({_share(item['same_sign'])} of {item['n_cells']} cells, {_share(item['adjacent_same_sign'])} of "
            f"{item['n_adjacent']} next to it; {_number(item['lowest'], sign=True)} to "
            f"{_number(item['highest'], sign=True)})",
            highlight=False,
            markup=False,
        )
    for note in found["notes"]:
        results.print(f"note: {note}", highlight=False, markup=False)
    results.print(f"table: {folder / 'results.csv'}", highlight=False, markup=False, soft_wrap=True)


def _number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    from alfred.evaluation.formatting import format_number

    return "–" if value is None else format_number(float(value), digits, sign=sign)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _difference(value: float | None, interval: Sequence[float | None] | None) -> str:
    from alfred.evaluation.formatting import format_difference, format_interval

    if value is None:
        return ""
    low, high = interval or (None, None)
    ends = "–" if low is None or high is None else format_interval(low, high, between=", ")
    return f"{format_difference(value)} [{ends}]"
