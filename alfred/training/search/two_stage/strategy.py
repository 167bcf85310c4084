"""How well forecasts trade: a Kelly rule whose numbers are searched, walked through the one ledger.

Axes legend: T dates, F folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfred.agents.strategies.prices import BaselineSettings, MixSettings
from alfred.agents.strategies.signals import KellySettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Range
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.search.two_stage.segments import cut_copy
from alfred.training.search.two_stage.spaces import Parameter, Suggests, Value

NAME = "tuned strategy"
WORST = -100.0
"""Score of a strategy that never traded; every other one is held above it."""

_TRADED = 1e-9  # turnover below this is rounding

STRATEGY_SPACE: tuple[Parameter, ...] = (
    Parameter("threshold", 0.5, 0.9),
    Parameter("margin", 0.0, 0.3),
    Parameter("max_weight", 0.02, 1.0, log=True),
    Parameter("fraction", 0.1, 1.0),
    Parameter("batch", 1, 21, log=True),
)
"""What the second stage searches: threshold, confidence margin, Kelly clip and fraction, and the batch size."""

DEFAULTS: dict[str, Value] = {
    name: KellySettings.model_fields[name].default for name in ("threshold", "margin", "max_weight", "fraction")
} | {"batch": 5}


@dataclass(frozen=True)
class StrategyScore:
    """One strategy over folds.

    Attributes:
        sharpes: Annual Sharpe ratio in excess of cash by fold, net, `[F]`; 0 where the book stayed in cash.
        excess: The same less that of equal weights, `[F]`.
        turnover: Mean turnover a session.
        traded: Whether there was any trade in any fold.
    """

    sharpes: tuple[float, ...]
    excess: tuple[float, ...]
    turnover: float
    traded: bool


def suggest_strategy(trial: Suggests, signal: str, prefix: str = "") -> KellySettings:
    """Return the strategy of a trial."""
    return build_strategy({p.name: p.suggest(trial, f"{prefix}{p.name}") for p in STRATEGY_SPACE}, signal)


def build_strategy(values: dict[str, Value], signal: str) -> KellySettings:
    """Return a strategy from parameters by name; `batch` is the number of sessions from one trade to the next."""
    rest = {name: value for name, value in values.items() if name != "batch"}
    return KellySettings.model_validate(
        {**rest, "rebalance_every": values["batch"], "signal": signal, "name": NAME, "under_mandate": True}
    )


def walk(
    market: Market, signals: Signals | None, env: PortfolioSettings, settings: BaselineSettings, between: Range
) -> Backtest:
    """Walk a strategy through a range; nothing after the range is in the memory that it is handed.

    Args:
        market: A market that holds the range.
        signals: Scaled signals, or None.
        env: Terms of the market, and the mandate.
        settings: The strategy.
        between: First and last session.
    """
    seen = cut_copy(market, between[1])
    known = None if signals is None else signals.until(between[1]).copy()
    policy = settings.build(seen, () if known is None else known.names)
    policy.under_mandate = settings.under_mandate
    return backtest(policy, make_walk(seen, known, env, policy, start=between[0], end=between[1]))


def score_equal_weight(market: Market, env: PortfolioSettings, folds: Sequence[Range]) -> tuple[float, ...]:
    """Return the Sharpe ratio of equal weights on each fold, `[F]`."""
    return tuple(find_sharpe(walk(market, None, env, MixSettings(), fold)) for fold in folds)


def find_sharpe(record: Backtest) -> float:
    """Return the annual Sharpe ratio in excess of cash; 0 for a book that did nothing, which has none."""
    sharpe = compute_sharpe(record.excess, record.periods_per_year)
    return sharpe if np.isfinite(sharpe) else 0.0


def has_traded(record: Backtest) -> bool:
    """Return whether there was any trade."""
    return float(record.turnover.sum()) > _TRADED


def aggregate(excess: Sequence[float], how: str, *, traded: bool) -> float:
    """Return the objective of the second stage: never NaN, and worst for a strategy that never traded.

    Args:
        excess: Sharpe ratios less those of equal weights by fold, `[F]`.
        how: `mean_less_half_sd`: the mean less half the standard deviation over folds (ddof 1); or `median`.
        traded: Whether there was any trade.
    """
    if not traded or not len(excess):
        return WORST
    values = np.asarray(excess, dtype=np.float64)
    if how == "median":
        value = float(np.median(values))
    else:
        value = float(values.mean() - 0.5 * (values.std(ddof=1) if len(values) > 1 else 0.0))
    return max(value, WORST + 1.0) if np.isfinite(value) else WORST
