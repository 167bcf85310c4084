from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alfred.data.delisting import Delisting
from alfred.data.market import FIELDS
from alfred.data.perturbation import scramble_after
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


def test_listings_end_and_what_was_to_come_is_gone() -> None:
    market = make_random_market(300, 12)
    market = replace(
        market,
        cash_rate=np.full(300, 0.03),
        delistings={
            "S0": Delisting(market.dates[99], 0.5),
            "S1": Delisting(market.dates[200], 0.5),
        },
    )
    tradable, close = market.tradable.copy(), market.close.copy()
    tradable[100:, 0], tradable[201:, 1] = False, False
    market = replace(market, tradable=tradable, close=np.where(tradable, close, np.nan))
    ended = 0
    for seed in range(5):
        scrambled = scramble_after(market, market.dates[150], seed)
        assert set(scrambled.delistings) == {"S0"}
        assert not scrambled.tradable[100:, 0].any()
        np.testing.assert_array_equal(scrambled.cash_rate[:151], 0.03)
        assert not (scrambled.cash_rate[151:] == 0.03).any()
        ended += int((~scrambled.tradable[-30:, 1:]).all(axis=0).sum())
    assert ended >= 5
