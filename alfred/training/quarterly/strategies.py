"""What is done with the forecasts: three rules, long and short, and the basket that is merely held.

Axes legend: P portfolios, N symbols.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.agents.strategies.prices import MixSettings
from alfred.agents.strategies.signals import DirectionSettings, MagnitudeSettings, NuancedSettings
from alfred.data.market import Market
from alfred.data.signals import Signals, SignalSpec
from alfred.envs.policy import BaselinePolicy
from alfred.envs.settings import ActionSettings, PortfolioSettings, RiskSettings
from alfred.errors import ConfigError
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.training.quarterly.forecasts import RETURN, SCORE
from alfred.training.quarterly.settings import QuarterlySettings
from alfred.typing import Float, Observation

BENCHMARK, BASKET = "benchmark, held", "basket, held"
STRATEGIES = ("simple", "nuanced", "magnitude")

_SAME = 1e-9


class HoldBetween(BaselinePolicy):
    """Follows a rule when it says something new, and leaves the book alone, drifted as it is, until then.

    A forecast stands for a quarter: to trade back to the same weights every day would cost without a reason.
    """

    rebalance_every: int | None = 1
    may_hold = True

    def __init__(self, rule: BaselinePolicy) -> None:
        """Take the rule."""
        self.rule = rule
        self.name, self.lookback = rule.name, rule.lookback
        self.under_mandate, self.long_only = rule.under_mandate, rule.long_only
        self._last: Float | None = None

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Forget what was said last; see `Policy`."""
        self.rule.reset(rows)
        if rows is None or self._last is None:
            self._last = None
        else:
            self._last[rows] = np.nan

    def predict(self, observation: Observation) -> Float:
        """Return what the rule says, NaN where it says the same as last time; see `Policy`."""
        said = self.rule.predict(observation)
        if self._last is None or self._last.shape != said.shape:
            self._last = np.full(said.shape, np.nan)
        same = np.abs(said - self._last).max(axis=1, keepdims=True) <= _SAME
        self._last = said.copy()
        return np.where(same, np.nan, said)


def walk_strategies(
    judged: Market, signals: Signals, settings: QuarterlySettings, terms: PortfolioSettings
) -> list[Backtest]:
    """Walk all strategies through the test in the one ledger, at the market terms of everybody.

    `simple` is long an equal share of every symbol with a probability above one half, and short the others; `nuanced`
    is long above `enter`, short below one less it, and out between; `magnitude` puts everything on the one symbol with
    the largest forecast move, long or short. A symbol without a standing forecast is out.

    Args:
        judged: The companies that are judged, with the benchmark.
        signals: Their forecasts on every session of the test.
        settings: The experiment.
        terms: Costs, execution and rates; positions may be short whatever their actions are.

    Returns:
        The three strategies, the basket bought once and held, and the benchmark.

    Raises:
        ConfigError: The terms have limits or risk rules, which would hold for some rows of the table only.
    """
    if terms.risk != RiskSettings() or terms.constraints.bind:
        raise ConfigError("env.risk and env.constraints do not belong to the quarterly strategies; leave them out")
    action = ActionSettings(mode="long_short", max_leverage=terms.action.max_leverage)
    terms = terms.model_copy(update={"action": action})
    score, move = (
        SignalSpec(head, quantity, settings.horizon).name
        for head, quantity in ((settings.heads[0], SCORE), (settings.heads[-1], RETURN))
    )
    rules = (
        DirectionSettings(name="simple", signal=score, short=True),
        NuancedSettings(name="nuanced", signal=score, short=True, enter=settings.enter, leave=settings.enter),
        MagnitudeSettings(name="magnitude", signal=move, short=True),
    )
    policies: list[BaselinePolicy] = [HoldBetween(rule.build(judged, signals.names)) for rule in rules]
    policies.append(MixSettings(name=BASKET, hold=True).build(judged, ()))
    policies.append(MixSettings(name=BENCHMARK, benchmark_weight=1.0, hold=True).build(judged, ()))
    records = []
    for policy in policies:
        walk = make_walk(judged, signals, terms, policy, start=signals.dates[0])
        records.append(backtest(policy, walk))
    return records
