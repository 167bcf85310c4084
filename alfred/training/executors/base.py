"""Jobs, and what every executor promises about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from alfred.errors import AlfredError

Result = TypeVar("Result")

MOST_RETRIES = 3
"""How often a job is given to another worker after its own was lost."""


@dataclass(frozen=True)
class Job(Generic[Result]):
    """One piece of work.

    A worker may be lost in the middle of it, and the job begins again elsewhere: what it keeps on disk must appear
    whole, and be found again.

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


def order(jobs: Sequence[Job[Any]]) -> deque[int]:
    """Return the places of jobs in the order in which they are begun."""
    return deque(sorted(range(len(jobs)), key=lambda index: -jobs[index].weight))


class Listener(Protocol):
    """Is told how far the jobs of a call are."""

    def update(self, index: int, done: int) -> None:
        """Hear the units that a job has done so far."""
        ...

    def say(self, text: str) -> None:
        """Hear one line."""
        ...


class Executor(Protocol):
    """Runs jobs in other processes. What they return does not depend on which executor it is."""

    def count(self) -> int:
        """Return how many jobs it can run at once."""
        ...

    def run(self, jobs: Sequence[Job[Any]], n_jobs: int, listener: Listener) -> Generator[tuple[int, Any]]:
        """Yield the place and the result of each job as it ends.

        Args:
            jobs: What to do.
            n_jobs: How many at once.
            listener: Told how far they are.

        Raises:
            AlfredError: The workers of a job were lost again and again. What a job raises is raised as well. Either
                way the other jobs are ended.
        """
        ...

    def close(self) -> None:
        """End its processes."""
        ...


def explain_exit(job: Job[Any], code: int) -> AlfredError:
    """Return the error for a job whose worker ended by itself, which another one would do as well."""
    return AlfredError(
        f"{job.name}: its worker process ended by itself with exit code {code}, and what it said stands above; a "
        'script that uses alfred must do so below `if __name__ == "__main__":`, since every worker reads it again'
    )


def explain_loss(job: Job[Any]) -> AlfredError:
    """Return the error for a job whose worker was lost too often."""
    return AlfredError(
        f"{job.name}: its worker process was killed {MOST_RETRIES + 1} times, most often for want of memory; the same "
        "command goes on, with fewer at once under --set training.n_jobs=1"
    )
