"""Baselines on prices alone: what an agent has to beat, traded in the same ledger at the same costs.

Each baseline is a settings model that builds a policy. All of them are named in `alfred.agents.baseline_registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from alfred.data.market import Market
from alfred.envs.ledger import Float
from alfred.envs.observations import Observation
from alfred.envs.policy import Policy
from alfred.errors import ConfigError
from alfred.settings import Settings

FOREVER = 1_000_000  # longer than any history: the first decision is the only one
MONTH = 21


class BaselineSettings(Settings, ABC):
    """What every baseline can be told; each adds its own.

    Attributes:
        kind: Which baseline, a key of the registry.
        name: Name in tables; each kind has one of its own when left out.
        rebalance_every: Sessions between trades.
    """

    kind: str
    name: str | None = None
    rebalance_every: int = Field(default=MONTH, ge=1)

    @property
    @abstractmethod
    def default_name(self) -> str:
        """Name in tables when none was given."""

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.name or self.default_name

    @abstractmethod
    def build(self, market: Market, signal_names: Sequence[str]) -> Policy:
        """Build the policy for a market.

        Args:
            market: Names the symbols.
            signal_names: Signals in the observations, `[K]`.

        Raises:
            ConfigError: The settings name a symbol or a signal that is not there.
        """


class MixSettings(BaselineSettings):
    """Fixed weights, rebalanced or bought once.

    Attributes:
        weights: Weight by symbol; what they lack to one is cash. Equal weights in the universe when left out.
        benchmark_weight: Weight of the benchmark when `weights` is left out, the rest cash; None for equal weights.
        hold: Buy once and never trade again.
    """

    kind: Literal["mix"] = "mix"
    weights: Mapping[str, float] | None = None
    benchmark_weight: float | None = Field(default=None, ge=0, le=1)
    hold: bool = False

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        if self.weights is not None:
            return "mix of " + ", ".join(f"{share:.0%} {symbol}" for symbol, share in self.weights.items())
        if self.benchmark_weight is not None:
            return f"{self.benchmark_weight:.0%} benchmark" + (", held" if self.hold else "")
        return "equal weight, held" if self.hold else "equal weight"

    def build(self, market: Market, signal_names: Sequence[str]) -> Policy:
        """Build the policy; see the base class."""
        shares = np.zeros(market.n_symbols)
        if self.weights is not None:
            for symbol, share in self.weights.items():
                shares[market.index_of(symbol)] = share
            if shares.min() < 0 or shares.sum() > 1 + 1e-9:
                raise ConfigError(f"the weights of baseline '{self.label}' must be at least 0 and sum to at most 1")
        elif self.benchmark_weight is not None:
            shares[market.index_of(market.benchmark)] = self.benchmark_weight
        else:
            universe = find_universe(market)
            shares[universe] = 1.0 / len(universe)
        name = market.benchmark if self._holds_benchmark and self.name is None else self.label
        return FixedMix(name, shares, FOREVER if self.hold else self.rebalance_every)

    @property
    def _holds_benchmark(self) -> bool:
        return self.weights is None and self.benchmark_weight == 1.0 and self.hold


class FixedMix:
    """Rebalances to the same weights, or buys them once.

    Args:
        name: Name in tables.
        shares: Weight wanted in each symbol, `[N]`, not negative, summing to one at most; the rest is cash.
        rebalance_every: Sessions between trades.
    """

    lookback = 0

    def __init__(self, name: str, shares: npt.ArrayLike, rebalance_every: int = MONTH) -> None:
        """Store the mix."""
        self.name = name
        self.shares = np.asarray(shares, dtype=np.float64)
        self.rebalance_every: int | None = rebalance_every

    def predict(self, observation: Observation) -> Float:
        """Return the mix among tradable symbols; see `Policy`."""
        shares = np.broadcast_to(self.shares, observation["tradable"].shape)
        return spread_over_tradable(shares, observation, invested=float(self.shares.sum()))


class InverseVolatilitySettings(BaselineSettings):
    """Weights in proportion to one over volatility.

    Attributes:
        lookback: Sessions of the volatility, L.
    """

    kind: Literal["inverse_volatility"] = "inverse_volatility"
    lookback: int = Field(default=63, ge=5)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "inverse volatility"

    def build(self, market: Market, signal_names: Sequence[str]) -> Policy:
        """Build the policy; see the base class."""
        return InverseVolatility(self, find_universe(market))


class InverseVolatility:
    """Weights in proportion to one over the volatility of the last sessions."""

    def __init__(self, settings: InverseVolatilitySettings, universe: npt.NDArray[np.integer]) -> None:
        """Store the window and the columns to invest in."""
        self.name, self.lookback, self.universe = settings.label, settings.lookback, universe
        self.rebalance_every: int | None = settings.rebalance_every

    def predict(self, observation: Observation) -> Float:
        """Return weights in proportion to inverse volatility; see `Policy`."""
        returns = last_returns(observation, self.lookback)[:, self.universe]
        # A price that stood still for the whole window is one that was not quoted.
        volatility = np.where(returns.any(axis=2), np.maximum(returns.std(axis=2), 1e-4), np.inf)
        shares = np.zeros(observation["tradable"].shape)
        shares[:, self.universe] = 1.0 / volatility
        return spread_over_tradable(shares, observation)


class MomentumSettings(BaselineSettings):
    """The symbols that rose most over the last year without its last month (Jegadeesh and Titman, 1993).

    Attributes:
        top_n: Symbols held, in equal weights; a quarter of the universe when left out.
        lookback: Sessions looked back.
        skip: Latest sessions left out.
    """

    kind: Literal["momentum"] = "momentum"
    top_n: int | None = Field(default=None, ge=1)
    lookback: int = Field(default=252, ge=2)
    skip: int = Field(default=MONTH, ge=0)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "12-1 momentum" if (self.lookback, self.skip) == (252, MONTH) else f"momentum {self.lookback}"

    def build(self, market: Market, signal_names: Sequence[str]) -> Policy:
        """Build the policy; see the base class."""
        return Momentum(self, find_universe(market))


class Momentum:
    """Holds the symbols that rose most."""

    def __init__(self, settings: MomentumSettings, universe: npt.NDArray[np.integer]) -> None:
        """Store the settings and the columns to invest in."""
        self.name, self.lookback, self.universe = settings.label, settings.lookback, universe
        self.rebalance_every: int | None = settings.rebalance_every
        self.skip = settings.skip
        self.top_n = min(settings.top_n or max(round(len(universe) / 4), 1), len(universe))

    def predict(self, observation: Observation) -> Float:
        """Return equal weights in the winners; see `Policy`."""
        tradable = observation["tradable"][:, self.universe] > 0
        risen = np.where(tradable, compute_momentum(observation, self.lookback, self.skip)[:, self.universe], -np.inf)
        winners = np.argsort(-risen, axis=1, kind="stable")[:, : self.top_n]
        shares = np.zeros(observation["tradable"].shape)
        np.put_along_axis(shares, self.universe[winners], 1.0, axis=1)
        return spread_over_tradable(shares, observation)


class TrendSettings(BaselineSettings):
    """Each symbol at its equal share while its price is above its exponential average, else that share in cash.

    Attributes:
        span: Span of the average in sessions.
    """

    kind: Literal["trend"] = "trend"
    span: int = Field(default=200, ge=2)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return f"trend {self.span}, or cash"

    def build(self, market: Market, signal_names: Sequence[str]) -> Policy:
        """Build the policy; see the base class."""
        return Trend(self, find_universe(market))


class Trend:
    """Leaves a symbol for cash while it is below its exponential average."""

    def __init__(self, settings: TrendSettings, universe: npt.NDArray[np.integer]) -> None:
        """Store the settings and the columns to invest in."""
        self.name, self.universe = settings.label, universe
        self.rebalance_every: int | None = settings.rebalance_every
        self.lookback = 2 * settings.span
        decay = 1.0 - 2.0 / (settings.span + 1.0)
        weights = decay ** np.arange(self.lookback)[::-1]
        self._average = weights / weights.sum()

    def predict(self, observation: Observation) -> Float:
        """Return the shares of symbols that rise, the rest in cash; see `Policy`."""
        returns = last_returns(observation, self.lookback)[:, self.universe]
        price = np.exp(np.cumsum(returns, axis=2))
        rising = price[:, :, -1] > price @ self._average
        shares = np.zeros(observation["tradable"].shape)
        shares[:, self.universe] = rising / len(self.universe)
        return put_rest_in_cash(shares * observation["tradable"])


def find_universe(market: Market) -> npt.NDArray[np.intp]:
    """Return the columns that a baseline may invest in."""
    return np.array([market.index_of(symbol) for symbol in market.universe])


def last_returns(observation: Observation, lookback: int) -> Float:
    """Return the log returns of the last sessions, `[P, N, lookback]`; the environment may keep more of them."""
    returns = observation["returns"]
    return returns[..., returns.shape[-1] - lookback :].astype(np.float64)


def compute_momentum(observation: Observation, lookback: int, skip: int) -> Float:
    """Return the log return from `lookback` to `skip` sessions ago, `[P, N]`."""
    returns = last_returns(observation, lookback)
    return np.asarray(returns[..., : lookback - skip].sum(axis=-1))


def spread_over_tradable(shares: Float, observation: Observation, invested: float = 1.0) -> Float:
    """Scale shares `[P, N]` to weights `[P, N+1]` that sum to `invested` over the symbols that traded at this close."""
    wanted = shares * observation["tradable"]
    total = wanted.sum(axis=1, keepdims=True)
    return put_rest_in_cash(np.divide(wanted * invested, total, out=np.zeros_like(wanted), where=total > 0))


def put_rest_in_cash(weights: Float) -> Float:
    """Return weights `[P, N+1]` from those of the symbols, `[P, N]`."""
    return np.hstack([weights, 1.0 - weights.sum(axis=1, keepdims=True)])
