"""How good forecasts of a distribution are: pinball loss, CRPS, coverage, width, calibration.

Axes legend: T dates, N symbols, Q quantile levels. Quantiles are those of a log return, `[T, N, Q]` or any other shape
that ends in Q, and the outcome has the same shape without it. Pairs with a NaN are left out, and a measure without a
pair is NaN. Losses and widths are in log return.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from alfred.errors import DataError
from alfred.typing import Float, FloatArray

CENTRAL = 0.9
"""Share of outcomes that the customary interval should hold: from the level 0.05 to 0.95."""
N_BINS = 10
"""Bins of a PIT histogram."""

_NAN = float("nan")
_TOLERANCE = 1e-9


class DistributionScores(NamedTuple):
    """Forecasts of a distribution in numbers.

    Attributes:
        n: Pairs of a distribution and an outcome.
        pinball: Pinball loss, averaged over pairs and levels.
        pinball_by_level: The same by level, `[Q]`.
        crps: Continuous ranked probability score; see `make_crps_weights`.
        coverage: Share of outcomes in the central interval; NaN where its two levels are not there.
        width: Mean width of that interval.
        pit_histogram: Share of outcomes by bin of the forecast distribution, `[bins]`; equal where it is calibrated.
    """

    n: int
    pinball: float
    pinball_by_level: Float
    crps: float
    coverage: float
    width: float
    pit_histogram: Float


def compute_pinball_losses(quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float]) -> Float:
    """Return max(a (y - q_a), (a - 1) (y - q_a)) for every level a (Koenker and Bassett, 1978), `[T, N, Q]`."""
    _check(quantiles, outcome, levels)
    level = np.asarray(levels, dtype=np.float64)
    miss = np.asarray(outcome, dtype=np.float64)[..., None] - np.asarray(quantiles, dtype=np.float64)
    return np.maximum(level * miss, (level - 1) * miss)


def make_crps_weights(levels: Sequence[float]) -> Float:
    """Return the weights that make a CRPS of the pinball losses of the levels, `[Q]`.

    `CRPS = 2 int_0^1 pinball_a da` (Laio and Tamea, 2007; the score itself: Gneiting and Raftery, 2007). The integral
    is taken by the trapezoidal rule over the levels, with a pinball loss of zero at 0 and at 1, where it vanishes for
    every distribution with a mean. The weight of a level is hence the distance between its two neighbours (0 and 1 at
    the ends), and no spacing of the levels is preferred; twice the plain mean would need evenly spaced ones.

    The error falls with the square of the distance between levels, and is in the tails where they reach least far:
    outcomes beyond the outer quantiles count for too little, which makes the score too low. For a calibrated normal
    distribution the mean score is 1.0 % too low with the eleven levels 0.05, 0.1, 0.2, ..., 0.9, 0.95, 1.5 % with the
    nine tenths, 0.02 % with 99 hundredths; for an outcome three standard deviations out, 1.7 % with the eleven. Scores
    over different levels should therefore not be compared.
    """
    edges = np.concatenate([[0.0], np.asarray(levels, dtype=np.float64), [1.0]])
    return np.asarray(edges[2:] - edges[:-2])


def compute_crps(quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float]) -> Float:
    """Return the continuous ranked probability score of every pair, `[T, N]`; see `make_crps_weights`."""
    return np.asarray(compute_pinball_losses(quantiles, outcome, levels) @ make_crps_weights(levels))


def compute_gaussian_crps(mean: FloatArray, scale: FloatArray, outcome: FloatArray) -> Float:
    """Return the exact CRPS of a normal distribution (Gneiting and Raftery, 2007, section 4.2).

    Their sign is turned, so that less is better. With z = (y - mean) / scale, it is
    `scale (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`; all of one shape.
    """
    z = (np.asarray(outcome, dtype=np.float64) - mean) / scale
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def find_interval(levels: Sequence[float], share: float = CENTRAL) -> tuple[int, int] | None:
    """Return where the two levels of a central interval stand, or None where one of them is missing.

    Args:
        levels: Quantile levels, `[Q]`.
        share: Probability between the two, 0.9 for the levels 0.05 and 0.95.
    """
    given = np.asarray(levels, dtype=np.float64)
    found = [np.flatnonzero(np.abs(given - level) < _TOLERANCE) for level in ((1 - share) / 2, (1 + share) / 2)]
    return (int(found[0][0]), int(found[1][0])) if all(map(len, found)) else None


def compute_interval(
    quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float], share: float = CENTRAL
) -> tuple[float, float]:
    """Return the share of outcomes in a central interval, its ends included, and its mean width.

    Args:
        quantiles: `[T, N, Q]`.
        outcome: `[T, N]`.
        levels: `[Q]`.
        share: What the interval should hold.

    Raises:
        DataError: The levels lack an end of the interval, or the shapes disagree.
    """
    place = find_interval(levels, share)
    if place is None:
        raise DataError(
            f"the central interval of {share:.0%} needs the levels {(1 - share) / 2:g} and {(1 + share) / 2:g}, but "
            f"there are {tuple(levels)}; add them or ask for another share"
        )
    values, came = select_windows(quantiles, outcome, levels)
    if not len(came):
        return _NAN, _NAN
    low, high = values[:, place[0]], values[:, place[1]]
    return float(((low <= came) & (came <= high)).mean()), float((high - low).mean())


def compute_pit(quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float]) -> Float:
    """Return the probability that the forecast gave to what is below the outcome, `[T, N]` (Dawid, 1984).

    Between two quantiles, and beyond the outer ones, the level is interpolated linearly in the normal score, which is
    exact for a normal distribution; at a quantile it is exact for every one. Where the two outer quantiles of a side
    coincide there is no slope to go on by: an outcome beyond them has 0 or 1, and one at a single point one half. At an
    outcome of zero, one less this is the probability of a rise.

    Raises:
        DataError: There are fewer than two levels, or the shapes disagree.
    """
    _check(quantiles, outcome, levels)
    if len(levels) < 2:
        raise DataError(f"the levels {tuple(levels)} are too few to interpolate between; give two at least")
    values, came = np.asarray(quantiles, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    score = ndtri(np.asarray(levels, dtype=np.float64))
    upper = np.clip((values <= came[..., None]).sum(axis=-1), 1, len(levels) - 1)
    low = np.take_along_axis(values, upper[..., None] - 1, axis=-1)[..., 0]
    high = np.take_along_axis(values, upper[..., None], axis=-1)[..., 0]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        z = score[upper - 1] + (came - low) / (high - low) * (score[upper] - score[upper - 1])
    flat = np.where(came < low, -np.inf, np.where(came > low, np.inf, 0.0))
    known = np.isfinite(values).all(axis=-1) & np.isfinite(came)
    return np.where(known, ndtr(np.where(high > low, z, flat)), np.nan)


def count_pit(pit: FloatArray, n_bins: int = N_BINS) -> Float:
    """Return how many of the finite values of `pit` fall into each of `n_bins` equal bins of [0, 1], `[bins]`."""
    known = pit[np.isfinite(pit)]
    # Rounding must not move an outcome at a quantile into the bin below.
    position = np.floor(known * n_bins + _TOLERANCE).astype(np.int64)
    return np.bincount(np.clip(position, 0, n_bins - 1), minlength=n_bins).astype(np.float64)


def compute_pit_histogram(
    quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float], n_bins: int = N_BINS
) -> Float:
    """Return the share of outcomes in each bin of the forecast distribution, `[bins]` (Gneiting et al., 2007).

    Equal shares speak of calibration, a hump of too wide and a trough of too narrow distributions, a slope of bias. The
    edges of the bins that are quantile levels are exact; the others are interpolated, see `compute_pit`.
    """
    counts = count_pit(compute_pit(quantiles, outcome, levels), n_bins)
    return counts / counts.sum() if counts.sum() else np.full(n_bins, np.nan)


def compute_distribution_scores(
    quantiles: FloatArray,
    outcome: FloatArray,
    levels: Sequence[float],
    *,
    share: float = CENTRAL,
    n_bins: int = N_BINS,
) -> DistributionScores:
    """Return every measure of this module at once; the central interval is NaN where its levels are missing.

    Args:
        quantiles: `[T, N, Q]`.
        outcome: `[T, N]`.
        levels: `[Q]`, two at least.
        share: What the central interval should hold.
        n_bins: Bins of the PIT histogram.

    Raises:
        DataError: There are fewer than two levels, or the shapes disagree.
    """
    values, came = select_windows(quantiles, outcome, levels)
    losses = compute_pinball_losses(values, came, levels)
    by_level = losses.mean(axis=0) if len(came) else np.full(len(levels), np.nan)
    coverage, width = (_NAN, _NAN)
    if find_interval(levels, share) is not None:
        coverage, width = compute_interval(values, came, levels, share)
    return DistributionScores(
        n=len(came),
        pinball=float(by_level.mean()),
        pinball_by_level=by_level,
        crps=float(by_level @ make_crps_weights(levels)),
        coverage=coverage,
        width=width,
        pit_histogram=compute_pit_histogram(values, came, levels, n_bins),
    )


def select_windows(quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float]) -> tuple[Float, Float]:
    """Return the pairs that are known, in double precision: quantiles `[pairs, Q]` and outcomes `[pairs]`.

    Raises:
        DataError: The shapes disagree.
    """
    _check(quantiles, outcome, levels)
    known = np.isfinite(quantiles).all(axis=-1) & np.isfinite(outcome)
    return np.asarray(quantiles[known], dtype=np.float64), np.asarray(outcome[known], dtype=np.float64)


def _check(quantiles: FloatArray, outcome: FloatArray, levels: Sequence[float]) -> None:
    if quantiles.shape != (*outcome.shape, len(levels)):
        raise DataError(
            f"quantiles {quantiles.shape} do not fit outcomes {outcome.shape} and {len(levels)} levels; their shape "
            "must be that of the outcomes with the levels last"
        )
    edges = (0.0, *levels, 1.0)
    if not all(low < high for low, high in pairwise(edges)):
        raise DataError(f"quantile levels {tuple(levels)} must ascend inside (0, 1)")
