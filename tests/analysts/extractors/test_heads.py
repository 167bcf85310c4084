"""Heads: untrained they are naive, trained they end in what scipy says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from alfred.analysts.extractors.heads import DirectionHead, GaussianHead, MagnitudeHead, QuantileHead, make_head
from alfred.analysts.extractors.settings import LOSSES, ExtractorSettings
from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.learning.losses import compute_squared_loss

LEVELS = np.asarray(DEFAULT_LEVELS)
PAIRS = [(head, loss) for head, losses in LOSSES.items() for loss in losses]


@pytest.mark.parametrize(("head", "loss"), PAIRS)
def test_untrained_heads_are_a_standard_normal_and_learn(head, loss) -> None:
    made = make_head(ExtractorSettings(head=head, loss=loss, horizons=(1, 5)), 4)
    torch.manual_seed(0)
    features, target = torch.randn(32, 4), torch.randn(32, 2)
    numbers = made(features)
    mean, quantiles = made.describe(numbers)
    np.testing.assert_allclose(mean.detach(), np.zeros((32, 2)), atol=1e-12)
    np.testing.assert_allclose(quantiles.detach(), np.tile(stats.norm.ppf(LEVELS), (32, 2, 1)), atol=1e-6)
    loss = made.compute_loss(numbers, target)
    assert loss.shape == (32, 2)
    loss.mean().backward()
    assert made.layer.weight.grad.abs().max() > 1e-4


def test_quantiles_ascend_whatever_the_network_says() -> None:
    torch.manual_seed(0)
    head = QuantileHead(3, 2)
    numbers = 50 * torch.randn(500, 2, len(LEVELS))
    mean, quantiles = head.describe(numbers)
    assert (quantiles.diff(dim=-1) > 0).all()
    torch.testing.assert_close(quantiles[..., 5], numbers[..., 0].double())
    assert ((mean > quantiles[..., 0]) & (mean < quantiles[..., -1])).all()


def test_the_mean_of_quantiles_is_close_to_that_of_skewed_draws() -> None:
    draws = stats.skewnorm(4)
    head = QuantileHead(3, 1)
    quantiles = draws.ppf(LEVELS)
    gaps = np.log(np.diff(quantiles) / np.diff(stats.norm.ppf(LEVELS)))
    numbers = torch.tensor([[[quantiles[5], *gaps]]])
    mean, found = head.describe(numbers)
    np.testing.assert_allclose(found[0, 0], quantiles, rtol=1e-9)
    assert float(mean) == pytest.approx(draws.mean(), abs=0.02)


def test_gaussian_head_by_scipy() -> None:
    head = GaussianHead(3, 1)
    numbers = torch.tensor([[[0.3, np.log(1.7)]]])
    _, quantiles = head.describe(numbers)
    np.testing.assert_allclose(quantiles[0, 0], stats.norm(0.3, 1.7).ppf(LEVELS), rtol=1e-9)
    loss = head.compute_loss(numbers, torch.tensor([[2.0]], dtype=torch.float64))
    assert float(loss) == pytest.approx(-stats.norm(0.3, 1.7).logpdf(2.0))


def test_magnitude_is_bounded_and_its_spread_is_measured() -> None:
    head = MagnitudeHead(3, 2, compute_squared_loss, 0.5)
    numbers, target = 10 * torch.randn(400, 2, 1), torch.randn(400, 2)
    head.measure(numbers, target)
    mean, quantiles = head.describe(numbers)
    assert mean.abs().max() <= 0.5
    errors = (target.double() - 0.5 * torch.tanh(numbers[..., 0].double() / 0.5)).numpy()
    spread = np.sqrt((errors**2).mean(0))
    np.testing.assert_allclose((quantiles[..., -1] - mean)[0], spread * stats.norm.ppf(0.95), rtol=1e-6)
    free = MagnitudeHead(3, 2, compute_squared_loss, None)
    assert torch.equal(free.describe(numbers)[0], numbers[..., 0].double())


def test_direction_says_the_probability_that_it_was_trained_on() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.2, 0.8, 40_000)
    target = 1.4 * (stats.norm.ppf(probability) + rng.normal(size=40_000))
    numbers = torch.from_numpy(np.log(probability / (1 - probability)))[:, None, None]
    head = DirectionHead(3, 1)
    head.measure(numbers, torch.from_numpy(target)[:, None])
    assert float(head.residual) == pytest.approx(1.4, rel=0.02)
    mean, quantiles = head.describe(numbers)
    spread = (quantiles[..., 5] - quantiles[..., 0])[:, 0] / stats.norm.ppf(0.95)
    np.testing.assert_allclose(stats.norm.cdf(mean[:, 0] / spread), probability, rtol=1e-6)
    extreme = head.describe(torch.tensor([[[1e4]]]))[0]
    assert float(extreme) == pytest.approx(float(head.residual) * stats.norm.ppf(0.99), rel=1e-6)
