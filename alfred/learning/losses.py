"""Losses for analysts that learn with torch, one value per target; `masked_mean` makes the scalar.

Axes legend: any leading axes, Q quantile levels last. Predictions and targets are in scaled units: the deltas are too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

ROBUST_DELTA = 0.1
ROBUST_WEIGHT = 0.425
_LOG_2_PI = 1.8378770664093453


def masked_mean(losses: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of the losses where `mask` is True, a scalar; 0 where it is nowhere.

    Args:
        losses: Any shape.
        mask: Which targets were observed, the same shape.
    """
    # What is masked may be anything, NaN included: it is replaced, not multiplied by zero.
    kept = torch.where(mask, losses, torch.zeros_like(losses))
    return kept.sum() / mask.sum().clamp(min=1)


def compute_squared_loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return `(prediction - target)^2`: learns the mean."""
    return (prediction - target).square()


def compute_huber_loss(prediction: torch.Tensor, target: torch.Tensor, delta: float) -> torch.Tensor:
    """Return the loss of Huber (1964): half the square up to `delta`, linear beyond."""
    return functional.huber_loss(prediction, target, reduction="none", delta=delta)


def compute_robust_loss(prediction: torch.Tensor, target: torch.Tensor, delta: float = ROBUST_DELTA) -> torch.Tensor:
    """Return Barron's general robust loss (2019) at alpha 0, `log(1 + ((prediction - target) / delta)^2 / 2)`."""
    return torch.log1p(0.5 * ((prediction - target) / delta).square())


def compute_gaussian_loss(mean: torch.Tensor, variance: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the heteroscedastic loss, minus the logarithm of a normal density (Nix and Weigend, 1994)."""
    return 0.5 * (variance.log() + (target - mean).square() / variance + _LOG_2_PI)


def compute_composite_loss(
    log_density: torch.Tensor, mean: torch.Tensor, target: torch.Tensor, robust_weight: float = ROBUST_WEIGHT
) -> torch.Tensor:
    """Return the loss that Toto 1.0 was trained with: 57.5 % likelihood, 42.5 % robust loss of the mean.

    Args:
        log_density: Logarithm of the forecast density at the target.
        mean: Mean of the forecast.
        target: What happened.
        robust_weight: Share of the robust loss.
    """
    return (robust_weight - 1) * log_density + robust_weight * compute_robust_loss(mean, target)


def compute_pinball_loss(quantiles: torch.Tensor, target: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Return the mean pinball loss over the levels (Koenker and Bassett, 1978), `[..., Q]` and `[...] -> [...]`.

    Twice its mean over evenly spaced levels approximates the continuous ranked probability score.
    """
    level = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    miss = target[..., None] - quantiles
    return torch.maximum(level * miss, (level - 1) * miss).mean(-1)
