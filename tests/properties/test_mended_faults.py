"""Faults that the properties found, each mended and kept as one example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import AlfredError
from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.sharpe_bootstrap import studentise_differences


@pytest.mark.parametrize("clock", ["99:99", "25:00", "16:75", "23:59:99"])
def test_a_time_of_day_that_is_none_is_refused(clock: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"date,symbol,close\n2020-01-06 {clock},SPY,1\n2020-01-07 {clock},SPY,2\n")
    with pytest.raises(AlfredError, match="is not a date"):
        load_market(DataSettings(path=path))


def test_an_instant_that_no_clock_shows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("date,symbol,close\n9999-12-30T23:00-12:00,SPY,1\n9999-12-31T23:00-12:00,SPY,2\n")
    with pytest.raises(AlfredError):
        load_market(DataSettings(path=path, time_zone="America/New_York"))


def test_a_time_stamp_beyond_all_calendars_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    dates = np.array([10**15, 10**15 + 86_400], dtype="datetime64[s]")
    pd.DataFrame({"date": dates, "symbol": "SPY", "close": [1.0, 2.0]}).to_parquet(path, index=False)
    with pytest.raises(AlfredError):
        load_market(DataSettings(path=path))


def test_a_constant_series_has_blocks_of_one_row() -> None:
    assert compute_block_lengths(np.full(17, 121.06360593560134)) == (1.0, 1.0)


def test_a_history_of_one_block_repeated_has_no_statistic() -> None:
    returns = np.random.default_rng(0).normal(0.001, 0.01, (30, 2))
    starts = np.repeat(np.arange(30, dtype=np.int32)[:, None], 3, axis=1)
    assert np.isnan(studentise_differences(returns, [(0, 1)], starts, 7)).all()
