"""Losses of the sign against scikit-learn, plain numpy and their own derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import hinge_loss, log_loss

from alfred.errors import ConfigError
from alfred.learning.signed_losses import (
    compute_cross_entropy_loss,
    compute_direction_label,
    compute_focal_loss,
    compute_sign_hinge_loss,
    compute_sign_ratio_loss,
    compute_signed_huber_loss,
    compute_signed_squared_loss,
    undo_focal_loss,
)

RNG = np.random.default_rng(0)
PREDICTION, TARGET = RNG.normal(size=50), RNG.normal(size=50)
UP = (TARGET > 0).astype(float)


def evaluate(loss: Callable[..., torch.Tensor], target: np.ndarray, *options: object) -> np.ndarray:
    return loss(torch.from_numpy(PREDICTION), torch.from_numpy(target), *options).numpy()


LOSSES = {
    "cross_entropy": lambda p, t: compute_cross_entropy_loss(p, compute_direction_label(t)),
    "focal": lambda p, t: compute_focal_loss(p, compute_direction_label(t), 2.0, 0.3),
    "signed_squared": compute_signed_squared_loss,
    "signed_huber": lambda p, t: compute_signed_huber_loss(p, t, 0.7),
    "sign_hinge": compute_sign_hinge_loss,
    "sign_ratio": lambda p, t: compute_sign_ratio_loss(p, t, (0.2, 3.0), 2.0, 1.3),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    prediction = torch.from_numpy(PREDICTION).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: loss(p, torch.from_numpy(TARGET)), (prediction,))


def test_direction_labels() -> None:
    assert compute_direction_label(torch.tensor([-2.0, 0.0, 0.1])).tolist() == [0.0, 0.5, 1.0]


def test_cross_entropy_is_that_of_scikit_learn() -> None:
    probability = 1 / (1 + np.exp(-PREDICTION))
    assert evaluate(compute_cross_entropy_loss, UP).mean() == pytest.approx(log_loss(UP, probability))


def test_focal_loss_by_numpy() -> None:
    probability = 1 / (1 + np.exp(-PREDICTION))
    of_outcome = np.where(UP == 1, probability, 1 - probability)
    weight = np.where(UP == 1, 0.3, 0.7)
    expected = -weight * (1 - of_outcome) ** 1.7 * np.log(of_outcome)
    np.testing.assert_allclose(evaluate(compute_focal_loss, UP, 1.7, 0.3), expected, rtol=1e-12)
    np.testing.assert_allclose(
        evaluate(compute_focal_loss, UP, 0.0), evaluate(compute_cross_entropy_loss, UP), rtol=1e-12
    )


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_focal_loss_of_extreme_odds_is_finite(logit: float) -> None:
    odds = torch.tensor([logit], requires_grad=True)
    loss = compute_focal_loss(odds, torch.tensor([0.5])).sum()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(100.0)
    assert torch.isfinite(odds.grad).all()


def test_signed_value_losses_by_numpy() -> None:
    penalty = np.logaddexp(0.0, -4.0 * PREDICTION * TARGET) / 4.0
    error = np.abs(PREDICTION - TARGET)
    huber = np.where(error < 0.7, error**2 / 2, 0.7 * (error - 0.35))
    np.testing.assert_allclose(evaluate(compute_signed_squared_loss, TARGET, 0.4), error**2 + 0.4 * penalty)
    np.testing.assert_allclose(evaluate(compute_signed_huber_loss, TARGET, 0.7, 0.4), huber + 0.4 * penalty)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
def test_the_minimum_of_the_focal_loss_is_undone(gamma: float) -> None:
    said = np.linspace(0.01, 0.99, 9801)
    logit = torch.from_numpy(np.log(said / (1 - said)))
    for truth in (0.2, 0.5, 0.55, 0.9):
        loss = compute_focal_loss(logit, torch.full_like(logit, truth), gamma)
        least = torch.from_numpy(said[[int(loss.argmin())]])
        assert float(undo_focal_loss(least, gamma)) == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("loss", [compute_signed_squared_loss, compute_sign_ratio_loss])
def test_a_weak_mean_is_not_held_at_zero(loss: Callable[..., torch.Tensor]) -> None:
    draws = torch.from_numpy(RNG.normal(0.05, 1.0, 200_000))
    grid = np.linspace(-0.1, 0.2, 61)
    means = [float(loss(torch.full_like(draws, value), draws).mean()) for value in grid]
    assert 0.025 < grid[int(np.argmin(means))] < 0.125


def test_sign_hinge_is_that_of_scikit_learn() -> None:
    assert evaluate(compute_sign_hinge_loss, TARGET).mean() == pytest.approx(hinge_loss(np.sign(TARGET), PREDICTION))
    assert not evaluate(compute_sign_hinge_loss, np.zeros(50)).any()


def test_sign_ratio_punishes_wrong_signs_and_spares_right_ones() -> None:
    wrong = PREDICTION * TARGET < 0
    for bounds in ((0.5, 1.5), (0.1, 4.0), (0.9, 1.05)):
        factor = evaluate(compute_sign_ratio_loss, TARGET, bounds) / (PREDICTION - TARGET) ** 2
        assert (factor[wrong] > 1).all()
        assert (factor[~wrong] < 1).all()
        assert factor.min() >= bounds[0]
        assert factor.max() <= bounds[1]
    assert evaluate(compute_sign_ratio_loss, np.zeros(50)) == pytest.approx(PREDICTION**2)


def test_sign_ratio_by_numpy() -> None:
    x = 2.0 * PREDICTION * TARGET / 1.3**2
    # With c inside: sigmoid(c - x) = a / (a + b e^x) for e^c = a / b = 0.8 / 2.
    factor = 0.2 + 2.8 * 0.8 / (0.8 + 2.0 * np.exp(x))
    expected = factor * (PREDICTION - TARGET) ** 2
    np.testing.assert_allclose(evaluate(compute_sign_ratio_loss, TARGET, (0.2, 3.0), 2.0, 1.3), expected, rtol=1e-12)


def test_bounds_on_one_side_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"bounds of the sign ratio are \(1.1, 1.5\)"):
        evaluate(compute_sign_ratio_loss, TARGET, (1.1, 1.5))
