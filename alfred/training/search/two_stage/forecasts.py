"""Forecasts that nobody fitted on: of one fold in the first stage, walk-forward in the second.

Axes legend: T dates, N symbols, R rows, K signals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.analysts.forecast import Forecast, list_signals
from alfred.analysts.settings import AnalystSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.errors import DataError
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.training.forecasting import forecast_walk_forward
from alfred.training.pieces import fit_analyst, predict_rows
from alfred.training.search.two_stage.scoring import FoldScore, find_call, score_forecasts
from alfred.training.search.two_stage.segments import ModelFold, Segments, cut_copy
from alfred.training.search.two_stage.settings import TwoStageSettings
from alfred.typing import FloatArray


@dataclass(frozen=True, eq=False)
class FoldForecast:
    """What a model that was fitted before a fold says about its calibration and validation.

    Attributes:
        score: Its score on the validation.
        signals: All its signals from the first session of the calibration on, unscaled.
        call: Probability above which a rise is called.
    """

    score: FoldScore
    signals: Signals
    call: float


def name_probability(settings: AnalystSettings, horizon: int) -> str:
    """Return the name of the signal that strategies trade on: the probability of a rise, less one half."""
    return f"{settings.label}.probability_up_{horizon}"


def forecast_fold(market: Market, settings: AnalystSettings, fold: ModelFold, horizon: int) -> FoldForecast:
    """Fit a model on the past of a fold, calibrate its calls on the tail of the training range, score what comes after.

    Args:
        market: The searched part that the first stage may see.
        settings: The model.
        fold: The fold.
        horizon: Sessions ahead that are scored; an outcome later than the last session of the fold does not count.

    Raises:
        DataError: The model cannot be fitted on the fold, or forecasts nothing there.
    """
    end = fold.validation[1]
    seen = cut_copy(market, end)
    analyst = fit_analyst(settings, cut_copy(market, fold.fit_end))
    first = int(seen.dates.searchsorted(fold.calibration[0]))
    rows = np.arange(first, seen.n_dates)
    piece = predict_rows(analyst, seen, rows)
    if piece is None:
        raise DataError(
            f"'{settings.label}' forecasts nothing between {fold.calibration[0].date()} and {end.date()}: no symbol "
            f"has {analyst.min_history} sessions of history; shorten context_length"
        )
    answered = np.isfinite(piece.values).any(axis=(2, 3))
    values = piece.values[answered].astype(np.float64)
    forecast = Forecast(settings.horizons, piece.levels, values[..., 0], values[..., 1:])
    names, horizons = list_signals(settings)
    panel = np.full((*answered.shape, len(names)), np.nan, dtype=np.float32)
    columns = [forecast.to_signals()] if settings.offers_forecast else []
    panel[answered] = np.concatenate([*columns, piece.components[answered]], axis=1)
    probability = np.full(answered.shape, np.nan)
    probability[answered] = forecast.probability_up()[:, settings.horizons.index(horizon)]
    dates = seen.dates[rows]
    signals = Signals(
        dates=dates,
        symbols=seen.symbols,
        names=names,
        values=panel,
        trained_until=np.full(len(dates), fold.fit_end.to_datetime64()),
        horizons=horizons,
    )
    call = find_call(*_pair(seen.until(fold.calibration[1]), dates, probability, fold.calibration, horizon))
    score = score_forecasts(*_pair(seen, dates, probability, fold.validation, horizon), call, horizon)
    return FoldForecast(score, signals, call)


def forecast_later(
    market: Market,
    settings: AnalystSettings,
    segments: Segments,
    search: TwoStageSettings,
    cache: Path | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Signals:
    """Forecast walk-forward from shortly before the second stage to the end of a market.

    Each row comes from a model that was fitted before it; models are refitted every `refit_every_days`.

    Args:
        market: Cut at the end of the part that is wanted.
        settings: The model.
        segments: Where the second stage begins.
        search: How many sessions before it are forecast as well.
        cache: Folder that keeps finished pieces, so that a killed search goes on.
        progress: Told the sessions done so far.
    """
    start = segments.strategy_folds[0][0] if segments.strategy_folds else segments.locked[0]
    first = int(market.dates.searchsorted(start)) - search.warm_up_days
    schedule = ForecastSettings(
        min_train_days=max(first, 2), refit_every_days=segments.refit_every_days, forecast_every_days=1, cache=cache
    )
    own = settings.model_copy(update={"refit_every_days": None, "forecast_every_days": None})
    return forecast_walk_forward(market, own, schedule, progress)


def _pair(
    market: Market, dates: pd.DatetimeIndex, probability: FloatArray, between: tuple[pd.Timestamp, pd.Timestamp], h: int
) -> tuple[FloatArray, FloatArray]:
    """Return probabilities and outcomes of the symbols that may be held, on the sessions of a range, `[R, U]` each."""
    rows = np.flatnonzero((dates >= between[0]) & (dates <= between[1]))
    universe = [market.index_of(symbol) for symbol in market.universe]
    outcome = compute_realised_returns(market, dates[rows], market.universe, h)
    return probability[rows][:, universe], outcome
