"""`alfred quarterly`: quarterly reports, learnt from some companies and judged on others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli.options import (
    AsJson,
    Config,
    Plugins,
    Root,
    Set,
    one_line_errors,
    parse_date,
    print_json,
    read_experiment,
)

if TYPE_CHECKING:
    from alfred.training.quarterly.run import QuarterlyResult


@one_line_errors
def quarterly(
    config: Config = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="YAML file of the experiment: symbols, dates, network.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Last date that the first training reads (YYYY-MM-DD).")] = None,
    end: Annotated[str | None, typer.Option(help="Last date of the test (YYYY-MM-DD).")] = None,
    train: Annotated[int | None, typer.Option("--train", help="Companies to learn from.")] = None,
    evaluate: Annotated[int | None, typer.Option("--evaluate", help="Companies to judge on, none learnt from.")] = None,
    first: Annotated[str | None, typer.Option(help="Symbol that the uncorrelated choice begins with.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Symbol to leave out. Repeatable.")] = None,
    quarters: Annotated[int | None, typer.Option(help="Reports in a sequence, such as 12 or 24.")] = None,
    head: Annotated[
        list[str] | None, typer.Option(help="direction, magnitude or another head of the extractor. Repeatable.")
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Network: lstm, conv, attention, transformer, mlp, ... Repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the networks.")] = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Learn from the quarterly reports of uncorrelated companies, judge on others that were never learnt from.

    Data are named as for every run: --set data.path=PRICES --set data.fundamentals.path=REPORTS
    --set data.macro.path=SERIES.csv. Forecasts stand between reports; three strategies trade them, long and short,
    beside the basket and the benchmark held.
    """
    from alfred.training.quarterly.settings import read_quarterly

    network = {"quarters": quarters, "parts": part, "seed": seed}
    changes: dict[str, object] = {
        "split": None if split is None else parse_date(split),
        "end": None if end is None else parse_date(end),
        "n_train": train,
        "n_evaluate": evaluate,
        "first": first,
        "exclude": exclude,
        "heads": head,
        "analyst": {name: value for name, value in network.items() if value is not None} or None,
    }
    settings = read_quarterly(file, {name: value for name, value in changes.items() if value is not None})
    experiment = read_experiment(config, overrides, plugins)
    from alfred.console import show_progress
    from alfred.data.sources import load_market
    from alfred.training.quarterly.run import run_quarterly

    market = load_market(experiment.data)
    with show_progress() as reporter:
        result = run_quarterly(experiment, settings, market, root, reporter=reporter)
    if as_json:
        print_json(result.to_json())
        return
    _print(result)


def _print(result: QuarterlyResult) -> None:
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_number, format_percent

    def spell(value: float, ends: tuple[float, float], *, percent: bool = True) -> str:
        def one(number: float) -> str:
            return format_percent(number, 1) if percent else format_number(number)

        return f"{one(value)} [{one(ends[0])}, {one(ends[1])}]"

    sides = result.sides
    results.print(
        f"learnt from {len(sides.train)}: {', '.join(sides.train)}\njudged on {len(sides.evaluate)}: "
        f"{', '.join(sides.evaluate)}\nfirst training until {sides.split.date()}, test {result.start} to {result.end}",
        highlight=False,
        markup=False,
    )
    names = ("reports", "quarters", "rose", "accuracy", "precision", "recall", "F1", "AUC", "sign accuracy", "Pearson")
    cells: list[Sequence[str]] = [
        (
            str(item.n),
            str(item.n_quarters),
            format_percent(item.base_rate),
            spell(item.accuracy, item.accuracy_ci),
            spell(item.precision, item.precision_ci),
            spell(item.recall, item.recall_ci),
            spell(item.f1, item.f1_ci),
            format_number(item.auc),
            spell(item.sign_accuracy, item.sign_accuracy_ci),
            spell(item.pearson, item.pearson_ci, percent=False),
        )
        for item in result.scores
    ]
    heads = ("companies never learnt from", *(item.head for item in result.scores))
    print_table("Forecasts", heads, [(name, *row) for name, row in zip(names, zip(*cells, strict=True), strict=True)])
    rows = [
        (
            row.name,
            spell(row.cagr, row.cagr_ci),
            spell(row.sharpe, row.sharpe_ci, percent=False),
            format_percent(row.max_drawdown),
            format_number(row.turnover, 1),
            ""
            if row.headline is None
            else spell(row.sharpe_minus_benchmark, row.sharpe_minus_benchmark_ci, percent=False),
            ""
            if row.headline is None or row.versus_equal_weight is None
            else spell(row.versus_equal_weight.difference, row.versus_equal_weight.interval, percent=False),
        )
        for row in result.rows
    ]
    title = ("strategy", "growth a year", "Sharpe", "max DD", "turns/y", "Sharpe − benchmark", "Sharpe − basket")
    print_table(f"Backtests, net of costs, after {result.rows[0].n_trials} trials", title, rows)
    for row in result.rows:
        if row.headline is not None:
            results.print(f"{row.name}: {row.headline.text}", highlight=False, markup=False)
    for note in result.notes:
        results.print(f"note: {note}", highlight=False, markup=False)
    results.print(f"forecasts: {result.folder / 'forecasts.csv'}", highlight=False, markup=False, soft_wrap=True)
