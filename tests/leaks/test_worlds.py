"""What an audit changes in tables is exactly what nobody knew, and slow honest columns are not accused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.data.settings import DataSettings
from alfred.errors import DataError
from alfred.training.audit.layers import Layer
from alfred.training.audit.outside import find_foreknowledge, find_unmoved, measure_dependence
from alfred.training.audit.worlds import choose_future
from tests.conftest import make_random_market

MARKET = make_random_market(300, 4, seed=2)
DATE = MARKET.dates[150]


def find_rows(name: str, table: pd.DataFrame, **settings: object) -> list[bool]:
    data = DataSettings.model_validate({name: {"path": "table.csv", **settings}})
    return [bool(value) for value in choose_future(name, data, MARKET, DATE)(table)]


def test_headlines_are_of_the_future_from_the_close_of_their_own_exchange() -> None:
    times = ["10:00", "16:30", "17:29", "17:30", ""]
    table = pd.DataFrame({"date": [str(DATE.date())] * 5, "time": times, "headline": "x"})
    assert find_rows("news", table, calendar="XETR") == [False, False, False, True, True]
    assert find_rows("news", table, calendar="XNYS") == [False, True, True, True, True]


def test_annual_reports_without_a_day_are_known_a_lag_after_their_year() -> None:
    ends = [DATE - pd.Timedelta(days=days) for days in (91, 90, 10)]
    table = pd.DataFrame({"fiscal_period_end": [str(day.date()) for day in ends], "revenue": "1"})
    assert find_rows("fundamentals", table, annual_lag_days=90) == [False, True, True]
    dated = pd.DataFrame({"report_date": [str(DATE.date())] * 2, "release_time": ["pre", "post"]})
    assert find_rows("fundamentals", dated) == [False, True]
    with pytest.raises(DataError, match="needs a column 'fiscal_period_end'"):
        find_rows("fundamentals", pd.DataFrame({"day": ["2020-01-01"]}))


def test_series_are_known_a_lag_after_their_date() -> None:
    table = pd.DataFrame({"date": [str(day.date()) for day in MARKET.dates[148:152]], "vix": "1"})
    assert find_rows("macro", table, lag_days=0) == [False, False, False, True]
    assert find_rows("macro", table, lag_days=1) == [False, False, True, True]


def make_layer(values: np.ndarray) -> Layer:
    return Layer("own", MARKET.dates, MARKET.symbols, ("column",), values[:, :, None])


def test_a_report_that_stands_until_the_next_is_not_accused_and_one_that_knows_the_next_is() -> None:
    rng = np.random.default_rng(0)
    shape = (300, len(MARKET.symbols))
    # The next report comes late, and another one in the other world.
    standing = np.where(np.arange(300)[:, None] < 285, rng.normal(size=shape[1]), rng.normal(size=shape[1]))
    other = np.where(np.arange(300)[:, None] < 285, standing, rng.normal(size=shape[1]))
    assert find_unmoved(make_layer(standing), make_layer(other), DATE) == []
    daily = rng.normal(size=shape)
    assert [leak.kind for leak in find_unmoved(make_layer(daily), make_layer(daily), DATE)] == ["outside"]
    assert find_unmoved(make_layer(daily), make_layer(rng.normal(size=shape)), DATE) == []


def test_who_foretells_the_truth_in_another_world_is_named_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    close = MARKET.close.astype(np.float64)
    coming = np.zeros_like(close)
    coming[:-1] = close[1:] / close[:-1] - 1
    noise = rng.normal(0, 0.01, close.shape)
    # Half of it honest noise: the forecasts move with the world, and know the truth all the same.
    assert [leak.kind for leak in find_foreknowledge(MARKET, make_layer(coming + noise), DATE)] == ["outside"]
    assert find_foreknowledge(MARKET, make_layer(noise), DATE) == []
    assert find_foreknowledge(MARKET, make_layer(np.cumsum(noise, axis=0)), DATE) == []


def test_the_dependence_is_a_mean_over_its_standard_error() -> None:
    rng = np.random.default_rng(2)
    found = [measure_dependence(rng.normal(size=(200, 5)), rng.normal(size=(200, 5))) for _ in range(300)]
    assert abs(np.mean(found)) < 0.2 and np.std(found) == pytest.approx(1.0, abs=0.15)
    assert measure_dependence(np.ones((200, 5)), rng.normal(size=(200, 5))) == 0.0
