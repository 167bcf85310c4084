"""What the two-stage search finds on planted markets: its AUC beside the attainable one, and who trades best.

python benchmarks/bench_two_stage.py --seeds 5
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from alfred.config import parse_experiment
from alfred.data.synthetic import compute_attainable_auc, make_planted_market, show_signals
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.training.search.two_stage.locked import EQUAL_WEIGHT
from alfred.training.search.two_stage.run import search_models
from alfred.training.search.two_stage.settings import TwoStageSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", type=int, default=3000)
    parser.add_argument("--ic", type=float, default=0.1)
    parser.add_argument("--trials", type=int, default=8)
    given = parser.parse_args()
    experiment = parse_experiment({"features": None, "env": {"execution": "close"}})
    moved, gaps = 0, []
    headings = (
        "seed",
        "attainable AUC",
        "found",
        "model rank",
        "value",
        "plateau",
        "locked Sharpe",
        "over equal weights",
    )
    print("  ".join(headings))
    for seed in range(given.seeds):
        market = show_signals(make_planted_market(given.ic, n_days=given.days, execution_lag=0, seed=seed))
        settings = TwoStageSettings(
            families=("ridge",),
            horizon=1,
            n_model_trials=given.trials,
            n_strategy_trials=2 * given.trials,
            top_k=3,
            n_model_folds=4,
            n_strategy_folds=4,
            fixed={"ridge": {"columns": ["planted_signal"]}},
            seed=seed,
        )
        with tempfile.TemporaryDirectory() as folder:
            found = search_models(market, experiment, settings, Path(folder))
        rises = compute_realised_returns(market, market.dates[:-1], market.universe, 1) > 0
        attainable = compute_attainable_auc(given.ic, float(rises.mean()))
        numbers = [item.number for item in found.models]
        rank = numbers.index(found.winner.candidate.number) + 1
        moved += rank > 1
        gaps.append(found.models[0].auc - attainable)
        gain = next(item for item in found.verdict.comparisons if item.baseline == EQUAL_WEIGHT)
        print(
            f"{seed:4d}  {attainable:14.4f}  {found.models[0].auc:.3f}  {rank:10d}  {found.winner.value:5.2f}  "
            f"{found.winner.plateau:7.2f}  {found.verdict.sharpe:13.2f}  {gain.difference:+.2f} ({gain.outcome})",
            flush=True,
        )
    print(
        f"found less attainable: mean {np.mean(gaps):+.4f}; another model than the first won {moved} of {given.seeds}"
    )


if __name__ == "__main__":
    main()
