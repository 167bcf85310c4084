"""A training process that is killed with SIGKILL and started again ends with the weights of one that never was."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from tests.agents.tasks import TINY
from tests.agents.training_process import main

# Longer than what other tests train, so that there is something to kill.
LONGER = {kind: {"total_steps": 3 * int(str(TINY[kind]["total_steps"])), "checkpoint_every": 256} for kind in TINY}


@pytest.fixture(scope="module")
def server() -> ForkServerContext:
    # A server with everything imported starts each training at once, in a process of its own.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.agents.training_process"])
    return context


def start(server: ForkServerContext, kind: str, folder: Path) -> ForkServerProcess:
    process = server.Process(target=main, args=(kind, folder, LONGER[kind]))
    process.start()
    return process


def finish(process: ForkServerProcess, folder: Path) -> bytes:
    process.join()
    assert process.exitcode == 0
    return (folder / "policy.safetensors").read_bytes()


def read_progress(folder: Path) -> int:
    try:
        return int((folder / "progress").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or just being written
        return 0


def kill_at(process: ForkServerProcess, folder: Path, steps: int, delay: float) -> bool:
    """Kill a training with SIGKILL once it has done some steps; say whether it was still alive then."""
    while process.is_alive() and read_progress(folder) < steps:
        time.sleep(0.002)
    time.sleep(delay)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["direct", "ppo", "sac"])
def test_killed_at_ten_random_moments(kind: str, tmp_path: Path, server: ForkServerContext) -> None:
    rng = np.random.default_rng(7)
    total = int(LONGER[kind]["total_steps"])
    whole = finish(start(server, kind, tmp_path / "whole"), tmp_path / "whole")
    folder, killed, resumed = tmp_path / "killed", 0, 0
    for moment in np.sort(rng.uniform(0, 0.95 * total, 10)):
        resumed += bool(list(folder.glob("checkpoints/*.safetensors")))
        # The delay moves the kill off the beat of the progress, into updates, validations and writes.
        killed += kill_at(start(server, kind, folder), folder, int(moment), float(rng.uniform(0, 0.03)))
    assert killed >= 8
    assert resumed >= 5
    assert finish(start(server, kind, folder), folder) == whole
