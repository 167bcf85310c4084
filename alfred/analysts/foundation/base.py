"""What the analysts around released models have in common: nothing is trained, each window is forecast alone."""

from __future__ import annotations

import datetime
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.foundation.identity import Identity
from alfred.analysts.foundation.settings import FoundationSettings
from alfred.analysts.foundation.windows import average_quantiles, prepare_series
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.typing import FloatArray


class FoundationAnalyst(Analyst):
    """Forecasts each symbol from its own closes with a released model, as it is.

    `fit` loads the model and reads nothing of the market, so that every refit gives the same analyst. The weights have
    read unknown data until `knowledge_cutoff`: skill before that date may be memory.

    A subclass implements `_load` and `_forecast`, which see log closes only (see `foundation.windows`).

    Axes legend: B batch, C context length, H horizons, Q quantile levels.
    """

    settings_class: ClassVar[type[AnalystSettings]] = FoundationSettings
    settings: FoundationSettings

    identity_: Identity
    levels_: tuple[float, ...]

    def __init__(self, settings: FoundationSettings, released: datetime.date | None) -> None:
        """Store the settings; what the weights may have seen is known before they are loaded.

        Args:
            settings: What the analyst was told.
            released: When the weights appeared, where that is known; what the settings say goes before it.
        """
        super().__init__(settings)
        cutoff = settings.knowledge_cutoff or released
        self.knowledge_cutoff = None if cutoff is None else pd.Timestamp(cutoff)
        if cutoff is not None and settings.knowledge_cutoff is None:
            self.notes = (
                f"{settings.label}: nobody says where its training data end; they may reach until its release, and "
                f"{cutoff} is taken for the knowledge cutoff",
            )

    def fit(self, market: Market) -> Self:
        """Load the model; see the base class.

        Args:
            market: Not read.

        Raises:
            ConfigError: The model does not reach the horizons or the context, or no device or cutoff is known.
            CheckpointError: The weights are missing, damaged or others than the pinned ones.
            MissingExtraError: Its package is not installed.
        """
        # Networks draw their first weights before the released ones replace them; that is nobody else's business.
        with torch.random.fork_rng(devices=[]):
            self.identity_, self.levels_ = self._load()
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window on its own; see the base class.

        Quantiles that cross are sorted. The mean is that of the quantiles. A window with fewer than eight traded bars
        is forecast as NaN.

        Raises:
            NotFittedError: `fit` was not called before.
            DataError: The contexts have another length.
        """
        self.require_fitted()
        if contexts.context_length != self.context_length:
            raise DataError(
                f"contexts hold {contexts.context_length} bars, but '{self.settings.label}' reads {self.context_length}"
            )
        series, can = prepare_series(contexts)
        quantiles = np.full((len(contexts), len(self.horizons), len(self.levels_)), np.nan)
        rows = np.flatnonzero(can)
        for start in range(0, len(rows), self.settings.batch_size):
            chunk = rows[start : start + self.settings.batch_size]
            with torch.inference_mode():
                quantiles[chunk] = np.sort(self._forecast(series[chunk]), axis=2)
        return Forecast(
            horizons=self.horizons,
            levels=self.levels_,
            mean=average_quantiles(quantiles, self.levels_),
            quantiles=quantiles,
        )

    @abstractmethod
    def _load(self) -> tuple[Identity, tuple[float, ...]]:
        """Load the network; return what it is and the levels of its quantiles, ascending, `[Q]`."""

    @abstractmethod
    def _forecast(self, series: npt.NDArray[np.float32]) -> FloatArray:
        """Return quantiles `[B, H, Q]` of the level at each horizon, for series `[B, C]` with NaN for missing bars."""

    def _save_weights(self, folder: Path) -> None:
        # Released weights stay where they are: a copy for every refit of a walk would fill the disk.
        self.identity_.write(folder)

    def _load_weights(self, folder: Path) -> None:
        with torch.random.fork_rng(devices=[]):
            self.identity_, self.levels_ = self._load()
        self.identity_.require(folder)
