"""One phase from forecasts to the table: what is finished is read again, what is missing is shared out to processes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from alfred.analysts.tabular.settings import TreesSettings
from alfred.config import Experiment
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.experiments.holdout import Looks
from alfred.training.experiments.phases import PhasePlan, plan_phase
from alfred.training.experiments.picking import make_terms
from alfred.training.experiments.records import Describer, check_names, read_record, save_record
from alfred.training.experiments.registry import NamedStrategy
from alfred.training.experiments.robustness import (
    Neighbourhood,
    TrialDesk,
    describe_neighbours,
    list_neighbours,
    read_cells,
    save_cells,
    walk_neighbours,
)
from alfred.training.experiments.settings import Phase, RegistrySettings
from alfred.training.experiments.table import ExperimentRow, tabulate
from alfred.training.experiments.walk import forecast_shared, list_forecasters, walk_and_save, walk_baselines
from alfred.training.jobs import Job, count_workers, open_executor, run_jobs
from alfred.training.judging.caveats import find_execution_caveat, find_payout_caveat
from alfred.training.judging.judge import EQUAL_WEIGHT
from alfred.training.locks import hold_run
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import compute_digest
from alfred.training.provenance.trials import DataIdentity, TrialLog, select_trials

FOLDER = "experiments"
RESULTS_FILE = "results.json"
TABLE_FILE = "results.csv"


@dataclass(frozen=True)
class PhaseResult:
    """What a phase found.

    Attributes:
        phase: Which one.
        start: First date of the test.
        end: Last date of it.
        folder: Where everything stands.
        rows: The experiments, then the benchmark and equal weights.
        neighbourhoods: What the robustness phase found; empty in others.
        notes: What a reader must know, a sentence each.
    """

    phase: Phase
    start: str
    end: str
    folder: Path
    rows: tuple[ExperimentRow, ...]
    neighbourhoods: tuple[Neighbourhood, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold; `folder` is left to the reader."""
        return {
            "phase": self.phase,
            "start": self.start,
            "end": self.end,
            "results": [row.to_json() for row in self.rows],
            "robustness": [item.to_json() for item in self.neighbourhoods],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Study:
    """What all steps of a phase share."""

    experiment: Experiment
    registry: RegistrySettings
    chosen: tuple[NamedStrategy, ...]
    plan: PhasePlan
    describer: Describer
    root: Path
    folder: Path
    reporter: Reporter
    fresh: bool

    @property
    def n_jobs(self) -> int:
        return count_workers(self.experiment.training)

    @property
    def run(self) -> str:
        """Name of the run in the log of trials."""
        return f"{FOLDER}/{self.plan.phase}"


def run_phase(
    experiment: Experiment,
    registry: RegistrySettings,
    chosen: Sequence[NamedStrategy],
    phase: Phase,
    market: Market,
    root: Path | str,
    *,
    reporter: Reporter,
    fresh: bool = False,
    again: bool = False,
) -> PhaseResult:
    """Test experiments over the dates of a phase and judge them side by side.

    Every experiment is entered in the log of trials, each neighbour of the robustness phase as well.

    Args:
        experiment: Data, market terms, intervals, processes and the cache of forecasts; the rest of it is not read.
        registry: Dates, grid and how much history a refit reads.
        chosen: The experiments, the baseline first.
        phase: Which phase.
        market: The whole market; all but `holdout` are handed it cut before the holdout segment.
        root: Folder of all runs.
        reporter: Progress callback.
        fresh: Walk and forecast everything again.
        again: Look at the holdout segment although somebody did before.

    Raises:
        ConfigError: Dates, names or risk rules contradict each other, or the holdout segment was looked at.
        DataError: The history is too short, or not daily.
        AlfredError: Another process works on this phase.
    """
    check_names(chosen, market, (EQUAL_WEIGHT,))
    plan = plan_phase(market, registry, phase)
    make_terms(chosen[0].strategy, experiment.env)
    base = Path(root) / FOLDER
    folder = base / phase
    with hold_run(folder), open_executor(experiment.training, root):
        # What was found at a holdout is asked for before it is thrown away: it may be the only look there is.
        if fresh and folder.is_dir() and phase != "holdout":
            shutil.rmtree(folder)
        describer = Describer.make(plan, experiment.env)
        study = _Study(experiment, registry, tuple(chosen), plan, describer, Path(root), folder, reporter, fresh)
        if phase != "holdout":
            return _run(study)
        looks, identity = Looks(base), DataIdentity.from_market(market)
        choice = compute_digest([(item.name, describer.hash_choice(item.strategy)) for item in chosen], plan.start)
        names = [item.name for item in chosen]
        looks.begin(identity, plan.start, plan.end, names, choice, again=again)
        if fresh and folder.is_dir():
            shutil.rmtree(folder)
        count = looks.count(identity, plan.start, plan.end)
        note = (
            "This is the first look at the holdout segment."
            if count == 1
            else f"This is look number {count} at this holdout segment: what was chosen after the first has seen it."
        )
        tested = {trial.run for trial in select_trials(TrialLog(root).read(), identity, plan.start, plan.end)}
        if earlier := sorted(tested - {f"{FOLDER}/{phase}"}):
            note += f" But {', '.join(earlier)} tested on sessions of it before, and what was learnt there has seen it."
        result = _run(study, (note,))
        looks.finish(choice)
        return result


def load_result(root: Path | str, phase: Phase) -> dict[str, Any]:
    """Read the table of a phase that was run.

    Raises:
        CheckpointError: It was not, or the file is damaged.
    """
    path = Path(root) / FOLDER / phase / RESULTS_FILE
    try:
        found = read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"the {phase} phase was not run in {root}; run `alfred experiments run --phase {phase}`"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}); run `alfred experiments run --phase {phase}` again"
        ) from error
    rows = found.get("results") if isinstance(found, dict) else None
    named = isinstance(rows, list) and all(isinstance(row, dict) and "name" in row for row in rows)
    # An experiment, the benchmark and equal weights at least.
    if not isinstance(found, dict) or not isinstance(rows, list) or not named or len(rows) < 3:
        raise CheckpointError(f"{path} holds no results; run `alfred experiments run --phase {phase}` again")
    return found


