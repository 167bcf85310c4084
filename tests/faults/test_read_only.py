"""A folder that nobody may write to: what only reads answers, and what writes ends in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import NAME, mount, read_results, remount, run_whole, take_line

NEEDS = "Read-only file system"


@pytest.fixture(scope="module")
def locked(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished run on a disk that is read only, as root knows no rights that could be missing."""
    with mount(tmp_path_factory.mktemp("locked") / "disk", 8_192) as disk:
        shutil.copytree(whole, disk / "runs")
        remount(disk, "ro")
        yield disk / "runs"


def test_what_reads_answers(locked: Path, whole: Path) -> None:
    assert json.loads(run_whole("runs", "list", locked, "--json").stdout)[0]["state"] == "finished"
    assert json.loads(run_whole("runs", "show", locked / NAME, "--json").stdout)["state"] == "finished"
    assert json.loads(run_whole("trials", locked, "--json").stdout)
    held = [json.loads(run_whole("allocate", root / NAME, "--json").stdout)["lines"] for root in (locked, whole)]
    assert held[0] == held[1]


@pytest.mark.parametrize("command", ["run", "forecast", "report", "evaluate", "clean", "remove"])
def test_what_writes_ends_in_one_line(command: str, locked: Path, config: Path) -> None:
    before = read_results(locked)
    words = {
        "run": ("run", config, "--runs", locked, "--fresh"),
        "forecast": ("forecast", config, "--runs", locked, "--set", "name=other"),
        "report": ("report", locked / NAME),
        "evaluate": ("evaluate", locked / NAME),
        "clean": ("runs", "clean", "--runs", locked),
        "remove": ("runs", "remove", locked / NAME, "--yes"),
    }[command]
    assert NEEDS in take_line(run_whole(*words).stderr)
    assert read_results(locked) == before and (locked / NAME / "report.html").is_file()
