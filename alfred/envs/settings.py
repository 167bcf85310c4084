"""What an environment can be told: the terms of the market, the mandate of an agent, actions and rewards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, field_validator

from alfred.envs.registry import BUILT_IN_REWARDS, REWARDS
from alfred.errors import ConfigError
from alfred.settings import Settings


class ActionSettings(Settings):
    """How actions in [-1, 1] become weights.

    Attributes:
        mode: `softmax` reads the action as scores; `simplex` reads it as weights, `2 w - 1`; `long_short` reads the
            numbers of the assets as `w / max_leverage`, scaled down together when they sum to more than one in size,
            and leaves the rest to cash (the number of cash is not read).
        logit_scale: A score of 1 becomes this logit: one over the temperature of the softmax. Ten reaches all weight on
            one of thousands of assets; with a scale of 1 no weight of 30 assets can exceed 20 %.
        max_leverage: Largest sum of absolute asset weights in `long_short`; cash is borrowed above 1.
    """

    mode: Literal["softmax", "simplex", "long_short"] = "softmax"
    logit_scale: float = Field(default=10.0, gt=0, le=300)
    max_leverage: float = Field(default=1.0, gt=0, le=10)

    @property
    def long_only(self) -> bool:
        """Whether no weight can be negative."""
        return self.mode != "long_short"


class ConstraintSettings(Settings):
    """Limits on target weights; a limit that is left out does not bind.

    Attributes:
        max_weight: Largest absolute weight of one asset; cash has no cap.
        max_sector_weight: Largest sum of absolute weights in a sector: one number for all sectors, or a number for
            each sector named. Symbols without a sector are not limited.
        max_turnover: Largest turnover of one trade, before costs: half the sum of absolute weight changes.
    """

    max_weight: float | None = Field(default=None, gt=0)
    max_sector_weight: float | dict[str, float] | None = None
    max_turnover: float | None = Field(default=None, gt=0)

    @property
    def bind(self) -> bool:
        """Whether there is any limit."""
        return any(limit is not None for limit in (self.max_weight, self.max_sector_weight, self.max_turnover))


class RiskSettings(Settings):
    """Rules that sell; a rule that is left out does not act.

    Attributes:
        stop_loss_pct: Loss from the average entry price at which a position is sold, in per cent.
        stop_loss_at: `touch` is an order that rests in the market and is filled inside the bar; it needs bars with
            open, high and low. `close` looks at closes alone and sells at the next execution.
        breaker_drawdown_pct: Depth below the peak of wealth at which everything is sold, in per cent.
        breaker_cooldown_days: Sessions that the breaker keeps the book in cash; the peak starts anew afterwards.
    """

    stop_loss_pct: float | None = Field(default=None, gt=0, lt=100)
    stop_loss_at: Literal["touch", "close"] = "touch"
    breaker_drawdown_pct: float | None = Field(default=None, gt=0, lt=100)
    breaker_cooldown_days: int = Field(default=20, ge=1)


class ImpactSettings(Settings):
    """Market impact: what a large trade pays beyond commission and spread.

    Trading the share q of an average day's value moves the price by `coefficient * volatility * q^(1/2)`
    (`square_root`: Almgren, Thum, Hauptmann and Li, 2005; Toth et al., 2011) or by `coefficient * volatility * q`
    (`linear`: Kyle, 1985, which makes the cost quadratic). Volatility is the daily one. Both averages are over the
    sessions before the trade.

    Attributes:
        kind: The law, or `none`.
        coefficient: Its factor; about one for the square root.
        capital: Worth of one unit of wealth, in the currency of the prices.
        window_days: Sessions that the daily value and the volatility are averaged over.
    """

    kind: Literal["none", "square_root", "linear"] = "none"
    coefficient: float = Field(default=1.0, gt=0)
    capital: float = Field(default=1e6, gt=0)
    window_days: int = Field(default=20, ge=2)

    @property
    def power(self) -> float:
        """Power of the traded value in the cost."""
        return 2.0 if self.kind == "linear" else 1.5


class RewardSettings(Settings):
    """What a step pays.

    Attributes:
        kind: `growth` pays log growth of wealth net of costs; `excess` pays the same less that of `reference` over the
            same step, which removes the market's noise without changing the best policy; `differential_sharpe` pays
            the change of a running Sharpe ratio.
        reference: Whose growth `excess` takes away: `equal_weight` of the universe or the `benchmark`, free of costs.
        risk_aversion: Weight of the risk term `risk_aversion / 2 * r^2` on the simple net return r of a step, in
            `growth` and `excess`; without one, a policy that maximises growth concentrates.
        drawdown_penalty: Reward lost for each unit by which the drawdown deepens in a step.
        turnover_penalty: Reward lost for each unit of turnover, beside the costs themselves.
        sharpe_memory: Steps that the running Sharpe ratio looks back, roughly.
        scale: Factor on the reward; 100 makes it per cent, which suits the learners' default step sizes.
        options: Numbers that a reward of your own reads, by name.
    """

    kind: str = "excess"
    reference: Literal["equal_weight", "benchmark"] = "equal_weight"
    risk_aversion: float = Field(default=10.0, ge=0)
    drawdown_penalty: float = Field(default=0.0, ge=0)
    turnover_penalty: float = Field(default=0.0, ge=0)
    sharpe_memory: float = Field(default=60.0, gt=1)
    scale: float = Field(default=100.0, gt=0)
    options: Mapping[str, float] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _check_kind(cls, kind: str) -> str:
        try:
            if kind in BUILT_IN_REWARDS:
                REWARDS.check_name(kind)
            else:
                REWARDS.find(kind, BUILT_IN_REWARDS)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return kind


Execution = Literal["auto", "next_open", "next_close", "close"]


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
