"""One writer a run, and no worker that outlives its parent."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alfred.errors import AlfredError
from alfred.training.locks import hold_run, is_held
from tests.conftest import ROOT
from tests.processes import list_group, needs_proc, wait_for
from tests.training.small import DIRECT, make_small, run_small, write_prices

Start = Callable[..., "subprocess.Popen[str]"]
pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of POSIX")


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[subprocess.Popen[str]] = []

    def call(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.training.run_process", *map(str, words)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        begun.append(process)
        return process

    yield call
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_second_process_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "runs" / "demo"
    other = start("hold", run, 60)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    holder = rf"another process is writing to .*demo \(process {other.pid} on {re.escape(socket.gethostname())}\); wait"
    for _ in range(2):  # whoever is refused leaves the name of the holder alone
        assert is_held(run)
        with pytest.raises(AlfredError, match=holder), hold_run(run):
            pass
    (run.parent / "runs").symlink_to(run.parent, target_is_directory=True)
    (run.parent / "link").symlink_to(run, target_is_directory=True)
    for same in (run.parent / "runs" / "demo", run.parent / "link"):
        with pytest.raises(AlfredError, match="another process is writing to"), hold_run(same):
            pass
    with hold_run(run.with_name("another")), hold_run(run.with_name("another")):
        pass  # another run is free, and one process may take the same lock twice
    other.kill()
    other.wait()
    with hold_run(run):
        pass


def start_workers(start: Start, folder: Path) -> subprocess.Popen[str]:
    """Return a process whose workers are still loading their modules."""
    parent = start("jobs", folder, 120)
    # The helper that counts semaphores comes first; a third process is a worker.
    assert wait_for(lambda: len(list_group(parent.pid)) >= 3, 120)
    assert not list(folder.glob("*.begun"))
    return parent


@needs_proc
def test_workers_that_start_end_with_a_killed_parent(tmp_path: Path, start: Start) -> None:
    parent = start_workers(start, tmp_path)
    parent.kill()
    parent.wait()
    assert wait_for(lambda: list_group(parent.pid) == [], 5), list_group(parent.pid)
    assert not list(tmp_path.glob("*.done"))


@needs_proc
def test_an_interrupt_ends_workers_that_start_without_a_word_from_them(tmp_path: Path, start: Start) -> None:
    parent = start_workers(start, tmp_path)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
    _, said = parent.communicate(timeout=120)
    # The parent's own answer is Python's; what the command line makes of it is one line.
    assert said.count("Traceback") == 1, said
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert wait_for(lambda: list_group(parent.pid) == [], 5), list_group(parent.pid)


@pytest.mark.slow
@needs_proc
def test_a_killed_command_leaves_nobody_and_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    longer = {**DIRECT, "validation_blocks": 2, "total_steps": 2_048, "validate_every": 2_048, "checkpoint_every": 256}
    prices = write_prices(tmp_path)
    experiment = make_small(prices, agents=[longer], training={"n_seeds": 1, "n_jobs": 2})
    config = tmp_path / "config.yaml"
    config.write_text(experiment.to_yaml(), encoding="utf-8")
    command = [sys.executable, "-c", "from alfred.cli import main; main()", "train", str(config), "--runs", "killed"]
    quiet = subprocess.DEVNULL
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=quiet, stderr=quiet, start_new_session=True, env=environment
    )
    agents = tmp_path / "killed" / "small" / "agents"
    assert wait_for(lambda: len(list(agents.rglob("stage.json"))) == 2, 180)
    process.kill()
    process.wait()
    assert wait_for(lambda: list_group(process.pid) == [], 5), list_group(process.pid)
    finished = len(list(agents.rglob("scores.json")))
    assert finished < 2
    one = make_small(prices, agents=[longer])
    resumed, lines, _ = run_small(tmp_path / "killed", one, judge=False)
    assert lines.reasons == []
    clean, _, _ = run_small(tmp_path / "clean", one, judge=False)
    twins = [sorted(prepared.run.path.rglob("policy.safetensors")) for prepared in (resumed, clean)]
    assert [path.read_bytes() for path in twins[0]] == [path.read_bytes() for path in twins[1]]
    assert len(twins[0]) == 2
