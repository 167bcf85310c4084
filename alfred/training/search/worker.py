"""One worker of a search: it takes trials of the studies in turn until each has its number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from filelock import BaseFileLock
from optuna import Study, Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from alfred.keys.mistakes import explain_briefly
from alfred.training.search.claims import CHOSEN, ERROR, WORKER, hold_worker, lock_asking, requeue_lost
from alfred.training.search.storage import open_storage
from alfred.training.search.study import StudyPlan, begin_study, count_drawn, count_trials, make_pruner, make_sampler

DUPLICATE = "duplicate_of"
"""User attribute of a trial whose parameters were tried before: its value is that trial's."""

Finished = Callable[[Study, FrozenTrial], None]
"""Called after each trial."""

_log = logging.getLogger(__name__)


def work(
    plans: Sequence[StudyPlan], storage: str, locks: Path, first: int = 0, finished: Finished | None = None
) -> None:
    """Take trials until every study has its number of them.

    Args:
        plans: The studies.
        storage: Where they are kept; see `open_storage`.
        locks: Folder of the locks.
        first: Place of the study to begin with: workers that begin at different ones rarely meet.
        finished: Called after each trial.
    """
    opened, asking = open_storage(storage), lock_asking(locks)
    with hold_worker(locks) as name:
        for place in range(len(plans)):
            plan = plans[(first + place) % len(plans)]
            with asking:
                study = begin_study(plan, opened)
            while _run_one(study, opened, plan, name, asking, locks, finished):
                pass


def _run_one(
    study: Study,
    storage: BaseStorage,
    plan: StudyPlan,
    worker: str,
    asking: BaseFileLock,
    locks: Path,
    finished: Finished | None,
) -> bool:
    """Run the next trial; False when there is none left."""
    asking.acquire()
    try:
        requeue_lost(study, storage, locks)
        trials = study.get_trials(deepcopy=False)
        if count_trials(trials) >= plan.budget:
            return False
        study.sampler, study.pruner = make_sampler(plan, count_drawn(trials)), make_pruner(plan)
        try:
            study.optimize(
                partial(_evaluate, plan, worker, asking, study),
                n_trials=1,
                catch=(Exception,),
                callbacks=None if finished is None else [finished],
            )
        except (AssertionError, UpdateFinishedTrialError):
            # This process stood still for so long that another one took it for dead: the trial is queued again there.
            _log.info("a trial of %s was given up while its worker stood still", plan.name)
        return True
    finally:
        if asking.is_locked:
            asking.release(force=True)


def _evaluate(
    plan: StudyPlan, worker: str, asking: BaseFileLock, study: Study, trial: Trial
) -> float | Sequence[float]:
    """Sign a trial and choose its parameters under the lock, evaluate it without."""
    try:
        trial.set_user_attr(WORKER, worker)
        chosen = plan.objective.suggest(trial)
        trial.set_user_attr(CHOSEN, True)
        same = _find_same(study, trial)
        asking.release(force=True)
        if same is not None:
            trial.set_user_attr(DUPLICATE, same.number)
            if same.state == TrialState.COMPLETE:
                values: list[float] = same.values
                return values
            raise optuna.TrialPruned  # another worker is at it, or it was pruned, or it failed
        value = plan.objective.evaluate(trial, chosen)
        if np.isnan(np.asarray(value, dtype=np.float64)).any():
            raise ValueError(f"its value is {value}, which is not a number")
        return value
    except optuna.TrialPruned:
        raise
    # Whatever a library does wrong, out of memory included, costs one trial and not the search.
    except Exception as error:
        text = f"{type(error).__name__}: {explain_briefly(error)}"
        _log.info("trial %d of %s failed: %s", trial.number, plan.name, text)
        trial.set_user_attr(ERROR, text)
        raise


def _find_same(study: Study, trial: Trial) -> FrozenTrial | None:
    """Return an earlier trial with the same parameters: nothing would be learnt from it a second time."""
    for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED)):
        if other.number < trial.number and other.params == trial.params and DUPLICATE not in other.user_attrs:
            return other
    return None
