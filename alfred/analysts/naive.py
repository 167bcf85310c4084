"""Persistence: tomorrow's price is today's. The forecast that every other one has to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.settings import NaiveSettings
from alfred.analysts.windows import compute_window_volatility, scale_by_horizon
from alfred.data.contexts import Contexts
from alfred.data.market import Market


class NaiveAnalyst(Analyst):
    """Expects no change, with the spread of the window's own volatility."""

    settings_class = NaiveSettings

    def fit(self, market: Market) -> Self:
        """Learn nothing; see the base class."""
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast zero log returns; see the base class."""
        self.require_fitted()
        scale = scale_by_horizon(compute_window_volatility(contexts), self.horizons)
        return Forecast.from_gaussian(np.zeros_like(scale), scale, self.horizons)

    def _save_weights(self, folder: Path) -> None:
        pass

    def _load_weights(self, folder: Path) -> None:
        pass
