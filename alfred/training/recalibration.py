"""From the forecasts of a walk to its signals: calibrated in passing, piece by piece."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.analysts.calibration.calibrator import Calibrator
from alfred.analysts.forecast import Forecast, list_signals
from alfred.analysts.settings import AnalystSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.errors import DataError, SignalError
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.training.pieces import Piece
from alfred.training.provenance.cache import Grid
from alfred.typing import Float


class Recorder:
    """Keeps the calibrated forecasts of a walk, to be judged later.

    Axes legend: R rows of a piece, T dates, N symbols, H horizons, Q quantile levels.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._levels: tuple[float, ...] = ()
        self._dates: list[pd.DatetimeIndex] = []
        self._means: list[npt.NDArray[np.float32]] = []
        self._quantiles: list[npt.NDArray[np.float32]] = []

    def add(self, dates: pd.DatetimeIndex, levels: tuple[float, ...], mean: Float, quantiles: Float) -> None:
        """Take the forecasts of some dates, after all that were taken before: `[R, N, H]` and `[R, N, H, Q]`."""
        self._levels = levels
        self._dates.append(dates)
        self._means.append(mean.astype(np.float32))
        self._quantiles.append(quantiles.astype(np.float32))

    def build(self, signals: Signals, horizons: tuple[int, ...]) -> ForecastRecord:
        """Return what was kept, stamped with the dates of the models behind the signals of the same walk.

        Raises:
            DataError: No date had a forecast.
        """
        if not self._dates:
            raise DataError(
                f"'{signals.analysts[0]}' forecast nothing: no symbol has the history that its context_length asks for"
            )
        dates = self._dates[0].append(self._dates[1:])
        return ForecastRecord(
            dates=dates,
            symbols=signals.symbols,
            horizons=horizons,
            levels=self._levels,
            mean=np.concatenate(self._means),
            quantiles=np.concatenate(self._quantiles),
            trained_until=signals.trained_until[signals.dates.get_indexer(dates), 0],
        )


class Recalibration:
    """Turns the pieces of one analyst's walk, in the order of their rows, into signals.

    One calibrator goes along with the walk, over all refits. It is shown each session once, from a market that is cut
    at the end of the piece, and keeps what it needs of the past: at no time does memory hold more forecasts than one
    piece and those whose outcomes are open, whatever the length of the walk.
    """

    def __init__(self, settings: AnalystSettings, n_symbols: int, recorder: Recorder | None = None) -> None:
        """Start before the first session of the market; a recorder keeps what is made."""
        self._settings, self._n_symbols, self._recorder = settings, n_symbols, recorder
        self._calibrator: Calibrator | None = None
        self._levels: tuple[float, ...] | None = None
        self._next = 0

    def make_signals(self, window: Market, rows: npt.NDArray[np.int64], piece: Piece) -> Grid:
        """Return the signals of a piece, `[R, N, K]`, as `list_signals` names them.

        Args:
            window: The market, cut at the last of the rows.
            rows: Rows of the market that were forecast, ascending and after those of all earlier pieces, `[R]`.
            piece: Their forecasts.

        Raises:
            SignalError: The quantile levels are not those of the earlier pieces.
        """
        self._levels = self._levels or piece.levels
        if piece.levels != self._levels:
            raise SignalError(
                f"'{self._settings.label}' forecasts the quantiles {piece.levels} from {window.dates[rows[0]].date()} "
                f"on and {self._levels} before; an analyst must keep to its levels"
            )
        values = piece.values.astype(np.float64)
        mean, quantiles = values[..., 0], values[..., 1:]
        if self._settings.calibration.kind != "none":
            self._calibrate(window, rows, mean, quantiles)
        if self._recorder is not None:
            self._recorder.add(window.dates[rows], piece.levels, mean, quantiles)
        answered = np.isfinite(piece.values).any(axis=(2, 3))
        names, _ = list_signals(self._settings)
        signals = np.full((*answered.shape, len(names)), np.nan, dtype=np.float32)
        forecast = Forecast(self._settings.horizons, piece.levels, mean[answered], quantiles[answered])
        columns = [forecast.to_signals()] if self._settings.offers_forecast else []
        signals[answered] = np.concatenate([*columns, piece.components[answered]], axis=1)
        return signals

    def _calibrate(self, window: Market, rows: npt.NDArray[np.int64], mean: Float, quantiles: Float) -> None:
        """Replace mean `[R, N, H]` and quantiles `[R, N, H, Q]` by calibrated ones, each row by what it may know."""
        calibrator = self._calibrator
        if calibrator is None:
            settings = self._settings
            calibrator = Calibrator(settings.calibration, settings.horizons, self._levels or (), self._n_symbols)
            self._calibrator = calibrator
        for place, row in enumerate(rows):
            for session in range(self._next, int(row) + 1):
                close = np.where(window.tradable[session], window.close[session], np.nan)
                calibrator.observe(np.log(close.astype(np.float64)))
            self._next = int(row) + 1
            if np.isfinite(mean[place]).any():
                mean[place], quantiles[place] = calibrator.calibrate(mean[place], quantiles[place])
