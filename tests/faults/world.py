"""What the tests of faults share: a small experiment, its whole result, commands as processes, and real disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from typer.testing import Result

from tests.commands import call
from tests.conftest import ROOT
from tests.training.small import DIRECT, make_small, write_prices

NAME = "small"


def write_config(folder: Path, **changes: object) -> Path:
    """Write the configuration of a run of some seconds, with its prices beside it."""
    longer = {**DIRECT, "validation_blocks": 2, "checkpoint_every": 64}
    experiment = make_small(write_prices(folder), **{"agents": [longer], **changes})
    path = folder / "config.yaml"
    path.write_text(experiment.to_yaml(), encoding="utf-8")
    return path


def read_results(root: Path) -> object:
    """Return the numbers of the run below a folder of runs."""
    return json.loads((root / NAME / "results.json").read_text(encoding="utf-8"))


def count_trials(root: Path) -> int:
    return len((root / "trials.jsonl").read_text(encoding="utf-8").splitlines())


def take_line(stderr: str) -> str:
    """Return the one line with which a command ended; anything like a traceback fails."""
    lines = stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and lines[-1] == errors[0], stderr
    assert "Traceback" not in stderr
    return errors[0]


def run_whole(*words: object) -> Result:
    """Run a command in this process; what it must not do is wait without end, or end in anything but a line."""
    with limit_time(300):
        result = call(*words)
    if result.exit_code:
        assert result.exit_code == 2, result.output
        take_line(result.stderr)
    return result


@contextmanager
def limit_time(seconds: int) -> Iterator[None]:
    """Fail where something waits without end, for instance for a pipe."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def start(*words: object, clock: str = "", preload: Path | None = None) -> subprocess.Popen[str]:
    """Start a command as a process that leads a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if preload is not None:
        environment |= {"LD_PRELOAD": str(preload), "CLOCK_OFFSET": clock}
    # A shell without job control starts what runs in its background with interrupts ignored; Python leaves it so.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from alfred.cli import main; main()"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=environment
    )


@contextmanager
def mount(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of some size; the test is skipped where nobody may."""
    folder.mkdir(exist_ok=True)
    if sys.platform != "linux" or shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a disk, and on Linux alone")
    made = _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder)
    if made.returncode:
        pytest.skip(f"no disk may be mounted here ({made.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Change a disk that `mount` made: `size=8m`, `ro` or `rw`."""
    assert _mount("-o", f"remount,{option}", folder).returncode == 0


def _mount(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *map(str, words)], check=False, capture_output=True, text=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a disk but for some bytes; return the file that does it."""
    path = folder / "filling"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            size = file.tell()
        file.truncate(size - leave)
    return path
