"""Tables as notebooks hold them: with zones, times of day, dates twice, cash that does not fit, and plain mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

import alfred
from alfred.errors import AlfredError, ConfigError, DataError, SignalError
from tests.conftest import ROOT, make_random_market

MARKET = make_random_market(120, 4)
HALF = pd.DataFrame({"S0": 0.3, "S1": 0.2}, index=MARKET.dates)


@pytest.mark.parametrize(
    "dates",
    [
        MARKET.dates + pd.Timedelta(hours=16),
        (MARKET.dates + pd.Timedelta(hours=16)).tz_localize("America/New_York"),
        MARKET.dates.strftime("%Y-%m-%d"),
        MARKET.dates[::-1],
    ],
    ids=["at the close", "with a zone", "text", "backwards"],
)
def test_a_row_counts_from_the_close_of_its_date_however_it_is_written(dates: pd.Index) -> None:
    table = HALF.assign(S0=np.linspace(0, 0.6, len(HALF)))
    written = table.iloc[::-1] if dates[0] == MARKET.dates[-1] else table
    expected = alfred.backtest(table, MARKET).weights
    pd.testing.assert_frame_equal(alfred.backtest(written.set_axis(dates), MARKET).weights, expected)


def test_an_empty_cell_is_zero_and_cash_is_the_rest() -> None:
    result = alfred.backtest(HALF.assign(S2=np.nan), MARKET)
    first = result.weights.iloc[0]
    assert first["S2"] == 0 and first["cash"] == pytest.approx(0.5, abs=0.01)
    told = alfred.backtest(HALF.assign(cash=0.5), MARKET)
    pd.testing.assert_frame_equal(told.weights, alfred.backtest(HALF, MARKET).weights)


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (HALF.assign(cash=0.9), "sum to 1.4 with their cash"),
        (pd.concat([HALF, HALF.iloc[:1]]), "the date 2010-01-04 more than once"),
        (pd.concat([HALF, HALF[["S0"]]], axis=1), "the column 'S0' more than once"),
        (HALF.rename(columns={"S0": "QQQ"}), "name 'QQQ', which the market lacks"),
        (lambda _: pd.Series({"S0": 0.5, "QQQ": 0.5}), "name 'QQQ', which the market lacks"),
        (HALF.iloc[50:], "pass start="),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(strategy: object, text: str) -> None:
    with pytest.raises(DataError, match=text):
        alfred.backtest(strategy, MARKET)


def test_dates_that_are_none_are_refused() -> None:
    with pytest.raises(DataError, match="'junk' is not a date"):
        alfred.backtest(HALF, MARKET, start="junk")
    table = HALF.set_axis([*MARKET.dates[:-1], pd.NaT])
    with pytest.raises(DataError, match="is empty"):
        alfred.backtest(table, MARKET)


def test_signals_that_cannot_be_meant_are_refused() -> None:
    values = pd.DataFrame(1.0, index=MARKET.dates, columns=["S0", "S1"])
    at_close = values.set_axis(MARKET.dates + pd.Timedelta(hours=16))
    np.testing.assert_array_equal(
        alfred.make_signals({"x": at_close}, MARKET).values, alfred.make_signals({"x": values}, MARKET).values
    )
    with pytest.raises(SignalError, match="'S0' on 2010-01-05 is infinite"):
        alfred.make_signals({"x": values.assign(S0=[1, np.inf, *[1] * 118])}, MARKET)
    with pytest.raises(SignalError, match="twice"):
        alfred.make_signals({"x": pd.concat([values, values[["S0"]]], axis=1)}, MARKET)
    with pytest.raises(ConfigError, match="cannot be the name of this signal"):
        alfred.make_signals({"../x": values}, MARKET)
    with pytest.raises(AlfredError, match=r"more than once|two|twice|on one day"):
        alfred.make_signals({"x": pd.concat([values, values.iloc[:1]])}, MARKET)


def test_a_frame_is_no_market() -> None:
    with pytest.raises(ConfigError, match=r"market is a DataFrame; make a market of it with alfred\.load_market"):
        gym.make("alfred/Portfolio-v0", market=HALF)


def test_rows_without_dates_are_no_years_of_1970() -> None:
    for index in (range(120), [20100104 + row for row in range(120)]):
        with pytest.raises(DataError, match="are numbered"):
            alfred.backtest(HALF.set_axis(list(index)), MARKET)


def test_dates_as_text_are_read_before_they_are_sorted() -> None:
    table = HALF.iloc[[0, 40]].assign(S0=[1.0, 0.0], S1=[0.0, 1.0])
    written = table.set_axis([f"{day.month}/{day.day}/{day.year}" for day in table.index])
    expected = alfred.backtest(table, MARKET).weights
    pd.testing.assert_frame_equal(alfred.backtest(written, MARKET).weights, expected)


def test_a_benchmark_with_a_hole_is_refused_and_a_frame_keeps_no_door_to_the_market() -> None:
    closes = pd.DataFrame(MARKET.close.copy(), index=MARKET.dates, columns=list(MARKET.symbols))
    market = alfred.load_market(closes, benchmark="SPY")
    before = market.close.copy()
    closes.iloc[50:] *= 3
    np.testing.assert_array_equal(market.close, before)
    part = alfred.load_market(closes, benchmark="SPY", start=MARKET.dates[20], end=MARKET.dates[90], symbols=["S1"])
    assert part.symbols == ("S1", "SPY") and part.n_dates == 71
    closes.iloc[7, closes.columns.get_loc("SPY")] = np.nan
    with pytest.raises(DataError, match="benchmark 'SPY' has no price on 2010-01-13"):
        alfred.load_market(closes, benchmark="SPY")


def test_a_module_is_judged_as_it_is_used() -> None:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(5, 5))

        def forward(self, observation: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.tanh(self.layers(observation["weights"].float()))

    net = Net().train()
    first, second = (alfred.backtest(net, MARKET).weights for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert net.training


def test_settings_may_be_a_mapping_everywhere() -> None:
    env = gym.make("alfred/Portfolio-v0", market=MARKET, settings={"cost_bps": 1})
    assert env.unwrapped.settings.cost_bps == 1
    with pytest.raises(ConfigError, match="settings: unknown key 'cost_bp'"):
        gym.make("alfred/Portfolio-v0", market=MARKET, settings={"cost_bp": 1})
    with pytest.raises(ConfigError, match="settings: unknown key 'cost_bp'"):
        alfred.backtest(HALF, MARKET, settings={"cost_bp": 1})


def test_what_is_typed_at_a_prompt_runs_in_this_process(tmp_path: Path) -> None:
    code = (
        "from functools import partial\nfrom alfred.training.jobs import Job, run_jobs\n"
        "from alfred.training.progress import Silence\n"
        "def work(n, progress):\n    return n * n\n"
        "print(run_jobs([Job('a', partial(work, 2)), Job('b', partial(work, 3))], 2, Silence()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.strip() == "[4, 9]", done.stderr
