"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from alfred.plugins import load_plugins
from alfred.training import workers
from alfred.training.executors.base import MOST_RETRIES, Job, Listener, explain_exit, explain_loss, order
from alfred.training.executors.parcels import ArrayFolder, Packer, Parcel, read_array, work_off

_POLL_SECONDS, _EXIT_SECONDS = 0.25, 5.0


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalExecutor:
    """Worker processes, started when they are first needed and kept for the jobs that come later."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._workers: list[_Worker] = []
        self._arrays: ArrayFolder | None = None
        self._packer: Packer[Path] | None = None

    def count(self) -> int:
        """Return the number of cores."""
        return count_cores()

    def run(self, jobs: Sequence[Job[Any]], n_jobs: int, listener: Listener) -> Generator[tuple[int, Any]]:
        """Yield the place and the result of each job as it ends; see `Executor`."""
        parcels = self._pack([job.function for job in jobs])
        waiting = order(jobs)
        losses: Counter[int] = Counter()
        running: dict[Future[Any], tuple[int, _Worker]] = {}
        while len(self._workers) < min(n_jobs, len(jobs)):
            self._workers.append(_Worker())
        free = self._workers[:n_jobs]
        try:
            while waiting or running:
                while waiting and free:
                    index, worker = waiting.popleft(), free.pop()
                    running[worker.begin(parcels[index])] = (index, worker)
                done, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for index, worker in running.values():
                    listener.update(index, worker.done)
                for future in done:
                    index, worker = running.pop(future)
                    free.append(worker)
                    try:
                        result = future.result()
                    except BrokenProcessPool as error:
                        if (code := worker.find_exit()) > 0:
                            raise explain_exit(jobs[index], code) from error
                        worker.end()
                        losses[index] += 1
                        if losses[index] > MOST_RETRIES:
                            raise explain_loss(jobs[index]) from error
                        listener.say(f"{jobs[index].name}: its worker process was killed; begun again in another one")
                        waiting.appendleft(index)
                        continue
                    yield index, pickle.loads(result)  # noqa: S301  from a worker of this command
        except BaseException:
            # Nobody waits for work whose result is not wanted any more; every file appears whole or not at all.
            for worker in self._workers:
                worker.end()
            raise

    def close(self) -> None:
        """End the processes, and delete the arrays that they shared."""
        try:
            for worker in self._workers:
                worker.close()
        except BaseException:  # such as Ctrl-C: nobody is waited for any more
            for worker in self._workers:
                worker.end()
            raise
        finally:
            if self._arrays is not None:
                self._arrays.close()
            self._workers, self._arrays, self._packer = [], None, None

    def _pack(self, functions: Sequence[object]) -> list[Parcel[Path]]:
        if self._arrays is None or self._packer is None:
            self._arrays = ArrayFolder()
            self._packer = Packer(self._arrays.keep)
        return self._packer.pack(functions)


class _Worker:
    """A process pool of one: when its process dies, nobody else's work is lost."""

    def __init__(self) -> None:
        # Forking a process that has run torch can deadlock in its thread pools, hence spawn.
        self._context = multiprocessing.get_context("spawn")
        # Without a lock, which a killed process would keep for ever.
        self._counter = self._context.Value("q", 0, lock=False)
        self._pool: ProcessPoolExecutor | None = None
        self._processes: set[BaseProcess] = set()

    @property
    def done(self) -> int:
        """Units of its job that are done."""
        return int(self._counter.value)

    def begin(self, parcel: Parcel[Path]) -> Future[Any]:
        """Give it a job."""
        self._counter.value = 0
        with workers.shield_from_interrupts():
            if self._pool is not None:
                try:
                    return self._pool.submit(_run, parcel)
                except BrokenProcessPool:  # it died while it had nothing to do
                    self.end()
            self._pool = ProcessPoolExecutor(
                1, mp_context=self._context, initializer=workers.begin_worker, initargs=(self._counter,)
            )
            others = set(multiprocessing.active_children())
            future = self._pool.submit(_run, parcel)
            self._processes = set(multiprocessing.active_children()) - others
            return future

    def find_exit(self) -> int:
        """Return the exit code of the process when it ended by itself, 0 when it was killed."""
        if os.name != "posix":
            return 0  # elsewhere the two look alike
        for process in self._processes:
            process.join(_EXIT_SECONDS)
        return max((process.exitcode or 0 for process in self._processes), default=0)

    def end(self) -> None:
        """End the process, whatever it is at."""
        for process in self._processes:
            process.terminate()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool, self._processes = None, set()

    def close(self) -> None:
        """Let the process end by itself; it has nothing to do."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._processes = None, set()


def _run(parcel: Parcel[Path]) -> bytes:
    def progress(done: int) -> None:
        workers.counter.value = done

    load_plugins()  # again, to say why where one could not be loaded at the start
    return work_off(parcel.text, map(read_array, parcel.places), progress)
