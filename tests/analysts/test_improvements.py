"""The tracker of best configurations: what it keeps, and that a crash leaves a whole file."""

import json

import pandas as pd
import pytest

from alfred.analysts.baseline import Comparison
from alfred.analysts.improvements import ImprovementTracker
from alfred.errors import CheckpointError


def compare(horizon=64, **errors) -> Comparison:
    rows = {symbol: {"naive_mae_pct": naive, "mae_pct": mae, "n_windows": 9} for symbol, (naive, mae) in errors.items()}
    return Comparison("toto", horizon, pd.DataFrame.from_dict(rows, orient="index"))


def test_best_configuration_with_history(tmp_path) -> None:
    path = tmp_path / "folder" / "improvements.json"
    tracker = ImprovementTracker(path)
    assert tracker.best("AAPL", 64) is None
    assert tracker.record("first", compare(AAPL=(10, 9), SPY=(4, 5)), {"context": 512}) == ("AAPL", "SPY")
    assert tracker.record("second", compare(AAPL=(10, 9.5), SPY=(4, 3)), {"context": 256}) == ("SPY",)
    # Another test period: a larger error, but a greater part of persistence's.
    assert tracker.record("third", compare(AAPL=(20, 16)), {"context": 128}) == ("AAPL",)
    assert tracker.record("other horizon", compare(horizon=5, AAPL=(2, 1)), {}) == ("AAPL",)
    restored = ImprovementTracker(path)
    assert restored.symbols == ("AAPL", "SPY")
    assert [entry.run for entry in restored.history("AAPL", 64)] == ["first", "second", "third"]
    best = restored.best("AAPL", 64)
    assert (best.run, best.settings, best.improvement_pct) == ("third", {"context": 128}, pytest.approx(20))
    assert restored.best("SPY", 64).run == "second"
    assert restored.best("AAPL", 5).run == "other horizon"
    written = json.loads(path.read_text())
    assert written["symbols"]["AAPL"]["best"] == {"5": "other horizon", "64": "third"}


def test_a_crash_while_writing_keeps_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "improvements.json"
    ImprovementTracker(path).record("first", compare(AAPL=(10, 9)), {})
    before = path.read_text()

    def crash(*arguments, **options):
        raise OSError("the disk is full")

    monkeypatch.setattr("pathlib.Path.write_text", crash)
    with pytest.raises(OSError, match="the disk is full"):
        ImprovementTracker(path).record("second", compare(AAPL=(10, 8)), {})
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == ["improvements.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "symbols": {}}', '{"version": 1, "symbols": {"A": 3}}'])
def test_another_file_is_refused(tmp_path, text) -> None:
    path = tmp_path / "improvements.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"does not hold improvements .*move it away"):
        ImprovementTracker(path)


def test_only_runs_on_the_same_windows_are_compared_and_no_run_counts_twice(tmp_path) -> None:
    tracker = ImprovementTracker(tmp_path / "improvements.json")
    assert tracker.record("whole", compare(AAPL=(10, 9)), {}, judged="2018 to 2023") == ("AAPL",)
    # Five windows of luck are no better than six years.
    assert tracker.record("lucky", compare(AAPL=(10, 5)), {}, judged="five days") == ("AAPL",)
    assert tracker.best("AAPL", 64, "2018 to 2023").run == "whole"
    assert tracker.record("worse", compare(AAPL=(10, 9.5)), {}, judged="2018 to 2023") == ()
    assert tracker.record("worse", compare(AAPL=(10, 9.5)), {}, judged="2018 to 2023") == ()
    assert [entry.run for entry in tracker.history("AAPL", 64)] == ["whole", "lucky", "worse"]


def test_a_symbol_without_any_move_cannot_be_improved_on(tmp_path) -> None:
    tracker = ImprovementTracker(tmp_path / "improvements.json")
    assert tracker.record("run", compare(FLAT=(0, 0), AAPL=(10, 9)), {}) == ("AAPL",)
    assert tracker.symbols == ("AAPL",)


def test_two_writers_lose_nothing(tmp_path) -> None:
    first, second = (ImprovementTracker(tmp_path / "improvements.json") for _ in range(2))
    first.record("first", compare(AAPL=(10, 9)), {})
    second.record("second", compare(SPY=(10, 9)), {})
    assert set(ImprovementTracker(tmp_path / "improvements.json").symbols) == {"AAPL", "SPY"}
