"""Forecasts of companies that were never learnt from, refitted forward.

Axes legend: T dates, N symbols, R reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from alfred.analysts.extractors.settings import HeadName
from alfred.analysts.fundamentals.analyst import FundamentalsAnalyst
from alfred.analysts.fundamentals.settings import FundamentalsAnalystSettings
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.data.point_in_time.fundamentals import REPORT_AGE
from alfred.data.point_in_time.members import find_members
from alfred.data.signals import Signals, SignalSpec
from alfred.training.quarterly.settings import QuarterlySettings
from alfred.training.quarterly.universe import Sides
from alfred.typing import Float

SCORE, RETURN = "score", "expected_return"
"""What strategies read: the normal score of the probability of a rise (0 is one half), and the mean log return."""

_PIECE = 512
_CERTAIN = 1e-6


@dataclass(frozen=True, eq=False)
class ReportForecasts:
    """One forecast a report, made on the session that learnt of it.

    Attributes:
        rows: Session, `[R]`.
        columns: Symbol, `[R]`.
        probability: Of a rise over the horizon, `[R]`.
        mean: Expected log return, `[R]`.
        trained: Row of the last session that its network had read, `[R]`.
    """

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    probability: Float
    mean: Float
    trained: npt.NDArray[np.int64]


def forecast_reports(
    market: Market,
    sides: Sides,
    settings: QuarterlySettings,
    head: HeadName,
    progress: Callable[[int], None] = lambda _done: None,
) -> tuple[ReportForecasts, tuple[str, ...]]:
    """Train on one side and forecast the other, from the split on.

    Each training reads the companies that are learnt from up to its date, and nothing else; the forecasts that stand at
    the split are made by the first.

    Args:
        market: Up to the end of the test, with all symbols.
        sides: Who is learnt from, and who is forecast.
        settings: The experiment.
        head: What is forecast.
        progress: Told how many networks are trained.

    Returns:
        The forecasts in order of date, and notes of the analyst.

    Raises:
        DataError: There are too few reports to learn from, or a column is missing or does not move.
    """
    learnt, judged = market.select(sides.train), market.select(sides.evaluate)
    rows, columns = _find_rows(judged, sides, settings)
    first = int(market.dates.searchsorted(sides.split))
    step = settings.refit_every_days or market.n_dates
    probability, mean = np.zeros(len(rows)), np.zeros(len(rows))
    trained = np.zeros(len(rows), dtype=np.int64)
    notes: dict[str, None] = {}
    done = 0
    for fit_row in range(first, market.n_dates - 1, step):
        block = np.flatnonzero((rows > fit_row) & (rows <= fit_row + step))
        trained[block] = fit_row
        for seed in range(settings.n_seeds):
            if len(block):
                # The forecasts of a session never reach past it, and neither does the training.
                analyst = FundamentalsAnalyst(specialise(settings, head, seed))
                analyst.fit(learnt.until(market.dates[fit_row]).copy())
                notes |= dict.fromkeys(analyst.notes)
                up, expected = _predict(analyst, judged, rows[block], columns[block])
                probability[block] += up / settings.n_seeds
                mean[block] += expected / settings.n_seeds
            done += 1
            progress(done)
    return ReportForecasts(rows, columns, probability, mean, trained), tuple(notes)


def count_trainings(market: Market, sides: Sides, settings: QuarterlySettings) -> int:
    """Return how many networks `forecast_reports` trains."""
    first = int(market.dates.searchsorted(sides.split))
    return len(range(first, market.n_dates - 1, settings.refit_every_days or market.n_dates)) * settings.n_seeds


def specialise(settings: QuarterlySettings, head: HeadName, seed: int = 0) -> FundamentalsAnalystSettings:
    """Return the settings of the analyst with one head."""
    loss = settings.analyst.loss if head == settings.analyst.head else None
    raw = {**settings.analyst.model_dump(), "head": head, "loss": loss, "name": head}
    return FundamentalsAnalystSettings.model_validate({**raw, "seed": settings.analyst.seed + seed})


def spread_forecasts(
    judged: Market, found: ReportForecasts, sides: Sides, head: HeadName, settings: QuarterlySettings
) -> Signals:
    """Return the forecasts as they stand on every session after the split, `[T, N, 2]`.

    A forecast stands from the session that learnt of its report until the next report is known, or it lapses; on
    sessions without one the signals are NaN, and so they are for a symbol that is no member of the universe then.
    """
    first = int(judged.dates.searchsorted(sides.split)) + 1
    shape = (judged.n_dates - first, judged.n_symbols, 2)
    values = np.full(shape, np.nan, dtype=np.float32)
    trained = np.full(shape[0], judged.dates[first - 1].to_datetime64(), dtype="datetime64[s]")
    age, dates = judged.field(REPORT_AGE), judged.dates.to_numpy().astype("datetime64[s]")
    score = ndtri(np.clip(found.probability, _CERTAIN, 1 - _CERTAIN))
    for place in range(len(found.rows)):
        row, column = int(found.rows[place]), int(found.columns[place])
        stop = min(row + settings.analyst.stale_after_days, judged.n_dates)
        begun = age[row, column]
        stands = age[row:stop, column] == begun + np.arange(stop - row)
        stands &= age[row:stop, column] < settings.analyst.stale_after_days
        until = row + (int(np.argmin(stands)) if not stands.all() else len(stands))
        values[row - first : until - first, column] = score[place], found.mean[place]
        trained[row - first :] = np.maximum(trained[row - first :], dates[found.trained[place]])
    values[~find_members(judged)[first:]] = np.nan
    specs = [SignalSpec(head, name, settings.horizon) for name in (SCORE, RETURN)]
    return Signals(
        dates=judged.dates[first:],
        symbols=judged.symbols,
        names=tuple(spec.name for spec in specs),
        values=values,
        trained_until=trained,
        horizons=tuple(spec.horizon for spec in specs),
    )


def join_signals(parts: list[Signals]) -> Signals:
    """Put the signals of several heads beside each other."""
    return replace(
        parts[0],
        names=tuple(name for part in parts for name in part.names),
        values=np.concatenate([part.values for part in parts], axis=2),
        trained_until=np.concatenate([part.trained_until for part in parts], axis=1),
        horizons=tuple(horizon for part in parts for horizon in part.horizons),
    )


def find_outcomes(judged: Market, found: ReportForecasts, settings: QuarterlySettings) -> Float:
    """Return the log return over the horizon after each report, `[R]`.

    It is NaN where it is not known, and for the forecasts that stood at the split: their horizon began before.
    """
    close = pd.DataFrame(judged.close).ffill().to_numpy(dtype=np.float64)
    later = found.rows + settings.horizon
    inside = later < judged.n_dates
    later = np.minimum(later, judged.n_dates - 1)
    outcome = np.log(close[later, found.columns] / close[found.rows, found.columns])
    fresh = judged.field(REPORT_AGE)[found.rows, found.columns] == 0
    return np.where(inside & fresh, outcome, np.nan)


def _find_rows(
    judged: Market, sides: Sides, settings: QuarterlySettings
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where forecasts are made: on the first session after the split, and on each that learns of a report."""
    first = int(judged.dates.searchsorted(sides.split)) + 1
    age = judged.field(REPORT_AGE)
    made = age == 0
    made[:first] = False
    made[first] |= age[first] < settings.analyst.stale_after_days
    rows, columns = np.nonzero(made & judged.tradable & find_members(judged))
    return rows.astype(np.int64), columns.astype(np.int64)


def _predict(
    analyst: FundamentalsAnalyst, judged: Market, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> tuple[Float, Float]:
    """Return the probability of a rise and the mean log return over the shortest horizon, each `[R]`."""
    parts = []
    for start in range(0, len(rows), _PIECE):
        piece = slice(start, start + _PIECE)
        # Cut at the last session of the piece: no window can reach past its own.
        visible = judged.until(judged.dates[int(rows[piece].max())])
        windows = make_contexts(
            visible, rows[piece], columns[piece], length=analyst.context_length, fields=analyst.fields
        )
        forecast = analyst.predict(windows)
        parts.append(np.stack([forecast.probability_up()[:, 0], forecast.mean[:, 0]]))
    up, mean = np.concatenate(parts, axis=1)
    return up, mean
