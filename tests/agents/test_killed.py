"""A training process that is killed with SIGKILL and started again ends with the weights of one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.agents.registry import make_agent
from tests.agents.tasks import TINY, make_task, make_tiny
from tests.conftest import ROOT

# Longer than what other tests train, so that there is something to kill.
LONGER = {kind: {"total_steps": 3 * int(str(TINY[kind]["total_steps"])), "checkpoint_every": 256} for kind in TINY}


def start(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.agents.training_process", kind, str(folder), json.dumps(LONGER[kind])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes], folder: Path) -> bytes:
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return (folder / "policy.safetensors").read_bytes()


def read_progress(folder: Path) -> int:
    try:
        return int((folder / "progress").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or just being written
        return 0


def kill_at(kind: str, folder: Path, steps: int, delay: float = 0.0) -> bool:
    """Kill a training once it has done some steps; say whether it was still alive then."""
    process = start(kind, folder)
    while process.poll() is None and read_progress(folder) < steps:
        time.sleep(0.002)
    time.sleep(delay)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive


@pytest.mark.parametrize("kind", ["direct", "ppo", "sac"])
def test_killed_once(kind: str, tmp_path: Path) -> None:
    total = int(LONGER[kind]["total_steps"])
    assert kill_at(kind, tmp_path / "killed", total // 2)
    assert list((tmp_path / "killed" / "checkpoints").glob("*.safetensors"))
    killed = finish(start(kind, tmp_path / "killed"), tmp_path / "killed")
    torch.set_num_threads(1)
    whole = make_agent(make_tiny(kind, **LONGER[kind])).train(make_task(tmp_path / "whole"))
    whole.save(tmp_path / "whole")
    assert killed == (tmp_path / "whole" / "policy.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["direct", "ppo", "sac"])
def test_killed_at_ten_random_moments(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    total = int(LONGER[kind]["total_steps"])
    whole = finish(start(kind, tmp_path / "whole"), tmp_path / "whole")
    killed = 0
    for moment in np.sort(rng.uniform(0, 0.95 * total, 10)):
        # The delay moves the kill off the beat of the progress, into updates, validations and writes.
        killed += kill_at(kind, tmp_path / "killed", int(moment), float(rng.uniform(0, 0.03)))
    assert killed >= 8
    assert finish(start(kind, tmp_path / "killed"), tmp_path / "killed") == whole
