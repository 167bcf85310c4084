"""`alfred tune models`: search for a trading model in two stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli.options import (
    AsJson,
    Config,
    Fresh,
    Plugins,
    Set,
    one_line_errors,
    print_json,
    read_experiment,
)

if TYPE_CHECKING:  # the heavy rooms are imported when the command runs: --help answers at once
    from alfred.training.search.two_stage.result import Row, TwoStageResult

Search = Annotated[
    list[str] | None,
    typer.Option(
        "--search",
        metavar="KEY=VALUE",
        help="Set one key of the search: --search top_k=8, --search fixed.hermite.fitting.steps=60. Repeatable.",
    ),
]
Families = Annotated[
    str | None,
    typer.Option(
        help="Families to search, separated by commas: hermite, extractor, trees, ridge; the first two when left out."
    ),
]


@one_line_errors
def models(
    config: Config = None,
    overrides: Set = None,
    search: Search = None,
    families: Families = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of the first stage.")] = None,
    strategy_trials: Annotated[int | None, typer.Option(min=1, help="Trials of the second, for each model.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Models that go on to the second stage.")] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="Sessions ahead that models forecast.")] = None,
    objective: Annotated[str | None, typer.Option(help="two_stage, hybrid or pareto.")] = None,
    name: Annotated[str, typer.Option(help="Name of the search.")] = "two-stage",
    folder: Annotated[Path, typer.Option(help="Folder of all searches.")] = Path("runs/tuning"),
    root: Annotated[Path, typer.Option("--runs", help="Folder of all runs, with the log of trials.")] = Path("runs"),
    storage: Annotated[
        str | None, typer.Option(help="Journal file or address of a database; a journal in the folder when left out.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core when left out.")] = None,
    plugins: Plugins = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Search for a model that forecasts well, then for a strategy that trades its forecasts well.

    Only the history before the first test is searched, in three parts: models, strategies, and a locked part on which
    the winner is judged once. The best configuration is written as YAML for `alfred run`. The same command goes on
    after an interruption.
    """
    from alfred.training.search.two_stage.settings import read_settings

    given: dict[str, object] = {
        "families": None if families is None else [item.strip() for item in families.split(",")],
        "n_model_trials": trials,
        "n_strategy_trials": strategy_trials,
        "top_k": top,
        "horizon": horizon,
        "objective": objective,
    }
    settings = read_settings(search or (), {key: value for key, value in given.items() if value is not None})
    experiment = read_experiment(config, overrides, plugins)
    from alfred.console import show_progress
    from alfred.settings import check_name
    from alfred.training.jobs import count_cores, open_executor
    from alfred.training.search.two_stage.run import search_models
    from alfred.training.search.two_stage.segments import load_searched

    target = folder / check_name(name, "search")
    with show_progress() as reporter, open_executor(experiment.training, target):
        result = search_models(
            load_searched(experiment),
            experiment,
            settings,
            target,
            name=name,
            storage=storage,
            n_workers=workers or count_cores(),
            fresh=fresh,
            root=root,
            reporter=reporter,
        )
    if as_json:
        print_json({"folder": str(target), **result.to_json()})
    else:
        _print(result, target)


def _print(result: TwoStageResult, folder: Path) -> None:
    from alfred.console import results
    from alfred.evaluation.formatting import format_number
    from alfred.training.search.two_stage.result import tabulate_models, tabulate_strategies
    from alfred.training.search.two_stage.run import BEST_FILE, REPORT_FILE, TABLE_FILE

    for part, (first, last) in result.segments.items():
        results.print(f"{part}: {first} to {last}", highlight=False)
    _print_rows("Models, by mean score less its standard error", tabulate_models(result, 10))
    _print_rows("Strategies, net, on sessions that no model was chosen on", tabulate_strategies(result))
    if result.front:
        _print_rows("Front: no other trial is better in both", result.front)
    for scores in result.diagnostics.correlations.items():
        shown = ", ".join(f"{stage} {value:.2f}" for stage, value in scores[1].items() if value is not None)
        if shown:
            results.print(f"rank correlation of {scores[0]} with the Sharpe ratio: {shown}", highlight=False)
    verdict = result.verdict
    results.print(
        f"locked part, {verdict.start} to {verdict.end}: Sharpe ratio {format_number(verdict.sharpe)} after "
        f"{verdict.n_trials} trials",
        highlight=False,
    )
    for comparison in verdict.comparisons:
        results.print(
            f"  {comparison.outcome} {comparison.baseline} ({format_number(comparison.sharpe)}): {comparison.sentence}",
            highlight=False,
        )
    for warning in result.warnings:
        results.print(f"warning: {warning}", style="yellow", highlight=False)
    results.print(f"report: {folder / REPORT_FILE}, best models: {folder / TABLE_FILE}", highlight=False)
    results.print(f"run it: alfred run {folder / BEST_FILE}", highlight=False)


def _print_rows(title: str, rows: list[Row] | tuple[Row, ...]) -> None:
    from alfred.console import print_table

    headings = list(dict.fromkeys(name for row in rows for name in row))
    print_table(title, headings, [[_format(row.get(name, "")) for name in headings] for row in rows])


def _format(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
