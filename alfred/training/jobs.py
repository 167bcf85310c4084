"""Many pieces of work in parallel processes, one torch thread each: the one place that everything goes through."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch

from alfred.config import TrainingSettings
from alfred.training.executors.base import Executor, Job, Result
from alfred.training.executors.local import LocalExecutor, count_cores
from alfred.training.progress import Reporter

__all__ = ["Job", "count_cores", "count_workers", "open_executor", "run_jobs"]

_opened: ContextVar[Executor | None] = ContextVar("executor", default=None)


@contextmanager
def open_executor(training: TrainingSettings, folder: Path | str | None = None) -> Iterator[None]:
    """Run the jobs of a block by the executor of the settings; its workers stay until the block ends.

    Inside of another such block nothing changes.

    Args:
        training: Which executor, and where it is.
        folder: What jobs read and write lies below it, if they do; the workers of a cluster must see it as well.

    Raises:
        AlfredError: The executor cannot be reached, or its workers do not see the folder or have other code.
    """
    if _opened.get() is not None:
        yield
        return
    executor = _make(training, None if folder is None else Path(folder))
    token = _opened.set(executor)
    try:
        yield
    finally:
        _opened.reset(token)
        executor.close()


def count_workers(training: TrainingSettings) -> int:
    """Return how many jobs run at once: what is asked for, or all that the executor has."""
    return training.n_jobs or (_opened.get() or LocalExecutor()).count()


def run_jobs(jobs: Sequence[Job[Result]], n_jobs: int, reporter: Reporter) -> list[Result]:
    """Run jobs and return their results in the order of the jobs.

    The results depend neither on `n_jobs` nor on the executor: every job seeds itself and has one torch thread. An
    exception of a job ends the others and is raised here. The job of a worker that is lost is given to another one.

    Args:
        jobs: What to do.
        n_jobs: Processes; with 1 everything runs in this one.
        reporter: Progress callback.
    """
    updates = [reporter.begin(job.name, job.total) for job in jobs]
    if n_jobs == 1 or len(jobs) < 2 or _need_this_process(jobs):
        return _run_here(jobs, updates, reporter)
    opened = _opened.get()
    executor = opened or LocalExecutor()
    results: dict[int, Result] = {}
    try:
        with closing(executor.run(jobs, n_jobs, _Told(updates, reporter))) as ended:
            for index, result in ended:
                results[index] = result
                updates[index](jobs[index].total)
                _tell(jobs[index], result, reporter)
    finally:
        if opened is None:
            executor.close()
    return [results[index] for index in range(len(jobs))]


@dataclass(frozen=True)
class _Told:
    """Passes on what an executor tells."""

    updates: Sequence[Callable[[int], None]]
    reporter: Reporter

    def update(self, index: int, done: int) -> None:
        self.updates[index](done)

    def say(self, text: str) -> None:
        self.reporter.say(text)


def _make(training: TrainingSettings, folder: Path | None) -> Executor:
    if training.executor == "local":
        return LocalExecutor()
    from alfred.training.executors.cluster import RayExecutor  # it needs an extra

    return RayExecutor(training.address, folder)


def _need_this_process(jobs: Sequence[Job[Result]]) -> bool:
    """Return whether a job holds what was typed into a notebook, a prompt or a pipe: no other process can import it."""
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        # A program that was read from a pipe; workers would look for its file before anything else.
        return main.__spec__ is None and not Path(str(main.__file__)).exists()
    return any(map(_holds_typed, jobs))


def _holds_typed(job: Job[Result]) -> bool:
    try:
        return b"__main__" in pickle.dumps(job)
    except Exception:  # a function without a name, for instance
        return True


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
