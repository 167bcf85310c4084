"""Long-only mean-variance portfolios, many at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.errors import DataError

Panel = npt.NDArray[np.float64]

_CHUNK = 16_384
_MAX_STEPS = 5_000


def solve_long_only(means: Panel, covariance: Panel, risk_aversion: float, tolerance: float = 1e-9) -> Panel:
    """Return argmax of w'm - risk_aversion / 2 w'Sw over w >= 0, sum(w) <= 1, for each row of means.

    Accelerated projected gradient (Beck and Teboulle 2009) with restarts, whose cost grows with the condition number
    of S; made for the well-conditioned covariances of synthetic markets.

    Args:
        means: Expected returns, `[B, N]`.
        covariance: `[N, N]`, positive definite.
        risk_aversion: Price of variance.
        tolerance: Largest change of a weight in a step at which it stops.

    Returns:
        Weights, `[B, N]`; what they lack to 1 is cash.

    Raises:
        DataError: It did not converge: the covariance is close to singular.
    """
    parts = [
        _solve_chunk(means[start : start + _CHUNK], covariance, risk_aversion, tolerance)
        for start in range(0, len(means), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty_like(means)


def _solve_chunk(means: Panel, covariance: Panel, risk_aversion: float, tolerance: float) -> Panel:
    step = 1.0 / (risk_aversion * np.linalg.eigvalsh(covariance)[-1])
    weights = np.zeros_like(means)
    ahead, momentum = weights, 1.0
    for _ in range(_MAX_STEPS):
        new = project_on_budget(ahead + step * (means - risk_aversion * ahead @ covariance))
        moved = new - weights
        if np.abs(moved).max(initial=0.0) < tolerance:
            return new
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        # Momentum that points uphill no longer is dropped, portfolio by portfolio (O'Donoghue and Candes 2015).
        useful = ((ahead - new) * moved).sum(axis=1, keepdims=True) <= 0
        ahead = new + np.where(useful, (momentum - 1) / following, 0.0) * moved
        weights, momentum = new, following
    raise DataError(f"no long-only optimum within {_MAX_STEPS} steps: the covariance is close to singular")


def project_on_budget(points: Panel) -> Panel:
    """Return the nearest point with w >= 0 and sum(w) <= 1 to each row, `[B, N]`.

    By sorting (Duchi et al. 2008, "Efficient projections onto the l1-ball").
    """
    positive = np.maximum(points, 0.0)
    over = np.flatnonzero(positive.sum(axis=1) > 1.0)
    if len(over):
        chosen = points[over]
        ordered = -np.sort(-chosen, axis=1)
        excess = np.cumsum(ordered, axis=1) - 1.0
        count = (ordered - excess / np.arange(1, points.shape[1] + 1) > 0).sum(axis=1)
        threshold = excess[np.arange(len(over)), count - 1] / count
        positive[over] = np.maximum(chosen - threshold[:, None], 0.0)
    return positive
