"""How good forecasts were on each date, so that what changes without an input can be judged.

Axes legend: T dates, N symbols, H horizons, V variants: the forecasts as they are, and without something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.evaluation.ablation import Ablated, Change, Measure, Way
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.paired import judge_changes
from alfred.training.blending.panels import measure_volatility
from alfred.typing import Float, FloatArray

# No F1: it rewards calling a rise more often, even of what never falls and never rises.
_MEASURES: tuple[Measure, ...] = ("loss", "balanced accuracy")


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happened after the dates that are judged.

    Attributes:
        horizons: Sessions ahead, `[H]`.
        returns: Log returns, `[T, N, H]`; NaN where unknown.
        unit: Volatility over the horizon, known at the date, `[T, N, H]`.
        step: Sessions from one judged date to the next.
    """

    horizons: tuple[int, ...]
    returns: Float
    unit: Float
    step: int = 1

    @property
    def overlaps(self) -> tuple[int, ...]:
        """Judged dates that an outcome of each horizon spans, `[H]`."""
        return tuple(-(-horizon // self.step) for horizon in self.horizons)


@dataclass(frozen=True, eq=False)
class Scores:
    """Sums over symbols of each date, whose ratios are loss and balanced accuracy.

    Attributes:
        loss: Squared errors of the expected return in units of volatility, `[T, H]`.
        count: Pairs, `[T, H]`.
        rises: Rises, `[T, H]`; all other outcomes are falls.
        hits: Rises that were called, `[T, H]`.
        rejections: Falls that were not called a rise, `[T, H]`.
    """

    loss: Float
    count: Float
    rises: Float
    hits: Float
    rejections: Float


@dataclass(frozen=True, eq=False)
class Taken:
    """What forecasts were without one input.

    Attributes:
        name: The input.
        way: How it was taken away.
        scores: One entry a random draw.
    """

    name: str
    way: Way
    scores: Sequence[Scores]


def read_outcomes(market: Market, dates: pd.DatetimeIndex, horizons: Sequence[int]) -> Outcomes:
    """Return what happened after some dates; the market ends where outcomes may be known until.

    Args:
        market: The market.
        dates: Sessions that are judged, `[T]`.
        horizons: Sessions ahead, `[H]`.
    """
    rows = market.dates.get_indexer(dates)
    daily = measure_volatility(market)[rows]
    returns = [compute_realised_returns(market, dates, market.symbols, horizon) for horizon in horizons]
    units = [daily * np.sqrt(horizon) for horizon in horizons]
    step = int(np.diff(rows).min(initial=max(horizons)))
    return Outcomes(tuple(horizons), np.stack(returns, axis=2), np.stack(units, axis=2), max(step, 1))


def score(mean: FloatArray, outcomes: Outcomes) -> Scores:
    """Return the scores of expected log returns `[T, N, H]`; NaN where there is none."""
    known = np.isfinite(mean) & np.isfinite(outcomes.returns) & np.isfinite(outcomes.unit)
    with np.errstate(invalid="ignore"):
        error = np.where(known, (outcomes.returns - mean) / outcomes.unit, 0.0)
        called, rose = known & (mean > 0), known & (outcomes.returns > 0)
    return Scores(
        loss=(error**2).sum(axis=1),
        count=known.sum(axis=1).astype(np.float64),
        rises=rose.sum(axis=1).astype(np.float64),
        hits=(called & rose).sum(axis=1).astype(np.float64),
        rejections=(known & ~called & ~rose).sum(axis=1).astype(np.float64),
    )


def judge_taken(truth: Scores, taken: Sequence[Taken], outcomes: Outcomes, settings: IntervalSettings) -> list[Ablated]:
    """Judge loss and balanced accuracy without each input, all of them as one family.

    Balanced accuracy is the mean of the shares of rises and of falls that were called so. It is a half for forecasts
    that know nothing, whichever way they lean.

    Args:
        truth: Scores of the forecasts as they are.
        taken: Those without something.
        outcomes: What they were scored on.
        settings: How the intervals are made.
    """
    labels: list[tuple[str, Way, Measure, int]] = []
    values, columns, spreads, overlaps = [], [], [], []
    for item in taken:
        for place, horizon in enumerate(outcomes.horizons):
            for measure in _MEASURES:
                own, own_influence = _measure(truth, measure, place)
                parts = [_measure(scores, measure, place) for scores in item.scores]
                others = np.array([value for value, _ in parts])
                sign = -1.0 if measure == "loss" else 1.0
                labels.append((item.name, item.way, measure, horizon))
                overlaps.append(outcomes.overlaps[place])
                values.append(sign * (own - float(others.mean())))
                columns.append(sign * (own_influence - np.mean([influence for _, influence in parts], axis=0)))
                n = len(others)
                spreads.append(float(np.sqrt(others.var(ddof=1) * (1.0 + 1.0 / n))) if n > 1 else 0.0)
    tests = judge_changes(
        np.array(values), np.stack(columns, axis=1), settings, horizon=overlaps, spread=np.array(spreads)
    )
    changes: dict[str, list[Change]] = {item.name: [] for item in taken}
    for (name, way, measure, horizon), test in zip(labels, tests, strict=True):
        changes[name].append(Change.from_test(way, measure, horizon, test))
    return [Ablated(name, tuple(found)) for name, found in changes.items()]


def _measure(scores: Scores, measure: Measure, place: int) -> tuple[float, Float]:
    """Return a measure at one horizon and the influence of every date on it, `[T]`; NaN where there is none."""
    count, rises = scores.count[:, place], scores.rises[:, place]
    if measure == "loss":
        return _divide(scores.loss[:, place], count)
    rise, rise_influence = _divide(scores.hits[:, place], rises)
    fall, fall_influence = _divide(scores.rejections[:, place], count - rises)
    return (rise + fall) / 2.0, (rise_influence + fall_influence) / 2.0


def _divide(top: Float, bottom: Float) -> tuple[float, Float]:
    """Return a ratio of sums over dates and the influence of every date on it, `[T]`."""
    if bottom.sum() == 0:
        return float("nan"), np.zeros(len(top))
    value = float(top.sum() / bottom.sum())
    return value, (top - value * bottom) / float(bottom.mean())
