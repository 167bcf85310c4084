"""Baselines that optimise: skfolio's portfolios on trailing returns."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from alfred.agents.strategies.prices import (
    BaselineSettings,
    count_sessions,
    find_universe,
    last_returns,
    spread_over_tradable,
)
from alfred.envs.policy import BaselinePolicy
from alfred.typing import Float, Observation

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    from alfred.data.market import Market

_log = logging.getLogger(__name__)

OptimiserKind = Literal["minimum_variance", "maximum_sharpe", "hierarchical_risk_parity", "risk_parity"]
_NAMES: dict[str, str] = {
    "minimum_variance": "minimum variance",
    "maximum_sharpe": "maximum Sharpe",
    "hierarchical_risk_parity": "hierarchical risk parity",
    "risk_parity": "risk parity",
}


class OptimiserSettings(BaselineSettings):
    """A portfolio of skfolio, fitted on trailing returns at every decision; long-only and fully invested.

    Variances and covariances are shrunk as Ledoit and Wolf (2004) have it.

    Attributes:
        lookback: Sessions of returns that it is fitted on, L; two years, and sixty at least, when left out.
    """

    kind: OptimiserKind
    lookback: int | None = Field(default=None, ge=20)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return _NAMES[self.kind]

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return Optimiser(self, market)


class Optimiser(BaselinePolicy):
    """Fits a portfolio of skfolio at every decision."""

    def __init__(self, settings: OptimiserSettings, market: Market) -> None:
        """Store the settings and the columns to invest in."""
        self.name, self.kind, self.universe = settings.label, settings.kind, find_universe(market)
        self.lookback = settings.lookback or max(count_sessions(market, 2), 60)
        self.rebalance_every = settings.find_interval(market)

    def predict(self, observation: Observation) -> Float:
        """Return the fitted weights; see `Policy`.

        A symbol takes part once it was quoted in half of the window. Equal weights stand in where there is no
        solution, as when no symbol has a positive mean return to maximise a Sharpe ratio with.
        """
        returns = np.expm1(last_returns(observation, self.lookback))
        tradable = observation["tradable"] > 0
        shares = np.zeros(tradable.shape)
        for row, columns in enumerate(self._find_seasoned(returns, tradable)):
            if len(columns):
                shares[row, columns] = self._fit(returns[row, columns].T)
        return spread_over_tradable(shares, observation)

    def _find_seasoned(self, returns: Float, tradable: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.integer]]:
        quoted = (returns != 0.0).sum(axis=2) * 2 >= self.lookback
        return [self.universe[row[self.universe]] for row in quoted & tradable]

    def _fit(self, returns: Float) -> Float:
        """Return the weights of one portfolio from simple returns `[L, n]`."""
        n = returns.shape[1]
        if n == 1:
            return np.ones(1)
        try:
            return np.asarray(np.maximum(_make_estimator(self.kind).fit(returns).weights_, 0.0))
        except Exception as error:
            # The solvers behind skfolio raise exceptions of many kinds when there is no solution.
            _log.debug("%s found no solution (%s); equal weights stand in", self.name, error)
            return np.full(n, 1.0 / n)


def _make_estimator(kind: OptimiserKind) -> Any:
    # skfolio takes seconds to import, and most commands never build a portfolio with it.
    from skfolio import RiskMeasure
    from skfolio.moments import LedoitWolf
    from skfolio.optimization import MeanRisk, ObjectiveFunction, RiskBudgeting
    from skfolio.prior import EmpiricalPrior

    from alfred.agents.strategies.hierarchical import FastHierarchicalRiskParity, make_seriation

    prior = EmpiricalPrior(covariance_estimator=LedoitWolf())
    if kind == "hierarchical_risk_parity":
        return FastHierarchicalRiskParity(
            risk_measure=RiskMeasure.VARIANCE, prior_estimator=prior, seriation_estimator=make_seriation()
        )
    if kind == "risk_parity":
        return RiskBudgeting(risk_measure=RiskMeasure.VARIANCE, prior_estimator=prior)
    goal = {
        "minimum_variance": ObjectiveFunction.MINIMIZE_RISK,
        "maximum_sharpe": ObjectiveFunction.MAXIMIZE_RATIO,
    }[kind]
    return MeanRisk(objective_function=goal, risk_measure=RiskMeasure.VARIANCE, prior_estimator=prior)
