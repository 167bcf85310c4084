"""Jobs in worker processes: which begin first; for all else see `test_executors.py`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alfred.config import TrainingSettings
from alfred.training.jobs import Job, open_executor, run_jobs
from alfred.training.progress import Silence
from tests.training.run_process import work


def make_jobs(folder: Path, weights: tuple[float, ...]) -> list[Job[int]]:
    folder.mkdir()
    return [Job(str(n), partial(work, folder, n, 0.3), weight=weight) for n, weight in enumerate(weights)]


def test_the_longest_begin_first_and_results_keep_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with open_executor(TrainingSettings()):
        run_jobs(make_jobs(tmp_path / "before", (1.0, 1.0)), 2, Silence())  # both workers have loaded what they need
        assert run_jobs(make_jobs(folder, (1.0, 3.0, 2.0)), 2, Silence()) == [0, 1, 2]
    begun = {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.begun")}
    assert max(begun, key=lambda number: begun[number]) == "0"
