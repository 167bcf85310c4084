from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.errors import SignalError, StorageError
from alfred.evaluation.forecasts.record import ForecastRecord

LEVELS = (0.05, 0.5, 0.95)


def make_record(**changes: object) -> ForecastRecord:
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-06", periods=6)
    mean = rng.normal(0, 0.01, (6, 2, 3)).astype(np.float32)
    fields: dict[str, object] = {
        "dates": dates,
        "symbols": ("AAA", "BBB"),
        "horizons": (1, 5, 20),
        "levels": LEVELS,
        "mean": mean,
        "quantiles": (mean[..., None] + np.array([-0.02, 0, 0.02])).astype(np.float32),
        "trained_until": (dates - pd.Timedelta(days=1)).to_numpy(),
    }
    return ForecastRecord(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    record = make_record()
    record.mean[2, 1] = np.nan
    record.save(tmp_path / "a" / "lstm.safetensors")
    again = ForecastRecord.load(tmp_path / "a" / "lstm.safetensors")
    assert (again.symbols, again.horizons, again.levels) == (record.symbols, record.horizons, record.levels)
    assert again.mean.dtype == again.quantiles.dtype == np.float32
    for name in ("dates", "mean", "quantiles", "trained_until"):
        np.testing.assert_array_equal(getattr(again, name), getattr(record, name))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["lstm.safetensors"]


def test_an_analyst_without_a_distribution_is_kept_as_well(tmp_path: Path) -> None:
    record = make_record(levels=(), quantiles=np.zeros((6, 2, 3, 0)))
    record.save(tmp_path / "x.safetensors")
    assert ForecastRecord.load(tmp_path / "x.safetensors").quantiles.shape == (6, 2, 3, 0)


def test_a_cut_of_a_larger_array_is_saved_as_itself(tmp_path: Path) -> None:
    wide = np.random.default_rng(1).normal(0, 0.01, (6, 3, 2)).astype(np.float32)
    record = make_record(mean=wide.transpose(0, 2, 1))
    record.save(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(ForecastRecord.load(tmp_path / "x.safetensors").mean, record.mean)


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(SignalError, match="does not hold forecasts"):
        ForecastRecord.load(path)
    make_record().save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-3], b"PK" + whole[2:], whole.replace(b"horizons", b"horizonz")):
        path.write_bytes(damaged)
        with pytest.raises(SignalError, match="does not hold forecasts"):
            ForecastRecord.load(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        make_record().save(tmp_path / "file" / "x.safetensors")


def test_a_row_from_the_future_is_refused() -> None:
    stamps = make_record().trained_until.copy()
    stamps[3] = make_record().dates[4].to_datetime64()
    with pytest.raises(SignalError, match="2020-01-09 come from a model trained until 2020-01-10: that is the future"):
        make_record(trained_until=stamps)
    stamps[3] = np.datetime64("NaT")
    with pytest.raises(SignalError, match="trained_until is missing for 2020-01-09"):
        make_record(trained_until=stamps)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"symbols": ("AAA", "AAA")}, "'AAA' stands twice"),
        ({"symbols": ("AAA",)}, "disagree"),
        ({"horizons": (1, 5, 5)}, "different numbers of sessions"),
        ({"horizons": (0, 5, 20)}, "1 at least"),
        ({"levels": (0.05, 0.95, 0.5)}, "must ascend"),
        ({"levels": (0.0, 0.5, 0.95)}, "must ascend"),
        ({"mean": np.full((6, 2, 3), np.inf)}, "mean of 'AAA' on 2020-01-06 is infinite"),
        ({"mean": np.full((6, 2, 3), 1e300)}, "is infinite"),
        ({"quantiles": -make_record().quantiles}, "decrease along the levels"),
        ({"dates": pd.bdate_range("2020-01-06", periods=6)[::-1]}, "must ascend"),
        ({"dates": pd.bdate_range("2020-01-06", periods=6, tz="UTC")}, "without a zone"),
    ],
)
def test_what_disagrees_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(SignalError, match=text):
        make_record(**changes)
