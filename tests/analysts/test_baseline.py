"""Persistence by hand, and the comparison with it."""

import numpy as np
import pandas as pd
import pytest

from alfred.analysts.base import Analyst
from alfred.analysts.baseline import compare_with_naive, compute_naive_table
from alfred.analysts.forecast import Forecast
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from tests.conftest import make_random_market

MARKET = make_random_market(300, 4, late_listing=True)


def test_errors_by_hand() -> None:
    close = np.array([[100.0, 50.0], [110.0, 50.0], [99.0, 40.0], [99.0, np.nan]])
    market = Market.from_arrays(pd.bdate_range("2020-01-01", periods=4), ["A", "SPY"], close, benchmark="SPY")
    table = compute_naive_table(market, 2)
    # A: |99/100 - 1| and |99/110 - 1|; SPY: |40/50 - 1|, and then it has no close.
    assert table.loc["A", "naive_mae_pct"] == pytest.approx((1 + 10) / 2)
    assert table.loc["SPY", "naive_mae_pct"] == pytest.approx(20)
    assert table["n_windows"].tolist() == [2, 1]
    assert table["difficulty"].tolist() == ["easiest", "hard"]
    since = compute_naive_table(market, 2, since=market.dates[1])
    assert since.index.tolist() == ["A"]
    assert since.loc["A", "naive_mae_pct"] == pytest.approx(10)


def test_easiest_first() -> None:
    table = compute_naive_table(MARKET, 20)
    assert table["naive_mae_pct"].is_monotonic_increasing
    assert set(table.index) == set(MARKET.symbols)


def test_persistence_against_itself_gains_nothing() -> None:
    naive = NaiveAnalyst(NaiveSettings(horizons=(1, 5))).fit(MARKET)
    comparison = compare_with_naive(naive, MARKET, 5)
    assert comparison.table["improvement_pct"].abs().max() == 0
    assert comparison.n_better == 0
    table = compute_naive_table(MARKET, 5, since=MARKET.dates[64])
    # The same windows but for those before 64 sessions of history, which the late listing has later.
    for symbol in ("S1", "S2", "SPY"):
        assert comparison.table.loc[symbol, "n_windows"] == table.loc[symbol, "n_windows"] + 1


class Seer(NaiveAnalyst):
    """Knows what happens: its error must be zero and its improvement all of persistence's."""

    def predict(self, contexts):
        rows = MARKET.dates.get_indexer(contexts.dates)
        columns = [MARKET.symbols.index(symbol) for symbol in contexts.symbols]
        mean = np.log(MARKET.close[rows + 5, columns] / MARKET.close[rows, columns])[:, None]
        return Forecast.from_gaussian(mean, np.full_like(mean, 0.01), (5,))


def test_knowing_the_outcome_gains_everything() -> None:
    seer: Analyst = Seer(NaiveSettings(horizons=(5,)))
    comparison = compare_with_naive(seer, MARKET, 5, since=MARKET.dates[200], every_days=7)
    assert comparison.table["mae_pct"].max() < 1e-9
    assert comparison.n_better == 4
    assert comparison.improvement_pct == pytest.approx(100)
    assert comparison.table["n_windows"].tolist() == [14] * 4
    assert "better on 4 of 4 symbols" in comparison.summarise()


def test_errors() -> None:
    naive = NaiveAnalyst(NaiveSettings(horizons=(1,))).fit(MARKET)
    with pytest.raises(ConfigError, match="forecasts \\(1,\\) sessions, not 5; add it to its horizons"):
        compare_with_naive(naive, MARKET, 5)
    with pytest.raises(ConfigError, match="horizon 300 must be from 1 to 299"):
        compute_naive_table(MARKET, 300)
    with pytest.raises(DataError, match="no symbol has a close 20 sessions after another"):
        compute_naive_table(MARKET, 20, since=MARKET.dates[290])
    with pytest.raises(DataError, match="no window of 64 sessions with a close 1 sessions later"):
        compare_with_naive(naive, MARKET, 1, since=MARKET.dates[299])
