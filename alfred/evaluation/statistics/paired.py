"""Many paired changes judged as one family: resampled histories of what each session adds to them.

A change (of a Sharpe ratio, a loss, a balanced accuracy) is known with the influence of every session on it. Its mean
over resampled blocks, over a standard error from the same blocks, is what the change would show by luck; the largest of
all of them in each history decides what is credible (White, 2000; Romano and Wolf, 2005, in one step, so that p-values
and intervals say the same).

Axes legend: T sessions, M changes, R replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.sharpe_bootstrap import draw_blocks, sum_blocks
from alfred.typing import BoolArray, Float, FloatArray

FEWEST_BLOCKS = 20
"""Blocks that a resampled history has at least, and so outcomes in a row that a test must hold: fewer cannot tell its
standard error."""
# Blocks of one outcome's span miss a third of the variance that overlapping adds, those of five a fifteenth.
_SPANS = 5
# Below this many blocks' worth of movement, resampled histories often hold none of it and say nothing.
_FEWEST_MOVES = 6.0
_STILL = 1e-9

Credible = Literal["helps", "hurts", "no credible change", "too short to say"]


class PairedChange(NamedTuple):
    """One change with its uncertainty.

    Attributes:
        value: With less without; more is better.
        low: Lower end of an interval that holds the truth together with all others of the family: above zero where the
            verdict is `helps`. NaN where the history is too short to say.
        high: Upper end: below zero where the verdict is `hurts`.
        p: Two-sided p-value of no change after all comparisons; 1 where nothing changes at all, NaN where the history
            is too short to say.
        verdict: What is credible at the level of the intervals.
    """

    value: float
    low: float
    high: float
    p: float
    verdict: Credible


class _Group(NamedTuple):
    """Changes that share their blocks."""

    places: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
    error: Float
    resampled: Float


def judge_changes(
    values: FloatArray,
    influence: FloatArray,
    settings: IntervalSettings,
    *,
    horizon: int | Sequence[int] = 1,
    spread: FloatArray | None = None,
) -> list[PairedChange]:
    """Judge changes as one family.

    Changes of one horizon share their resampled histories, so that their dependence is kept. Different horizons have
    blocks of their own and are resampled apart, as if they were independent: that costs a little power, and no level.

    Args:
        values: The changes, more is better, `[M]`; NaN where nothing is known.
        influence: What every session adds to each, such that its mean is the error of the change, `[T, M]`.
        settings: How the intervals are made.
        horizon: Sessions that an outcome spans, of all changes or of each, `[M]`: no block is shorter.
        spread: Standard error of each change that does not come from the sessions, such as that of random shifts,
            `[M]`; none when left out.

    Returns:
        One entry a change. What does not move at all is no credible change. What has fewer than 20 outcomes that do not
        overlap, or moves on a few sessions alone, is too short to say, and does not count in the family.
    """
    n_dates, n_changes = influence.shape
    spans = np.broadcast_to(np.asarray(horizon, dtype=np.int64), n_changes)
    extra = np.zeros(n_changes) if spread is None else np.asarray(spread, dtype=np.float64)
    known = np.isfinite(values)
    centred = influence - influence.mean(axis=0) if n_dates else influence
    moving = known & np.asarray(np.abs(centred).max(axis=0, initial=0.0) > _STILL)
    found = [
        _stay(float(value)) if fine else _cannot_say(float(value)) for value, fine in zip(values, known, strict=True)
    ]
    for place in np.flatnonzero(moving):
        found[place] = _cannot_say(float(values[place]))
    rng = np.random.default_rng(settings.seed)
    groups = [_resample(centred, moving & (spans == span), int(span), settings, rng) for span in np.unique(spans)]
    groups = [group for group in groups if len(group.places)]
    if not groups:
        return found
    places = np.concatenate([group.places for group in groups])
    whole = np.sqrt(np.concatenate([group.error for group in groups]) ** 2 + extra[places] ** 2)
    largest = np.max([group.resampled.max(axis=1) for group in groups], axis=0)
    smallest = np.max([-group.resampled.min(axis=1) for group in groups], axis=0)
    # Luck that lifts a change is what its lower end must allow for, and luck that lowers it its upper end.
    below, above = (_find_critical(side, settings.level) for side in (largest, smallest))
    for place, own in zip(places, whole.tolist(), strict=True):
        value = float(values[place])
        p = min(_exceed(largest, value / own), _exceed(smallest, -value / own))
        low, high = value - below * own, value + above * own
        verdict: Credible = "helps" if low > 0 else "hurts" if high < 0 else "no credible change"
        found[place] = PairedChange(value, low, high, min(1.0, 2.0 * p), verdict)
    return found


def _resample(
    centred: FloatArray, chosen: BoolArray, span: int, settings: IntervalSettings, rng: np.random.Generator
) -> _Group:
    """Return the changes of one span that can be judged, their standard errors and their resampled statistics."""
    n_dates = len(centred)
    places = np.flatnonzero(chosen)
    if not len(places) or n_dates // span < FEWEST_BLOCKS:
        return _Group(places[:0], np.zeros(0), np.zeros((settings.n_replicates, 0)))
    # The length that one series asks for is an estimate, and the longest of a hundred of them is long by luck: their
    # median is not.
    wished = float(np.median([compute_block_lengths(centred[:, place]).circular for place in places]))
    least = _SPANS * span if span > 1 else 1
    block = max(span, min(max(round(wished), least), n_dates // FEWEST_BLOCKS))
    sums = sum_blocks(centred[:, places], block)
    kept = _count_moves(sums, block) >= _FEWEST_MOVES
    places, sums = places[kept], sums[:, kept]
    starts = draw_blocks(n_dates, block, settings.n_replicates, rng)
    # The variance of a mean of T sessions from all circular blocks, and what these blocks miss of it.
    seen = _find_share(block, span) * (1.0 - block / n_dates)
    error = np.sqrt((sums**2).mean(axis=0) / (block * n_dates) / seen)
    return _Group(places, error, _studentise(sums, starts))


def _find_share(block: int, span: int) -> float:
    """Return the share of the variance that blocks see of outcomes that overlap.

    Sums of `span` independent returns have the autocorrelation 1 - k / span at lag k. Blocks weigh it by 1 - k / block
    (Bartlett), of which the sum is this share of the whole. It is exact where what is said of the outcomes does not
    change, and makes the error too large where it changes from day to day.
    """
    lags = np.arange(1, min(span, block))
    whole = 1.0 + 2.0 * float((1.0 - np.arange(1, span) / span).sum())
    return (1.0 + 2.0 * float(((1.0 - lags / block) * (1.0 - lags / span)).sum())) / whole


def _count_moves(sums: FloatArray, block: int) -> Float:
    """Return over how many blocks each change is spread, `[M]`: k where k of them move alike and the others rest."""
    apart = np.abs(sums - np.median(sums, axis=0))
    square = (apart**2).sum(axis=0)
    return np.asarray(apart.sum(axis=0) ** 2 / np.where(square > 0, square, np.inf) / block)


def _find_critical(largest: FloatArray, level: float) -> float:
    """Return the statistic above which the p-value of `_exceed` is small enough on one side."""
    allowed = int(np.ceil((1.0 - level) / 2.0 * (1 + len(largest)) - 1e-9)) - 2
    return float(np.sort(largest)[::-1][max(allowed, 0)])


def _exceed(largest: FloatArray, statistic: float) -> float:
    """Return how often luck reaches a statistic, the sample itself counted as one history."""
    return (1.0 + float((largest >= statistic).sum())) / (1.0 + len(largest))


def _stay(value: float) -> PairedChange:
    return PairedChange(value, value, value, 1.0, "no credible change")


def _cannot_say(value: float) -> PairedChange:
    return PairedChange(value, float("nan"), float("nan"), float("nan"), "too short to say")


def _studentise(sums: FloatArray, starts: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Float:
    """Return the mean over the chosen blocks in its own standard errors, `[R, M]`."""
    n_blocks = starts.shape[1]
    first = np.empty((len(starts), sums.shape[1]))
    second = np.empty_like(first)
    for row, chosen in enumerate(starts):
        picked = sums[chosen]
        first[row], second[row] = picked.mean(axis=0), (picked**2).mean(axis=0)
    # Blocks are independent: their mean has the variance of one over their number.
    error = np.sqrt(np.maximum(second - first**2, _STILL**2) / max(n_blocks - 1, 1))
    return np.asarray(first / error, dtype=np.float64)
