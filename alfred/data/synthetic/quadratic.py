"""Planted signals under quadratic trading costs, where the optimum is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.data.synthetic.model import PlantedModel
from alfred.data.synthetic.planted import make_planted_market
from alfred.data.synthetic.world import SyntheticMarket

Panel = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class QuadraticOptimum:
    """The optimal policy of Garleanu and Pedersen (2013), "Dynamic Trading with Predictable Returns and Costs".

    It maximises the long-run mean a session of x'r - risk_aversion / 2 x'Sx - cost / 2 (dx)'S(dx), where x are
    exposures in units of a constant capital, unbounded, S is the covariance given the signal, and dx the trade. The
    solution trades x_t = (1 - rate) x_{t-1} + rate x aim_t.

    Attributes:
        rate: Share of the way to the aim that is traded a session.
        aim_scale: Aim over the frictionless Markowitz portfolio of the part of the mean that the signal foretells.
        exposures: x on the drawn signals, from x = 0 before the first, `[T, N]` without the benchmark.
        utility: Its exact long-run objective a session.
        frictionless_utility: The same without costs.
    """

    rate: float
    aim_scale: float
    exposures: Panel
    utility: float
    frictionless_utility: float


def solve_quadratic(autocorrelation: float, risk_aversion: float, cost: float) -> tuple[float, float]:
    """Return the trading rate and the scale of the aim.

    With phi = 1 - autocorrelation the mean reversion of the signal and no discounting,
    a = (-gamma + sqrt(gamma^2 + 4 gamma cost)) / 2, rate = a / cost, and the aim is the Markowitz portfolio over
    1 + phi a / gamma (their propositions 2 to 4, for costs proportional to risk).

    Args:
        autocorrelation: Of the signal.
        risk_aversion: gamma.
        cost: Cost in units of covariance; 0 is frictionless.
    """
    if cost == 0:
        return 1.0, 1.0
    a = (-risk_aversion + np.sqrt(risk_aversion**2 + 4 * risk_aversion * cost)) / 2
    return float(a / cost), float(1 / (1 + (1 - autocorrelation) * a / risk_aversion))


def compute_quadratic_utility(
    rate: float, aim_scale: float, autocorrelation: float, risk_aversion: float, cost: float, squared_sharpe: float
) -> float:
    """Return the exact long-run objective a session of trading at any rate towards any multiple of Markowitz.

    Exposures are then a weighted sum of past Markowitz portfolios, x_t = rate x scale x sum_j (1 - rate)^j M_{t-j},
    whose moments follow from the autocorrelation of M.

    Args:
        rate: Share of the way traded a session, in (0, 1].
        aim_scale: Aim over Markowitz.
        autocorrelation: Of the signal.
        risk_aversion: gamma.
        cost: Cost in units of covariance.
        squared_sharpe: E[m'S^-1 m] a session, m being the foretold means.
    """
    keep = 1 - rate
    with_markowitz = rate * aim_scale / (1 - keep * autocorrelation)
    with_itself = with_markowitz * rate * aim_scale * (1 + keep * autocorrelation) / (1 - keep**2)
    with_last = keep * with_itself + rate * aim_scale * autocorrelation * with_markowitz
    # M = S^-1 m / gamma, so that E[M'SM] = squared_sharpe / gamma^2 and E[x'm] = gamma E[x'SM].
    scale = squared_sharpe / risk_aversion**2
    gain = risk_aversion * (with_markowitz - with_itself / 2)
    return float(scale * (gain - cost * (with_itself - with_last)))


def make_quadratic_market(
    ic: float = 0.05,
    *,
    n_days: int = 2600,
    seed: int = 0,
    execution_lag: int = 1,
    risk_aversion: float = 10.0,
    cost: float = 10.0,
    model: PlantedModel | None = None,
) -> tuple[SyntheticMarket, QuadraticOptimum]:
    """Draw a planted market whose unconditional means are zero, with its optimum under quadratic costs.

    Args:
        ic: Information coefficient; read only when no model is given.
        n_days: Sessions T.
        seed: Seed of the draw.
        execution_lag: As in `make_planted_market`.
        risk_aversion: gamma.
        cost: Cost in units of covariance.
        model: All the rest; its `sharpe` must be 0 for the solution to be exact.

    Returns:
        The synthetic market (its own optimum is the long-only one without costs), and the quadratic optimum.
    """
    model = model or PlantedModel(ic=ic, sharpe=0.0)
    world = make_planted_market(
        n_days=n_days,
        seed=seed,
        execution_lag=execution_lag,
        cost_bps=0.0,
        risk_aversion=risk_aversion,
        model=model,
    )
    rate, scale = solve_quadratic(model.autocorrelation, risk_aversion, cost)
    foretold = world.signals.values[:, : model.n_assets, 0].astype(np.float64) * model.ic * model.volatilities
    aims = scale / risk_aversion * np.linalg.solve(model.covariance, foretold.T).T
    exposures = np.empty_like(aims)
    current = np.zeros(model.n_assets)
    for t, aim in enumerate(aims):
        current = (1 - rate) * current + rate * aim
        exposures[t] = current
    # Signals are independent across assets, so that E[m'S^-1 m] is the weighted trace.
    squared_sharpe = float(np.diag(np.linalg.inv(model.covariance)) @ (model.ic * model.volatilities) ** 2)
    utilities = [
        compute_quadratic_utility(r, s, model.autocorrelation, risk_aversion, c, squared_sharpe)
        for r, s, c in ((rate, scale, cost), (1.0, 1.0, 0.0))
    ]
    return world, QuadraticOptimum(rate, scale, exposures, *utilities)
