"""How one training does on the block that it is judged on, checkpoint by checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_portfolio_metrics
from alfred.learning.events import EventFile
from alfred.training.cross_fitting.utility import compute_utility, compute_utility_of
from alfred.training.tensorboard.layout import BEYOND_START, REWARD, SHARPE, UTILITY
from alfred.typing import FloatArray


class ValidationCurves:
    """Writes what a policy does on its validation range, by the training steps that it took.

    | tag | holds |
    | --- | --- |
    | `1_validation/utility_pct_a_year` | what checkpoints compete in |
    | `1_validation/beyond_start_pct_a_year` | the same, less that of the untrained start |
    | `1_validation/reward` | the mean of what training pays for a decision, to be held against `2_train/reward` |
    | `1_validation/...` | Sharpe ratio, turnover, costs, drawdown, wealth over that of benchmark and equal weights |
    | `5_distributions/weights` | weights of all assets and sessions |

    Args:
        events: Where to.
        references: The benchmark held and equal weights on the validation range.
        start: The untrained start there.
        environment: Says what is paid.
    """

    def __init__(
        self, events: EventFile, references: Sequence[Backtest], start: Backtest, environment: PortfolioSettings
    ) -> None:
        """Compute what all checkpoints are compared with."""
        self._events, self._environment = events, environment
        self._benchmark, self._equal_weight = references
        self._start = compute_utility(start, environment.reward.risk_aversion)

    def write(self, record: Backtest, steps: int, utility: float) -> None:
        """Write one validation.

        Args:
            record: Backtest on the validation range.
            steps: Training steps so far.
            utility: What checkpoints compete in.
        """
        metrics = compute_portfolio_metrics(record)
        wealth = float(record.wealth[-1])
        scalars = {
            BEYOND_START: utility - self._start,
            UTILITY: utility,
            SHARPE: metrics.sharpe,
            "1_validation/information_ratio": metrics.information_ratio,
            "1_validation/turnover_a_year": metrics.turnover,
            "1_validation/cost_bps_a_year": 1e4 * metrics.cost,
            "1_validation/max_drawdown": metrics.max_drawdown,
            "1_validation/effective_names": metrics.effective_names,
            "1_validation/cash": metrics.cash,
            "1_validation/wealth_over_benchmark": wealth / float(self._benchmark.wealth[-1]),
            "1_validation/wealth_over_equal_weight": wealth / float(self._equal_weight.wealth[-1]),
            REWARD: self._find_reward(record, utility),
        }
        self._events.add_scalars(scalars, steps)
        self._events.add_histogram("5_distributions/weights", record.weights[:, :-1], steps)
        self._events.flush()

    def _find_reward(self, record: Backtest, utility: float) -> float:
        """Return the mean reward of a decision, penalties left out; NaN for a reward that is no sum over sessions."""
        reward, periods = self._environment.reward, record.periods_per_year
        if reward.kind not in ("growth", "excess"):
            return float("nan")
        paid = utility
        if reward.kind == "excess":
            paid -= compute_utility_of(self._find_reference(record), reward.risk_aversion, periods)
        return paid / 100.0 * reward.scale * self._environment.rebalance_every / periods

    def _find_reference(self, record: Backtest) -> FloatArray:
        """Return what an `excess` reward takes away, free of costs, `[T]`."""
        is_benchmark = self._environment.reward.reference == "benchmark"
        return np.asarray(record.benchmark if is_benchmark else self._equal_weight.gross)
