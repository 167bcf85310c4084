"""What the oracle of a planted market can attain after costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alfred.data.synthetic.model import PlantedModel
from alfred.data.synthetic.quadratic_program import solve_long_only
from alfred.data.synthetic.world import annualise

Panel = npt.NDArray[np.float64]

_N_PATHS = 256
_N_DAYS = 280
_BURN_IN_DAYS = 20
_SEED = 20_140_711
_ADJUSTMENTS = (1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)


@dataclass(frozen=True)
class Attainable:
    """What the best of the searched policies attains.

    Attributes:
        adjustment: Share of the way to the target weights that it trades a session.
        sharpe: Sharpe ratio a year, net of costs.
        sharpe_error: Its standard error, by the jackknife over paths.
        utility: Mean - risk_aversion / 2 x variance of the net return a session.
    """

    adjustment: float
    sharpe: float
    sharpe_error: float
    utility: float


@lru_cache(maxsize=32)
def find_attainable(model: PlantedModel, cost_bps: float, risk_aversion: float) -> Attainable:
    """Search the policies that trade a fixed share of the way to the long-only mean-variance optimum each session.

    The true means and the true covariance are given at each step. The exact optimum under proportional costs has no
    closed form in more than one asset; partial adjustment is what Garleanu and Pedersen (2013) prove optimal under
    quadratic costs, and is taken here as the attainable level. Only the drift of the weights is drawn: mean and
    variance of each session's return are the known conditional ones, so that little noise is left.

    Args:
        model: The model.
        cost_bps: Cost of trading one unit of wealth, in basis points.
        risk_aversion: Price of variance.
    """
    signal, returns = model.draw(np.random.default_rng(_SEED), (_N_DAYS, _N_PATHS))
    means = model.expect(signal)
    targets = solve_long_only(means.reshape(-1, model.n_assets), model.covariance, risk_aversion, tolerance=1e-6)
    targets = targets.reshape(means.shape)
    adjustments = _ADJUSTMENTS if cost_bps > 0 else (1.0,)
    found = [_measure(model, means, returns, targets, a, cost_bps, risk_aversion) for a in adjustments]
    return max(found, key=lambda attainable: attainable.utility)


def _measure(
    model: PlantedModel,
    means: Panel,
    returns: Panel,
    targets: Panel,
    adjustment: float,
    cost_bps: float,
    risk_aversion: float,
) -> Attainable:
    """Walk all paths at once; every panel is `[T, paths, N]`."""
    expected = np.empty(means.shape[:2])
    variance = np.empty(means.shape[:2])
    current = targets[0]
    for t in range(len(means)):
        weights = current + adjustment * (targets[t] - current)
        cost = cost_bps * 1e-4 * np.abs(weights - current).sum(axis=1)
        expected[t] = (weights * means[t]).sum(axis=1) - cost
        variance[t] = ((weights @ model.covariance) * weights).sum(axis=1)
        growth = 1 + (weights * returns[t]).sum(axis=1, keepdims=True)
        current = weights * (1 + returns[t]) / growth
    kept = slice(_BURN_IN_DAYS, None)
    # Sums by path: of the mean, of its square, and of the variance around it.
    sums = np.stack([expected[kept], expected[kept] ** 2, variance[kept]]).mean(axis=1)
    n_paths = sums.shape[1]
    mean, spread = _combine(sums.mean(axis=1, keepdims=True))
    left_out = (sums.sum(axis=1, keepdims=True) - sums) / (n_paths - 1)
    sharpes = np.array([annualise(m, v) for m, v in zip(*_combine(left_out), strict=True)])
    error = np.sqrt((n_paths - 1) * sharpes.var())
    return Attainable(
        adjustment=adjustment,
        sharpe=annualise(mean[0], spread[0]),
        sharpe_error=float(error),
        utility=float(mean[0] - risk_aversion / 2 * spread[0]),
    )


def _combine(moments: Panel) -> tuple[Panel, Panel]:
    """Return mean and total variance from the moments `[3, ...]`: the law of total variance."""
    mean, square, variance = moments
    return mean, variance + square - mean**2
