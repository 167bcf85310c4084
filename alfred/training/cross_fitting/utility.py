"""What checkpoints compete in."""

from __future__ import annotations

import numpy as np

from alfred.evaluation.backtest import Backtest
from alfred.typing import FloatArray


def compute_utility(record: Backtest, risk_aversion: float) -> float:
    """Return the mean of `log(1 + r) - a/2 r^2` over net returns r, in per cent a year of the record's own sessions.

    Checkpoints compete in it: it is the reward's own currency, and less noisy than a Sharpe ratio of one year.
    """
    return compute_utility_of(record.net, risk_aversion, record.periods_per_year)


def compute_utility_of(returns: FloatArray, risk_aversion: float, periods_per_year: int) -> float:
    """Return the same of simple returns `[T]`."""
    net = np.maximum(returns, -0.999)
    return float(100.0 * periods_per_year * np.mean(np.log1p(net) - 0.5 * risk_aversion * net**2))
