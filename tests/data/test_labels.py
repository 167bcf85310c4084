from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.data.labels import HORIZONS, QUARTER_DAYS, make_labels
from alfred.data.market import Market
from alfred.errors import DataError


def test_labels_by_hand() -> None:
    close = np.array([[10.0, 5.0], [11.0, 5.0], [9.9, np.nan], [12.0, np.nan]])
    market = Market.from_arrays(pd.bdate_range("2020-01-06", periods=4), ["A", "B"], close, benchmark="A")
    one = make_labels(market, 1)
    np.testing.assert_allclose(one.magnitude[:, 0], [10, -10, 100 * (12 / 9.9 - 1), np.nan])
    np.testing.assert_array_equal(one.direction[:, 0], [1, 0, 1, np.nan])
    # B is delisted after the second session: it stays worth its last close, and has no label once it is gone.
    np.testing.assert_array_equal(one.magnitude[:, 1], [0, 0, np.nan, np.nan])
    two = make_labels(market, 2)
    np.testing.assert_allclose(two.magnitude[:, 0], [-1, 100 * (12 / 11 - 1), np.nan, np.nan])
    assert two.horizon == 2


@pytest.mark.parametrize("horizon", HORIZONS)
def test_labels_known_at_a_date_are_those_of_the_market_cut_there(market: Market, horizon: int) -> None:
    date = market.dates[180]
    known = make_labels(market, horizon).known_until(date)
    cut = make_labels(market.until(date), horizon)
    np.testing.assert_array_equal(known.magnitude[:181], cut.magnitude)
    assert np.isnan(known.magnitude[181:]).all()
    assert np.isfinite(known.magnitude).sum() == (181 - horizon) * market.n_symbols


def test_the_quarter_is_a_horizon() -> None:
    assert QUARTER_DAYS in HORIZONS


def test_a_horizon_that_is_none(market: Market) -> None:
    with pytest.raises(DataError, match="horizon of a label is 0 sessions"):
        make_labels(market, 0)
