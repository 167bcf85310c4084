"""Jobs in worker processes: which begin first, and which processes do them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from alfred.errors import DataError
from alfred.training.jobs import Job, keep_workers, run_jobs
from alfred.training.progress import Silence
from tests.training.run_process import work


def make_jobs(folder: Path, weights: tuple[float, ...]) -> list[Job[int]]:
    folder.mkdir()
    return [Job(str(n), partial(work, folder, n, 0.3), weight=weight) for n, weight in enumerate(weights)]


def list_workers(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.glob("*.begun")}


def fail(progress: Callable[[int], None]) -> int:
    progress(1)
    raise DataError("nothing to work on")


def test_the_longest_begin_first_and_results_keep_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    assert run_jobs(make_jobs(folder, (1.0, 3.0, 2.0)), 2, Silence()) == [0, 1, 2]
    begun = {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.begun")}
    assert max(begun, key=lambda number: begun[number]) == "0"


def test_stages_share_their_workers_while_they_are_kept(tmp_path: Path) -> None:
    with keep_workers():
        run_jobs(make_jobs(tmp_path / "first", (0.0, 0.0)), 2, Silence())
        run_jobs(make_jobs(tmp_path / "second", (0.0, 0.0)), 2, Silence())
        with pytest.raises(DataError, match="nothing to work on"):
            run_jobs([Job("a", fail), Job("b", fail)], 2, Silence())
        run_jobs(make_jobs(tmp_path / "third", (0.0, 0.0)), 2, Silence())
    run_jobs(make_jobs(tmp_path / "fourth", (0.0, 0.0)), 2, Silence())
    first, second, third, fourth = (list_workers(tmp_path / name) for name in ("first", "second", "third", "fourth"))
    assert len(first | second) <= 2
    # One that failed leaves nothing behind, and what comes after the `with` has workers of its own.
    assert not third & first and not fourth & third
