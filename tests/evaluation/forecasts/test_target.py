from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from alfred.errors import ConfigError, DataError
from alfred.evaluation.forecasts.target import compute_error_targets


@pytest.mark.parametrize("r2", [-0.1, 0.0, 0.02, 0.9])
def test_a_forecast_with_this_error_has_this_r2(r2: float) -> None:
    """Residuals that are orthogonal to nothing in particular, scaled to the wanted squared error."""
    rng = np.random.default_rng(0)
    outcome = rng.standard_t(4, 3000) * 0.02
    targets = compute_error_targets(np.append(outcome, np.nan), r2)
    noise = rng.standard_normal(3000)
    residual = noise * targets.rmse / np.sqrt((noise**2).mean())
    assert r2_score(outcome, outcome - residual) == pytest.approx(r2)
    assert targets.n == 3000 and targets.variance == pytest.approx(outcome.var())
    assert targets.mse == pytest.approx(targets.rmse**2) and targets.range == np.ptp(outcome)
    assert (targets.low, targets.high) == (outcome.min(), outcome.max())
    # The residuals are normal.
    assert mean_absolute_error(outcome, outcome - residual) == pytest.approx(targets.mae_gaussian, rel=0.03)


def test_residuals_of_the_shape_of_the_label_have_the_scaled_error() -> None:
    outcome = np.random.default_rng(1).standard_t(3, 5000) * 0.02
    targets = compute_error_targets(outcome, 0.19)
    # Shrinking every deviation from the mean by a tenth leaves 0.9 of it: R² is 1 - 0.81.
    forecast = outcome - 0.9 * (outcome - outcome.mean())
    assert r2_score(outcome, forecast) == pytest.approx(0.19)
    assert mean_absolute_error(outcome, forecast) == pytest.approx(targets.mae_scaled)
    assert targets.mae_of_mean == pytest.approx(mean_absolute_error(outcome, np.full(5000, outcome.mean())))
    # Fat tails: the assumption of a normal asks for less than the label does.
    assert targets.mae_scaled < targets.mae_gaussian


@pytest.mark.parametrize("r2", [1.0, 1.5, float("nan"), float("inf"), float("-inf")])
def test_an_r2_that_nothing_has_is_refused(r2: float) -> None:
    with pytest.raises(ConfigError, match="must be a number below 1"):
        compute_error_targets(np.arange(5.0), r2)


@pytest.mark.parametrize("outcomes", [np.zeros(0), np.full(4, np.nan), np.full(4, 0.1), np.array([1.0])])
def test_a_label_without_spread_is_refused(outcomes: np.ndarray) -> None:
    with pytest.raises(DataError, match="no spread"):
        compute_error_targets(outcomes, 0.1)
