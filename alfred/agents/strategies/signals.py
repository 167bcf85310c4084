"""Rules on signals: the strategies that people trade by hand, through the same interface and at the same costs.

A rule reads one signal, in units of its own past root mean square as observations have it, and calls the normal
distribution function of it the *conviction*: one half where the signal is neutral, 0.69 at half a unit, 0.84 at one.
It is no probability that was ever calibrated; it puts forecasts of every kind on the scale on which such rules are
stated. Where a rule says short, it holds cash unless `short` is allowed and the environment lets it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from alfred.agents.strategies.prices import (
    BaselineSettings,
    compute_momentum,
    count_sessions,
    find_universe,
    put_rest_in_cash,
)
from alfred.envs.policy import BaselinePolicy
from alfred.errors import ConfigError, suggest
from alfred.typing import Float, Observation

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    from alfred.data.market import Market

_QUANTITY = ".expected_return_"


class RuleSettings(BaselineSettings):
    """What all rules share.

    Attributes:
        signal: Name of the signal; the first expected return, or else the first signal, when left out.
        short: Whether to sell short what looks bad; needs `env.action.mode` `long_short`.
    """

    rebalance_every: int | None = Field(default=1, ge=1)
    signal: str | None = None
    short: bool = False
    reads_momentum: ClassVar[bool] = False

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return f"rule: {self.kind.replace('_', ' ')}"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return Rule(self, market, self._find_column(signal_names))

    @abstractmethod
    def size(self, signal: Float, held: Float, momentum: Float | None) -> Float:
        """Return weights of the universe, negative for short, `[P, U]`.

        Args:
            signal: `[P, U]`, minus infinity where a symbol did not trade.
            held: Weights held, `[P, U]`.
            momentum: Past return of 12-1 months, for rules that read it, `[P, U]`.
        """

    def _find_column(self, names: Sequence[str]) -> int:
        if not names:
            raise ConfigError(f"baseline '{self.label}' reads a signal, and there are none; configure an analyst")
        if self.signal is None:
            return next((i for i, name in enumerate(names) if _QUANTITY in name), 0)
        if self.signal not in names:
            raise ConfigError(
                f"baseline '{self.label}' reads signal '{self.signal}', which is unknown; known: {', '.join(names)}."
                f"{suggest(self.signal, names)}"
            )
        return list(names).index(self.signal)


class Rule(BaselinePolicy):
    """A rule on one signal."""

    def __init__(self, settings: RuleSettings, market: Market, column: int) -> None:
        """Store the settings, the columns to invest in and the column of the signal."""
        self.settings, self.universe, self.column = settings, find_universe(market), column
        self.name, self.long_only = settings.label, not settings.short
        self.rebalance_every = settings.find_interval(market)
        self.skip = count_sessions(market, 1 / 12)
        self.lookback = count_sessions(market, 1) if settings.reads_momentum else 0

    def predict(self, observation: Observation) -> Float:
        """Return what the rule says; see `Policy`."""
        tradable = observation["tradable"][:, self.universe] > 0
        signal = observation["signals"][:, self.universe, self.column].astype(np.float64)
        held = observation["weights"][:, self.universe].astype(np.float64)
        momentum = compute_momentum(observation, self.lookback, self.skip)[:, self.universe] if self.lookback else None
        sized = np.where(tradable, self.settings.size(np.where(tradable, signal, -np.inf), held, momentum), 0.0)
        weights = np.zeros(observation["tradable"].shape)
        weights[:, self.universe] = sized if self.settings.short else np.maximum(sized, 0.0)
        return put_rest_in_cash(weights)


class DirectionSettings(RuleSettings):
    """Long an equal share of every symbol with a conviction above one half, short the others."""

    kind: Literal["direction"] = "direction"

    def size(self, signal: Float, held: Float, momentum: Float | None) -> Float:
        """Return the weights; see the base class."""
        return np.asarray(np.sign(np.nan_to_num(signal, neginf=0.0)) / signal.shape[1])


class NuancedSettings(RuleSettings):
    """Enters an equal share at a strong conviction and leaves it at a neutral one.

    Attributes:
        enter: Conviction that opens a long position; one less it opens a short one.
        leave: Conviction that closes a long position; one less it closes a short one.
    """

    kind: Literal["nuanced"] = "nuanced"
    enter: float = Field(default=0.7, gt=0.5, lt=1)
    leave: float = Field(default=0.5, gt=0, lt=1)

    def size(self, signal: Float, held: Float, momentum: Float | None) -> Float:
        """Return the weights; see the base class."""
        from scipy.special import ndtr  # a configuration is checked without scipy

        conviction: Float = ndtr(signal)
        # What is held says which positions are open: a rule needs no memory of its own.
        long = (conviction > self.enter) | ((held > 1e-6) & (conviction > self.leave))
        short = (conviction < 1 - self.enter) | ((held < -1e-6) & (conviction < 1 - self.leave))
        return np.asarray((long.astype(np.float64) - (short & ~long)) / signal.shape[1])


class MagnitudeSettings(RuleSettings):
    """All in on the one symbol with the largest forecast, long or short."""

    kind: Literal["magnitude"] = "magnitude"

    def size(self, signal: Float, held: Float, momentum: Float | None) -> Float:
        """Return the weights; see the base class."""
        known = np.nan_to_num(signal, neginf=0.0)
        chosen = (np.abs(known) if self.short else np.maximum(known, 0.0)).argmax(axis=1)[:, None]
        weights = np.zeros_like(known)
        np.put_along_axis(weights, chosen, np.sign(np.take_along_axis(known, chosen, axis=1)), axis=1)
        return weights


class TopSettings(RuleSettings):
    """Equal shares of the symbols with the largest forecasts among those that rose over the last year.

    Attributes:
        top_n: Symbols held at most; what is not filled stays in cash.
    """

    kind: Literal["top"] = "top"
    top_n: int = Field(default=5, ge=1)
    reads_momentum: ClassVar[bool] = True

    def size(self, signal: Float, held: Float, momentum: Float | None) -> Float:
        """Return the weights; see the base class."""
        if momentum is None:
            raise RuntimeError("the momentum filter was not given its returns")
        allowed = np.where((momentum > 0) & (signal > 0), signal, -np.inf)
        best = np.argsort(-allowed, axis=1, kind="stable")[:, : self.top_n]
        weights = np.zeros_like(allowed)
        np.put_along_axis(weights, best, np.isfinite(np.take_along_axis(allowed, best, axis=1)) / self.top_n, axis=1)
        return weights


class KellySettings(RuleSettings):
    """Sizes a bet by Kelly's rule for even odds, `2 p - 1` for conviction p (Kelly, 1956), clipped.

    Attributes:
        threshold: Conviction from which a long position is opened; one less it a short one.
        margin: How much larger than that of the median symbol a conviction must be.
        fraction: Share of the full bet.
        max_weight: Largest absolute weight of one symbol.
    """

    kind: Literal["kelly"] = "kelly"
    threshold: float = Field(default=0.55, ge=0.5, lt=1)
    margin: float = Field(default=0.05, ge=0, lt=0.5)
    fraction: float = Field(default=0.5, gt=0, le=1)
    max_weight: float = Field(default=0.2, gt=0, le=1)

    def size(self, signal: Float, held: Float, momentum: Float | None) -> Float:
        """Return the weights; see the base class."""
        from scipy.special import ndtr  # a configuration is checked without scipy

        conviction: Float = ndtr(np.nan_to_num(signal, neginf=0.0))
        lead = conviction - np.median(conviction, axis=1, keepdims=True)
        long = (conviction >= self.threshold) & (lead >= self.margin)
        short = (conviction <= 1 - self.threshold) & (lead <= -self.margin)
        bet = np.clip(self.fraction * (2 * conviction - 1), -self.max_weight, self.max_weight)
        weights = np.where(long | (short & self.short), bet, 0.0)
        return np.asarray(weights / np.maximum(np.abs(weights).sum(axis=1, keepdims=True), 1.0))
