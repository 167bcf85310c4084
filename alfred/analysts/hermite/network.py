"""Layers of Hermite activations, an LSTM beside them if asked for, and three heads.

Axes legend: B batch, L bars, F channels, W width, M maps, N degree, H horizons.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.hermite.polynomials import evaluate_physicist, evaluate_probabilist
from alfred.analysts.hermite.settings import HermiteSettings

BOUND = 3.0
"""Arguments of the polynomials stay within this, by tanh: at degree 8 the normalised ones then stay below 12."""

_LARGEST_LOG = 3.0
_SERIES_SPREAD = 0.05


class HermiteLayer(nn.Module):
    """The mean of parallel maps, each linear and followed by a learnt Hermite series, `[B, D] -> [B, W]`.

    `y_j = mean_m sum_n c_{m,j,n} h_n(z_{m,j})` with `z = bound tanh(norm(A_m x) / bound)`: polynomials as activations
    (Ma and Khorasani, 2005), with coefficients that are trained. Every h_n is normalised, and its argument is normed
    over the layer and bounded, so that degree 8 neither overflows nor stops learning. A series starts close to h_1.
    """

    def __init__(self, n_inputs: int, width: int, n_maps: int, degree: int, *, physicist: bool) -> None:
        """Build the layer.

        Args:
            n_inputs: Values that are read, D.
            width: Values that are put out, W.
            n_maps: Parallel maps, M.
            degree: Highest degree, N.
            physicist: Whether h_n is H_n instead of He_n.
        """
        super().__init__()
        self.degree, self.shape = degree, (n_maps, width)
        self.evaluate = evaluate_physicist if physicist else evaluate_probabilist
        self.linear = nn.Linear(n_inputs, n_maps * width)
        self.coefficients = nn.Parameter(_SERIES_SPREAD * torch.randn(n_maps, width, degree + 1))
        with torch.no_grad():
            self.coefficients[..., 1] += 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values of the layer."""
        z = functional.layer_norm(self.linear(x).unflatten(1, self.shape), self.shape[1:])
        z = BOUND * torch.tanh(z / BOUND)
        basis = self.evaluate(z, self.degree, normalised=True)
        return (basis * self.coefficients).sum(-1).mean(1)


class HermiteNetwork(nn.Module):
    """Two Hermite layers on the whole window and three heads, `[B, L, F] ->` mean, log odds, log spread, each `[B, H]`.

    The heads start at zero, so that an untrained network is naive persistence: no mean, even odds, the window's own
    spread.
    """

    def __init__(self, settings: HermiteSettings) -> None:
        """Build the layers; bars and channels follow from the settings."""
        super().__init__()
        n_channels, physicist = len(settings.fields), settings.polynomials == "physicist"
        n_inputs = (settings.context_length - 1) * n_channels
        width, degree = settings.hidden, settings.degree
        self.first = HermiteLayer(n_inputs, width, settings.maps_a, degree, physicist=physicist)
        self.second = HermiteLayer(width, width, settings.maps_b, degree, physicist=physicist)
        size = settings.lstm_size
        self.lstm = nn.LSTM(n_channels, size, batch_first=True) if size else None
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.Linear(width + (size or 0), 3 * len(settings.horizons))
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return mean, log odds of a rise and log spread on a first axis, `[B, 3, H]`."""
        features = self.second(self.first(windows.flatten(1)))
        if self.lstm is not None:
            states, _ = self.lstm(windows)
            features = torch.cat([features, states[:, -1]], dim=1)
        mean, odds, log_spread = self.heads(self.dropout(features)).chunk(3, dim=1)
        return torch.stack([mean, odds, log_spread.clamp(-_LARGEST_LOG, _LARGEST_LOG)], dim=1)
