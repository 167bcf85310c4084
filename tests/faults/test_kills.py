"""Processes that are killed, stopped or doubled: nothing finished is lost, nobody goes on alone, numbers are the same.

What is killed within a stage stands beside it: trainings in tests/agents/test_killed.py, searches in
tests/search/test_study.py and test_databases.py, accounts on paper in tests/training/live/test_account.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.world import NAME, count_trials, read_results, run_whole, start, take_line, write_config
from tests.processes import list_group, needs_proc, wait_for

pytestmark = [pytest.mark.slow, needs_proc, pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of POSIX")]
PATIENCE = 240  # seconds


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds in two worker processes."""
    return write_config(tmp_path_factory.mktemp("kills"), training={"n_seeds": 1, "n_jobs": 2})


@pytest.fixture(scope="module")
def expected(config: Path) -> object:
    """The numbers of a run that nobody disturbs, in this process."""
    root = config.parent / "whole"
    assert run_whole("run", config, "--runs", root, "--set", "training.n_jobs=1").exit_code == 0
    return read_results(root)


def end(process: subprocess.Popen[str]) -> str:
    """Return what a process said that ends, and see that it leaves nobody behind."""
    _, said = process.communicate(timeout=PATIENCE)
    assert wait_for(lambda: list_group(process.pid) == [], 10), list_group(process.pid)
    return said


def find_workers(driver: subprocess.Popen[str]) -> list[int]:
    """Return the workers of a driver; the helper that counts semaphores is none."""
    found = []
    for pid in list_group(driver.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"spawn_main" in words:
            found.append(pid)
    return found


def check_finish(config: Path, root: Path, expected: object) -> None:
    process = start("run", config, "--runs", root)
    said = end(process)
    assert process.returncode == 0, said
    # Nothing that was finished is made again; an evaluation that was broken off is.
    assert "trained again" not in said and "forecast again" not in said
    assert read_results(root) == expected
    assert count_trials(root) == 1
    assert not list(root.rglob("*.part")) or run_whole("runs", "clean", "--runs", root).exit_code == 0


def test_a_driver_that_is_killed_at_every_stage(config: Path, expected: object, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = root / NAME
    moments: tuple[Callable[[], bool], ...] = (
        lambda: (run / "config.yaml").is_file(),
        lambda: any((root / ".cache").rglob("*.npy")),
        lambda: any(run.rglob("checkpoints/*.safetensors")),
        lambda: any((run / "backtests").glob("*.parquet")),
    )
    for moment in moments:
        process = start("run", config, "--runs", root)
        assert wait_for(lambda: moment() or process.poll() is not None, PATIENCE)  # noqa: B023
        assert process.poll() is None, process.communicate()
        process.kill()
        end(process)
        assert run_whole("runs", "list", root).exit_code == 0
    check_finish(config, root, expected)


def test_a_worker_that_is_killed_and_a_user_who_stops(config: Path, expected: object, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    process = start("run", config, "--runs", root)
    assert wait_for(lambda: len(find_workers(process)) == 2, PATIENCE)  # both still load their modules
    second = start("run", config, "--runs", root)
    assert "another process is writing" in take_line(end(second)) and second.returncode == 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = end(process)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "stopped; the same command goes on from here"
    assert "Traceback" not in said and "error" not in said

    process = start("run", config, "--runs", root)
    agents = root / NAME / "agents"
    assert wait_for(lambda: any(agents.rglob("checkpoints/*.safetensors")) or process.poll() is not None, PATIENCE)
    os.kill(find_workers(process)[0], signal.SIGKILL)
    said = end(process)
    assert process.returncode == 0 and "its worker process was killed; begun again in another one" in said
    assert "trained again" not in said and read_results(root) == expected and count_trials(root) == 1
