"""A disk that is really full: one line, nothing half-written in the place of a file, and the same command goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.data.files import read_array, write_array
from alfred.data.signals import Signals
from alfred.errors import AlfredError
from alfred.learning.checkpoints import CheckpointFolder, Snapshot
from alfred.learning.events import EventFile
from alfred.training.catalogue.status import read_status, record_outcome
from alfred.training.live.journal import Journal
from alfred.training.progress import PROGRESS_FILE, Silence, record_progress
from alfred.training.provenance.trials import TrialLog
from alfred.training.runs import RunFolder
from alfred.training.search.analysts.history import History, Look
from tests.conftest import make_random_market
from tests.faults.world import (
    NAME,
    count_trials,
    fill,
    mount,
    read_results,
    remount,
    run_whole,
    take_line,
    write_config,
)
from tests.training.small import DIRECT
from tests.training.test_trials import MARKET, record

DATES = make_random_market(400, 3).dates
LONG = "x" * 9_000  # more than what is left of a block that is begun already


@dataclass(frozen=True)
class Kind:
    """A kind of file: writes the first or the second content, and tells which of them stands there."""

    write: Callable[[Path, int], object]
    read: Callable[[Path], object]


def _write_status(folder: Path, number: int) -> None:
    with record_outcome(RunFolder(folder), "run" if number == 1 else "train"):
        pass


def _read_status(folder: Path) -> int:
    status = read_status(folder)
    assert status is not None and status.outcome == "finished"
    return 1 if status.command == "run" else 2


def _make_signals(number: int) -> Signals:
    values = np.random.default_rng(0).normal(size=(400, 2, 2)).astype(np.float32)
    values[:] = np.where(np.arange(400)[:, None, None] == 0, number, values)
    trained = np.broadcast_to(DATES.to_numpy()[:, None], (400, 2)).copy()
    return Signals(DATES, ("A", "B"), ("a.x_1", "a.y_1"), values, trained, (1, 1))


def _write_curves(folder: Path, number: int) -> None:
    with EventFile(folder, f"kind{number}") as events:
        events.add_text("text", LONG)


def _count_looks(folder: Path) -> int:
    return History(folder).count(Look("S", "1", date(2020, 1, 1), date(2020, 2, 1)))


def _load_checkpoint(folder: Path) -> int:
    found = CheckpointFolder(folder, "one").load()
    assert found is not None
    return int(found.facts["number"])


def _save_checkpoint(folder: Path, number: int) -> None:
    CheckpointFolder(folder, "one").save(number, Snapshot({"x": torch.zeros(10_000)}, {"number": number}))


KINDS = {
    "checkpoint": Kind(_save_checkpoint, _load_checkpoint),
    "signals": Kind(
        lambda folder, number: _make_signals(number).save(folder / "a.parquet"),
        lambda folder: int(Signals.load(folder / "a.parquet").values[0, 0, 0]),
    ),
    "piece of the cache": Kind(
        lambda folder, number: write_array(folder / "a.npy", np.full(5_000, number)),
        lambda folder: int(read_array(folder / "a.npy")[-1]),
    ),
    "status": Kind(_write_status, _read_status),
    "journal of an account": Kind(
        lambda folder, number: Journal(folder / "journal.jsonl").add({"number": number, "text": LONG}),
        lambda folder: len(Journal(folder / "journal.jsonl").read()),
    ),
    "log of trials": Kind(
        lambda folder, number: TrialLog(folder).add(record(), MARKET, f"{number}{LONG}", "a"),
        lambda folder: len(TrialLog(folder).read()),
    ),
    "looks at a holdout": Kind(
        lambda folder, number: History(folder).note(
            Look("S", str(number), date(2020, 1, 1), date(2020, 2, 1), "" if number == 1 else LONG)
        ),
        _count_looks,
    ),
    "curves": Kind(_write_curves, lambda folder: len(list(folder.glob("*.kind1"))) + len(list(folder.glob("*.kind2")))),
}


@pytest.fixture
def disk(tmp_path: Path):
    with mount(tmp_path / "disk", 512) as found:
        yield found


# TensorBoard's thread ends with the error that is told here as well.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", [*KINDS])
def test_what_stands_there_stays_whole(kind: str, disk: Path) -> None:
    write, read = KINDS[kind].write, KINDS[kind].read
    write(disk, 1)
    filling = fill(disk)
    with pytest.raises((AlfredError, OSError), match="No space left"):
        write(disk, 2)
    if kind != "curves":
        assert read(disk) == 1
    assert not list(disk.rglob("*.part"))
    filling.unlink()
    write(disk, 2)
    assert read(disk) == 2


def test_progress_is_given_up_and_the_work_goes_on(disk: Path) -> None:
    fill(disk)
    with record_progress(disk, Silence()) as told:
        told.begin("work", 2)(1)
        told.say(LONG)
    assert not (disk / PROGRESS_FILE).exists()


def check_sizes(tmp_path: Path, sizes: range | tuple[int, ...]) -> str:
    """Run on disks of some kilobytes, then on larger ones; return what the refusals said."""
    splits = {"n_folds": 1, "min_train_days": 60, "validation_days": 40, "embargo_days": 0}
    config = write_config(
        tmp_path, splits=splits, training={"n_seeds": 1, "n_jobs": 1}, agents=[{**DIRECT, "checkpoint_every": 64}]
    )
    assert run_whole("run", config, "--runs", tmp_path / "whole").exit_code == 0
    said = []
    for size in sizes:
        with mount(tmp_path / "disk", size) as disk:
            root = disk / "runs"
            result = run_whole("run", config, "--runs", root)
            if result.exit_code == 0:
                break
            said.append(take_line(result.stderr))
            assert "No space left" in said[-1]
            assert run_whole("runs", "list", root).exit_code == 0
            assert not list(root.rglob("*.part"))
            remount(disk, "size=8m")
            assert run_whole("run", config, "--runs", root).exit_code == 0
            assert read_results(root) == read_results(tmp_path / "whole")
            assert count_trials(root) == 1
            assert (root / NAME / "report.html").is_file()
    return "\n".join(said)


def test_a_run_goes_on_from_where_the_disk_was_full(tmp_path: Path) -> None:
    said = check_sizes(tmp_path, (260, 530))
    assert "signals.parquet" in said and "report.html" in said


@pytest.mark.slow
def test_a_run_goes_on_wherever_the_disk_was_full(tmp_path: Path) -> None:
    said = check_sizes(tmp_path, range(4, 2_000, 26))
    for name in (
        "config|manifest",
        ".cache",
        "signals.parquet",
        "curves|held_out|checkpoints",
        "backtests",
        "report.html",
    ):
        assert any(word in said for word in name.split("|")), f"{name} in\n{said}"
