"""Heads: what is made of the features, its loss, and how it becomes a full distribution.

Axes legend: B batch, E features, H horizons, P numbers that describe one horizon, Q quantile levels. Everything here
is in spreads of the window: one unit is the window's volatility over the horizon. The layer of every head starts at
zero, where each of them is naive persistence: no mean, and a normal with the window's own spread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn

from alfred.analysts.extractors.settings import ExtractorNetworkSettings, LossName
from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.learning.losses import (
    compute_gaussian_loss,
    compute_huber_loss,
    compute_pinball_loss,
    compute_squared_loss,
)
from alfred.learning.signed_losses import (
    compute_direction_label,
    compute_focal_loss,
    compute_sign_ratio_loss,
    compute_signed_huber_loss,
    compute_signed_squared_loss,
    read_probability,
)

_LARGEST_LOG = 3.0  # of a spread or a gap of quantiles, as in the LSTM: a factor of twenty either way
_LEAST_RESIDUAL = 1e-3

ValueLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Head(nn.Module, ABC):
    """A linear layer and what its numbers mean.

    Attributes:
        residual: Spread of what is left, by horizon, `[H]`; 1 until it is measured, and for heads that learn it.
    """

    residual: torch.Tensor

    def __init__(self, n_features: int, n_horizons: int, n_numbers: int) -> None:
        """Build the layer, at zero.

        Args:
            n_features: Features, E.
            n_horizons: Horizons, H.
            n_numbers: Numbers that describe one horizon, P.
        """
        super().__init__()
        self.shape = (n_horizons, n_numbers)
        self.layer = nn.Linear(n_features, n_horizons * n_numbers)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.register_buffer("residual", torch.ones(n_horizons))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the numbers `[B, H, P]` of features `[B, E]`."""
        numbers: torch.Tensor = self.layer(features)
        return numbers.reshape(len(features), *self.shape)

    @abstractmethod
    def compute_loss(self, numbers: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of each target, `[B, H, P]` and `[B, H] -> [B, H]`."""

    @abstractmethod
    def describe(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean `[B, H]` and quantiles `[B, H, Q]` at the default levels, in double precision."""

    def measure(self, numbers: torch.Tensor, target: torch.Tensor) -> None:
        """Measure `residual` on examples that were not trained on; nothing for a head that learns its spread."""


class GaussianHead(Head):
    """Mean and log spread, trained by the likelihood (Nix and Weigend, 1994)."""

    def __init__(self, n_features: int, n_horizons: int) -> None:
        """Build the layer."""
        super().__init__(n_features, n_horizons, 2)

    def compute_loss(self, numbers: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return minus the log density."""
        mean, spread = self._read(numbers)
        return compute_gaussian_loss(mean, spread.square(), target)

    def describe(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the quantiles of the normal."""
        return _make_normal(*self._read(numbers.double()))

    def _read(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return numbers[..., 0], numbers[..., 1].clamp(-_LARGEST_LOG, _LARGEST_LOG).exp()


class QuantileHead(Head):
    """Quantiles that cannot cross, trained by the pinball loss.

    The median is free; each gap to the next quantile is that of the standard normal times the exponential of a number,
    so that quantiles ascend whatever the network says.
    """

    gaps: torch.Tensor

    def __init__(self, n_features: int, n_horizons: int) -> None:
        """Build the layer: one number for the median and one a gap."""
        super().__init__(n_features, n_horizons, len(DEFAULT_LEVELS))
        scores = ndtri(np.asarray(DEFAULT_LEVELS))
        self.middle = int(np.argmin(np.abs(scores)))
        self.register_buffer("gaps", torch.tensor(np.diff(scores), dtype=torch.float64), persistent=False)

    def compute_loss(self, numbers: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean pinball loss over the levels."""
        return compute_pinball_loss(self._read(numbers), target, DEFAULT_LEVELS)

    def describe(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the quantiles, and as mean their sum weighted by the probability that is nearest to each level."""
        quantiles = self._read(numbers.double())
        edges = [0.0, *((np.asarray(DEFAULT_LEVELS[1:]) + np.asarray(DEFAULT_LEVELS[:-1])) / 2), 1.0]
        weights = torch.tensor(np.diff(edges), dtype=quantiles.dtype, device=quantiles.device)
        return quantiles @ weights, quantiles

    def _read(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the quantiles `[B, H, Q]`."""
        gaps = numbers[..., 1:].clamp(-_LARGEST_LOG, _LARGEST_LOG).exp() * self.gaps.to(numbers.dtype)
        steps = torch.cat([torch.zeros_like(gaps[..., :1]), gaps.cumsum(-1)], dim=-1)
        return numbers[..., :1] + steps - steps[..., self.middle : self.middle + 1]


class MagnitudeHead(Head):
    """The mean alone, bounded by tanh or free; the spread is measured on the validation part."""

    def __init__(self, n_features: int, n_horizons: int, loss: ValueLoss, bound: float | None) -> None:
        """Build the layer.

        Args:
            n_features: Features, E.
            n_horizons: Horizons, H.
            loss: Loss of a prediction and a target.
            bound: Largest mean either way, or None.
        """
        super().__init__(n_features, n_horizons, 1)
        self.loss, self.bound = loss, bound

    def compute_loss(self, numbers: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss that the head was built with."""
        return self.loss(self._read(numbers), target)

    def describe(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the quantiles of a normal with the residual spread."""
        return _make_normal(self._read(numbers.double()), self.residual.double())

    def measure(self, numbers: torch.Tensor, target: torch.Tensor) -> None:
        """Set `residual` to the root mean square of the errors."""
        error = target.double() - self._read(numbers.double())
        self.residual.copy_(error.square().mean(0).sqrt().clamp(min=_LEAST_RESIDUAL))

    def _read(self, numbers: torch.Tensor) -> torch.Tensor:
        value = numbers[..., 0]
        return value if self.bound is None else self.bound * torch.tanh(value / self.bound)


class DirectionHead(Head):
    """The probability p of a rise; the mean is `spread x Phi^-1(p)`, that of a normal which rises as often."""

    def __init__(self, n_features: int, n_horizons: int, focal_gamma: float = 0.0) -> None:
        """Build the layer.

        Args:
            n_features: Features, E.
            n_horizons: Horizons, H.
            focal_gamma: Exponent of the focal loss, which is undone in the probability; 0 is the cross entropy.
        """
        super().__init__(n_features, n_horizons, 1)
        self.focal_gamma = focal_gamma

    def compute_loss(self, numbers: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the focal loss of the direction of the target, or the cross entropy."""
        return compute_focal_loss(numbers[..., 0], compute_direction_label(target), self.focal_gamma)

    def describe(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the quantiles of the normal with the residual spread that rises with probability p."""
        spread = self.residual.double()
        return _make_normal(spread * self._score(numbers), spread)

    def measure(self, numbers: torch.Tensor, target: torch.Tensor) -> None:
        """Set `residual` to s with E target^2 = s^2 (1 + E z^2), where z = Phi^-1(p) and target = s (z + noise)."""
        score = self._score(numbers)
        variance = target.double().square().mean(0) / (1 + score.square().mean(0))
        self.residual.copy_(variance.sqrt().clamp(min=_LEAST_RESIDUAL))

    def _score(self, numbers: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(torch.special.ndtri(read_probability(numbers[..., 0], self.focal_gamma)))


def make_head(settings: ExtractorNetworkSettings, n_features: int) -> Head:
    """Return the head that the settings ask for."""
    n_horizons = len(settings.horizons)
    if settings.head == "gaussian":
        return GaussianHead(n_features, n_horizons)
    if settings.head == "quantiles":
        return QuantileHead(n_features, n_horizons)
    losses: dict[LossName, ValueLoss] = {
        "squared": compute_squared_loss,
        "huber": lambda p, y: compute_huber_loss(p, y, settings.huber_delta),
        "signed_squared": lambda p, y: compute_signed_squared_loss(p, y, settings.sign_weight),
        "signed_huber": lambda p, y: compute_signed_huber_loss(p, y, settings.huber_delta, settings.sign_weight),
        "sign_ratio": compute_sign_ratio_loss,
    }
    if settings.head == "magnitude":
        return MagnitudeHead(n_features, n_horizons, losses[settings.own_loss], settings.bound)
    return DirectionHead(n_features, n_horizons, settings.focal_gamma if settings.own_loss == "focal" else 0.0)


def _make_normal(mean: torch.Tensor, spread: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and quantiles of normals, `[B, H]` and `[B, H, Q]`."""
    scores = torch.tensor(ndtri(np.asarray(DEFAULT_LEVELS)), dtype=mean.dtype, device=mean.device)
    return mean, mean[..., None] + spread[..., None] * scores
