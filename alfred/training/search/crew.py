"""The workers of a search: processes that are started, watched, and replaced when one dies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from optuna import Study
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from alfred.errors import AlfredError
from alfred.training import workers
from alfred.training.search.claims import ERROR, lock_asking, requeue_lost
from alfred.training.search.storage import open_storage
from alfred.training.search.study import StudyPlan, begin_study, count_trials, open_study, place_locks
from alfred.training.search.worker import Finished, work

_POLL_SECONDS = 1.0
_MOST_IDLE_DEATHS = 3

Watch = Callable[[Sequence[Study]], None]
"""Told the studies again and again while they run."""


def run_studies(
    plans: Sequence[StudyPlan],
    storage: str,
    folder: Path,
    *,
    n_workers: int,
    fresh: bool = False,
    need_all: bool = True,
    watch: Watch | None = None,
    finished: Finished | None = None,
) -> list[Study]:
    """Run studies to their numbers of trials; what earlier calls finished is not done again.

    Any number of commands may run the same studies at once: each trial is handed out once. A worker that dies costs
    the trial that it was at, which is queued again, and is replaced.

    Args:
        plans: The studies, each with a name of its own.
        storage: Path of a journal file or address of a database; see `open_storage`.
        folder: Folder of the search, for locks where the storage is a database.
        n_workers: Processes; with 1 everything runs in this one.
        fresh: Begin a study again whose data, code, space or dates changed, instead of refusing.
        need_all: Whether every study has to have a successful trial, or one of them is enough.
        watch: Told the studies while they run, and once at the end.
        finished: Called in the worker after each trial; a function at the top of a module, or a partial of one.

    Returns:
        The studies, in the order of the plans.

    Raises:
        CheckpointError: A study of the name was begun with something else.
        AlfredError: No trial of a study succeeded, where that is needed; the text says why the last one failed.
    """
    locks = place_locks(storage, folder)
    opened = open_storage(storage)
    with lock_asking(locks):
        studies = [begin_study(plan, opened) if fresh else open_study(plan, opened) for plan in plans]
    if n_workers == 1:
        work(plans, storage, locks, 0, finished)
    else:
        _Crew(plans, storage, locks, finished, opened, studies).run(n_workers, watch or (lambda _studies: None))
    if watch is not None:
        watch(studies)
    failures = [
        f"study '{plan.name}' {why}"
        for plan, study in zip(plans, studies, strict=True)
        if (why := explain_failure(study))
    ]
    if failures and (need_all or len(failures) == len(plans)):
        raise AlfredError(failures[0])
    return studies


class _Crew:
    """Workers with a process pool of one each: when a process dies, only its own pool is broken."""

    def __init__(
        self,
        plans: Sequence[StudyPlan],
        storage: str,
        locks: Path,
        finished: Finished | None,
        opened: BaseStorage,
        studies: Sequence[Study],
    ) -> None:
        self._plans, self._storage, self._locks, self._finished = plans, storage, locks, finished
        self._opened, self._studies = opened, studies
        self._n_started = self._n_idle_deaths = 0

    def run(self, n_workers: int, watch: Watch) -> None:
        """Keep the workers at it until every trial is done.

        Raises:
            AlfredError: Workers die before they take a trial, or a worker raised it.
        """
        others = set(multiprocessing.active_children())
        crew: dict[Future[None], ProcessPoolExecutor] = {}
        try:
            while True:
                while len(crew) < n_workers and self._is_open():
                    pool, future = self._start(n_workers)
                    crew[future] = pool
                if not crew:
                    return
                before = self._count()
                done, _ = wait(crew, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    pool = crew.pop(future)
                    try:
                        future.result()
                    except BrokenProcessPool as error:
                        self._replace(before, error)
                    pool.shutdown()
                watch(self._studies)
        except BaseException:
            # Every file appears whole or not at all, and trials that are cut off are queued again.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise
        finally:
            for pool in crew.values():
                pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, n_workers: int) -> tuple[ProcessPoolExecutor, Future[None]]:
        # Forking a process that has run torch can deadlock in its thread pools, hence spawn.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, mp_context=context, initializer=workers.begin_worker, initargs=(None,))
        first = self._n_started * len(self._plans) // n_workers % len(self._plans)
        self._n_started += 1
        with workers.shield_from_interrupts():
            return pool, pool.submit(work, self._plans, self._storage, self._locks, first, self._finished)

    def _is_open(self) -> bool:
        """Return whether a study has trials left to hand out."""
        return any(
            count_trials(study.get_trials(deepcopy=False)) < plan.budget
            for plan, study in zip(self._plans, self._studies, strict=True)
        )

    def _count(self) -> int:
        return sum(len(study.get_trials(deepcopy=False)) for study in self._studies)

    def _replace(self, before: int, error: BrokenProcessPool) -> None:
        """Queue again what a dead worker was at.

        Raises:
            AlfredError: Workers die before they take a trial.
        """
        with lock_asking(self._locks):
            for study in self._studies:
                requeue_lost(study, self._opened, self._locks)
        self._n_idle_deaths = self._n_idle_deaths + 1 if self._count() == before else 0
        if self._n_idle_deaths > _MOST_IDLE_DEATHS:
            raise AlfredError(
                "worker processes die again and again without a trial, most often for want of memory; use --workers 1, "
                "or fewer symbols"
            ) from error


def explain_failure(study: Study) -> str:
    """Return why no trial of a study succeeded; empty when one did."""
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return ""
    errors = [trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs]
    why = f"the last one failed with {errors[-1]}" if errors else "none was finished"
    return f"has no successful trial: {why}"
