import numpy as np
import pytest

from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.perturbation import scramble_after
from alfred.errors import DataError
from alfred.training.comparison import compare_analysts
from tests.conftest import make_random_market

MARKET = make_random_market(200)


def test_persistence_is_no_better_than_itself() -> None:
    (found,) = compare_analysts(MARKET, [NaiveSettings(horizons=(1,))], 5, since=MARKET.dates[150], every_days=1)
    assert found.comparison.improvement_pct == pytest.approx(0, abs=1e-9)
    ahead = np.abs(MARKET.close[155:] / MARKET.close[150:-5] - 1).mean(axis=0) * 100
    table = found.comparison.table
    assert table["naive_mae_pct"].loc["SPY"] == pytest.approx(ahead[MARKET.index_of("SPY")])


def test_the_fit_does_not_see_what_it_is_judged_on(monkeypatch) -> None:
    seen = []
    fit = NaiveAnalyst.fit
    monkeypatch.setattr(NaiveAnalyst, "fit", lambda self, past: (seen.append(past.close.tobytes()), fit(self, past))[1])
    for market in (MARKET, scramble_after(MARKET, MARKET.dates[149], 0)):
        compare_analysts(market, [NaiveSettings()], 5, since=MARKET.dates[150])
    assert seen[0] == seen[1]


def test_a_date_without_past_or_future_is_refused() -> None:
    for since in (MARKET.dates[0], MARKET.dates[-2]):
        with pytest.raises(DataError, match="it must lie inside"):
            compare_analysts(MARKET, [NaiveSettings()], 5, since=since)
