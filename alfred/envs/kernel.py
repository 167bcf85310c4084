"""The kernel: P portfolios over one tape in lock-step. Every environment is a face of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.envs.ledger import Float, drift, solve_trade
from alfred.envs.rewards import RewardSettings, compute_reward
from alfred.envs.tape import Tape

_RUIN = 1e-6


class StepResult(NamedTuple):
    """What one decision led to, for each of P portfolios.

    Attributes:
        reward: `[P]`.
        terminated: Ruined, `[P]`.
        truncated: At the end of the window, `[P]`.
        cost: Cost paid as a fraction of wealth before the trade, `[P]`.
        turnover: Half the sum of absolute weight changes, `[P]`.
    """

    reward: Float
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    cost: Float
    turnover: Float


class Mark(NamedTuple):
    """One marked close of every portfolio, for backtests.

    Attributes:
        bar: Bar index, `[P]`; E for the mark after the last bar.
        wealth: At the close, `[P]`.
        weights: At the close, `[P, N+1]`.
        cost: Paid at this bar, as a fraction of the wealth before the trade, `[P]`.
        turnover: At this bar, `[P]`.
        opening: Wealth just before the trade of this bar, `[P]`.
    """

    bar: npt.NDArray[np.int64]
    wealth: Float
    weights: Float
    cost: Float
    turnover: Float
    opening: Float


class PortfolioKernel:
    """Steps P portfolios over a shared tape without a loop over portfolios or assets.

    State arrays are public and read-only by convention: `bar [P]`, `wealth [P]` and `drifted [P, N+1]` just before the
    next trade, `weights [P, N+1]` as known at the next decision.

    Args:
        tape: The market, shared.
        rates: Cost per unit of traded value, `[N+1]`, zero for cash.
        reward: What a step pays.
        n_portfolios: P.
        rebalance_every: Bars that a decision is held for, k.
        record: Whether to keep every marked close in `marks`.
    """

    def __init__(
        self,
        tape: Tape,
        rates: Float,
        reward: RewardSettings,
        *,
        n_portfolios: int = 1,
        rebalance_every: int = 1,
        record: bool = False,
    ) -> None:
        """Allocate the state; call `reset` before the first step."""
        self.tape = tape
        self.rates = rates
        self.reward_settings = reward
        self.rebalance_every = rebalance_every
        self.record = record
        self.marks: list[Mark] = []
        width = len(tape.symbols) + 1
        self._all = np.arange(n_portfolios)
        self.bar = np.zeros(n_portfolios, dtype=np.int64)
        self.stop = np.zeros(n_portfolios, dtype=np.int64)
        self.wealth = np.ones(n_portfolios)
        self.drifted = np.zeros((n_portfolios, width))
        self.weights = np.zeros((n_portfolios, width))

    @property
    def n_portfolios(self) -> int:
        """Number of portfolios P."""
        return len(self.bar)

    def reset(
        self,
        start: npt.NDArray[np.integer],
        stop: npt.NDArray[np.integer],
        which: npt.NDArray[np.integer] | None = None,
    ) -> None:
        """Put portfolios into cash at the beginning of their windows.

        Args:
            start: First bar of each window, `[W]`.
            stop: Bar after the last of each window, `[W]`.
            which: Indices of the portfolios, `[W]`; all when left out.
        """
        rows = self._all if which is None else which
        self.bar[rows] = start
        self.stop[rows] = stop
        self.wealth[rows] = 1.0
        self.drifted[rows] = 0.0
        self.drifted[rows, -1] = 1.0
        self.weights[rows] = self.drifted[rows]

    def step(self, target: Float) -> StepResult:
        """Trade to target weights at the next execution and hold to the decision after.

        The reward counts wealth from this execution to the next one, so that it holds all that the decision did and
        nothing that an earlier one did.

        Args:
            target: Target weights, cash last, `[P, N+1]`.
        """
        tape, before = self.tape, self.wealth.copy()
        frozen = None if tape.all_tradable[self.bar].all() else ~tape.tradable[self.bar]
        trade = solve_trade(self.drifted, target, self.rates, frozen)
        self.drifted = trade.weights
        self.wealth = before * trade.growth
        reference = self._advance(before, trade.cost, trade.turnover)
        for _ in range(self.rebalance_every - 1):
            if (self.bar >= self.stop).all():
                break
            nothing = np.zeros(self.n_portfolios)
            reference = reference * self._advance(self.wealth, nothing, nothing)
        ruined = self.wealth <= _RUIN
        return StepResult(
            reward=compute_reward(self.wealth / before, reference, self.reward_settings),
            terminated=ruined,
            truncated=(self.bar >= self.stop) & ~ruined,
            cost=trade.cost,
            turnover=trade.turnover,
        )

    def _advance(self, opening: Float, cost: Float, turnover: Float) -> Float:
        """Hold for one bar and return the growth of equal weights; portfolios at their end stay as they are."""
        tape = self.tape
        running = self.bar < self.stop
        bar = np.minimum(self.bar, tape.n_bars - 1)
        holdings, wealth = self.drifted, self.wealth
        if tape.intraday is not None:
            holdings, growth = drift(holdings, tape.intraday[bar])
            wealth = wealth * growth
        if self.record:
            self.marks.append(Mark(self.bar.copy(), wealth, holdings, cost, turnover, opening))
        following, growth = drift(holdings, tape.overnight[bar])
        reference = tape.reference_growth[bar]
        if running.all():
            # A decision knows the weights at its close; with lag 0 that is the moment of the next execution.
            self.weights = holdings if tape.lag else following
            self.drifted, self.wealth = following, wealth * growth
            self.bar = self.bar + 1
            return reference
        self.weights = np.where(running[:, None], holdings if tape.lag else following, self.weights)
        self.drifted = np.where(running[:, None], following, self.drifted)
        self.wealth = np.where(running, wealth * growth, self.wealth)
        self.bar = self.bar + running
        return np.where(running, reference, 1.0)
