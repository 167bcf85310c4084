"""Baselines on prices alone: what an agent has to beat, traded in the same ledger at the same costs.

Each baseline is a settings model that builds a policy. All of them are named in `alfred.agents.strategies.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from alfred.envs.policy import BaselinePolicy
from alfred.errors import ConfigError
from alfred.settings import Settings
from alfred.typing import Float, Observation

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    from alfred.data.market import Market

FOREVER = 1_000_000  # longer than any history: the first decision is the only one
MONTH = 21  # sessions of daily bars
_DAYS_PER_YEAR = 252


class BaselineSettings(Settings, ABC):
    """What every baseline can be told; each adds its own.

    Attributes:
        kind: Which baseline, a key of the registry.
        name: Name in tables; each kind has one of its own when left out.
        rebalance_every: Sessions between trades; a month of them when left out.
        under_mandate: Whether the agent's constraints and risk rules hold for it as well.
    """

    kind: str
    name: str | None = None
    rebalance_every: int | None = Field(default=None, ge=1)
    under_mandate: bool = False

    @property
    @abstractmethod
    def default_name(self) -> str:
        """Name in tables when none was given."""

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.name or self.default_name

    def find_interval(self, market: Market) -> int:
        """Return the sessions between trades on the bars of a market."""
        return self.rebalance_every or count_sessions(market, 1 / 12)

    @abstractmethod
    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy for a market.

        Args:
            market: Names the symbols.
            signal_names: Signals in the observations, `[K]`.

        Raises:
            ConfigError: The settings name a symbol or a signal that is not there, or one that may not be held.
        """


class MixSettings(BaselineSettings):
    """Fixed weights, rebalanced or bought once.

    Attributes:
        weights: Weight by symbol; what they lack to one is cash. Equal weights in the universe when left out.
        benchmark_weight: Weight of the benchmark when `weights` is left out, the rest cash; None for equal weights.
        hold: Buy once and never trade again.

    Raises:
        ValueError: A held mix is put under the mandate.
    """

    kind: Literal["mix"] = "mix"
    weights: Mapping[str, float] | None = None
    benchmark_weight: float | None = Field(default=None, ge=0, le=1)
    hold: bool = False

    @model_validator(mode="after")
    def _decide_more_than_once(self) -> MixSettings:
        if self.hold and self.under_mandate:
            raise ValueError(
                "a held mix decides once, so that a stop or a limit would leave it in cash for ever; drop hold or "
                "under_mandate"
            )
        return self

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        if self.weights is not None:
            return "mix of " + ", ".join(f"{share:.0%} {symbol}" for symbol, share in self.weights.items())
        if self.benchmark_weight is not None:
            return f"{self.benchmark_weight:.0%} benchmark" + (", held" if self.hold else "")
        return "equal weight, held" if self.hold else "equal weight"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
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
        outside = [market.symbols[column] for column in np.setdiff1d(np.flatnonzero(shares), find_universe(market))]
        if self.under_mandate and outside:
            raise ConfigError(
                f"baseline '{self.label}' holds {', '.join(outside)}, which is not investable, and is under_mandate: "
                "name it in data.investable, or drop under_mandate"
            )
        name = market.benchmark if self._holds_benchmark and self.name is None else self.label
        return FixedMix(name, shares, FOREVER if self.hold else self.find_interval(market))

    @property
    def _holds_benchmark(self) -> bool:
        return self.weights is None and self.benchmark_weight == 1.0 and self.hold


class FixedMix(BaselinePolicy):
    """Rebalances to the same weights, or buys them once.

    Args:
        name: Name in tables.
        shares: Weight wanted in each symbol, `[N]`, not negative, summing to one at most; the rest is cash.
        rebalance_every: Sessions between trades.
    """

    def __init__(self, name: str, shares: npt.ArrayLike, rebalance_every: int = MONTH) -> None:
        """Store the mix."""
        self.name = name
        self.shares = np.asarray(shares, dtype=np.float64)
        self.rebalance_every = rebalance_every

    def predict(self, observation: Observation) -> Float:
        """Return the mix among tradable symbols; see `Policy`."""
        shares = np.broadcast_to(self.shares, observation["tradable"].shape)
        return spread_over_tradable(shares, observation, invested=float(self.shares.sum()))


