"""An LSTM that reads percentage returns and forecasts the mean and spread of what follows."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from alfred.analysts.forecast import Forecast
from alfred.analysts.networks.base import NetworkAnalyst, to_array
from alfred.analysts.settings import LstmSettings
from alfred.data.contexts import Contexts


class ReturnLstm(nn.Module):
    """Windows in, mean and log spread of the standardised forward return out.

    The last layer starts at zero, so that an untrained network is naive persistence: no mean, the window's own spread.
    """

    def __init__(self, n_channels: int, hidden_size: int, n_layers: int, n_horizons: int) -> None:
        """Build the layers."""
        super().__init__()
        self.lstm = nn.LSTM(n_channels, hidden_size, n_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, 2 * n_horizons)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return mean and log spread, `[B, 2, H]`, from standardised windows `[B, C-1, F]`."""
        states, _ = self.lstm(windows)
        mean, log_spread = self.head(states[:, -1]).chunk(2, dim=-1)
        return torch.stack([mean, log_spread.clamp(-3.0, 3.0)], dim=1)


class LstmAnalyst(NetworkAnalyst):
    """The smallest network, in one file: a model for one of your own.

    The loss is the Gaussian likelihood of the standardised forward log return, so that the spread is learnt with the
    mean and days of high volatility do not drown the others.
    """

    settings_class = LstmSettings
    settings: LstmSettings

    network_: ReturnLstm

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        answer, scale = to_array(self._evaluate(self._prepare(contexts), self.network_)), self._scale(contexts)
        return Forecast.from_gaussian(answer[:, 0] * scale, np.exp(answer[:, 1]) * scale, self.horizons)

    def compute_mean(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the mean in spreads of the window, `[B, H]`; see the base class."""
        answer: torch.Tensor = self.network_(inputs)
        return answer[:, 0]

    def _build(self) -> ReturnLstm:
        s = self.settings
        return ReturnLstm(len(self.fields), s.hidden_size, s.n_layers, len(self.horizons))

    def _compute_loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        inputs, targets = batch
        mean, log_spread = self.network_(inputs).unbind(1)
        likelihood: torch.Tensor = log_spread + 0.5 * ((targets - mean) * torch.exp(-log_spread)) ** 2
        return likelihood.mean()