def _run(study: _Study, notes: Sequence[str] = ()) -> PhaseResult:
    plan, terms = study.plan, study.experiment.env
    records: dict[str, Backtest] = {}
    for item in study.chosen:
        now = study.describer.describe(item.strategy)
        found = None if study.fresh else read_record(study.folder / item.name, item.name, now, study.reporter)
        if found is not None:
            records[item.name] = found
    missing = [item for item in study.chosen if item.name not in records]
    grids = _list_open_grids(study) if plan.phase == "robustness" else []
    readers = [item.strategy for item in (*missing, *grids)]
    forecasts = forecast_shared(
        plan,
        list_forecasters(readers),
        cache=_find_cache(study),
        n_jobs=study.n_jobs,
        reporter=study.reporter,
        fresh=study.fresh,
    )
    for item, record in zip(missing, _walk_missing(study, missing, forecasts), strict=True):
        records[item.name] = record
    ordered = [records[item.name] for item in study.chosen]
    log = TrialLog(study.root)
    for item, record in zip(study.chosen, ordered, strict=True):
        log.add(record, plan.market, study.describer.hash_choice(item.strategy), study.run)
    baselines = walk_baselines(plan, terms)
    neighbourhoods = _walk_grids(study, grids, forecasts, baselines) if plan.phase == "robustness" else ()
    first, last = ordered[0].dates[0], ordered[0].dates[-1]
    trials = select_trials(log.read(), DataIdentity.from_market(plan.market), first, last)
    rows = tabulate(
        study.chosen,
        ordered,
        baselines,
        study.experiment.intervals,
        study.experiment.n_trials + len(trials),
        [math.nan if trial.sharpe is None else trial.sharpe for trial in trials],
    )
    caveats = [find_execution_caveat(plan.market, terms), find_payout_caveat(plan.market, terms, first, last)]
    told = dict.fromkeys([*notes, *plan.market.notes, *(caveat for caveat in caveats if caveat)])
    result = PhaseResult(
        plan.phase, str(first.date()), str(last.date()), study.folder, tuple(rows), tuple(neighbourhoods), tuple(told)
    )
    _write(result)
    return result