class InverseVolatilitySettings(BaselineSettings):
    """Weights in proportion to one over volatility.

    Attributes:
        lookback: Sessions of the volatility, L; a quarter, and twelve at least, when left out.
    """

    kind: Literal["inverse_volatility"] = "inverse_volatility"
    lookback: int | None = Field(default=None, ge=5)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "inverse volatility"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return InverseVolatility(self, market)


class InverseVolatility(BaselinePolicy):
    """Weights in proportion to one over the volatility of the last sessions."""

    def __init__(self, settings: InverseVolatilitySettings, market: Market) -> None:
        """Store the window and the columns to invest in."""
        self.name, self.universe = settings.label, find_universe(market)
        self.rebalance_every = settings.find_interval(market)
        self.lookback = settings.lookback or max(count_sessions(market, 1 / 4), 12)
        # A basis point a day: nothing that is quoted stands stiller.
        self._floor = 1e-4 * np.sqrt(_DAYS_PER_YEAR / market.periods_per_year)

    def predict(self, observation: Observation) -> Float:
        """Return weights in proportion to inverse volatility; see `Policy`."""
        returns = last_returns(observation, self.lookback)[:, self.universe]
        # A price that stood still for the whole window is one that was not quoted.
        volatility = np.where(returns.any(axis=2), np.maximum(returns.std(axis=2), self._floor), np.inf)
        shares = np.zeros(observation["tradable"].shape)
        shares[:, self.universe] = 1.0 / volatility
        return spread_over_tradable(shares, observation)


class MomentumSettings(BaselineSettings):
    """The symbols that rose most over the last year without its last month (Jegadeesh and Titman, 1993).

    Attributes:
        top_n: Symbols held, in equal weights; a quarter of the universe when left out.
        lookback: Sessions looked back; a year when left out.
        skip: Latest sessions left out; a month when left out.
    """

    kind: Literal["momentum"] = "momentum"
    top_n: int | None = Field(default=None, ge=1)
    lookback: int | None = Field(default=None, ge=2)
    skip: int | None = Field(default=None, ge=0)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        usual = self.lookback in (None, _DAYS_PER_YEAR) and self.skip in (None, MONTH)
        return "12-1 momentum" if usual else f"momentum {self.lookback or 'of a year'}"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return Momentum(self, market)


class Momentum(BaselinePolicy):
    """Holds the symbols that rose most."""

    def __init__(self, settings: MomentumSettings, market: Market) -> None:
        """Store the settings and the columns to invest in.

        Raises:
            ConfigError: More sessions are left out than are looked back.
        """
        self.name, self.universe = settings.label, find_universe(market)
        self.rebalance_every = settings.find_interval(market)
        self.lookback = settings.lookback or count_sessions(market, 1)
        self.skip = count_sessions(market, 1 / 12) if settings.skip is None else settings.skip
        if self.skip >= self.lookback:
            raise ConfigError(
                f"baseline '{self.name}' looks back {self.lookback} sessions and leaves out the latest {self.skip}: "
                "nothing is left; set a lookback above skip"
            )
        held = settings.top_n or max(round(len(self.universe) / 4), 1)
        self.top_n = min(held, len(self.universe))

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

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return Trend(self, market)


class Trend(BaselinePolicy):
    """Leaves a symbol for cash while it is below its exponential average."""

    def __init__(self, settings: TrendSettings, market: Market) -> None:
        """Store the settings and the columns to invest in."""
        self.name, self.universe = settings.label, find_universe(market)
        self.rebalance_every = settings.find_interval(market)
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


def count_sessions(market: Market, years: float) -> int:
    """Return about how many sessions of a market some years have, one at least."""
    return max(1, round(market.periods_per_year * years))


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
