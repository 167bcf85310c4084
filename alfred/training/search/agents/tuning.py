"""Search an agent before the test, and write the best as a configuration that a run takes unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from alfred.agents.registry import AGENTS
from alfred.config import Experiment
from alfred.data.files import read_array, write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.data.splits import Fold
from alfred.errors import AlfredError, ConfigError
from alfred.evaluation.statistics.significance import compute_overfitting_probability
from alfred.settings import check_name
from alfred.training.pipeline import make_signals
from alfred.training.prepared import cut_folds, select_observed
from alfred.training.progress import Reporter
from alfred.training.provenance.fingerprint import fingerprint_code
from alfred.training.provenance.stages import (
    TRAINING_PACKAGES,
    Parts,
    compute_digest,
    digest_environment,
    digest_signals,
    fingerprint_agent,
    read_public_versions,
)
from alfred.training.search.agents.objective import (
    ENVIRONMENT_SPACE,
    AgentObjective,
    Configuration,
    Limits,
    choose_spaces,
    find_start,
)
from alfred.training.search.crew import Watch, run_studies
from alfred.training.search.curves import write_trial
from alfred.training.search.space import Space
from alfred.training.search.storage import open_storage
from alfred.training.search.study import Mode, StudyPlan, count_looks

BEST_FILE = "best.yaml"
_FORECASTS = "forecasts"
_MODULES = ("alfred.training.search.agents.objective", "alfred.evaluation.backtest")
_FEWEST_RECORDS = 2


@dataclass(frozen=True)
class AgentRequest:
    """What is asked for.

    Attributes:
        name: Of the search.
        kinds: Agents to search; the built-in spaces when None.
        n_trials: Trials in all.
        mode: How they are chosen.
        n_folds: Validation ranges before the test.
        limits: What the best has to keep to.
    """

    name: str
    kinds: tuple[str, ...] | None
    n_trials: int
    mode: Mode
    n_folds: int
    limits: Limits


@dataclass(frozen=True)
class AgentsTuned:
    """What a search found.

    Attributes:
        study: The study.
        best: The best trial that keeps to the limits.
        chosen: What it chose.
        start: The trial of the configuration as it was given, or None where it failed.
        overfitting: Probability that the best of the trials on one half of the sessions is below the median on the
            other (Bailey, Borwein, Lopez de Prado and Zhu, 2017); None for too few trials.
        n_trials: Trials that were made.
        path: The configuration for `alfred run`.
    """

    study: Study
    best: FrozenTrial
    chosen: Configuration
    start: FrozenTrial | None
    overfitting: float | None
    n_trials: int
    path: Path


def tune_agents(
    market: Market,
    experiment: Experiment,
    request: AgentRequest,
    folder: Path,
    *,
    root: Path,
    storage: str,
    n_workers: int,
    fresh: bool = False,
    reporter: Reporter,
    watch: Watch | None = None,
) -> AgentsTuned:
    """Search agents on folds before the first test of an experiment.

    Args:
        market: The whole market; searching processes are handed a cut that ends before the test.
        experiment: Analysts, features, environment and splits; its agents are where the search of their kind starts.
        request: What is asked for.
        folder: Of the search.
        root: Folder of all runs: every finished trial is entered in its log.
        storage: Where the study is kept.
        n_workers: Processes.
        fresh: Begin again what was begun with other data, code, space or dates.
        reporter: Progress callback of the forecasts.
        watch: Told the study while it runs.

    Raises:
        DataError: The history before the test is too short.
        CheckpointError: The study was begun with something else.
        AlfredError: No trial succeeded, or none keeps to the limits.
    """
    if request.mode == "grid":
        raise ConfigError("--mode grid has too many points for agents; choose tpe, random or quick")
    check_name(_name_tuned(experiment), "run")
    if experiment.splits.test_start is None:
        experiment = _set_test_start(market, experiment)
        reporter.say(
            f"splits.test_start is not set: the search reads the first half of the sessions with forecasts, and the "
            f"best one is to be judged from {experiment.splits.test_start} on"
        )
    first = cut_folds(market, experiment)[0].test[0]
    past = market.until(market.dates[int(market.dates.get_loc(first)) - 1]).copy()
    # As a run makes them and shows them to its agents, blend and all.
    told = experiment.model_copy(update={"training": experiment.training.model_copy(update={"n_jobs": n_workers})})
    made = make_signals(told, past, root, folder / _FORECASTS, fresh=fresh, reporter=reporter)
    signals = select_observed(made, experiment)
    splits = experiment.splits.model_copy(update={"test_start": None, "test_end": None, "n_folds": request.n_folds})
    folds = cut_folds(past, experiment.model_copy(update={"splits": splits}))
    spaces = choose_spaces(request.kinds)
    given = {settings.kind: settings for settings in experiment.agents}
    agents = {kind: given.get(kind) or AGENTS.load_settings(kind)() for kind in spaces}
    parts = _describe(past, signals, folds, experiment, spaces, agents, request)
    objective = AgentObjective(
        market=past,
        signals=signals.scaled(),
        folds=folds,
        agents=agents,
        environment=experiment.env,
        spaces=spaces,
        environment_space=ENVIRONMENT_SPACE,
        seed=experiment.seed,
        n_seeds=experiment.training.n_seeds,
        limits=request.limits,
        folder=folder / compute_digest(dict(parts))[:12],
        root=root,
        name=request.name,
    )
    anchors = [find_start(Configuration(settings, experiment.env), spaces) for settings in agents.values()]
    plan = StudyPlan(
        name=request.name,
        parts=parts,
        objective=objective,
        n_trials=request.n_trials,
        directions=("maximize",),
        seed=experiment.seed,
        mode=request.mode,
        anchors=tuple(anchors),
        n_startup=len(anchors) + max(request.n_trials // 10, 1),
        prune=True,
    )
    (study,) = run_studies(
        [plan],
        storage,
        folder,
        n_workers=n_workers,
        fresh=fresh,
        watch=watch,
        finished=partial(write_trial, folder / "tensorboard"),
    )
    n_looks = count_looks(open_storage(storage, reading=True), request.name)
    return _conclude(study, objective, experiment, folder, n_looks)


def _set_test_start(market: Market, experiment: Experiment) -> Experiment:
    """Return the experiment with a test that leaves half of the sessions with forecasts to the search.

    The default of a run tests from the first session that it can, which leaves nothing to search on.
    """
    end = experiment.splits.test_end
    dates = market.dates if end is None else market.dates[market.dates <= pd.Timestamp(end)]
    known = dates[experiment.forecast.min_train_days :]
    if not len(known):
        return experiment  # too short for anything, as cutting the folds says
    splits = experiment.splits.model_copy(update={"test_start": known[len(known) // 2].date()})
    return experiment.model_copy(update={"splits": splits})


def _name_tuned(experiment: Experiment) -> str:
    return f"{experiment.name}-tuned"


def find_feasible(study: Study) -> list[FrozenTrial]:
    """Return the finished trials that keep to every limit, the best first."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    kept = [trial for trial in done if all(value <= 0 for value in trial.constraints.values())]
    return sorted(kept, key=lambda trial: (-trial.values[0], trial.number))


