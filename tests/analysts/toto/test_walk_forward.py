"""Toto through the walk-forward driver: signals, the cache, and a future that cannot be reached."""

import numpy as np
import pytest

from alfred.analysts.toto.settings import TotoSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.training.forecasting import forecast_walk_forward
from tests.analysts.toto.test_analyst import BASE
from tests.conftest import make_random_market

MARKET = make_random_market(420, 3)


def scramble(market: Market, row: int) -> Market:
    """Return the market with other prices after a row."""
    close = market.close.copy()
    close[row + 1 :] *= np.exp(np.random.default_rng(9).normal(0, 0.3, close[row + 1 :].shape))
    return Market.from_arrays(market.dates, market.symbols, close, benchmark=market.benchmark)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_signals_come_from_the_past_alone_and_out_of_the_cache(version, tmp_path, monkeypatch) -> None:
    settings = TotoSettings.model_validate({**BASE, "version": version, "horizons": (1, 5)})
    schedule = ForecastSettings(min_train_days=250, refit_every_days=90, cache=tmp_path)
    signals = forecast_walk_forward(MARKET, settings, schedule)
    quantities = ("expected_return", "dispersion", "probability_up", "cvar_5")
    assert signals.names == tuple(f"toto.{quantity}_{horizon}" for horizon in (1, 5) for quantity in quantities)
    assert np.isfinite(signals.values).all()
    row = 380
    other = forecast_walk_forward(scramble(MARKET, row), settings, schedule.model_copy(update={"cache": None}))
    until = signals.dates <= MARKET.dates[row]
    np.testing.assert_array_equal(signals.values[until], other.values[until])
    assert not np.allclose(signals.values[~until], other.values[~until])

    def refuse(*arguments, **options):
        raise AssertionError("the cache holds everything: nothing may be trained again")

    monkeypatch.setattr("alfred.analysts.toto.analyst.train_network", refuse)
    again = forecast_walk_forward(MARKET, settings, schedule)
    np.testing.assert_array_equal(signals.values, again.values)
