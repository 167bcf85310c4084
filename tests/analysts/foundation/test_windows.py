"""What the networks are fed, and the mean that is read off quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.analysts.foundation.windows import average_quantiles, prepare_series
from alfred.data.contexts import make_contexts
from tests.conftest import make_random_market

MARKET = make_random_market(120, 4, late_listing=True)


def test_series_are_log_closes_from_the_last_one() -> None:
    windows = make_contexts(MARKET, np.array([110, 119]), np.array([1, 2]), length=30)
    series, can = prepare_series(windows)
    for row, end, column in ((0, 110, 1), (1, 119, 2)):
        close = MARKET.close[end - 29 : end + 1, column]
        np.testing.assert_allclose(series[row], np.log(close / close[-1]), atol=1e-7)
    assert can.all()


def test_what_was_not_traded_is_nan_and_too_little_is_said() -> None:
    # S0 is listed on row 40: of the first window 7 bars are traded, of the second 8, of the third all.
    windows = make_contexts(MARKET, np.array([46, 47, 110]), np.array([0, 0, 0]), length=30)
    series, can = prepare_series(windows)
    assert can.tolist() == [False, True, True]
    assert np.isfinite(series).sum(axis=1).tolist() == [7, 8, 30]
    assert series[:, -1].tolist() == [0, 0, 0]
    nothing, can = prepare_series(make_contexts(MARKET, np.array([35]), np.array([0]), length=30))
    assert np.isnan(nothing).all()
    assert not can.any()


def test_the_mean_of_quantiles() -> None:
    levels = tuple(np.arange(1, 10) / 10)
    # By hand: the outer deciles stand for 0.15 each, the seven others for a tenth.
    values = np.array([3.0, 4, 5, 6, 7, 8, 9, 10, 20])
    assert average_quantiles(values, levels) == pytest.approx(0.15 * 3 + 0.1 * (4 + 5 + 6 + 7 + 8 + 9 + 10) + 0.15 * 20)
    # Against the mean of a skewed distribution, with levels as fine as to make it exact.
    fine = np.linspace(0, 1, 20_001)[1:-1]
    assert average_quantiles(stats.gamma(2.0).ppf(fine), tuple(fine)) == pytest.approx(2.0, abs=2e-3)
    uneven = (0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99)
    assert average_quantiles(stats.norm(0.3, 2).ppf(np.array(uneven)), uneven) == pytest.approx(0.3)
