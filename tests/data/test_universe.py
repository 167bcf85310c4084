from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.data.universe import pick_uncorrelated
from alfred.errors import DataError
from tests.conftest import make_random_market


def pick_plainly(market: Market, start: str, count: int) -> list[str]:
    """The same choice from the whole correlation matrix of pandas."""
    matrix = pd.DataFrame(market.log_returns(), columns=list(market.symbols)).corr().abs()
    picked = [start]
    while len(picked) < count:
        rest = [name for name in market.universe if name not in picked]
        picked.append(min(rest, key=lambda name: matrix.loc[name, picked].mean()))
    return picked


def test_the_choice_is_that_of_the_full_matrix() -> None:
    market = make_random_market(n_dates=400, n_symbols=12, seed=6, late_listing=True)
    picks = pick_uncorrelated(market, "S3", 8, min_history_days=100)
    assert [pick.symbol for pick in picks] == pick_plainly(market, "S3", 8)
    matrix = pd.DataFrame(market.log_returns(), columns=list(market.symbols)).corr().abs()
    before = [pick.symbol for pick in picks[:-1]]
    assert picks[-1].mean_correlation == pytest.approx(matrix.loc[picks[-1].symbol, before].mean())
    assert picks[-1].max_correlation == pytest.approx(matrix.loc[picks[-1].symbol, before].max())
    assert picks[0].to_dict()["mean_correlation"] is None


def test_a_scan_in_pieces_is_the_whole_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    market = make_random_market(n_dates=300, n_symbols=12, seed=2, late_listing=True)
    whole = pick_uncorrelated(market, "S3", 6, min_history_days=100)
    monkeypatch.setattr("alfred.data.universe._PIECE", 5)
    for pick, again in zip(whole, pick_uncorrelated(market, "S3", 6, min_history_days=100), strict=True):
        assert pick.symbol == again.symbol
        assert pick.n_returns == again.n_returns
        np.testing.assert_allclose(pick.max_correlation, again.max_correlation, rtol=1e-12)


def test_the_choice_on_real_prices(market_dir: Path) -> None:
    market = load_market(DataSettings(path=market_dir, start="2010-01-01", end="2019-12-31"))
    picks = pick_uncorrelated(market, "AAPL", 11)
    assert len({pick.symbol for pick in picks}) == 11
    assert "SPY" not in {pick.symbol for pick in picks}
    assert all(pick.n_returns >= 756 for pick in picks)


def test_short_histories_and_constant_prices_are_passed_over() -> None:
    market = make_random_market(n_dates=300, n_symbols=4, late_listing=True)
    constant = np.array(market.close)
    constant[:, 1] = 10.0
    flat = Market.from_arrays(market.dates, market.symbols, constant, benchmark="SPY")
    assert [pick.symbol for pick in pick_uncorrelated(flat, "S2", 2, min_history_days=250)] == ["S2", "S1"]
    assert [pick.symbol for pick in pick_uncorrelated(flat, "S2", 2, min_history_days=150)] == ["S2", "S0"]


def test_what_cannot_be_picked() -> None:
    market = make_random_market(n_dates=300, n_symbols=4, late_listing=True)
    with pytest.raises(DataError, match="only 3 of 5 symbols can be picked"):
        pick_uncorrelated(market, "S0", 5, min_history_days=100)
    with pytest.raises(DataError, match="'S0' has 199 returns, fewer than min_history_days 250"):
        pick_uncorrelated(market, "S0", 2, min_history_days=250)
    with pytest.raises(DataError, match="unknown symbol 'X'"):
        pick_uncorrelated(market, "X", 2)
    with pytest.raises(DataError, match="ask for at least 1"):
        pick_uncorrelated(market, "S1", 0, min_history_days=10)
