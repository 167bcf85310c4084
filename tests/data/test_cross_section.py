"""Indices of the market and of sectors, as fields that analysts may read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alfred.analysts.checks import check_analyst
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import LstmSettings
from alfred.data.contexts import make_contexts
from alfred.data.features.cross_section import compute_group_levels
from alfred.learning.settings import FittingSettings
from tests.conftest import make_random_market

MARKET = make_random_market(320, 5, late_listing=True)


def test_levels_by_hand() -> None:
    close = np.array([[10.0, 5.0, np.nan], [11.0, np.nan, 7.0], [np.nan, 6.0, 14.0]])
    levels = compute_group_levels(close, np.isfinite(close), ["a", "a", "b"])
    # Second row: +10 % alone. Third: the second symbol rose 20 % since it last traded, the first did not trade.
    np.testing.assert_allclose(levels[:, 0], [1, 1.1, 1.1 * 1.2])
    np.testing.assert_array_equal(levels[:, 0], levels[:, 1])
    np.testing.assert_allclose(levels[:, 2], [1, 1, 2])


def test_a_row_does_not_know_what_comes_and_not_the_unit() -> None:
    whole = MARKET.field("market_level")
    np.testing.assert_array_equal(MARKET.until(MARKET.dates[200]).field("market_level"), whole[:201])
    scaled = replace(MARKET, close=MARKET.close * np.array([1, 1e-9, 1e4, 1, 3]), open=None, high=None, low=None)
    np.testing.assert_allclose(scaled.field("market_level"), whole, rtol=1e-9)


def test_sectors_have_an_index_of_their_own() -> None:
    sectors = {"S0": "Tech", "S1": "Tech", "S2": "Banks"}
    market = replace(MARKET, sectors=sectors)
    levels = market.field("sector_level")
    np.testing.assert_array_equal(levels[:, 0], levels[:, 1])
    np.testing.assert_allclose(levels[1:, 2] / levels[:-1, 2], market.close[1:, 2] / market.close[:-1, 2])


def test_an_analyst_that_reads_them_keeps_the_contract() -> None:
    brief = FittingSettings(steps=20, batch_size=64, validate_every=10)
    settings = LstmSettings(
        context_length=12, horizons=(1,), hidden_size=8, fields=("close", "market_level", "sector_level"), fitting=brief
    )
    market = replace(MARKET, sectors={"S0": "Tech", "S1": "Tech", "S2": "Banks"})
    check_analyst(lambda: make_analyst(settings), market)
    analyst = make_analyst(settings).fit(market)
    windows = make_contexts(market, np.array([300]), np.array([1]), length=12, fields=analyst.fields)
    other = replace(windows, values=windows.values * np.where(np.arange(12)[:, None] == 11, [1, 1.1, 1], 1))
    assert (analyst.predict(windows).mean != analyst.predict(other).mean).all()  # it is read
    with pytest.raises(ValueError, match="must begin with 'close'"):
        LstmSettings(fields=("market_level",))
