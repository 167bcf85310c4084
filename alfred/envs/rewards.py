"""Rewards: what the agent is paid for, in units that a reader can check."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from alfred.envs.registry import BUILT_IN_REWARDS, REWARDS
from alfred.envs.settings import RewardSettings
from alfred.jit import jit
from alfred.typing import Float

# Variance a day below which the differential Sharpe ratio divides by this instead: one basis point, squared. A book in
# cash has no variance, and its ratio no meaning.
_LEAST_VARIANCE = 1e-8
_DAYS_PER_YEAR = 252


class Reward(ABC):
    """A reward of your own, registered with `alfred.envs.registry.REWARDS`.

    The penalties of the settings are taken off what it pays, as of every reward. `alfred.checks.check_reward` tests
    the contract. One that agents with gradients shall learn from has `pay_torch` as well.

    Attributes:
        state: Names of the arrays `[P, ...]` that it remembers between steps; none by default.
    """

    state: tuple[str, ...] = ()

    def __init__(self, settings: RewardSettings, n_portfolios: int) -> None:
        """Store the settings and how many portfolios P are paid."""
        self.settings, self.n_portfolios = settings, n_portfolios

    def reset(self, rows: npt.NDArray[np.integer]) -> None:  # noqa: B027  most remember nothing
        """Forget the past of some portfolios."""

    @abstractmethod
    def pay(self, growth: Float, reference_growth: Float) -> Float:
        """Return the reward of a step, `[P]`.

        Args:
            growth: Wealth after over wealth before, net of costs, `[P]`.
            reference_growth: The same of the reference of the settings, free of costs, `[P]`.
        """


class RewardState:
    """What rewards have to remember of each of P portfolios.

    Attributes:
        settings: Which reward.
        mean: Running mean of net returns a step, `[P]`.
        square: Running mean of their squares, `[P]`.
        peak: Highest wealth at an execution since the start, `[P]`.
    """

    def __init__(self, settings: RewardSettings, n_portfolios: int, periods_per_year: int = _DAYS_PER_YEAR) -> None:
        """Allocate the state; `reset` fills it."""
        self.settings = settings
        # Variances grow with the length of a session.
        self._length = _DAYS_PER_YEAR / periods_per_year
        built_in = settings.kind in BUILT_IN_REWARDS
        self.own = None if built_in else REWARDS.load(settings.kind)(settings, n_portfolios)
        self.mean = np.zeros(n_portfolios)
        self.square = np.zeros(n_portfolios)
        self.peak = np.ones(n_portfolios)
        self.reset(np.arange(n_portfolios))

    def reset(self, rows: npt.NDArray[np.integer]) -> None:
        """Forget the past of some portfolios."""
        self.mean[rows] = 0.0
        # A prior of one per cent a day, what a book of stocks moves: without it the first ratios are huge.
        self.square[rows] = 1e-4 * self._length
        self.peak[rows] = 1.0
        if self.own is not None:
            self.own.reset(rows)

    def list_state(self) -> list[tuple[str, object, tuple[str, ...]]]:
        """Return what later rewards depend on: a name, who holds it, and the names of its arrays."""
        parts: list[tuple[str, object, tuple[str, ...]]] = [("rewards", self, ("mean", "square", "peak"))]
        return parts if self.own is None else [*parts, ("own reward", self.own, self.own.state)]

    def pay(self, before: Float, after: Float, reference_growth: Float, turnover: Float) -> Float:
        """Return the reward of a step and remember it.

        `differential_sharpe` is the derivative D of a running Sharpe ratio (see `differentiate_sharpe`), times `scale`:
        set `scale` to 1 for its own unit, a return over its standard deviation, around one in size. The penalties are
        taken off before scaling, so that with `scale` 100 a penalty of 1 takes one per cent for each per cent of
        deepening or turnover.

        Args:
            before: Wealth before the step, `[P]`.
            after: Wealth after it, net of every cost, `[P]`.
            reference_growth: Growth of the reference over the step, free of costs, `[P]`.
            turnover: Turnover of the step, `[P]`.
        """
        settings = self.settings
        growth = _compute_growth(before, after)
        if self.own is not None:
            paid = np.asarray(self.own.pay(growth, reference_growth), dtype=np.float64)
        elif settings.kind == "differential_sharpe":
            rate = 1.0 / settings.sharpe_memory
            least = _LEAST_VARIANCE * self._length
            paid, self.mean, self.square = differentiate_sharpe(growth - 1.0, self.mean, self.square, rate, least)
            paid = paid * settings.scale
        else:
            paid = compute_reward(growth, reference_growth, settings)
        if settings.drawdown_penalty:
            peak = np.maximum(self.peak, after)
            deepened = np.maximum(before / self.peak - after / peak, 0.0)
            self.peak = peak
            paid = paid - settings.scale * settings.drawdown_penalty * deepened
        if settings.turnover_penalty:
            paid = paid - settings.scale * settings.turnover_penalty * turnover
        return paid


def compute_reward(growth: Float, reference_growth: Float, settings: RewardSettings) -> Float:
    """Return the reward of a step of kind `growth` or `excess`, without penalties.

    `scale * [log g - a/2 (g-1)^2]`, less the same of the reference when `kind` is `excess`; with `scale` 100 the unit
    is per cent of log growth a step, net of every cost.

    Args:
        growth: Wealth after over wealth before, net of costs, `[P]`.
        reference_growth: The same of the reference, free of costs, `[P]`.
        settings: Which reward.
    """
    return _pay_utility(growth, reference_growth, settings.risk_aversion, settings.kind == "excess", settings.scale)


@jit
def _compute_growth(before: Float, after: Float) -> Float:
    """Return wealth after over wealth before, `[P]`.

    A book that was ruined before has nothing to grow: it is paid as if it had stood still.
    """
    growth = np.empty(len(before))
    for p in range(len(before)):
        growth[p] = after[p] / before[p] if before[p] > 0.0 else 1.0
    return growth


@jit
def _pay_utility(growth: Float, reference_growth: Float, risk_aversion: float, excess: bool, scale: float) -> Float:
    """Return the reward of kind `growth`, or `excess` where asked; see `compute_reward`."""
    reward = np.empty(len(growth))
    for p in range(len(growth)):
        reward[p] = scale * _utility(growth[p], risk_aversion)
        if excess:
            reward[p] -= scale * _utility(reference_growth[p], risk_aversion)
    return reward


@jit
def _utility(growth: float, risk_aversion: float) -> float:
    # A ruined book has growth 0 and an infinite loss of log wealth; a large finite one keeps the learners finite.
    return math.log(max(growth, 1e-9)) - 0.5 * risk_aversion * (growth - 1.0) ** 2


def differentiate_sharpe(
    returns: Float, mean: Float, square: Float, rate: float, least_variance: float = _LEAST_VARIANCE
) -> tuple[Float, Float, Float]:
    """Return the differential Sharpe ratio (Moody and Saffell, 2001, equation 8) and the running moments after it.

    With running moments A of the returns and B of their squares, `D = (B dA - A dB / 2) / (B - A^2)^(3/2)` where
    `dA = r - A` and `dB = r^2 - B`: the derivative of A / sqrt(B - A^2) by `rate`. The moments move on by `rate`.

    Args:
        returns: Simple net returns r of a step, `[P]`.
        mean: A before the step, `[P]`.
        square: B before the step, `[P]`.
        rate: Weight of the newest return in the moments.
        least_variance: Divided by where the running variance is smaller.

    Returns:
        D, A and B after the step, each `[P]`.
    """
    d_mean, d_square = returns - mean, returns**2 - square
    variance = np.maximum(square - mean**2, least_variance)
    ratio = (square * d_mean - 0.5 * mean * d_square) / variance**1.5
    return ratio, mean + rate * d_mean, square + rate * d_square
