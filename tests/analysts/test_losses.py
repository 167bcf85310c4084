"""Losses against scipy, torch and sums by hand."""

import math

import pytest
import torch
from scipy import stats

from alfred.learning.losses import (
    compute_composite_loss,
    compute_gaussian_loss,
    compute_huber_loss,
    compute_pinball_loss,
    compute_robust_loss,
    compute_squared_loss,
    masked_mean,
)


def test_point_losses_by_hand() -> None:
    prediction, target = torch.tensor([0.0, 0.0]), torch.tensor([0.5, 3.0])
    assert compute_squared_loss(prediction, target).tolist() == [0.25, 9.0]
    assert compute_huber_loss(prediction, target, 1.0).tolist() == [0.125, 2.5]
    expected = [math.log(1 + 0.5 * 5**2), math.log(1 + 0.5 * 30**2)]
    assert compute_robust_loss(prediction, target).tolist() == pytest.approx(expected, rel=1e-6)


def test_heteroscedastic_loss_is_minus_the_normal_density() -> None:
    mean, variance, target = (torch.tensor(x, dtype=torch.float64) for x in (0.3, 2.0, -1.0))
    assert float(compute_gaussian_loss(mean, variance, target)) == pytest.approx(-stats.norm.logpdf(-1, 0.3, 2**0.5))


def test_composite_loss_weighs_likelihood_and_robust_loss() -> None:
    log_density, mean, target = torch.tensor([-2.0]), torch.tensor([0.1]), torch.tensor([0.4])
    expected = 0.575 * 2.0 + 0.425 * math.log(1 + 0.5 * 9)
    assert float(compute_composite_loss(log_density, mean, target)) == pytest.approx(expected, rel=1e-5)


def test_pinball_loss_by_hand_and_at_its_minimum() -> None:
    quantiles = torch.tensor([[1.0, 2.0]])
    # Level 0.1 misses by +1 (costs 0.1), level 0.9 by 0; then by -1 and -2 (cost 0.9 and 0.2).
    assert float(compute_pinball_loss(quantiles, torch.tensor([2.0]), (0.1, 0.9))) == pytest.approx(0.05)
    assert float(compute_pinball_loss(quantiles, torch.tensor([0.0]), (0.1, 0.9))) == pytest.approx((0.9 + 0.2) / 2)
    draws = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.0005, 0.9995, 1000))
    losses = [float(compute_pinball_loss(torch.full((1000, 1), q), draws, (0.8,)).mean()) for q in (0.6, 0.8416, 1.1)]
    assert losses[1] == min(losses)


def test_masked_mean_ignores_what_is_masked() -> None:
    losses = torch.tensor([1.0, math.nan, 3.0], requires_grad=True)
    mean = masked_mean(losses, torch.tensor([True, False, True]))
    mean.backward()
    assert mean.item() == 2
    assert losses.grad.tolist() == [0.5, 0.0, 0.5]
    assert masked_mean(losses, torch.zeros(3, dtype=torch.bool)).item() == 0
