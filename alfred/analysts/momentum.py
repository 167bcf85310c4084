"""12-1 momentum: what rose over the last year, without the last month, is expected to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.settings import MomentumSettings
from alfred.analysts.windows import compute_forward_returns, compute_window_volatility, scale_by_horizon
from alfred.data.contexts import Contexts
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.typing import FloatArray

_YEAR, _MONTH = 252, 21


class MomentumAnalyst(Analyst):
    """Expects `a + b m` with m the log return from 12 months ago to 1 month ago over its spread in training.

    Both numbers are fitted by least squares on the pooled history before the refit date, so that the sign and size of
    the effect are whatever the past showed (Jegadeesh and Titman 1993 found b > 0 in US stocks).
    """

    settings_class = MomentumSettings

    coefficients_: FloatArray
    spread_: float

    def fit(self, market: Market) -> Self:
        """Regress forward returns on momentum; see the base class."""
        if market.n_dates <= _YEAR + max(self.horizons):
            raise DataError(
                f"analyst '{self.settings.label}' needs more than {_YEAR + max(self.horizons)} sessions to fit, "
                f"got {market.n_dates} until {market.dates[-1].date()}; start later or load a longer history"
            )
        logs = np.log(market.close.astype(np.float64))
        momentum = logs[_YEAR - _MONTH : -_MONTH] - logs[:-_YEAR]
        labels = compute_forward_returns(market, self.horizons)[_YEAR:]
        self.spread_ = float(np.nanstd(momentum))
        score = momentum / self.spread_
        rows = []
        for position in range(len(self.horizons)):
            known = np.isfinite(score) & np.isfinite(labels[:, :, position])
            slope, intercept = np.polyfit(score[known], labels[:, :, position][known], 1)
            rows.append((intercept, slope))
        self.coefficients_ = np.asarray(rows)
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast from the fitted line; see the base class."""
        self.require_fitted()
        close = contexts.field("close").astype(np.float64)
        score = np.log(close[:, -1 - _MONTH] / close[:, -1 - _YEAR]) / self.spread_
        mean = self.coefficients_[:, 0] + np.nan_to_num(score)[:, None] * self.coefficients_[:, 1]
        return Forecast.from_gaussian(
            mean, scale_by_horizon(compute_window_volatility(contexts), self.horizons), self.horizons
        )

    def _save_weights(self, folder: Path) -> None:
        text = json.dumps({"coefficients": self.coefficients_.tolist(), "spread": self.spread_})
        write_atomically(folder / "weights.json", lambda path: path.write_text(text, encoding="utf-8"))

    def _load_weights(self, folder: Path) -> None:
        raw = read_json(folder / "weights.json")
        self.coefficients_ = np.asarray(raw["coefficients"], dtype=np.float64)
        self.spread_ = float(raw["spread"])