def _find_cache(study: _Study) -> Path | None:
    cache = study.experiment.forecast.cache
    return None if cache is None else study.root / cache


def _walk_missing(
    study: _Study, missing: Sequence[NamedStrategy], forecasts: dict[TreesSettings, Signals]
) -> list[Backtest]:
    jobs = []
    for item in missing:
        save = partial(save_record, study.folder / item.name, study.describer.describe(item.strategy))
        read = forecasts[item.strategy.trees] if item.strategy.score == "trees" else None
        walk = partial(walk_and_save, item.name, item.strategy, study.plan, study.experiment.env, read, save)
        jobs.append(Job(item.name, walk))
    # A walk takes a tenth of a second: sending the market to another process takes longer.
    return run_jobs(jobs, 1, study.reporter)


def _list_open_grids(study: _Study) -> list[NamedStrategy]:
    """Return the experiments whose neighbours were not walked yet."""
    return [item for item in study.chosen if study.fresh or _read_grid(study, item) is None]


def _read_grid(study: _Study, item: NamedStrategy) -> Any:
    now = study.describer.describe(item.strategy, study.registry.grid.model_dump(mode="json"))
    return read_cells(study.folder / item.name / "grid", now)


def _walk_grids(
    study: _Study,
    missing: Sequence[NamedStrategy],
    forecasts: dict[TreesSettings, Signals],
    baselines: Sequence[Backtest],
) -> list[Neighbourhood]:
    grid, plan = study.registry.grid, study.plan
    jobs = []
    for item in missing:
        neighbours = list_neighbours(item.strategy, grid)
        choices = {near.model_dump_json(): study.describer.hash_choice(near) for near in neighbours}
        now = study.describer.describe(item.strategy, grid.model_dump(mode="json"))
        walk = partial(
            walk_neighbours,
            item,
            grid,
            plan,
            study.experiment.env,
            forecasts[item.strategy.trees] if item.strategy.score == "trees" else None,
            TrialDesk(study.root, plan, study.run, choices),
            partial(save_cells, study.folder / item.name / "grid", now),
        )
        jobs.append(Job(f"neighbours of {item.name}", walk, len(neighbours)))
    walked = dict(zip([item.name for item in missing], run_jobs(jobs, study.n_jobs, study.reporter), strict=True))
    references = {row.name: compute_sharpe(row.excess, row.periods_per_year) for row in baselines}
    found: list[Neighbourhood] = []
    for item in study.chosen:
        cells = walked[item.name] if item.name in walked else _read_grid(study, item)
        found += describe_neighbours(item, grid, cells, references)
    return found


def _write(result: PhaseResult) -> None:
    text = json.dumps(result.to_json(), indent=2, allow_nan=False)
    write_atomically(result.folder / RESULTS_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    table = pd.DataFrame([_flatten(row.to_json()) for row in result.rows])
    write_atomically(result.folder / TABLE_FILE, lambda path: table.to_csv(path, index=False))
    if result.neighbourhoods:
        near = pd.DataFrame([item.to_json() for item in result.neighbourhoods])
        write_atomically(result.folder / "robustness.csv", lambda path: near.to_csv(path, index=False))


def _flatten(row: dict[str, object]) -> dict[str, object]:
    """Return a row in which each interval is two columns."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if name.endswith("_ci"):
            low, high = value if isinstance(value, list) else (None, None)
            flat |= {f"{name}_low": low, f"{name}_high": high}
        else:
            flat[name] = value
    return flat
