"""A sweep: one run for each point of a grid over keys of the configuration, judged together.

Every agent of every point is judged on the same test and enters the log of trials. So the reports are written again at
the end: each verdict pays for all points, those that came after it included.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from alfred.config import Experiment
from alfred.data.files import write_atomically
from alfred.errors import AlfredError, ConfigError
from alfred.evaluation.results import ResultRow
from alfred.keys.yaml_text import parse_yaml
from alfred.training import pipeline
from alfred.training.catalogue.status import explain_failure
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import compute_digest
from alfred.training.runs import locate_run

FOLDER = "sweeps"
_MOST_POINTS = 1000

Load = Callable[[Sequence[str]], Experiment]
"""Reads the configuration with overrides, `a.b=value` each."""


@dataclass(frozen=True)
class Axis:
    """One key of the configuration with its values.

    Attributes:
        key: Dotted, as for `--set`.
        values: Values in YAML, as they were written.
    """

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One point of the grid.

    Attributes:
        told: The values in YAML by key.
        experiment: The configuration, with a name that follows from the values.
    """

    told: Mapping[str, str]
    experiment: Experiment


@dataclass(frozen=True)
class Swept:
    """What came of a point.

    Attributes:
        point: The point.
        rows: The judged strategies, agents first; empty where it failed.
        error: Why it failed, on one line; empty otherwise.
    """

    point: Point
    rows: tuple[ResultRow, ...]
    error: str = ""


def parse_axis(text: str) -> Axis:
    """Read `key=value,value,...`; a value in brackets may hold commas.

    Raises:
        ConfigError: There is no key or no value, or one is not YAML.
    """
    key, separator, listed = text.partition("=")
    if not separator or not key or not listed:
        raise ConfigError(f"--grid {text}: write it as --grid env.cost_bps=0,5,10")
    try:
        values = parse_yaml(f"[{listed}]")
    except ValueError as error:
        raise ConfigError(f"--grid {text}: the values are not YAML ({error})") from error
    spelt = tuple(dict.fromkeys(json.dumps(value, default=str) for value in values))
    if not spelt:
        raise ConfigError(f"--grid {text}: there is no value")
    return Axis(key, spelt)


def make_points(axes: Sequence[Axis], load: Load) -> list[Point]:
    """Return all points of a grid; every configuration is read before the first run begins.

    Args:
        axes: The axes.
        load: Reads the configuration.

    Raises:
        ConfigError: A key stands twice, a value is refused, or the grid is too large.
    """
    keys = [axis.key for axis in axes]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ConfigError(f"--grid {twice} stands twice; give all its values at once")
    if "name" in keys:
        raise ConfigError("--grid name: the runs of a sweep are named by it; choose another key")
    points = []
    for values in itertools.islice(itertools.product(*(axis.values for axis in axes)), _MOST_POINTS + 1):
        told = dict(zip(keys, values, strict=True))
        experiment = load([f"{key}={value}" for key, value in told.items()])
        # By its values, so that a grid that grows keeps the runs that are there.
        name = f"{experiment.name}-{compute_digest(told)[:8]}"
        points.append(Point(told, experiment.model_copy(update={"name": name})))
    if len(points) > _MOST_POINTS:
        raise ConfigError(f"the grid has more than {_MOST_POINTS} points; take fewer values")
    return points


def count_trainings(points: Sequence[Point]) -> int:
    """Return how many agents a sweep trains: seeds x folds x agents of every point."""
    return sum(
        len(point.experiment.agents) * point.experiment.training.n_seeds * point.experiment.splits.n_folds
        for point in points
    )


def run_sweep(points: Sequence[Point], root: Path, *, fresh: bool = False, reporter: Reporter) -> list[Swept]:
    """Run every point; one that fails is noted and the others go on.

    Finished runs are read, so that the same call goes on after an interruption.

    Args:
        points: The points.
        root: Folder of all runs.
        fresh: Start over.
        reporter: Progress callback.

    Raises:
        AlfredError: Every point failed; the text is that of the last one.
    """
    errors: dict[str, str] = {}
    for number, point in enumerate(points, 1):
        spelt = ", ".join(f"{key}={value}" for key, value in point.told.items())
        reporter.say(f"{number} of {len(points)}: {spelt} ({point.experiment.name})")
        try:
            pipeline.run_all(point.experiment, root, fresh=fresh, reporter=reporter)
        # Whatever a library does wrong, out of memory included, costs one point and not the sweep.
        except Exception as refusal:
            errors[point.experiment.name] = explain_failure(refusal)
            reporter.say(f"failed: {errors[point.experiment.name]}")
    if len(errors) == len(points):
        raise AlfredError(f"every point failed, the last one with: {list(errors.values())[-1]}")
    swept = []
    for point in points:
        error, rows = errors.get(point.experiment.name, ""), list[ResultRow]()
        if not error:
            try:
                # Written again: the first verdicts did not know how many trials would follow.
                rows = pipeline.rewrite_report(pipeline.reopen(locate_run(point.experiment, root).path))
            except AlfredError as refusal:
                error = str(refusal)
        swept.append(Swept(point, tuple(rows), error))
    return swept


def tabulate_sweep(swept: Sequence[Swept]) -> pd.DataFrame:
    """Return one row a point and agent: the values of its keys, then what the agent did.

    Columns after the keys: `run`, `agent`, `sharpe`, `sharpe_minus_equal_weight` with `low` and `high`,
    `deflated_sharpe`, `n_trials`, `turnover`, `max_drawdown`, `outcome` against the benchmark, and `error`.
    """
    rows: list[dict[str, object]] = []
    for item in swept:
        agents = {settings.label for settings in item.point.experiment.agents}
        told: dict[str, object] = {**item.point.told, "run": item.point.experiment.name}
        if item.error:
            rows.append({**told, "error": item.error})
        for row in item.rows:
            if row.name not in agents:
                continue
            equal = row.versus_equal_weight
            rows.append(
                {
                    **told,
                    "agent": row.name,
                    "sharpe": row.sharpe,
                    "sharpe_minus_equal_weight": float("nan") if equal is None else equal.difference,
                    "low": float("nan") if equal is None else equal.interval[0],
                    "high": float("nan") if equal is None else equal.interval[1],
                    "deflated_sharpe": row.deflated_sharpe,
                    "n_trials": row.n_trials,
                    "turnover": row.turnover,
                    "max_drawdown": row.max_drawdown,
                    "outcome": row.versus_benchmark.outcome,
                    "error": "",
                }
            )
    return pd.DataFrame(rows)


def write_sweep(table: pd.DataFrame, name: str, root: Path) -> Path:
    """Write the table of a sweep as CSV below the folder of all runs, and return its place."""
    path = root / FOLDER / f"{name}.csv"
    write_atomically(path, lambda temporary: table.to_csv(temporary, index=False))
    return path
