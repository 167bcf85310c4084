"""The classic sets of online portfolio selection, booked by the ledger: the literature's table, costs, and our agents.

`python benchmarks/bench_replications.py` prints tables for people, `--json` one JSON object. `--quick` takes the three
short sets and trains agents for seconds only, to see that everything runs. The data lie in `ALFRED_OLPS_DIR`, or in
`../shared/olps`.

Wealth is that of one unit of cash at the close before the first day; with costs, getting in is charged too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

# One thread a process; set before numpy starts its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from olps_sets import SETS, find_best_constant, locate_sets, make_market, read_relatives

from alfred.agents.registry import AGENTS
from alfred.agents.settings import AgentSettings
from alfred.agents.strategies.prices import FixedMix
from alfred.agents.strategies.registry import BASELINES
from alfred.config import TrainingSettings
from alfred.data.features.catalogue import compute_features
from alfred.data.market import Market
from alfred.data.settings import FeatureSettings, SplitSettings
from alfred.data.signals import Signals
from alfred.data.splits import Fold, make_folds
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, Stage, backtest, make_walk
from alfred.training.cross_fitting.folds import train_agents
from alfred.training.progress import Silence

_STRATEGIES: tuple[dict[str, object], ...] = (
    {"kind": "mix", "hold": True, "name": "uniform buy and hold"},
    {"kind": "mix", "rebalance_every": 1, "name": "uniform constant rebalanced"},
    {"kind": "eg"},
    {"kind": "universal"},
    {"kind": "pamr"},
    {"kind": "olmar"},
)
# What an agent sees: where a price stands in its own past, and the last five days.
FEATURES = FeatureSettings(names=("momentum_1", "roc_60", "volatility_20"))
LOOKBACK = 5
SPLITS = {
    "nyse_n": SplitSettings(n_folds=2, min_train_days=1500, validation_days=252),
    "sp500": SplitSettings(n_folds=2, min_train_days=500, validation_days=126),
}
STEPS = {"ppo": 80_000, "direct": 120_000}
COSTS_BPS = (0.0, 10.0)
QUICK_SETS = ("sp500", "msci", "djia")


def make_settings(cost_bps: float, execution: str = "close") -> PortfolioSettings:
    return PortfolioSettings.model_validate(
        {"cost_bps": cost_bps, "slippage_bps": 0.0, "execution": execution, "lookback": LOOKBACK}
    )


def make_policies(market: Market) -> list[Policy]:
    settings = [BASELINES.load(raw["kind"]).model_validate(raw) for raw in _STRATEGIES]
    return [item.build(market, ()) for item in settings]


def make_hindsight(relatives: pd.DataFrame) -> list[Policy]:
    """What could only be held by knowing all of the days before they come."""
    best = np.eye(relatives.shape[1])[int(np.argmax(relatives.prod()))]
    return [
        FixedMix("best stock (hindsight)", np.append(best, 0.0), 1),
        FixedMix("best constant rebalanced (hindsight)", np.append(find_best_constant(relatives), 0.0), 1),
    ]


def describe(record: Backtest) -> dict[str, float]:
    return {
        "wealth": float(record.wealth[-1]),
        "turnover_a_day": float(record.turnover[1:].mean()),  # without the first purchase
    }


def run_table(names: Iterable[str], folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    table = {}
    for name in names:
        relatives = read_relatives(name, folder)
        market = make_market(relatives)
        rows: dict[str, dict[str, float]] = {}
        for policy in (*make_hindsight(relatives), *make_policies(market)):
            records = {}
            for label, settings in (
                ("free", make_settings(0.0)),
                ("10 bps", make_settings(10.0)),
                ("free, a day later", make_settings(0.0, "next_close")),
            ):
                if hasattr(policy, "reset"):
                    policy.reset()
                records[label] = backtest(policy, make_walk(market, None, settings, policy))
            rows[policy.name] = {label: float(record.wealth[-1]) for label, record in records.items()}
            rows[policy.name]["turnover a day"] = describe(records["free"])["turnover_a_day"]
        table[name] = rows
    return table


def train(
    market: Market, signals: Signals, folds: list[Fold], kind: str, cost_bps: float, steps: int, n_seeds: int
) -> tuple[list[Stage], float]:
    """Train one agent on every fold; return its stages and the CPU seconds that it took."""
    settings: AgentSettings = AGENTS.load_settings(kind).model_validate(
        {"kind": kind, "total_steps": steps, "validate_every": max(steps // 8, 1)}
    )
    began = time.process_time()
    with tempfile.TemporaryDirectory() as runs:
        trained = train_agents(
            market,
            signals,
            folds,
            settings,
            make_settings(cost_bps),
            TrainingSettings(n_seeds=n_seeds),
            seed=0,
            n_jobs=1,
            folder=Path(runs),
            reporter=Silence(),
        )
    policies = {item.fold: item.policy for item in trained}
    return [Stage(fold.test[0], policies[fold.index]) for fold in folds], time.process_time() - began


def run_agents(name: str, folder: Path, scale: float) -> dict[str, object]:
    """Train on the past of each of two folds, and stand beside the baselines on what comes after."""
    relatives = read_relatives(name, folder)
    market = make_market(relatives)
    signals = compute_features(market, FEATURES)
    folds = make_folds(market.dates, SPLITS[name], horizon=1, execution_lag=0)
    start, end = folds[0].test[0], folds[-1].test[1]
    first = int(market.dates.get_indexer([start])[0])
    rows: dict[str, dict[str, object]] = {}
    for cost_bps in COSTS_BPS:
        label = f"{cost_bps:g} bps"
        settings = make_settings(cost_bps)
        for policy in make_policies(market):
            env = make_walk(market, signals, settings, policy, start=start, end=end)
            rows.setdefault(policy.name, {})[label] = describe(backtest(policy, env))
        for kind, steps in STEPS.items():
            stages, seconds = train(market, signals, folds, kind, cost_bps, max(int(steps * scale), 2048), 1)
            env = make_walk(market, signals, settings, stages[0].policy, start=start, end=end)
            rows.setdefault(kind, {})[label] = {**describe(backtest(stages, env)), "cpu_seconds": seconds}
    return {"days": len(market.dates) - 1 - first, "first_day": first + 1, "rows": rows}


def show(results: dict[str, object]) -> None:
    for name, rows in results["table"].items():  # type: ignore[attr-defined]
        print(f"\n{name}\n{'':40}{'free':>12}{'10 bps':>12}{'a day later':>13}{'turnover a day':>16}")
        for strategy, row in rows.items():
            print(
                f"{strategy:40}{row['free']:12.4g}{row['10 bps']:12.4g}{row['free, a day later']:13.4g}"
                f"{row['turnover a day']:16.3f}"
            )
    for name, part in results["agents"].items():  # type: ignore[attr-defined]
        print(f"\n{name}, the last {part['days']} days\n{'':40}{'free':>12}{'10 bps':>12}{'turnover a day':>16}")
        for strategy, row in part["rows"].items():
            free, paid = row["0 bps"], row["10 bps"]
            print(f"{strategy:40}{free['wealth']:12.4g}{paid['wealth']:12.4g}{paid['turnover_a_day']:16.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="short sets, and agents that hardly learn")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the steps that agents train for")
    parser.add_argument("--no-agents", action="store_true", help="only the table of the literature")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = locate_sets()
    trained_on = [name for name in SPLITS if not arguments.quick or name in QUICK_SETS]
    scale = min(arguments.scale, 0.05) if arguments.quick else arguments.scale
    agents = {} if arguments.no_agents else {name: run_agents(name, folder, scale) for name in trained_on}
    results = {"table": run_table(QUICK_SETS if arguments.quick else SETS, folder), "agents": agents}
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        show(results)


if __name__ == "__main__":
    main()