def _describe(
    market: Market,
    signals: Signals,
    folds: Sequence[Fold],
    experiment: Experiment,
    spaces: Mapping[str, Space],
    agents: Mapping[str, object],
    request: AgentRequest,
) -> Parts:
    told = {kind: {key: item.model_dump() for key, item in space.items()} for kind, space in spaces.items()}
    around = {key: item.model_dump() for key, item in ENVIRONMENT_SPACE.items()}
    code = [fingerprint_agent(item, experiment.env.reward) for item in agents.values()]  # type: ignore[arg-type]
    return {
        "data": compute_market_checksum(market),
        "signals": digest_signals(signals),
        "split": compute_digest([str(fold) for fold in folds], experiment.seed, experiment.training.n_seeds),
        "space": compute_digest(told, around, request.mode, vars(request.limits)),
        "settings": compute_digest([str(item) for item in agents.values()]),
        "environment": digest_environment(experiment.env, market),
        "code": compute_digest(code, fingerprint_code(modules=_MODULES)),
        "packages": read_public_versions(TRAINING_PACKAGES),
    }


def _conclude(
    study: Study, objective: AgentObjective, experiment: Experiment, folder: Path, n_trials: int
) -> AgentsTuned:
    feasible = find_feasible(study)
    if not feasible:
        raise AlfredError(
            "no trial keeps to the limits on turnover and drawdown; loosen them, or ask for more --trials"
        )
    best = feasible[0]
    chosen = objective.suggest(best)
    found = experiment.model_copy(
        update={
            "name": _name_tuned(experiment),
            "agents": (chosen.agent,),
            "env": chosen.environment,
            "n_trials": experiment.n_trials + n_trials,
        }
    )
    path = folder / BEST_FILE
    write_atomically(path, lambda temporary: temporary.write_text(found.to_yaml(), encoding="utf-8"))
    # The configuration as it was given is a trial only where the space holds all of it.
    given = Configuration(experiment.agents[0], experiment.env)
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    start = next((trial for trial in done if objective.suggest(trial) == given), None)
    return AgentsTuned(study, best, chosen, start, _measure_overfitting(study, objective.folder), n_trials, path)


def _measure_overfitting(study: Study, folder: Path) -> float | None:
    columns = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        with suppress(OSError, ValueError):  # of an earlier version, or damaged: the others tell
            columns.append(read_array(folder / "returns" / f"{trial.number}.npy").astype(np.float64))
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        return None
    # Books that are the same to the last bit are one: ranks among them say nothing.
    different = np.unique(np.stack(columns, axis=1), axis=1)
    if different.shape[1] < _FEWEST_RECORDS:
        return None
    value = compute_overfitting_probability(different)
    return float(value) if np.isfinite(value) else None
