"""The strategies; see the package for what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from alfred.agents.strategies.online.base import OnlinePolicy, OnlineSettings
from alfred.agents.strategies.online.simplex import Mask, step_towards
from alfred.agents.strategies.prices import find_universe
from alfred.envs.policy import BaselinePolicy
from alfred.typing import Float

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    from alfred.data.market import Market


class EgSettings(OnlineSettings):
    """Exponentiated gradient (Helmbold, Schapire, Singer and Warmuth, 1998): leans to what has risen, slowly.

    Attributes:
        eta: Learning rate.
    """

    kind: Literal["eg"] = "eg"
    eta: float = Field(default=0.05, gt=0)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "exponentiated gradient"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return ExponentiatedGradient(self, find_universe(market))


class ExponentiatedGradient(OnlinePolicy):
    """Multiplies each weight by `exp(eta x_i / (b x))`."""

    def __init__(self, settings: EgSettings, universe: npt.NDArray[np.integer]) -> None:
        """Store the learning rate and the columns to invest in."""
        super().__init__(settings, universe)
        self.eta = settings.eta

    def _learn(self, wanted: Float, relatives: Float, members: Mask) -> Float:
        x = relatives[:, :, -1]
        earned = np.maximum((wanted * x).sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        exponent = np.where(members, self.eta * x / earned, 0.0)
        # Only ratios count; the largest exponent at zero keeps a jump in price from overflowing.
        return np.asarray(wanted * np.exp(exponent - exponent.max(axis=1, keepdims=True)))


class PamrSettings(OnlineSettings):
    """Passive aggressive mean reversion (Li, Zhao, Hoi and Gopalkrishnan, 2012): sells what has just risen.

    It turns its whole book over nearly every day, and lives without costs only.

    Attributes:
        epsilon: Return of the period, as a price relative, above which it moves away from what earned it.
    """

    kind: Literal["pamr"] = "pamr"
    epsilon: float = Field(default=0.5, ge=0)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "PAMR"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return PassiveAggressive(self, find_universe(market))


class PassiveAggressive(OnlinePolicy):
    """Moves just far enough that the last period would have earned `epsilon`."""

    def __init__(self, settings: PamrSettings, universe: npt.NDArray[np.integer]) -> None:
        """Store the threshold and the columns to invest in."""
        super().__init__(settings, universe)
        self.epsilon = settings.epsilon

    def _learn(self, wanted: Float, relatives: Float, members: Mask) -> Float:
        x = relatives[:, :, -1]
        return step_towards(wanted, x, np.minimum(self.epsilon - (wanted * x).sum(axis=1), 0.0), members)


class OlmarSettings(OnlineSettings):
    """On-line moving average reversion, OLMAR-1 (Li and Hoi, 2012): expects prices to return to their average.

    Like the authors' toolbox it first moves at the third decision, and until there are more than `window` periods it
    expects the last relative once more.

    Attributes:
        window: Prices in the average, W; the present one is among them.
        epsilon: Expected relative that it moves for.
    """

    kind: Literal["olmar"] = "olmar"
    window: int = Field(default=5, ge=2)
    epsilon: float = Field(default=10.0, gt=1)

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "OLMAR"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return MovingAverageReversion(self, find_universe(market))


class MovingAverageReversion(OnlinePolicy):
    """Moves just far enough that the relative expected of the next period is `epsilon`."""

    def __init__(self, settings: OlmarSettings, universe: npt.NDArray[np.integer]) -> None:
        """Store the settings and the columns to invest in."""
        super().__init__(settings, universe, settings.window - 1)
        self.epsilon = settings.epsilon

    def _learn(self, wanted: Float, relatives: Float, members: Mask) -> Float:
        latest = relatives[:, :, -1]
        # Earlier prices over the present one, the present one first.
        average = (1.0 + (1.0 / np.cumprod(relatives[:, :, ::-1], axis=2)).sum(axis=2)) / (self.window + 1)
        expected = np.where(self.n_periods[:, None] > self.window + 1, average, latest)
        gap = np.maximum(self.epsilon - (wanted * expected).sum(axis=1), 0.0)
        return step_towards(wanted, expected, np.where(self.n_periods >= 2, gap, 0.0), members)


class UniversalSettings(OnlineSettings):
    """Cover's universal portfolio (1991): the average of all constant mixes, each weighted with what it has earned.

    On two symbols the mixes are a grid; on more they are drawn evenly from the simplex, and then the result is an
    approximation that gets coarser with every symbol.

    Attributes:
        n_grid: Mixes of two symbols, both ends included, G.
        n_samples: Mixes drawn for more than two, G.
        seed: Seed of the draw.
    """

    kind: Literal["universal"] = "universal"
    n_grid: int = Field(default=21, ge=2)
    n_samples: int = Field(default=1000, ge=2)
    seed: int = 0

    @property
    def default_name(self) -> str:
        """Name in tables when none was given."""
        return "universal portfolio"

    def build(self, market: Market, signal_names: Sequence[str]) -> BaselinePolicy:
        """Build the policy; see the base class."""
        return UniversalPortfolio(self, find_universe(market))


class UniversalPortfolio(OnlinePolicy):
    """Averages constant mixes by their wealth."""

    def __init__(self, settings: UniversalSettings, universe: npt.NDArray[np.integer]) -> None:
        """Lay out the mixes, `[G, U]`."""
        if len(universe) == 2:
            first = np.linspace(0.0, 1.0, settings.n_grid)
            self.mixes = np.column_stack([first, 1.0 - first])
        else:
            rng = np.random.default_rng(settings.seed)
            self.mixes = rng.dirichlet(np.ones(len(universe)), settings.n_samples)
        super().__init__(settings, universe)

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Forget everything; see the base class."""
        super().reset(rows)
        if rows is not None and len(self.members):
            self.wealth[rows] = 1.0

    def _begin(self, count: int) -> None:
        super()._begin(count)
        self.wealth = np.ones((count, len(self.mixes)))

    def _learn(self, wanted: Float, relatives: Float, members: Mask) -> Float:
        self.wealth = self.wealth * (relatives[:, :, -1] @ self.mixes.T)
        self.wealth /= self.wealth.max(axis=1, keepdims=True)  # only ratios count, and products overflow
        return np.asarray(self.wealth @ self.mixes)
