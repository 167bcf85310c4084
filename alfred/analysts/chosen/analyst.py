"""Each symbol is forecast by its own best analyst; all of them learn from the whole market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from scipy.special import ndtri

from alfred.analysts.base import Analyst
from alfred.analysts.chosen.settings import RegistrySettings
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.registry import ANALYSTS, make_analyst
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import CheckpointError
from alfred.typing import FloatArray, IntArray


class RegistryAnalyst(Analyst):
    """Forecasts with the analysts of a registry.

    The first of its analysts is naive persistence, for symbols that the registry does not know.
    """

    settings_class = RegistrySettings
    settings: RegistrySettings

    def __init__(self, settings: RegistrySettings) -> None:
        """Build the analysts, unfitted."""
        super().__init__(settings)
        self._adopt([make_analyst(item) for item in settings.inner])
        self._place = {symbol: place for place, item in enumerate(settings.chosen, 1) for symbol in item.symbols}

    def _adopt(self, analysts: list[Analyst]) -> None:
        self._analysts = analysts
        self.fields = tuple(dict.fromkeys(name for item in analysts for name in item.fields))
        cutoffs = [item.knowledge_cutoff for item in analysts if item.knowledge_cutoff is not None]
        # They were the best of many on these sessions: what they forecast there flatters, as if they had seen it.
        self.knowledge_cutoff = max([*cutoffs, pd.Timestamp(self.settings.chosen_until)])

    @property
    def min_history(self) -> int:
        """The most that one of the analysts needs; see the base class."""
        return max(item.min_history for item in self._analysts)

    def fit(self, market: Market) -> Self:
        """Fit every analyst on the whole market."""
        for item in self._analysts:
            item.fit(market)
        # Some know only now what they read.
        self._adopt(self._analysts)
        self.is_fitted = True
        self.notes = tuple(dict.fromkeys(note for item in self._analysts for note in item.notes))
        unknown = [symbol for symbol in market.symbols if symbol not in self._place]
        if unknown:
            self.notes += (f"{self.settings.label} has no best analyst for {', '.join(unknown)}: naive persistence",)
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window with the analyst of its symbol; quantiles are brought to common levels."""
        self.require_fitted()
        shape = (len(contexts), len(self.horizons))
        mean, quantiles = np.empty(shape), np.empty((*shape, len(DEFAULT_LEVELS)))
        owner = np.array([self._place.get(symbol, 0) for symbol in contexts.symbols])
        for place in np.unique(owner):
            rows = np.flatnonzero(owner == place)
            found = self._analysts[place].predict(_cut(contexts, rows, self._analysts[place]))
            columns = [found.horizons.index(horizon) for horizon in self.horizons]
            mean[rows] = found.mean[:, columns]
            quantiles[rows] = bring_to_levels(found.quantiles[:, columns], found.levels)
        return Forecast(self.horizons, DEFAULT_LEVELS, mean, quantiles)

    def _save_weights(self, folder: Path) -> None:
        for place, item in enumerate(self._analysts):
            item.save_pretrained(folder / f"analyst-{place}")

    def _load_weights(self, folder: Path) -> None:
        kinds = [item.kind for item in self.settings.inner]
        self._adopt(
            [ANALYSTS.load(kind).from_pretrained(folder / f"analyst-{place}") for place, kind in enumerate(kinds)]
        )
        for item, told in zip(self._analysts, self.settings.inner, strict=True):
            if item.settings != told:
                raise CheckpointError(
                    f"{folder} holds a '{item.settings.kind}' with other settings than it was saved with"
                )


def bring_to_levels(
    quantiles: FloatArray, levels: tuple[float, ...], wanted: tuple[float, ...] = DEFAULT_LEVELS
) -> FloatArray:
    """Return quantiles at other levels, `[..., Q']`: linear in the normal score of the level, straight on at the ends.

    A normal distribution is met exactly.

    Args:
        quantiles: `[..., Q]`, not decreasing along Q; with a single level all others are that one.
        levels: `[Q]`, ascending.
        wanted: `[Q']`.
    """
    if levels == wanted:
        return quantiles
    if len(levels) == 1:
        return np.repeat(quantiles, len(wanted), axis=-1)
    have, want = ndtri(np.asarray(levels)), ndtri(np.asarray(wanted))
    low = np.clip(np.searchsorted(have, want, side="right") - 1, 0, len(levels) - 2)
    share = (want - have[low]) / (have[low + 1] - have[low])
    return np.asarray(quantiles[..., low] * (1 - share) + quantiles[..., low + 1] * share)


def _cut(contexts: Contexts, rows: IntArray, analyst: Analyst) -> Contexts:
    """Return some windows as long, and with the fields, that an analyst reads."""
    fields = [contexts.fields.index(name) for name in analyst.fields]
    length = analyst.context_length
    return replace(
        contexts,
        values=contexts.values[rows][:, -length:][:, :, fields],
        fields=tuple(analyst.fields),
        symbols=tuple(contexts.symbols[row] for row in rows),
        dates=contexts.dates[rows],
        timestamps=contexts.timestamps[rows][:, -length:],
    )
