"""The settings of a portfolio environment: how a portfolio is traded, held back and paid."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from alfred.envs.actions import ActionSettings
from alfred.envs.conditions import ImpactSettings
from alfred.envs.constraints import ConstraintSettings
from alfred.envs.rewards import RewardSettings
from alfred.envs.risk import RiskSettings
from alfred.envs.tape import Execution
from alfred.settings import Settings


class PortfolioSettings(Settings):
    """How a portfolio is traded and paid.

    Attributes:
        cost_bps: Commission on traded value, in basis points.
        slippage_bps: Half of the bid-ask spread, in basis points.
        impact: Market impact against average daily value.
        execution: When a decision is traded; `auto` takes the next open, or the next close when there are no opens.
            `close` trades at the price that the observation already holds and is flagged as optimistic in reports.
        rebalance_every: Sessions from one decision to the next; the book drifts in between.
        episode_length: Decisions in a training episode, from a random start; the whole range when left out.
        lookback: Sessions of log returns in an observation, L.
        cash_rate_pct: Yearly rate that cash earns, and that borrowed cash costs, in per cent.
        borrow_rate_pct: Yearly fee on the value of short positions, in per cent.
        margin_rate_pct: Yearly fee on borrowed cash, on top of `cash_rate_pct`, in per cent.
        observation: `dict` of named arrays, or all of them in one `flat` array for plain networks.
        action: How actions become weights.
        constraints: Limits on target weights.
        risk: Rules that sell.
        reward: What a step pays.
    """

    cost_bps: float = Field(default=5.0, ge=0, lt=1000)
    slippage_bps: float = Field(default=5.0, ge=0, lt=1000)
    impact: ImpactSettings = ImpactSettings()
    execution: Execution = "auto"
    rebalance_every: int = Field(default=1, ge=1)
    episode_length: int | None = Field(default=None, ge=2)
    lookback: int = Field(default=0, ge=0)
    cash_rate_pct: float = Field(default=0.0, gt=-100, le=100)
    borrow_rate_pct: float = Field(default=0.0, ge=0, le=100)
    margin_rate_pct: float = Field(default=0.0, ge=0, le=100)
    observation: Literal["dict", "flat"] = "dict"
    action: ActionSettings = ActionSettings()
    constraints: ConstraintSettings = ConstraintSettings()
    risk: RiskSettings = RiskSettings()
    reward: RewardSettings = RewardSettings()
