from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.errors import ConfigError
from alfred.evaluation.forecasts.classification import compute_classification_scores
from alfred.evaluation.forecasts.distributions import compute_distribution_scores
from alfred.evaluation.forecasts.errors import compute_point_scores
from alfred.evaluation.forecasts.streaming import (
    ClassificationAccumulator,
    DistributionAccumulator,
    ForecastAccumulator,
    PointAccumulator,
)

Draw = dict[str, np.ndarray]


def draw(seed: int = 0, n: int = 1000) -> Draw:
    rng = np.random.default_rng(seed)
    outcome = rng.normal(0.001, 0.03, n)
    forecast = 0.2 * outcome + rng.normal(0, 0.01, n)
    # No call at all, in front of rises and falls.
    forecast[::50] = 0.0
    drawn = {
        "forecast": forecast,
        "outcome": outcome,
        "close": rng.uniform(5, 300, n),
        "probability": stats.norm.cdf(forecast / 0.03),
        "quantiles": forecast[:, None] + 0.03 * stats.norm.ppf(DEFAULT_LEVELS),
    }
    for values in drawn.values():
        values[rng.random(n) < 0.05] = np.nan
    return drawn


def feed(drawn: Draw, cuts: list[int], accumulator: ForecastAccumulator | None = None) -> ForecastAccumulator:
    found = ForecastAccumulator(DEFAULT_LEVELS) if accumulator is None else accumulator
    for rows in np.split(np.arange(len(drawn["outcome"])), cuts):
        part = {name: values[rows] for name, values in drawn.items()}
        found.update(part.pop("forecast"), part.pop("outcome"), **part)
    return found


def check(found: ForecastAccumulator, drawn: Draw, rel: float = 1e-10) -> None:
    scores = found.compute()
    assert scores.direction is not None and scores.distribution is not None
    point = compute_point_scores(drawn["forecast"], drawn["outcome"], drawn["close"])
    np.testing.assert_allclose(scores.point, point, rtol=rel)
    direction = compute_classification_scores(drawn["probability"], drawn["outcome"])
    np.testing.assert_allclose(scores.direction[:6], direction[:6], rtol=rel)
    assert scores.direction.brier == pytest.approx(direction.brier, rel=rel)
    assert abs(scores.direction.auc - direction.auc) <= found.direction.auc_error < 1e-3
    distribution = compute_distribution_scores(drawn["quantiles"], drawn["outcome"], DEFAULT_LEVELS)
    for one, other in zip(scores.distribution, distribution, strict=True):
        np.testing.assert_allclose(one, other, rtol=rel)


@pytest.mark.parametrize("cuts", [[], [1, 2, 500], [0, 1000], list(range(50, 1000, 50))])
def test_batches_give_what_the_whole_gives(cuts: list[int]) -> None:
    drawn = draw()
    check(feed(drawn, cuts), drawn)


def test_merged_accumulators_give_what_the_whole_gives() -> None:
    drawn = draw(1)
    parts = [{name: values[rows] for name, values in drawn.items()} for rows in np.split(np.arange(1000), [300, 300])]
    first, empty, last = (feed(part, [100]) for part in parts)
    kept = last.compute()
    check(first.merge(empty).merge(last), drawn)
    # What was merged is left as it was, and an accumulator that has seen nothing takes over all of it.
    np.testing.assert_array_equal(last.compute().point, kept.point)
    np.testing.assert_allclose(ForecastAccumulator(DEFAULT_LEVELS).merge(first).compute().point, first.compute().point)


def test_a_spread_far_from_zero_does_not_cancel() -> None:
    """Sums of squares would lose all digits: 300 squared has none left for a variance of 1e-14."""
    rng = np.random.default_rng(2)
    common = rng.standard_normal(4000)
    forecast, outcome = 300 + 1e-7 * common, 300 + 1e-7 * (common + rng.standard_normal(4000))
    accumulator = PointAccumulator()
    for rows in np.split(np.arange(4000), 40):
        accumulator.update(forecast[rows], outcome[rows])
    exact = np.corrcoef(forecast - 300, outcome - 300)[0, 1]
    assert accumulator.compute().pearson == pytest.approx(exact, rel=1e-6)
    assert accumulator.compute().r2_against_mean == pytest.approx(r2_score(outcome - 300, forecast - 300), rel=1e-6)


def test_constant_forecasts_have_no_correlation() -> None:
    accumulator = PointAccumulator()
    for _ in range(3):
        accumulator.update(np.full(3, 0.1), np.array([0.1, 0.2, 0.3]))
    assert np.isnan(accumulator.compute().pearson)
    assert accumulator.compute().r2_against_mean < 0
    flat = PointAccumulator().update(np.array([0.1, 0.2, 0.3]), np.full(3, 0.1)).compute()
    assert np.isnan(flat.r2_against_mean)


def test_what_was_not_given_is_none_and_nothing_is_nan() -> None:
    scores = ForecastAccumulator().compute()
    assert scores.direction is None and scores.distribution is None
    assert scores.point.n == 0 and np.isnan(scores.point[1:]).all()
    nothing = ClassificationAccumulator().compute()
    assert nothing.n == 0 and np.isnan(nothing[1:]).all()
    assert np.isnan(DistributionAccumulator(DEFAULT_LEVELS).compute().crps)


def test_a_missing_interval_is_nan() -> None:
    drawn = draw(3)
    found = DistributionAccumulator(DEFAULT_LEVELS, share=0.5).update(drawn["quantiles"], drawn["outcome"]).compute()
    assert np.isnan(found.coverage) and np.isnan(found.width) and found.pinball > 0


def test_coarse_bins_bound_the_error_of_the_auc() -> None:
    drawn = draw(4)
    coarse = ClassificationAccumulator(5).update(drawn["probability"], drawn["outcome"])
    exact = compute_classification_scores(drawn["probability"], drawn["outcome"])
    assert 0 < abs(coarse.compute().auc - exact.auc) <= coarse.auc_error < 0.5
    # A probability of one belongs to the last bin.
    assert ClassificationAccumulator(5).update(np.array([1.0, 0.0]), np.array([1.0, -1.0])).compute().auc == 1.0


def test_accumulators_that_differ_are_not_merged() -> None:
    with pytest.raises(ConfigError, match="n_bins is 5"):
        ClassificationAccumulator(5).merge(ClassificationAccumulator(6))
    with pytest.raises(ConfigError, match="levels"):
        ForecastAccumulator(DEFAULT_LEVELS).merge(ForecastAccumulator((0.1, 0.9)))
    with pytest.raises(ConfigError, match="levels"):
        DistributionAccumulator((0.1, 0.9)).merge(DistributionAccumulator((0.1, 0.9), n_bins=5))
    with pytest.raises(ConfigError, match="n_bins is 0"):
        ClassificationAccumulator(0)
    with pytest.raises(ConfigError, match="no levels were named"):
        ForecastAccumulator().update(np.zeros(2), np.zeros(2), quantiles=np.zeros((2, 3)))
