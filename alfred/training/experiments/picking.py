"""Picking: the symbols with the highest score, equal weights, once a week, as a policy of the one ledger.

Axes legend: P portfolios, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alfred.data.market import Market
from alfred.envs.policy import BaselinePolicy
from alfred.envs.settings import PortfolioSettings, RiskSettings
from alfred.errors import ConfigError
from alfred.training.experiments.score import DECIDES, ELIGIBLE, SCORE
from alfred.training.experiments.settings import StrategySettings
from alfred.typing import Float, Observation


class PickPolicy(BaselinePolicy):
    """Holds the symbols with the highest score, and leaves the book alone between the decisions of two weeks.

    Args:
        name: Name in tables.
        strategy: How many, and how many of a sector.
        market: Names the symbols and their sectors.
    """

    rebalance_every: int | None = 1
    under_mandate = True
    may_hold = True

    def __init__(self, name: str, strategy: StrategySettings, market: Market) -> None:
        """Store how to pick."""
        self.name = name
        self._strategy = strategy
        self._sectors = [market.sectors.get(symbol, "") for symbol in market.symbols]

    def predict(self, observation: Observation) -> Float:
        """Return the weights of a weekly decision, NaN on every other session; see `Policy`."""
        signals = observation["signals"]
        weights = np.full(observation["weights"].shape, np.nan)
        for row, table in enumerate(signals):
            if not table[:, DECIDES].any():
                continue
            eligible = (table[:, ELIGIBLE] > 0.5) & (observation["tradable"][row] > 0)
            weights[row, :-1] = pick(
                table[:, SCORE], eligible, self._sectors, self._strategy.top_n, self._strategy.sector_cap
            )
            weights[row, -1] = 1.0 - weights[row, :-1].sum()
        return weights


def pick(
    score: npt.NDArray[np.floating],
    eligible: npt.NDArray[np.bool_],
    sectors: Sequence[str],
    top_n: int,
    sector_cap: int | None = None,
) -> Float:
    """Return the weights of the symbols with the highest scores, `[N]`.

    There are `top_n` places of equal weight, filled from the highest score down. Symbols of equal score share the
    places that are left for them equally, so that no order of the table decides: where all are equal, all are held. A
    sector takes `sector_cap` places at most, and what it leaves goes to the next score. Places that stay empty are
    cash.

    Args:
        score: Higher is better, `[N]`.
        eligible: Whether a symbol may be picked, `[N]`.
        sectors: Sector of each symbol, empty where there is none, `[N]`.
        top_n: Places.
        sector_cap: Places of one sector at most; None for no cap.
    """
    places = np.zeros(len(score))
    left = float(top_n)
    room = dict.fromkeys(sectors, float(top_n if sector_cap is None else sector_cap))
    for value in np.unique(score[eligible])[::-1]:
        if left <= 0.0:
            break
        equals = [int(place) for place in np.flatnonzero(eligible & (score == value))]
        shares = np.ones(len(equals))
        for sector in {sectors[place] for place in equals} - {""}:
            inside = np.array([sectors[place] == sector for place in equals])
            shares[inside] = min(1.0, room[sector] / inside.sum())
        shares *= min(1.0, left / shares.sum()) if shares.any() else 0.0
        places[equals] = shares
        left -= float(shares.sum())
        for place, share in zip(equals, shares, strict=True):
            if sectors[place]:
                room[sectors[place]] = max(room[sectors[place]] - share, 0.0)
    return places / top_n


def make_terms(strategy: StrategySettings, terms: PortfolioSettings) -> PortfolioSettings:
    """Return the market terms with the risk rules of a strategy.

    Raises:
        ConfigError: The configuration has risk rules of its own, which would hold for some rows of the table only.
    """
    if terms.risk != RiskSettings():
        raise ConfigError(
            "env.risk is set, but the stop and the breaker of an experiment are its own: leave env.risk out, and set "
            "stop_loss_pct or breaker_drawdown_pct in the changes of an experiment"
        )
    risk = RiskSettings(
        stop_loss_pct=strategy.stop_loss_pct,
        stop_loss_at="close",
        breaker_drawdown_pct=strategy.breaker_drawdown_pct,
        breaker_cooldown_days=strategy.breaker_cooldown_days,
    )
    return terms.model_copy(update={"risk": risk})
