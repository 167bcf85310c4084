"""Which checkpoint is kept: a trained one if it credibly found something, else the untrained start.

The best of a few validation scores is kept by chance in nearly every training: the Sharpe ratio of one year has a
standard error near 1. What is asked here instead, over all held-out blocks together:

1. *Was anything found?* The returns of each checkpoint before costs are regressed on those of the start; the intercept
   is what it earned beyond its exposure (Jensen, 1968). What trading costs is known and needs no test, and it would
   only drown the evidence. The largest t-statistic must be one that the largest of so many checkpoints without skill
   exceeds with a chance of `LEVEL`.
2. *Does it survive its costs?* The same intercept after costs must be above zero.
3. *Which one?* The one that was trained longest among those within a standard error of the best, as one that was
   trained longer has learnt more of the same (Breiman, Friedman, Olshen and Stone, 1984, section 3.4.3).

Axes legend: J checkpoints, the untrained start first; D sessions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alfred.agents.kept import Kept
from alfred.evaluation.statistics.significance import compute_long_run_variance
from alfred.training.cross_fitting.held_out import HeldOut
from alfred.typing import FloatArray

LEVEL = 0.02
"""Chance that a training without skill passes the first question."""

_DRAWS = 20_000
# Below this spread, a thousandth of a basis point a session, a network has not left its start.
_STILL = 1e-7


class Beyond(NamedTuple):
    """What series earned beyond their exposure to a reference, a session.

    Attributes:
        mean: The intercepts, `[J]`.
        error: Their standard errors, `[J]`; zero where a series is the reference.
        noise: The residuals, `[J, D]`.
    """

    mean: FloatArray
    error: FloatArray
    noise: FloatArray


def choose(record: HeldOut, periods_per_year: int) -> Kept:
    """Say which checkpoint is kept.

    Args:
        record: Returns of all checkpoints on sessions that they were not trained on.
        periods_per_year: Sessions in a year.
    """
    gross = measure_beyond(np.stack(record.gross[1:]), record.gross[0])
    net = measure_beyond(np.stack(record.net[1:]), record.net[0])
    p_value = compute_p_value(gross)
    best = int(np.argmax(net.mean))
    # The difference of two intercepts is the intercept of the difference.
    short = [_compute_error(net.noise[best] - row) for row in net.noise]
    close = net.mean >= net.mean[best] - short
    able = np.flatnonzero(close & (net.mean > 0.0))
    unit = 100.0 * periods_per_year
    if p_value < LEVEL and len(able):
        row = int(able[-1])
        step, utility = record.steps[1 + row], record.utility[1 + row]
    else:
        row, step, utility = best, 0, record.utility[0]
    return Kept(step, utility, float(net.mean[row] * unit), float(net.error[row] * unit), p_value)


def measure_beyond(series: FloatArray, reference: FloatArray) -> Beyond:
    """Regress series on a reference and return their intercepts.

    Standard errors allow for serial correlation (Newey and West, 1987).

    Args:
        series: Returns in excess of cash, `[J, D]`.
        reference: The same of the reference, `[D]`.
    """
    centred = reference - reference.mean()
    squares = float(centred @ centred)
    slopes = series @ centred / squares if squares > 0.0 else np.zeros(len(series))
    left = series - slopes[:, None] * reference
    mean = left.mean(axis=1)
    noise = left - mean[:, None]
    # The intercept also carries the error of the slope.
    leverage = 1.0 + (reference.mean() ** 2 * len(reference) / squares if squares > 0.0 else 0.0)
    error = np.array([_compute_error(row) for row in noise]) * np.sqrt(leverage)
    return Beyond(mean, error, noise)


def compute_p_value(found: Beyond) -> float:
    """Return the chance that the largest t-statistic of series without skill is as large as the largest one found.

    The statistics are correlated, as checkpoints of one training are; the largest of normal variables with their
    correlation is drawn, always from the same seed.

    Args:
        found: Intercepts of all series.
    """
    moved = found.error > 0.0
    if not moved.any():
        return 1.0
    largest = float((found.mean[moved] / found.error[moved]).max())
    correlation = np.atleast_2d(np.corrcoef(found.noise[moved]))
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = np.random.default_rng(0).normal(size=(_DRAWS, len(root))) @ root.T
    return float((1 + np.count_nonzero(draws.max(axis=1) >= largest)) / (1 + _DRAWS))


def _compute_error(noise: FloatArray) -> float:
    """Return the standard error of the mean of a series, zero for one that stands still."""
    if noise.std() < _STILL:
        return 0.0
    return float(np.sqrt(max(compute_long_run_variance(noise), 0.0) / len(noise)))
