"""Kronos: a foundation model of candles, written from its published facts."""

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
