from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.data.features.correlations import adjust_p_values, rank_correlations
from alfred.data.labels import Labels, make_labels
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.synthetic import PlantedModel, make_planted_market
from alfred.errors import DataError


def make_signals(market: Market, values: np.ndarray) -> Signals:
    return Signals(
        dates=market.dates,
        symbols=market.symbols,
        names=tuple(f"test.x{k}" for k in range(values.shape[2])),
        values=values.astype(np.float32),
        trained_until=market.dates.to_numpy(),
        horizons=(0,) * values.shape[2],
    )


def test_a_planted_signal_comes_first_with_its_correlation() -> None:
    model = PlantedModel(ic=0.3)
    world = make_planted_market(model=model, n_days=3000, execution_lag=0, seed=1)
    market = world.market.select([f"A{n}" for n in range(10)])
    labels = make_labels(market, 1)
    ranked = rank_correlations(world.signals, labels)
    assert ranked[0].feature == "planted.signal"
    assert ranked[0].correlation == pytest.approx(0.3, abs=0.02)
    assert ranked[0].strength == "weak"
    assert ranked[0].adjusted_p_value < 1e-6
    assert all(item.adjusted_p_value > 0.01 for item in ranked[1:])
    by_direction = rank_correlations(world.signals, labels, "direction")
    assert by_direction[0].feature == "planted.signal"


def test_the_correlation_is_pearsons_over_dates_that_do_not_overlap(market: Market) -> None:
    rng = np.random.default_rng(1)
    signals = make_signals(market, rng.normal(size=(300, 4, 3)))
    labels = make_labels(market, 5)
    for item in rank_correlations(signals, labels):
        x = signals.select([item.feature]).values[::5, :, 0]
        y = labels.magnitude[::5]
        both = np.isfinite(y)
        assert item.correlation == pytest.approx(stats.pearsonr(x[both], y[both]).statistic, abs=1e-6)
        assert (item.n_values, item.n_dates) == (both.sum(), both.any(axis=1).sum())


def test_p_values_hold_when_the_symbols_of_a_date_move_together() -> None:
    """Pooled pairs would call half of these significant; dates as observations must not."""
    rng = np.random.default_rng(2)
    base = make_planted_market(n_days=200).market
    significant = pooled = 0
    for _ in range(200):
        x = rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=(200, 11))
        y = rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=(200, 11))
        item = rank_correlations(make_signals(base, x[:, :, None]), Labels(base.dates, base.symbols, 1, y))[0]
        significant += item.p_value < 0.05
        pooled += stats.pearsonr(x.ravel(), y.ravel()).pvalue < 0.05
    # 10 of 200 expected, standard error 3.1.
    assert significant <= 10 + 4 * 3.1
    assert pooled > 80


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(adjust_p_values(np.array([0.04, 0.01, 0.03, 0.5])), [0.09, 0.04, 0.09, 0.5])
    np.testing.assert_allclose(adjust_p_values(np.array([0.6, 0.9])), [1.0, 1.0])


def test_a_constant_feature_has_no_correlation(market: Market) -> None:
    item = rank_correlations(make_signals(market, np.ones((300, 4, 1))), make_labels(market, 1))[0]
    assert (item.correlation, item.p_value, item.strength) == (0.0, 1.0, "very weak")


def test_what_cannot_be_correlated(market: Market) -> None:
    signals = make_signals(market, np.ones((300, 4, 1)))
    with pytest.raises(DataError, match="share 4 dates that do not overlap; needed are 20"):
        rank_correlations(signals, make_labels(market, 63))
    with pytest.raises(DataError, match="different dates or symbols"):
        rank_correlations(signals, make_labels(market.until(market.dates[100]), 1))
