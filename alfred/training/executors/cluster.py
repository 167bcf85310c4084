"""Processes of a Ray cluster, or of one that is started here for the time being (extra `ray`)."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import pickle
import secrets
import socket
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfred.errors import AlfredError, import_extra
from alfred.plugins import VARIABLE, describe_plugins, digest_package, list_plugins, load_plugins
from alfred.training.executors.base import MOST_RETRIES, Job, Listener, explain_loss, order
from alfred.training.executors.local import count_cores
from alfred.training.executors.parcels import Packer, work_off

_POLL_SECONDS, _TELL_SECONDS, _PATIENCE_SECONDS = 0.5, 0.5, 10.0
_NOT_IMPORTED = "remote function failed to import on the worker"
_PACKAGES = ("numpy", "scipy", "torch")


@dataclass(frozen=True)
class Home:
    """What a worker must share with the process that gives it work.

    Attributes:
        directory: Where paths begin.
        mark: A file in the folder that all work lies below; empty when it reads and writes nothing.
        plugins: The plugins.
        code: Digests of alfred and of the plugins, and versions of what decides the last bits.
    """

    directory: str
    mark: str
    plugins: tuple[str, ...]
    code: dict[str, str]

    @classmethod
    def describe(cls, mark: Path | None) -> Home:
        """Describe this process."""
        return cls(str(Path.cwd()), str(mark or ""), tuple(list_plugins()), _describe_code())

    def enter(self) -> None:
        """Make this process a worker of that one.

        Raises:
            AlfredError: It does not see the folder, or has other code.
        """
        node = os.uname().nodename if hasattr(os, "uname") else "a node"
        if self.mark and not Path(self.mark).exists():
            raise AlfredError(
                f"the Ray worker on {node} does not see {Path(self.mark).parent}; runs and their cache must lie on a "
                "disk that all nodes share, under the same path: choose such a folder"
            )
        # Paths of jobs are relative to where the command was typed.
        os.chdir(self.directory)
        os.environ[VARIABLE] = os.pathsep.join(self.plugins)
        load_plugins()
        here = _describe_code()
        if other := [name for name in {**self.code, **here} if self.code.get(name) != here.get(name)]:
            raise AlfredError(
                f"the Ray worker on {node} has another {' and another '.join(other)}; install the same on all nodes, "
                "and start the cluster again"
            )


class RayExecutor:
    """Jobs as tasks of Ray; one that loses its node is tried again by Ray, on another one."""

    def __init__(self, address: str | None, folder: Path | None) -> None:
        """Connect.

        Args:
            address: Of the cluster; without one, that of `RAY_ADDRESS`, or a new one on this machine.
            folder: What jobs read and write lies below it, if they do.

        Raises:
            MissingExtraError: Ray is not installed.
            AlfredError: There is no cluster at the address.
        """
        # Nothing is sent to the makers of Ray, unless somebody asked for it.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning about its own next version
        self._ray = import_extra("ray", "ray")
        self._owns = not self._ray.is_initialized()
        if self._owns:
            self._connect(address)
        self._mark = _leave_mark(folder)
        self._home = Home.describe(self._mark)  # now, while the code on disk is what was imported
        self._packer = Packer(lambda _digest, view: self._ray.put(np.frombuffer(view, np.uint8)))
        self._board = self._make_board()
        self._task = self._ray.remote(num_cpus=1, max_retries=MOST_RETRIES)(_run)
        self._n_calls = 0

    def count(self) -> int:
        """Return the number of cores of the cluster."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def run(self, jobs: Sequence[Job[Any]], n_jobs: int, listener: Listener) -> Generator[tuple[int, Any]]:
        """Yield the place and the result of each job as it ends; see `Executor`."""
        ray = self._ray
        parcels = self._packer.pack([job.function for job in jobs])
        waiting, running = order(jobs), dict[Any, int]()
        self._n_calls += 1
        try:
            while waiting or running:
                while waiting and len(running) < n_jobs:
                    index = waiting.popleft()
                    ticket = (self._n_calls, index)
                    task = self._task.options(name=jobs[index].name)
                    running[
                        task.remote(self._home, self._board, ticket, parcels[index].text, *parcels[index].places)
                    ] = index
                done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                self._pass_on(set(running.values()), listener)
                for reference in done:
                    index = running.pop(reference)
                    yield index, self._fetch(reference, jobs[index])
        except BaseException:
            for reference in running:
                with suppress(Exception):
                    ray.cancel(reference, force=True)
            raise

    def close(self) -> None:
        """Leave the cluster, or end it when it was started here."""
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)
        if self._owns:
            self._ray.shutdown()

    def _connect(self, address: str | None) -> None:
        told: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": False}
        if address is not None or "RAY_ADDRESS" in os.environ:
            told.pop("include_dashboard")
        else:
            told["num_cpus"] = count_cores()
        # It prints what it thinks of lost workers on standard output, where results go; its own debugger stops that so.
        import_extra("ray._private.worker", "ray").__dict__["_worker_logs_enabled"] = False
        where = address or os.environ.get("RAY_ADDRESS") or "this machine"
        try:
            _knock(where)
            self._ray.init(address, **told)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise AlfredError(
                f"there is no Ray cluster to be reached at {where} ({reason}); start one with `ray start --head`, and "
                "name its address with --address HOST:PORT"
            ) from error

    def _make_board(self) -> Any:
        """Start what workers tell their progress to, on the node of this process."""
        strategies = import_extra("ray.util.scheduling_strategies", "ray")
        node = self._ray.get_runtime_context().get_node_id()
        here = strategies.NodeAffinitySchedulingStrategy(node, soft=True)
        return self._ray.remote(num_cpus=0, max_restarts=-1)(_Board).options(scheduling_strategy=here).remote()

    def _pass_on(self, running: set[int], listener: Listener) -> None:
        # Progress is for the eye only: work does not depend on it.
        with suppress(self._ray.exceptions.RayError):
            for index, done in self._ray.get(self._board.read.remote(self._n_calls), timeout=_POLL_SECONDS).items():
                if index in running:
                    listener.update(index, done)

    def _fetch(self, reference: Any, job: Job[Any]) -> Any:
        errors = self._ray.exceptions
        try:
            # Its arrays are copies: what Ray hands out cannot be written to, and a local worker's result can.
            return pickle.loads(self._ray.get(reference))  # noqa: S301  from a worker of this command
        except errors.RayTaskError as error:
            if _NOT_IMPORTED in str(error.cause):
                raise AlfredError(
                    "the Ray workers cannot import alfred; install the same version on all nodes"
                ) from error
            raise error.cause from error
        except errors.RayError as error:
            raise explain_loss(job) from error


class _Board:
    """How far the jobs are."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, int], int] = {}

    def tell(self, ticket: tuple[int, int], done: int) -> None:
        self._done[ticket] = done

    def read(self, call: int) -> dict[int, int]:
        return {index: done for (which, index), done in self._done.items() if which == call}


_entered: Home | None = None


def _run(home: Home, board: Any, ticket: tuple[int, int], text: bytes, *arrays: Any) -> bytes:
    global _entered  # noqa: PLW0603  a worker process has one home for its whole life
    if _entered != home:
        import torch  # not above: the command line loads this module before it

        torch.set_num_threads(1)
        home.enter()
        _entered = home
    told = 0.0

    def progress(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            board.tell.remote(ticket, done)

    return work_off(text, arrays, progress)


def _knock(address: str) -> None:
    """Raise an OSError when nobody listens at an address; Ray itself takes many minutes to find that out."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()


def _leave_mark(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder.resolve() / f".ray-{secrets.token_hex(8)}"
    mark.touch()
    return mark


def _describe_code() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    plugins = {f"plugin {plugin['name']}": plugin["sha256"] for plugin in describe_plugins()}
    return {"alfred": digest_package("alfred"), **plugins, **versions}
