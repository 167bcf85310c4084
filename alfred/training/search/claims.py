"""Which process works on which trial: a lock tells a live worker from a dead one.

A journal has no heartbeat, so that a trial whose process was killed would count as running for ever. Each worker holds
a lock of the operating system for its whole life and signs its trials with its name; a trial whose worker's lock is
free was cut off. It is told as failed, without a reason, and its parameters are queued again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from optuna import Study
from optuna.storages import BaseStorage, JournalStorage
from optuna.trial import FrozenTrial, TrialState

WORKER, CHOSEN, ERROR, AGAIN, ATTEMPT = "worker", "chosen", "error", "again", "attempt"
"""User attributes of a trial: who works on it, that all its parameters are chosen, why it failed, which cut-off trial
it repeats, for which time."""
_SIGNED_WITHIN = timedelta(minutes=2)
"""In which a worker signs what it was handed, on whatever machine; it takes milliseconds."""
_WATCHED_SECONDS = 2.0
"""For which a trial is watched that was not signed in time, by clocks that may have been set or differ."""
MOST_ATTEMPTS = 2
"""Times that a trial may take its process with it before it counts as failed."""


@contextmanager
def hold_worker(folder: Path) -> Iterator[str]:
    """Hold the lock of a worker; the value is its name.

    Args:
        folder: Folder of the locks of all workers of a study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    path = folder / f"{name}.lock"
    with FileLock(path):
        yield name
    path.unlink(missing_ok=True)


def lock_asking(folder: Path) -> FileLock:
    """Return the lock under which trials are handed out: counting, suggesting and signing happen in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".asking.lock")


def is_cut_off(trial: FrozenTrial) -> bool:
    """Return whether a trial ended with its process: it failed, and nobody was left to say why."""
    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def requeue_lost(study: Study, storage: BaseStorage, folder: Path) -> int:
    """Queue the trials again whose process died; return how many.

    A trial that took its process with it twice, most often for want of memory, has failed.

    Args:
        study: The study.
        storage: Where it is kept.
        folder: Folder of the locks; the caller holds the lock of `lock_asking`.
    """
    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(AGAIN) for trial in trials}
    queued = 0
    for trial in trials:
        attempt = int(trial.user_attrs.get(ATTEMPT, 0)) + 1
        if trial.state == TrialState.RUNNING and _is_lost(storage, trial, folder):
            # Its worker may have finished it between the list and the look at its lock.
            if storage.get_trial(trial._trial_id).state != TrialState.RUNNING:
                continue
            if attempt >= MOST_ATTEMPTS:
                text = f"its process was killed {attempt} times, most often for want of memory"
                # Optuna has no public way to say something about a trial that another process began.
                storage.set_trial_user_attr(trial._trial_id, ERROR, text)
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        elif not is_cut_off(trial):
            continue
        # What was cut off while it was choosing is drawn again from the beginning, as if it had not begun.
        chosen = trial.params if CHOSEN in trial.user_attrs else {}
        params = {**trial.system_attrs.get("fixed_params", {}), **chosen}
        if trial.number not in repeated and attempt < MOST_ATTEMPTS and params:
            study.enqueue_trial(params, user_attrs={AGAIN: trial.number, ATTEMPT: attempt})
            queued += 1
    return queued


def _stays_unsigned(storage: BaseStorage, trial: FrozenTrial) -> bool:
    """Watch a running trial for some seconds; return whether nobody signs or finishes it meanwhile."""
    end = time.monotonic() + _WATCHED_SECONDS
    while True:
        seen = storage.get_trial(trial._trial_id)
        if WORKER in seen.user_attrs or seen.state != TrialState.RUNNING:
            return False
        if time.monotonic() >= end:
            return True
        time.sleep(0.2)


def _is_lost(storage: BaseStorage, trial: FrozenTrial, folder: Path) -> bool:
    """Return whether nobody works on a running trial.

    On a database it may be another machine's, whose locks are not here: its heartbeat tells.
    """
    worker = trial.user_attrs.get(WORKER)
    path = folder / f"{worker}.lock"
    # Signing happens under the lock that the caller holds: who has not signed on this disk never will.
    if isinstance(storage, JournalStorage) and (worker is None or not path.exists()):
        return True
    if worker is None:
        # On another machine a worker may be about to sign; the heartbeat begins after that, and tells nothing of it.
        began = trial.datetime_start
        return began is not None and abs(datetime.now() - began) > _SIGNED_WITHIN and _stays_unsigned(storage, trial)
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return False
    lock.release()
    path.unlink(missing_ok=True)
    return True
