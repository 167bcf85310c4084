from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score, root_mean_squared_error

from alfred.errors import DataError
from alfred.evaluation.forecasts.errors import (
    compute_percentage_errors,
    compute_percentage_mae,
    compute_point_scores,
    compute_price_mae,
    compute_r2_against_mean,
    compute_sign_accuracy,
    compute_skill_against_naive,
)


def draw(seed: int = 0, shape: tuple[int, ...] = (200, 5)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecasts, outcomes and closes with gaps."""
    rng = np.random.default_rng(seed)
    outcome = rng.normal(0.001, 0.03, shape)
    forecast = 0.2 * outcome + rng.normal(0, 0.01, shape)
    close = rng.uniform(5, 300, shape)
    outcome[rng.random(shape) < 0.1] = np.nan
    forecast[rng.random(shape) < 0.1] = np.nan
    forecast[0, 0], outcome[1, 1] = 0.0, 0.0
    return forecast, outcome, close


def test_scores_equal_scikit_learn_on_the_known_pairs() -> None:
    forecast, outcome, close = draw()
    known = np.isfinite(forecast) & np.isfinite(outcome)
    f, y, p = forecast[known], outcome[known], close[known]
    scores = compute_point_scores(forecast, outcome, close)
    assert scores.n == known.sum() < 900
    assert scores.percentage_mae == pytest.approx(mean_absolute_error(100 * (np.exp(y) - 1), 100 * (np.exp(f) - 1)))
    assert scores.naive_percentage_mae == pytest.approx(mean_absolute_error(100 * np.exp(y), np.full(len(y), 100.0)))
    assert scores.skill_pct == pytest.approx(100 * (1 - scores.percentage_mae / scores.naive_percentage_mae))
    assert scores.price_mae == pytest.approx(mean_absolute_error(p * np.exp(y), p * np.exp(f)))
    assert scores.mape_pct == pytest.approx(100 * mean_absolute_percentage_error(p * np.exp(y), p * np.exp(f)))
    assert scores.rmse == pytest.approx(root_mean_squared_error(y, f))
    assert scores.r2_against_mean == pytest.approx(r2_score(y, f))
    assert scores.r2_against_zero == pytest.approx(1 - ((y - f) ** 2).sum() / (y**2).sum())
    assert scores.r2_against_zero != pytest.approx(scores.r2_against_mean, rel=1e-6)
    assert scores.pearson == pytest.approx(stats.pearsonr(f, y).statistic)
    called = f != 0
    assert scores.sign_accuracy == pytest.approx(((f > 0) == (y > 0))[called].mean())


def test_the_percentage_error_is_that_of_the_price_in_per_cent_of_the_close() -> None:
    """From 50 to 55 against a forecast of 52: off by 3, which is 6 % of 50."""
    errors = compute_percentage_errors(np.array([np.log(52 / 50)]), np.array([np.log(55 / 50)]))
    assert errors[0] == pytest.approx(6.0)
    assert compute_price_mae(np.array([np.log(52 / 50)]), np.array([np.log(55 / 50)]), np.array([50.0])) == (
        pytest.approx(3.0)
    )


def test_persistence_has_no_skill_and_makes_no_call() -> None:
    _, outcome, close = draw(1)
    scores = compute_point_scores(np.zeros_like(outcome), outcome, close)
    assert scores.skill_pct == 0 and scores.r2_against_zero == 0
    assert np.isnan(scores.sign_accuracy) and np.isnan(scores.pearson)
    assert scores.r2_against_mean <= 0
    assert compute_skill_against_naive(outcome, outcome) == 100


def test_naive_is_judged_on_the_same_pairs() -> None:
    """The largest move has no forecast, and must not count for persistence either."""
    outcome, forecast = np.array([0.01, -0.01, 1.0]), np.array([0.01, 0.0, np.nan])
    naive = 100 * (np.expm1(0.01) - np.expm1(-0.01)) / 2
    assert compute_skill_against_naive(forecast, outcome) == pytest.approx(
        100 * (1 - 100 * -np.expm1(-0.01) / 2 / naive)
    )


def test_a_flat_outcome_is_no_rise() -> None:
    assert compute_sign_accuracy(np.array([0.1, -0.1, 0.0]), np.array([0.0, 0.0, 1.0])) == 0.5


def test_nothing_known_is_nan_and_not_an_error() -> None:
    nothing = np.full((3, 2), np.nan)
    for arrays in ((nothing, nothing, nothing), (nothing[:0], nothing[:0], nothing[:0])):
        scores = compute_point_scores(*arrays)
        assert scores.n == 0 and np.isnan(scores[1:]).all()


def test_constant_outcomes_have_no_r2_against_their_mean() -> None:
    # The mean of three times 0.1 is not 0.1.
    assert np.isnan(compute_r2_against_mean(np.array([0.1, 0.2, 0.3]), np.full(3, 0.1)))


@pytest.mark.filterwarnings("error")
def test_a_forecast_that_overflows_is_not_left_out() -> None:
    assert compute_percentage_mae(np.array([1e6, 0.0]), np.array([0.0, 0.0])) == np.inf


def test_float32_forecasts_are_counted_in_double_precision() -> None:
    forecast, outcome, _ = draw(2)
    single = compute_percentage_mae(forecast.astype(np.float32), outcome)
    assert single == pytest.approx(
        compute_percentage_mae(forecast.astype(np.float32).astype(float), outcome), rel=1e-14
    )


def test_shapes_that_numpy_would_stretch_are_refused() -> None:
    with pytest.raises(DataError, match=r"forecast \(3, 1\), outcome \(3, 4\)"):
        compute_point_scores(np.zeros((3, 1)), np.zeros((3, 4)))
    with pytest.raises(DataError, match="close"):
        compute_price_mae(np.zeros((3, 4)), np.zeros((3, 4)), np.zeros(4))
