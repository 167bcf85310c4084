"""What learning analysts find of a weak signal by their default settings, and that they find none in noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from alfred.analysts import make_analyst
from alfred.analysts.registry import ANALYSTS
from tests.analysts.planted import forecast_rest, make_autoregressive_market

N_FIT = 2000
# Kronos draws tokens by default, in which so weak a signal is lost.
OPTIONS: dict[str, dict[str, object]] = {"lstm": {}, "extractor": {}, "hermite": {}, "kronos": {"head": "return"}}


def fit_and_forecast(kind: str, coefficient: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return forecasts, the returns that followed and their true means out of sample, each `[R, N]`."""
    market, returns, means = make_autoregressive_market(coefficient, n_dates=N_FIT + 1500, n_symbols=20, seed=seed)
    settings = ANALYSTS.load_settings(kind).model_validate(
        {"kind": kind, "horizons": (1,), "seed": seed, **OPTIONS[kind]}
    )
    analyst = make_analyst(settings).fit(market.until(market.dates[N_FIT - 1]))
    return forecast_rest(analyst, market, N_FIT), returns[N_FIT + 1 :], means[N_FIT:-1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIONS)
def test_four_fifths_of_the_attainable_coefficient_are_found(kind) -> None:
    found, returns, means = fit_and_forecast(kind, 0.1, 1)
    attainable = np.corrcoef(means.ravel(), returns.ravel())[0, 1]
    assert attainable == pytest.approx(0.1, abs=0.02)
    assert np.corrcoef(found.ravel(), returns.ravel())[0, 1] >= 0.8 * attainable
    assert np.corrcoef(found.ravel(), means.ravel())[0, 1] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIONS)
def test_nothing_is_found_in_noise(kind) -> None:
    found, returns, _ = fit_and_forecast(kind, 0.0, 1)
    daily = [np.corrcoef(rankdata(x), rankdata(y))[0, 1] for x, y in zip(found, returns, strict=True)]
    assert abs(np.mean(daily) / (np.std(daily, ddof=1) / len(daily) ** 0.5)) < 3
