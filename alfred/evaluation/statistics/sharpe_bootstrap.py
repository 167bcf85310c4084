"""Resampled histories of Sharpe differences, each in units of its own standard error, and what they decide together.

Ledoit and Wolf (2008) bootstrap the studentised difference: it forgets scale, so that its quantiles are right to a
higher order than those of the plain difference. Romano and Wolf (2005) take the largest of many such statistics in each
history, which controls the chance of even one false gain in a whole table.

Axes legend: T dates, S series, M pairs, R replicates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alfred.jit import jit
from alfred.typing import FloatArray

_ROUNDING = 1e-12


def draw_blocks(n_dates: int, block: int, n_replicates: int, generator: np.random.Generator) -> npt.NDArray[np.int32]:
    """Draw the first rows of the blocks of circular block bootstrap replicates, `[R, T // block]`.

    Blocks start anywhere with equal chance and wrap around the end of the sample (Politis and Romano, 1992).

    Args:
        n_dates: Length T of the series.
        block: Rows in a block.
        n_replicates: Replicates R.
        generator: Source of randomness.
    """
    return generator.integers(0, n_dates, (n_replicates, max(n_dates // block, 1)), dtype=np.int32)


def sum_blocks(values: FloatArray, block: int) -> FloatArray:
    """Return the sum of the `block` rows from each row on, wrapped around the end, `[T, ...]`."""
    wrapped = np.concatenate([values, values[: block - 1]]) if block > 1 else values
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(wrapped, axis=0)])
    return np.asarray(total[block:] - total[:-block])


def studentise_differences(
    returns: FloatArray, pairs: Sequence[tuple[int, int]], starts: npt.NDArray[np.int32], block: int
) -> FloatArray:
    """Return what the test statistic of each Sharpe difference shows in resampled histories, `[R, M]`.

    In each history, the difference of daily Sharpe ratios less the sample's own, over a standard error that is
    computed from the blocks of that history. All of it comes from sums over the chosen blocks, so that the pairs share
    one pass. NaN where a series has no spread.

    Args:
        returns: Daily returns in excess of cash, `[T, S]`.
        pairs: Columns of strategy and baseline, M of them.
        starts: First rows of the blocks of each history, from `draw_blocks`.
        block: Rows in a block.
    """
    spread = returns.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = (returns - returns.mean(axis=0)) / spread
        ratio = returns.mean(axis=0) / spread
    own, other = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    # Sums over blocks of returns and of their squares, in standard deviations of the sample.
    first, second = sum_blocks(scaled, block), sum_blocks(scaled**2 - 1.0, block)
    pieces = [
        first,
        second,
        first**2,
        first * second,
        second**2,
        first[:, own] * first[:, other],
        first[:, own] * second[:, other],
        second[:, own] * first[:, other],
        second[:, own] * second[:, other],
    ]
    cuts = np.cumsum([piece.shape[1] for piece in pieces])[:-1]
    sums = _sum_chosen(np.concatenate(pieces, axis=1), starts)
    means = np.split(sums / starts.shape[1], cuts, axis=1)
    return _finish(means, ratio, own, other, block, starts.shape[1])


@jit
def _sum_chosen(columns: FloatArray, starts: npt.NDArray[np.int32]) -> FloatArray:
    """Return the sum of the chosen rows `[R, B]` of a table `[T, C]`, `[R, C]`."""
    sums = np.zeros((len(starts), columns.shape[1]))
    for replicate in range(len(starts)):
        for row in starts[replicate]:
            for column in range(columns.shape[1]):
                sums[replicate, column] += columns[row, column]
    return sums


def _finish(
    means: list[FloatArray],
    ratio: FloatArray,
    own: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
    block: int,
    n_blocks: int,
) -> FloatArray:
    """Return studentised differences from mean products of block sums."""
    a, b, aa, ab, bb, xx, xy, yx, yy = means
    shift, square = a / block, b / block
    with np.errstate(invalid="ignore", divide="ignore"):
        # Mean and standard deviation of the history, in those of the sample: shift and sqrt(1 + square - shift^2).
        deviation = np.sqrt(np.maximum(1.0 + square - shift**2, 0.0))
        deviation = np.where(deviation > 1e-6, deviation, np.nan)
        sharpe = (ratio + shift) / deviation
        # The influence of a row with return z and square z^2 is slope z + bend z^2 and a constant (delta method).
        bend = -sharpe / (2.0 * deviation**2)
        slope = 1.0 / deviation - 2.0 * bend * shift
        variance = slope**2 * (aa - a**2) + 2.0 * slope * bend * (ab - a * b) + bend**2 * (bb - b**2)
        i, j = own, other
        covariance = (
            slope[:, i] * slope[:, j] * (xx - a[:, i] * a[:, j])
            + slope[:, i] * bend[:, j] * (xy - a[:, i] * b[:, j])
            + bend[:, i] * slope[:, j] * (yx - b[:, i] * a[:, j])
            + bend[:, i] * bend[:, j] * (yy - b[:, i] * b[:, j])
        )
        joint = variance[:, i] + variance[:, j] - 2.0 * covariance
        # One block again and again has no variance: what its sums leave is rounding.
        size = slope**2 * aa + bend**2 * bb
        joint = np.where(joint > _ROUNDING * (size[:, i] + size[:, j]), joint, 0.0) / block
        error = np.sqrt(joint / (n_blocks * block))
        moved = (sharpe - ratio)[:, i] - (sharpe - ratio)[:, j]
        return np.asarray(moved / np.where(error > 0, error, np.nan))


def adjust_p_values(observed: FloatArray, resampled: FloatArray) -> FloatArray:
    """Return two-sided p-values after all comparisons, `[M]` (Romano and Wolf, 2005, StepM; 2016 for the p-values).

    On each side, the statistics are taken from the largest down, and each is held against the largest that the ones
    still left reach in the same resampled history. Dependence between the comparisons is kept, so that many rows that
    move together cost little. The smaller side counts twice.

    Args:
        observed: Studentised differences of the sample, `[M]`.
        resampled: Of resampled histories in which no true difference is left, `[R, M]`.
    """
    sides = []
    for sign in (1.0, -1.0):
        order = np.argsort(-sign * observed, kind="stable")
        left = np.maximum.accumulate(sign * resampled[:, order[::-1]], axis=1)[:, ::-1]
        exceeded = (left >= sign * observed[order]).sum(axis=0)
        values = np.empty(len(observed))
        values[order] = np.maximum.accumulate((1 + exceeded) / (1 + len(resampled)))
        sides.append(values)
    return np.minimum(1.0, 2.0 * np.minimum(*sides))
