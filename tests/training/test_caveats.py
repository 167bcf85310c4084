from __future__ import annotations

from pathlib import Path

import pytest

from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.envs.settings import PortfolioSettings
from alfred.training.judging.caveats import find_execution_caveat, share_of_opens_at_close
from tests.conftest import _folder, make_random_market


@pytest.fixture(scope="module")
def coins() -> Path:
    return _folder("ALFRED_CASES_DIR", "cases") / "crypto_daily.csv.gz"


def test_next_open_is_the_same_close_on_a_market_that_never_closes(coins: Path) -> None:
    market = load_market(DataSettings(path=coins, symbols=("BTCUSD",), benchmark="BTCUSD"))
    assert share_of_opens_at_close(market) > 0.8
    for execution in ("auto", "next_open", "close"):
        settings = PortfolioSettings.model_validate({"execution": execution})
        assert "this is optimistic" in find_execution_caveat(market, settings)
    assert find_execution_caveat(market, PortfolioSettings(execution="next_close")) == ""


def test_where_the_night_moves_prices_only_the_close_is_optimistic() -> None:
    market = make_random_market()
    assert share_of_opens_at_close(market) < 0.1
    assert find_execution_caveat(market, PortfolioSettings()) == ""
    assert "this is optimistic" in find_execution_caveat(market, PortfolioSettings(execution="close"))
    assert find_execution_caveat(make_random_market(ohlc=False), PortfolioSettings()) == ""
