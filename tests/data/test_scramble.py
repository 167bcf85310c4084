from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alfred.data.market import FIELDS
from alfred.data.scramble import scramble_after
from tests.conftest import make_random_market


@pytest.mark.parametrize("ohlc", [True, False])
def test_the_past_is_kept_bit_by_bit_and_the_future_is_another(ohlc: bool) -> None:
    market = make_random_market(late_listing=True, ohlc=ohlc)
    market = replace(market, extras={"yield": np.cumsum(np.ones(market.close.shape), axis=0)})
    date = market.dates[150]
    scrambled = scramble_after(market, date, seed=1)
    for name in (*FIELDS, "yield"):
        if name != "yield" and getattr(market, name) is None:
            assert getattr(scrambled, name) is None
            continue
        true, other = market.field(name), scrambled.field(name)
        np.testing.assert_array_equal(true[:151], other[:151])
        assert not (true[151:] == other[151:]).any()
    np.testing.assert_array_equal(market.tradable[:151], scrambled.tradable[:151])
    assert not scrambled.tradable[151:].all()
    assert scrambled.tradable[:, market.index_of("SPY")].all()


def test_seeds_give_different_futures_and_the_market_stays_as_it_was() -> None:
    market = make_random_market()
    before = market.close.copy()
    first, second = (scramble_after(market, market.dates[10], seed) for seed in (1, 2))
    assert not np.array_equal(first.close, second.close)
    np.testing.assert_array_equal(market.close, before)
