"""Many paired changes judged as one family: resampled histories of what each session adds to them.

A change (of a Sharpe ratio, a loss, an F1) is known with the influence of every session on it. Its mean over resampled
blocks, over a standard error from the same blocks, is what the change would show by luck; the largest of all of them in
each history decides what is credible (Romano and Wolf, 2005).

Axes legend: T sessions, M changes, R replicates.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.sharpe_bootstrap import adjust_p_values, draw_blocks, sum_blocks
from alfred.typing import FloatArray

# Blocks that a resampled history has at least: fewer cannot tell its standard error.
_FEWEST_BLOCKS = 20
_STILL = 1e-9

Credible = Literal["helps", "hurts", "no credible change"]


class PairedChange(NamedTuple):
    """One change with its uncertainty.

    Attributes:
        value: With less without; more is better.
        low: Lower end of an interval that holds the truth together with all others of the family. The verdict follows
            the p-value, which steps down from one change to the next and finds a little more than the interval.
        high: Upper end.
        p: Two-sided p-value of no change after all comparisons; 1 where nothing changes at all.
        verdict: What is credible at the level of the intervals.
    """

    value: float
    low: float
    high: float
    p: float
    verdict: Credible


def judge_changes(
    values: FloatArray,
    influence: FloatArray,
    settings: IntervalSettings,
    *,
    horizon: int = 1,
    spread: FloatArray | None = None,
) -> list[PairedChange]:
    """Judge changes as one family.

    Args:
        values: The changes, more is better, `[M]`.
        influence: What every session adds to each, such that its mean is the error of the change, `[T, M]`.
        settings: How the intervals are made.
        horizon: Sessions that an outcome spans: no block is shorter.
        spread: Standard error of each change that does not come from the sessions, such as that of random shifts,
            `[M]`; none when left out.

    Returns:
        One entry a change. What does not move, or a history with too few blocks to say so, is no credible change.
    """
    n_dates = len(influence)
    centred = influence - influence.mean(axis=0) if n_dates else influence
    moving = np.asarray(np.abs(centred).max(axis=0, initial=0.0) > _STILL) & np.isfinite(values)
    # A whole family shares its blocks. The length that one series asks for is an estimate, and the longest of a hundred
    # of them is long by luck: their median is not.
    lengths = [compute_block_lengths(centred[:, place]).circular for place in np.flatnonzero(moving)]
    block = max(horizon, min(round(float(np.median(lengths or [1.0]))), n_dates // _FEWEST_BLOCKS))
    if not moving.any() or n_dates // block < _FEWEST_BLOCKS:
        return [_stay(float(value)) for value in values]
    sums = sum_blocks(centred[:, moving], block)
    # The variance of a mean of T sessions from all circular blocks.
    error = np.sqrt((sums**2).mean(axis=0) / (block * n_dates))
    extra = np.zeros(len(error)) if spread is None else np.asarray(spread, dtype=np.float64)[moving]
    whole = np.sqrt(error**2 + extra**2)
    starts = draw_blocks(n_dates, block, settings.n_replicates, np.random.default_rng(settings.seed))
    resampled = _studentise(sums, starts)
    adjusted = adjust_p_values(values[moving] / whole, resampled)
    # Each side by itself, as p-values have it.
    sides = (resampled.max(axis=1), -resampled.min(axis=1))
    critical = max(float(np.quantile(side, (1.0 + settings.level) / 2.0)) for side in sides)
    found = [_stay(float(value)) for value in values]
    for place, own, p in zip(np.flatnonzero(moving), whole, adjusted, strict=True):
        value, half = float(values[place]), critical * float(own)
        credible = p < 1.0 - settings.level
        verdict: Credible = "no credible change" if not credible else "helps" if value > 0 else "hurts"
        found[place] = PairedChange(value, value - half, value + half, float(p), verdict)
    return found


def _stay(value: float) -> PairedChange:
    known = value if np.isfinite(value) else 0.0
    return PairedChange(known, known, known, 1.0, "no credible change")


def _studentise(sums: FloatArray, starts: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> FloatArray:
    """Return the mean over the chosen blocks in its own standard errors, `[R, M]`."""
    n_blocks = starts.shape[1]
    first = np.empty((len(starts), sums.shape[1]))
    second = np.empty_like(first)
    for row, chosen in enumerate(starts):
        picked = sums[chosen]
        first[row], second[row] = picked.mean(axis=0), (picked**2).mean(axis=0)
    # Blocks are independent: their mean has the variance of one over their number.
    error = np.sqrt(np.maximum(second - first**2, _STILL**2) / max(n_blocks - 1, 1))
    return np.asarray(first / error)
