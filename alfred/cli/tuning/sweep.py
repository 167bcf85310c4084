"""`alfred sweep`: one run for each point of a grid, judged together."""

from __future__ import annotations

import math
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
    Set,
    one_line_errors,
    print_json,
    read_experiment,
    spell_executor,
)
from alfred.errors import ConfigError

_COLUMNS = {
    "sharpe": "{:.2f}",
    "sharpe_minus_equal_weight": "{:+.2f}",
    "deflated_sharpe": "{:.2f}",
    "turnover": "{:.1f}",
}
_MANY_TRAININGS = 200


@one_line_errors
def sweep(
    config: Config = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid", metavar="KEY=VALUES", help="A key and its values: --grid env.cost_bps=0,5,10. Repeatable."
        ),
    ] = None,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    yes: Annotated[bool, typer.Option("--yes", help=f"Go on with more than {_MANY_TRAININGS} trainings.")] = False,
    fresh: Fresh = False,
    as_json: AsJson = False,
    root: Annotated[Path, typer.Option("--runs", help="Folder of all runs.")] = Path("runs"),
) -> None:
    """Run a configuration at every point of a grid, and judge all points together.

    Any key can be an axis: --grid agents.0.gamma=0,0.5 --grid env.reward.kind=growth,excess. Every agent of every point
    is a trial that the verdicts pay for. A point that fails is noted, and the others go on.
    """
    if not grid:
        raise ConfigError("a sweep needs an axis at least, for instance --grid env.cost_bps=0,5,10")
    from alfred.config import load_experiment
    from alfred.training.search.sweep import (
        count_trainings,
        make_points,
        parse_axis,
        run_sweep,
        tabulate_sweep,
        write_sweep,
    )

    overrides = [*(overrides or ()), *spell_executor(executor, address)]
    base = read_experiment(config, overrides, plugins)
    axes = [parse_axis(text) for text in grid]
    points = make_points(axes, lambda told: load_experiment(config, [*overrides, *told]))
    n_trainings = count_trainings(points)
    if n_trainings > _MANY_TRAININGS and not yes:
        raise ConfigError(
            f"the grid has {len(points)} points with {n_trainings} trainings in all; take fewer values, or say --yes"
        )
    from alfred.console import messages, show_progress
    from alfred.training.jobs import open_executor

    messages.print(f"{len(points)} points, {n_trainings} trainings", highlight=False)
    with show_progress() as reporter, open_executor(base.training, root):
        swept = run_sweep(points, root, fresh=fresh, reporter=reporter)
    table = tabulate_sweep(swept)
    path = write_sweep(table, base.name, root)
    rows = table.to_dict(orient="records")
    if as_json:
        print_json({"table": str(path), "points": len(points), "results": [_drop_nan(row) for row in rows]})
        return
    _print([axis.key for axis in axes], rows, path)


def _print(keys: list[str], rows: list[Any], path: Path) -> None:
    from alfred.console import print_table, results

    shown = []
    for row in rows:
        told = [str(row[key]) for key in keys]
        if row.get("error"):
            shown.append((*told, "failed", "", "", "", "", row["error"][:40]))
            continue
        cells = [form.format(row[name]) for name, form in _COLUMNS.items()]
        cells[1] += f" [{row['low']:+.2f}, {row['high']:+.2f}]"
        shown.append((*told, row["agent"], *cells, row["outcome"]))
    headings = (*keys, "agent", "Sharpe", "beyond equal weight", "deflated", "turns/y", "against the benchmark")
    print_table("Out of sample; each verdict pays for all trials on these sessions", headings, shown)
    results.print(
        f"choosing the best row is choosing on the test: judge it on sessions that no row has seen. Table: {path}",
        highlight=False,
        markup=False,
    )


def _drop_nan(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(key): None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()
    }
