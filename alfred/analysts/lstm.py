"""An LSTM that reads percentage returns and forecasts the mean and spread of what follows."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.settings import LstmSettings
from alfred.analysts.windows import (
    compute_forward_returns,
    compute_window_returns,
    compute_window_volatility,
    scale_by_horizon,
)
from alfred.data.contexts import Contexts, iterate_contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.learning.fitting import fit_module
from alfred.learning.split import split_by_session
from alfred.learning.tensors import load_state, read_tensors, write_tensors
from alfred.typing import FloatArray

_CLIP = 8.0  # moves beyond eight times the window's volatility carry no more than their sign and size class


class ReturnLstm(nn.Module):
    """Percentage returns in, mean and log spread of the standardised forward return out.

    The last layer starts at zero, so that an untrained network is naive persistence: no mean, the window's own spread.
    """

    def __init__(self, hidden_size: int, n_layers: int, n_horizons: int) -> None:
        """Build the layers."""
        super().__init__()
        self.lstm = nn.LSTM(1, hidden_size, n_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, 2 * n_horizons)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, returns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log spread, each `[B, H]`, from standardised returns `[B, C-1]`."""
        states, _ = self.lstm(returns.unsqueeze(-1))
        mean, log_spread = self.head(states[:, -1]).chunk(2, dim=-1)
        return mean, log_spread.clamp(-3.0, 3.0)


class LstmAnalyst(Analyst):
    """One network for all symbols, trained on percentage returns in units of each window's volatility.

    The loss is the Gaussian likelihood of the standardised forward log return, so that the spread is learnt with the
    mean and days of high volatility do not drown the others.
    """

    settings_class = LstmSettings
    settings: LstmSettings

    network_: ReturnLstm

    def fit(self, market: Market) -> Self:
        """Train from scratch on all windows with a known label; see the base class."""
        inputs, targets, n_train = self._examples(market)
        self.network_ = self._build()
        train, validation = slice(0, n_train), slice(n_train, None)
        fit_module(
            self.network_,
            self._loss,
            train=torch.utils.data.TensorDataset(inputs[train], targets[train]),
            validation=torch.utils.data.TensorDataset(inputs[validation], targets[validation]),
            settings=self.settings.fitting,
            seed=self.settings.seed,
        )
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        self.require_fitted()
        with torch.no_grad():
            mean, log_spread = self.network_(torch.from_numpy(_standardise(contexts)))
        scale = scale_by_horizon(compute_window_volatility(contexts), self.horizons)
        spread = np.exp(log_spread.numpy().astype(np.float64)) * scale
        return Forecast.from_gaussian(mean.numpy().astype(np.float64) * scale, spread, self.horizons)

    def _build(self) -> ReturnLstm:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return ReturnLstm(self.settings.hidden_size, self.settings.n_layers, len(self.horizons))

    def _loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        mean, log_spread = self.network_(batch[0])
        likelihood: torch.Tensor = log_spread + 0.5 * ((batch[1] - mean) * torch.exp(-log_spread)) ** 2
        return likelihood.mean()

    def _examples(self, market: Market) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Return inputs `[B, C-1]`, standardised labels `[B, H]`, ordered by date, and the number to train on."""
        labels = compute_forward_returns(market, self.horizons)
        inputs, targets, rows = [], [], []
        usable = np.arange(self.context_length - 1, market.n_dates - max(self.horizons))
        for row, column, contexts in iterate_contexts(market, usable, length=self.context_length):
            scale = scale_by_horizon(compute_window_volatility(contexts), self.horizons)
            label = labels[row, column] / scale
            known = np.isfinite(label).all(axis=1)
            inputs.append(_standardise(contexts)[known])
            targets.append(np.clip(label[known], -_CLIP, _CLIP).astype(np.float32))
            rows.append(row[known])
        if not rows or len(usable) < 2 * max(self.horizons) + self.context_length:
            raise DataError(
                f"analyst '{self.settings.label}' has too short a history until {market.dates[-1].date()}: "
                f"{market.n_dates} sessions for windows of {self.context_length} and horizons up to "
                f"{max(self.horizons)}; start later, or shorten context_length or horizons"
            )
        order = np.concatenate(rows)
        train, validation = split_by_session(
            order, horizon=max(self.horizons), validation_fraction=self.settings.validation_fraction
        )
        keep = np.concatenate([train, validation])
        x, y = np.concatenate(inputs)[keep], np.concatenate(targets)[keep]
        return torch.from_numpy(x), torch.from_numpy(y), len(train)

    def _save_weights(self, folder: Path) -> None:
        write_tensors(folder / "model.safetensors", self.network_.state_dict())

    def _load_weights(self, folder: Path) -> None:
        tensors, _ = read_tensors(folder / "model.safetensors")
        self.network_ = self._build()
        load_state(self.network_, tensors, source=folder / "model.safetensors")
        self.network_.eval()


def _standardise(contexts: Contexts) -> FloatArray:
    """Return the percentage returns of each window over its volatility in per cent, `[B, C-1]` float32."""
    percent = 100.0 * np.expm1(compute_window_returns(contexts))
    volatility = 100.0 * compute_window_volatility(contexts)
    return np.clip(percent / volatility[:, None], -_CLIP, _CLIP).astype(np.float32)
