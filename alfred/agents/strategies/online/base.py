"""What all online strategies share: the state that they keep, and who takes part in it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
from pydantic import Field

from alfred.agents.strategies.online.simplex import Mask, admit, share_out
from alfred.agents.strategies.prices import BaselineSettings, last_returns, spread_over_tradable
from alfred.envs.policy import BaselinePolicy
from alfred.errors import DataError
from alfred.typing import Float, Observation


class OnlineSettings(BaselineSettings, ABC):
    """What all of them share.

    Attributes:
        rebalance_every: Sessions of a period.
    """

    rebalance_every: int = Field(default=1, ge=1)


class OnlinePolicy(BaselinePolicy):
    """Keeps the portfolio that it wants, a row for each portfolio that it decides for.

    Only symbols that trade take part. One that starts to trade enters at an equal share, for which the others make room
    in proportion; what a symbol had that trades no longer goes to the others in proportion.

    Args:
        settings: Name and period.
        universe: Columns to invest in, `[U]`.
        window: Periods of price relatives that an update reads, W.
    """

    def __init__(self, settings: OnlineSettings, universe: npt.NDArray[np.integer], window: int = 1) -> None:
        """Store what is fixed and start afresh."""
        self.name, self.universe, self.window = settings.label, universe, window
        self.period = settings.rebalance_every
        self.rebalance_every = self.period
        self.lookback = window * self.period
        self.reset()

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Forget everything, of some portfolios or of all: their next decision is their first."""
        if rows is None:
            self._begin(0)
        elif len(self.members):
            self.wanted[rows], self.members[rows], self.n_periods[rows] = 0.0, False, -1

    def _begin(self, count: int) -> None:
        """Lay out the state of so many portfolios before their first decision."""
        n = len(self.universe)
        self.wanted, self.members = np.zeros((count, n)), np.zeros((count, n), dtype=np.bool_)
        self.n_periods = np.full(count, -1)

    def predict(self, observation: Observation) -> Float:
        """Learn from the period that has ended and return the portfolio wanted; see `Policy`.

        Raises:
            DataError: There are more or fewer portfolios than at the decision before.
        """
        live = observation["tradable"][:, self.universe] > 0
        if not len(self.members):
            self._begin(len(live))
        if len(live) != len(self.members):
            raise DataError(
                f"'{self.name}' has decided for {len(self.members)} portfolio(s) and is asked for {len(live)}: it "
                "learns from one decision to the next, so ask for the same ones, or call reset() before others"
            )
        self.n_periods = self.n_periods + 1
        members = self.members & live  # nobody at a first decision, so that all are newcomers
        relatives = np.where(members[:, :, None], self._read_relatives(observation), 1.0)
        learned = self._learn(share_out(self.wanted, members), relatives, members)
        self.wanted, self.members = admit(share_out(learned, members), live & ~members, live), live
        shares = np.zeros(observation["tradable"].shape)
        shares[:, self.universe] = self.wanted
        return spread_over_tradable(shares, observation)

    @abstractmethod
    def _learn(self, wanted: Float, relatives: Float, members: Mask) -> Float:
        """Return the portfolio of the next period, `[P, U]`; only its members count, and it need not sum to one.

        Args:
            wanted: That of the period that has ended, zero for symbols that are not members, `[P, U]`.
            relatives: Price relatives of the last periods, the latest last, `[P, U, W]`; one for others than members.
            members: Which symbols traded at its start and its end, `[P, U]`; none at the first decision.
        """

    def _read_relatives(self, observation: Observation) -> Float:
        returns = last_returns(observation, self.lookback)[:, self.universe]
        return np.asarray(np.exp(returns.reshape(*returns.shape[:2], self.window, self.period).sum(axis=3)))
