"""Kronos: a foundation model of candles, written from its published facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.lazy import import_on_use

if TYPE_CHECKING:
    from alfred.analysts.kronos.analyst import KronosAnalyst, KronosEnsemble
    from alfred.analysts.kronos.candles import Candles
    from alfred.analysts.kronos.checkpoint import KronosPair, load_pair, save_pair
    from alfred.analysts.kronos.forecaster import KronosForecast, KronosForecaster
    from alfred.analysts.kronos.settings import KronosEnsembleSettings, KronosSettings

__all__ = [
    "Candles",
    "KronosAnalyst",
    "KronosEnsemble",
    "KronosEnsembleSettings",
    "KronosForecast",
    "KronosForecaster",
    "KronosPair",
    "KronosSettings",
    "load_pair",
    "save_pair",
]

__getattr__ = import_on_use(
    __name__,
    {
        "Candles": "alfred.analysts.kronos.candles",
        "KronosAnalyst": "alfred.analysts.kronos.analyst",
        "KronosEnsemble": "alfred.analysts.kronos.analyst",
        "KronosEnsembleSettings": "alfred.analysts.kronos.settings",
        "KronosForecast": "alfred.analysts.kronos.forecaster",
        "KronosForecaster": "alfred.analysts.kronos.forecaster",
        "KronosPair": "alfred.analysts.kronos.checkpoint",
        "KronosSettings": "alfred.analysts.kronos.settings",
        "load_pair": "alfred.analysts.kronos.checkpoint",
        "save_pair": "alfred.analysts.kronos.checkpoint",
    },
)
