"""Many pieces of work in parallel processes, one torch thread each."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import torch

from alfred.errors import AlfredError
from alfred.training import workers
from alfred.training.progress import Reporter

Result = TypeVar("Result")

_POLL_SECONDS = 0.25
_ROOM = 1024  # jobs that a pool can count the progress of, at least


@dataclass(frozen=True)
class Job(Generic[Result]):
    """One piece of work.

    Attributes:
        name: Shown beside its progress.
        function: Called with `progress`, a function that is told the units done so far; a `functools.partial` of a
            module-level function, so that types are checked where the job is made and another process finds it.
        total: Units of work.
        describe: Says on one line what came of it, or None to say nothing; the reporter is told when it is done.
        weight: How long it takes in any unit; the longest are begun first, so that no core waits for one at the end.
    """

    name: str
    function: Callable[..., Result]
    total: int = 1
    describe: Callable[[Result], str] | None = None
    weight: float = 0.0


class _Pool:
    """Worker processes, begun as they are needed, with a counter for the progress of each job."""

    def __init__(self, n_workers: int, n_jobs: int) -> None:
        self.n_workers, self.room = n_workers, max(n_jobs, _ROOM)
        # Forking a process that has run torch can deadlock in its thread pools, hence spawn.
        context = multiprocessing.get_context("spawn")
        self.counters: Any = context.Array("q", self.room)
        self._others: set[BaseProcess] = set(multiprocessing.active_children())
        self.executor = ProcessPoolExecutor(
            n_workers, mp_context=context, initializer=workers.begin_worker, initargs=(self.counters,)
        )

    def close(self) -> None:
        """Let the workers end; they have nothing to do any more."""
        self.executor.shutdown()

    def break_off(self) -> None:
        """End the workers: nobody waits for work whose result is not wanted; every file appears whole or not at all."""
        for process in set(multiprocessing.active_children()) - self._others:
            process.terminate()
        self.executor.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Kept:
    """The pool that stages share, or None before the first of them and after one that broke off."""

    pool: _Pool | None = field(default=None)


_KEPT: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextmanager
def keep_workers() -> Iterator[None]:
    """Let all `run_jobs` inside share their worker processes: each of them takes seconds to load what it needs."""
    kept = _Kept()
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        if kept.pool is not None:
            kept.pool.close()


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job[Result]], n_jobs: int, reporter: Reporter) -> list[Result]:
    """Run jobs and return their results in the order of the jobs.

    The results do not depend on `n_jobs`: every job seeds itself and has one torch thread. An exception of a job
    ends the others and is raised here.

    Args:
        jobs: What to do.
        n_jobs: Processes; with 1 everything runs in this one.
        reporter: Progress callback.
    """
    updates = [reporter.begin(job.name, job.total) for job in jobs]
    if n_jobs == 1 or len(jobs) < 2 or _need_this_process(jobs):
        return _run_here(jobs, updates, reporter)
    kept = _KEPT.get() or _Kept()
    pool = _find_pool(kept, n_jobs, len(jobs))
    try:
        pool.counters[: len(jobs)] = [0] * len(jobs)
        futures: dict[int, Future[Result]] = {}
        with workers.shield_from_interrupts():
            for index in sorted(range(len(jobs)), key=lambda index: -jobs[index].weight):
                futures[index] = pool.executor.submit(_run, index, jobs[index])
        in_order = [futures[index] for index in range(len(jobs))]
        _watch(in_order, jobs, updates, pool.counters, reporter)
    except BaseException as error:
        kept.pool = None
        pool.break_off()
        if isinstance(error, BrokenProcessPool):
            raise AlfredError(
                "a worker process was killed, most often for want of memory; the same command goes on, with fewer "
                "at once under --set training.n_jobs=1"
            ) from error
        raise
    if _KEPT.get() is None:
        pool.close()
    return [future.result() for future in in_order]


def _find_pool(kept: _Kept, n_jobs: int, count: int) -> _Pool:
    """Return the pool that is kept when it is of the size that is asked for, else a new one, which is kept then."""
    found = kept.pool
    if found is not None and (found.n_workers != n_jobs or found.room < count):
        found.close()
        found = None
    kept.pool = found or _Pool(n_jobs, count)
    return kept.pool


def _need_this_process(jobs: Sequence[Job[Result]]) -> bool:
    """Return whether a job holds what was typed into a notebook or a prompt: no other process can import it."""
    return not hasattr(sys.modules["__main__"], "__file__") and any(b"__main__" in pickle.dumps(job) for job in jobs)


def _watch(
    futures: Sequence[Future[Result]],
    jobs: Sequence[Job[Result]],
    updates: Sequence[Callable[[int], None]],
    counters: Any,
    reporter: Reporter,
) -> None:
    """Pass the progress on until all is done; raise what a job raised."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for index, update in enumerate(updates):
            update(jobs[index].total if futures[index].done() else counters[index])
        for index, future in enumerate(futures):
            if future in done:
                _tell(jobs[index], future.result(), reporter)


def _tell(job: Job[Result], result: Result, reporter: Reporter) -> None:
    if job.describe is not None:
        reporter.say(f"{job.name}: {job.describe(result)}")


def _run_here(
    jobs: Sequence[Job[Result]], updates: Sequence[Callable[[int], None]], reporter: Reporter
) -> list[Result]:
    # More threads add up floats in another order: the same seed would give other last digits than in a worker.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        results = []
        for job, update in zip(jobs, updates, strict=True):
            results.append(job.function(progress=update))
            update(job.total)
            _tell(job, results[-1], reporter)
        return results
    finally:
        torch.set_num_threads(threads)


def _run(index: int, job: Job[Result]) -> Result:
    def progress(done: int) -> None:
        workers.counters[index] = done

    return job.function(progress=progress)
