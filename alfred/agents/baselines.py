"""Baselines: what an agent has to beat, traded in the same ledger at the same costs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.data.market import Market
from alfred.envs.ledger import Float
from alfred.envs.observations import Observation

_FOREVER = 1_000_000  # longer than any history: the first decision is the only one
_MONTH = 21


class FixedMix:
    """Rebalances to the same weights, or buys them once.

    Args:
        name: Name in tables.
        shares: Weight wanted in each symbol, `[N]`, not negative; scaled to sum to one over what can be traded.
        rebalance_every: Sessions between trades; None buys once and holds.
    """

    lookback = 0

    def __init__(self, name: str, shares: npt.ArrayLike, rebalance_every: int | None = _MONTH) -> None:
        """Store the mix."""
        self.name = name
        self.shares = np.asarray(shares, dtype=np.float64)
        self.rebalance_every: int | None = _FOREVER if rebalance_every is None else rebalance_every

    def predict(self, observation: Observation) -> Float:
        """Return the mix among tradable symbols; see `Policy`."""
        return spread_over_tradable(np.broadcast_to(self.shares, observation["tradable"].shape), observation)


class InverseVolatility:
    """Weights in proportion to one over the volatility of the last 63 sessions.

    Args:
        universe: Columns to invest in.
        lookback: Sessions of the volatility, L.
    """

    name = "inverse volatility"

    def __init__(self, universe: npt.ArrayLike, lookback: int = 63, rebalance_every: int = _MONTH) -> None:
        """Store the window."""
        self.universe = np.asarray(universe)
        self.lookback = lookback
        self.rebalance_every: int | None = rebalance_every

    def predict(self, observation: Observation) -> Float:
        """Return weights in proportion to inverse volatility; see `Policy`."""
        returns = observation["returns"][:, self.universe].astype(np.float64)
        volatility = np.maximum(returns.std(axis=2), 1e-4)
        shares = np.zeros(observation["tradable"].shape)
        shares[:, self.universe] = 1.0 / volatility
        return spread_over_tradable(shares, observation)


def spread_over_tradable(shares: Float, observation: Observation) -> Float:
    """Scale shares `[P, N]` to weights `[P, N+1]` over the symbols that traded at this close; cash without any."""
    wanted = shares * observation["tradable"]
    total = wanted.sum(axis=1, keepdims=True)
    weights = np.divide(wanted, total, out=np.zeros_like(wanted), where=total > 0)
    return np.hstack([weights, 1.0 - weights.sum(axis=1, keepdims=True)])


def make_baselines(market: Market) -> list[FixedMix | InverseVolatility]:
    """Return the baselines of every report: the benchmark held, equal weights traded and held, inverse volatility."""
    universe = np.array([market.index_of(symbol) for symbol in market.universe])
    benchmark = np.zeros(market.n_symbols)
    benchmark[market.index_of(market.benchmark)] = 1.0
    equal = np.zeros(market.n_symbols)
    equal[universe] = 1.0
    return [
        FixedMix(market.benchmark, benchmark, None),
        FixedMix("equal weight", equal, _MONTH),
        FixedMix("equal weight, held", equal, None),
        InverseVolatility(universe),
    ]
