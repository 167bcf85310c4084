"""The settings of a portfolio environment: what the market asks of everybody, and what the agent is told to keep to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from alfred.envs.actions import ActionSettings
from alfred.envs.constraints import ConstraintSettings
from alfred.envs.market_features import ImpactSettings
from alfred.envs.rewards import RewardSettings
from alfred.envs.risk import RiskSettings
from alfred.envs.tape import Execution
from alfred.settings import Settings

RatePct = Annotated[float, Field(gt=-100, le=100)]


class MarketTerms(Settings):
    """What trading costs and what money earns: the same for agents, baselines and the benchmark.

    Attributes:
        cost_bps: Commission on traded value, in basis points.
        slippage_bps: Half of the bid-ask spread, in basis points.
        impact: Market impact against average daily value.
        execution: When a decision is traded; `auto` takes the next open, or the next close when there are no opens.
            `close` trades at the price that the observation already holds and is flagged as optimistic in reports.
        cash_rate_pct: Yearly rate that cash earns, and that borrowed cash costs, in per cent: a number; rates by date
            as a mapping; or a CSV file with the columns `date` and one rate, each holding until the next. Left out, it
            is the rate that comes with the market, or zero. Sharpe ratios and tests are in excess of it.
        borrow_rate_pct: Yearly fee on the value of short positions, in per cent.
        margin_rate_pct: Yearly fee on borrowed cash, on top of `cash_rate_pct`, in per cent.
        delisting_after: Sessions without a trade after which a symbol counts as delisted, when `symbols.csv` does not
            say; half a year of sessions when left out.
        delisting_payout_pct: What is paid for it then, in per cent of the last price, when `symbols.csv` does not say.
            Delistings for performance lose about 30 per cent on the New York exchanges (Shumway, 1997).
    """

    cost_bps: float = Field(default=5.0, ge=0, lt=1000)
    slippage_bps: float = Field(default=5.0, ge=0, lt=1000)
    impact: ImpactSettings = ImpactSettings()
    execution: Execution = "auto"
    cash_rate_pct: RatePct | Path | Mapping[date, RatePct] | None = Field(
        default=None, validation_alias=AliasChoices("cash_rate_pct", "cash_rate")
    )
    borrow_rate_pct: float = Field(default=0.0, ge=0, le=100)
    margin_rate_pct: float = Field(default=0.0, ge=0, le=100)
    delisting_after: int | None = Field(default=None, ge=1)
    delisting_payout_pct: float = Field(default=70.0, ge=0, le=100)


class Mandate(Settings):
    """What an agent is told to keep to. Benchmarks and baselines are free of it, unless a baseline asks for it.

    Attributes:
        constraints: Limits on target weights.
        risk: Rules that sell.
    """

    constraints: ConstraintSettings = ConstraintSettings()
    risk: RiskSettings = RiskSettings()


class PortfolioSettings(Mandate, MarketTerms):  # costs stand first in a configuration
    """How a portfolio is traded, held back and paid.

    Attributes:
        rebalance_every: Sessions from one decision to the next; the book drifts in between.
        episode_length: Decisions in a training episode, from a random start; the whole range when left out.
        lookback: Sessions of log returns in an observation, L.
        observation: `dict` of named arrays, or all of them in one `flat` array for plain networks.
        action: How actions become weights.
        reward: What a step pays.
    """

    rebalance_every: int = Field(default=1, ge=1)
    episode_length: int | None = Field(default=None, ge=2)
    lookback: int = Field(default=0, ge=0)
    observation: Literal["dict", "flat"] = "dict"
    action: ActionSettings = ActionSettings()
    reward: RewardSettings = RewardSettings()

    def lift_mandate(self) -> PortfolioSettings:
        """Return the same market terms without constraints and risk rules."""
        free = Mandate()
        return self.model_copy(update={name: getattr(free, name) for name in Mandate.model_fields})
