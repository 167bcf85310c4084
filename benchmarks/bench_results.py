"""How long the numbers of a report take: `python benchmarks/bench_results.py`.

Fifteen strategies over 3,000 days with 2,000 bootstrap replicates, the size of a full report.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.results import compute_results

N_STRATEGIES, N_DAYS = 15, 3000


def make_backtests() -> list[Backtest]:
    """Independent normal returns with a common part; weights do not matter here."""
    rng = np.random.default_rng(0)
    common = rng.normal(4e-4, 0.01, N_DAYS)
    weights = np.tile([0.5, 0.5, 0.0], (N_DAYS, 1))
    dates, nothing = pd.bdate_range("2010-01-04", periods=N_DAYS), np.zeros(N_DAYS)
    records = []
    for number in range(N_STRATEGIES):
        net = common + rng.normal(0, 0.004, N_DAYS)
        records.append(Backtest(f"strategy {number}", dates, ("A", "B"), weights, net, nothing, net, nothing, common))
    return records


def main() -> None:
    """Print the seconds of three runs."""
    records = make_backtests()
    for _ in range(3):
        start = time.perf_counter()
        compute_results(records, equal_weight="strategy 1", n_trials=10)
        print(f"compute_results: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
