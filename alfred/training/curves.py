"""TensorBoard curves that a portfolio person wants to see."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from alfred.data.market import Market
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, compute_max_drawdown, compute_portfolio_metrics


def compute_utility(record: Backtest, risk_aversion: float) -> float:
    """Return the mean of `log(1 + r) - a/2 r^2` over net daily returns r, in per cent a year.

    Checkpoints compete in it: it is the reward's own currency, and less noisy than a Sharpe ratio of one year.
    """
    net = np.maximum(record.net, -0.999)
    return float(100.0 * DAYS_PER_YEAR * np.mean(np.log1p(net) - 0.5 * risk_aversion * net**2))


class ValidationCurves:
    """Writes the validation record of a policy as TensorBoard scalars.

    Args:
        folder: Folder of the event file.
        market: Names the benchmark.
    """

    def __init__(self, folder: Path, market: Market) -> None:
        """Open the event file."""
        self._writer = SummaryWriter(str(folder))
        self._benchmark = market.benchmark

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the event file."""
        self._writer.close()

    def write(self, record: Backtest, steps: int, utility: float) -> None:
        """Write one validation.

        Args:
            record: Backtest on the validation range.
            steps: Training steps so far.
            utility: What checkpoints compete in.
        """
        metrics = compute_portfolio_metrics(record)
        benchmark = np.cumprod(1.0 + record.benchmark)
        scalars = {
            "utility_pct_a_year": utility,
            "sharpe": metrics.sharpe,
            "wealth": float(record.wealth[-1]),
            f"wealth_{self._benchmark}": float(benchmark[-1]),
            "wealth_over_benchmark": float(record.wealth[-1] / benchmark[-1]),
            "max_drawdown": metrics.max_drawdown,
            f"max_drawdown_{self._benchmark}": compute_max_drawdown(record.benchmark),
            "turnover_a_year": metrics.turnover,
            "cost_bps_a_year": 1e4 * metrics.cost,
            "concentration": metrics.concentration,
            "effective_names": metrics.effective_names,
            "cash": metrics.cash,
            "information_ratio": metrics.information_ratio,
        }
        for name, value in scalars.items():
            if np.isfinite(value):
                self._writer.add_scalar(f"validation/{name}", value, steps)
        self._writer.flush()
