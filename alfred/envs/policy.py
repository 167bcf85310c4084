"""The one door that agents, baselines and rules go through."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from alfred.envs.ledger import Float
from alfred.envs.observations import Observation


@runtime_checkable
class Policy(Protocol):
    """Chooses target weights from what is known at a close.

    Attributes:
        name: Name in tables and reports.
        rebalance_every: Sessions from one decision to the next, or None to take that of the environment.
        lookback: Sessions of returns that the policy needs in its observations, L.
    """

    name: str
    rebalance_every: int | None
    lookback: int

    def predict(self, observation: Observation) -> Float:
        """Return target weights, cash last.

        Args:
            observation: As `alfred.envs.observations` describes it, each array with a batch axis in front.

        Returns:
            Weights that sum to one, `[P, N+1]`.
        """
        ...
