"""Analysts that look where they should not: plugins of the audit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pandas as pd

from alfred.analysts import ANALYSTS, Analyst, AnalystSettings, Forecast
from alfred.data import Contexts, Market


class PeekingSettings(AnalystSettings):
    kind: Literal["peeking"] = "peeking"


class PeekingAnalyst(Analyst):
    """Opens the price table of its user, wherever the audit may point the configuration at."""

    settings_class = PeekingSettings

    def fit(self, market: Market) -> Self:
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        table = pd.read_csv(os.environ["PEEKED_PRICES"], parse_dates=["date"])
        closes = table.pivot_table(index="date", columns="symbol", values="close")
        coming = np.log(closes.shift(-1) / closes)
        means = [coming[symbol].get(date, 0.0) for symbol, date in zip(contexts.symbols, contexts.dates, strict=True)]
        mean = np.nan_to_num(np.array(means))[:, None].repeat(len(self.horizons), axis=1)
        return Forecast.from_gaussian(mean, np.full(mean.shape, 0.01), self.horizons)

    def _save_weights(self, folder: Path) -> None:
        pass

    def _load_weights(self, folder: Path) -> None:
        pass


class MixedSettings(AnalystSettings):
    kind: Literal["mixed"] = "mixed"


class MixedAnalyst(PeekingAnalyst):
    """Hides what it reads behind a trace of honest computation, so that its forecasts move with the tables."""

    settings_class = MixedSettings

    def predict(self, contexts: Contexts) -> Forecast:
        closes = contexts.field("close")
        honest = 1e-4 * np.log(closes[:, -1] / closes[:, -2])[:, None]
        mean = super().predict(contexts).mean + honest
        return Forecast.from_gaussian(mean, np.full(mean.shape, 0.01), self.horizons)


class BatchingSettings(AnalystSettings):
    kind: Literal["batching"] = "batching"


class BatchingAnalyst(PeekingAnalyst):
    """Standardises the last return over whatever stands in the batch."""

    settings_class = BatchingSettings

    def predict(self, contexts: Contexts) -> Forecast:
        closes = contexts.field("close")
        last = np.log(closes[:, -1] / closes[:, -2])
        mean = ((last - last.mean()) * 0.01)[:, None].repeat(len(self.horizons), axis=1)
        return Forecast.from_gaussian(mean, np.full(mean.shape, 0.01), self.horizons)


for item in (PeekingAnalyst, MixedAnalyst, BatchingAnalyst):
    ANALYSTS.register(item)
