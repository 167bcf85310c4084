"""Does the default recipe learn what there is, leave alone what there is not, and hold its own on real stocks?

    OMP_NUM_THREADS=1 python benchmarks/bench_recipe.py --json --quick
    OMP_NUM_THREADS=1 python benchmarks/bench_recipe.py --json --prices PRICES --universes chosen

`planted` and `noise`: twelve years of a market with 20 assets and four distractors (5 bps) are all that an agent gets,
its own rule chooses what it keeps, and the policy is measured on a path of 198 years whose conditional means are known.
`share` is the part of the attainable gain that it recovers, the median over seeds, each a market and a training of its
own; `learnt` the share of trainings that kept a trained network. `long` is the share after a path of 1,548 years: what
the network can express, and the agent find, when data are no limit. `--quick` leaves it out, and has three seeds
instead of nine.

Universes: random sub-universes of stocks of `market/daily` with prices since 2000, traded at the next open at 10 bps;
every year is judged by an agent that was trained on all years before. `chosen` are those that the recipe was chosen on
(docs/protocol.md), to the end of 2015; `locked` are judged from 2016 on, and were opened once a candidate. Agents see
features alone: training analysts for each universe would take days. Numbers are Sharpe ratios a year in excess of cash.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from planted_task import SETTINGS, PlantedTask

import alfred
from alfred.agents.base import EnsemblePolicy
from alfred.agents.registry import make_agent
from alfred.agents.settings import AgentSettings, DirectSettings, PpoSettings
from alfred.agents.strategies.registry import BASELINES, make_baselines
from alfred.data.features.catalogue import compute_features
from alfred.data.settings import FeatureSettings, SplitSettings
from alfred.data.splits import Fold, make_folds
from alfred.data.synthetic import PlantedModel
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import backtest, make_walk
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.cross_fitting.folds import train_agent
from alfred.typing import FloatArray

DAYS, VALIDATION_DAYS, GAP_DAYS, N_ASSETS, MARKETS = 3024, 252, 7, 20, 9
ICS = (0.02, 0.05)
FIRST_SEED = 90_000  # of the paths, which no choice has seen
AGENTS: Mapping[str, AgentSettings] = {
    "direct": DirectSettings(total_steps=100_000),
    "ppo": PpoSettings(total_steps=120_000),
    "direct shared": DirectSettings(total_steps=100_000, network="shared", learning_rate=6e-3),
    "ppo shared": PpoSettings(total_steps=80_000, network="shared", learning_rate=3e-3),
}
"""The recipe, and the one before it."""

LONG: Mapping[str, AgentSettings] = {
    "direct": DirectSettings(total_steps=1_000_000, patience=None),
    "ppo": PpoSettings(total_steps=800_000),
}
RULES: Mapping[str, Mapping[str, object]] = {
    "momentum 12-1": {"kind": "momentum"},
    "inverse volatility": {"kind": "inverse_volatility"},
}
FEATURES = ("classic",)
SPANS = {"chosen": (date(2005, 1, 3), date(2015, 12, 31), 11), "locked": (date(2016, 1, 4), date(2023, 12, 29), 8)}
FIRST_PRICE, SIZE, FIRST_LOCKED = "2001-01-01", 30, 100


def measure_planted(ic: float, kind: str, number: int) -> dict[str, float]:
    """Train on twelve years of one planted market, and measure what was kept."""
    torch.set_num_threads(1)
    task = PlantedTask(ic, train_days=1_000, model=PlantedModel(ic=ic, n_assets=N_ASSETS), test_seed=FIRST_SEED - 1)
    world = task.draw(DAYS, seed=FIRST_SEED + number)
    dates, first, last = world.market.dates, DAYS - VALIDATION_DAYS - GAP_DAYS, DAYS - 1
    fold = Fold(0, (dates[0], dates[first - GAP_DAYS - 1]), (dates[first], dates[last]), (dates[last], dates[last]))
    with tempfile.TemporaryDirectory() as folder:
        trained = train_agent(world.market, world.signals, fold, AGENTS[kind], SETTINGS, number, Path(folder))
    found = task.measure(trained.policy)
    start = task.measure(make_agent(AGENTS[kind]).start(task.train_tape, SETTINGS))
    return {
        "share": (found.sharpe - start.sharpe) / (task.optimum.sharpe - start.sharpe) if ic else float("nan"),
        "sharpe_minus_equal_weight": found.sharpe - start.sharpe,
        "turnover_ratio": found.turnover / start.turnover,
        "learnt": float(not trained.kept.untrained),
    }


def measure_long(kind: str, number: int) -> float:
    """Return the share that is recovered where data are no limit."""
    torch.set_num_threads(1)
    task = PlantedTask(0.05, test_seed=FIRST_SEED - 2 - 3 * number, train_seed=FIRST_SEED + 1_000 + 3 * number)
    with tempfile.TemporaryDirectory() as folder:
        policy = make_agent(LONG[kind]).train(task.make_training(Path(folder), number))
    return task.measure(policy).share


def measure_universe(
    prices: str, span: str, features: tuple[str, ...], kind: str, seeds: int, symbols: Sequence[str]
) -> dict[str, Any]:
    """Return the Sharpe ratios of an agent, refitted every year, and of what it is held to."""
    torch.set_num_threads(1)
    start, end, n_folds = SPANS[span]
    market = alfred.load_market(prices, symbols=[*symbols, "SPY"], benchmark="SPY", end=str(end))
    signals = compute_features(market, FeatureSettings(names=features)).scaled()
    settings, environment = AGENTS[kind], PortfolioSettings()
    folds = make_folds(market.dates, SplitSettings(test_start=start, test_end=end, n_folds=n_folds), horizon=20)
    rows: dict[str, list[FloatArray]] = {}
    learnt = []

    def walk(name: str, policy: Policy, fold: Fold) -> None:
        judged = make_walk(market, signals, environment, policy, start=fold.test[0], end=fold.test[1])
        rows.setdefault(name, []).append(backtest(policy, judged).excess)

    for fold in folds:
        known = fold.validation[1]
        members = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                trained = train_agent(
                    market.until(known), signals.until(known), fold, settings, environment, seed, Path(folder)
                )
            members.append(trained.policy)
            learnt.append(not trained.kept.untrained)
        walk(kind, EnsemblePolicy(members, kind), fold)
        for policy in make_baselines((), market, signals.names):
            walk(policy.name, policy, fold)
        for name, raw in RULES.items():
            walk(name, BASELINES.load_settings(raw["kind"])(**raw).build(market, signals.names), fold)
    sharpe = {name: compute_sharpe(np.concatenate(parts), 252) for name, parts in rows.items()}
    return {"sharpe": sharpe, "learnt": float(np.mean(learnt))}


def cut_universes(table: pd.DataFrame, span: str) -> list[list[str]]:
    """Return the universes of a span: three random cuts in halves, or twenty random draws."""
    stocks = table[(table["asset_class"] == "equity") & (pd.to_datetime(table["first_date"]) < FIRST_PRICE)]
    names = np.array(sorted(stocks["symbol"]))
    if span == "locked":
        drawn = (np.random.default_rng(FIRST_LOCKED + number).permutation(len(names)) for number in range(20))
        return [sorted(names[order[:SIZE]].tolist()) for order in drawn]
    orders = (np.random.default_rng(number).permutation(len(names)) for number in range(3))
    half = len(names) // 2
    return [sorted(names[part].tolist()) for order in orders for part in (order[:half], order[half:])]


def summarise_universes(found: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Return medians over universes, and how the agent stands to equal weights in each."""
    table = pd.DataFrame([item["sharpe"] for item in found])
    less = (table[kind] - table["equal weight"]).to_numpy()
    drawn = np.random.default_rng(0).choice(less, (10_000, len(less)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return {
        "median_sharpe": {name: float(value) for name, value in table.median().items()},
        "sharpe_minus_equal_weight": {"median": float(np.median(less)), "interval": [float(low), float(high)]},
        "worst": float(less.min()),
        "not_below_minus_0.03": int((less >= -0.03).sum()),
        "universes": len(less),
        "learnt": float(np.mean([item["learnt"] for item in found])),
    }


def run_planted(pool: ProcessPoolExecutor, kinds: Sequence[str], markets: int, long: bool) -> dict[str, Any]:
    """Return the table of the planted markets and of noise."""
    pending = {
        (ic, kind): [pool.submit(measure_planted, ic, kind, number) for number in range(markets)]
        for ic in (*ICS, 0.0)
        for kind in kinds
    }
    longer = [kind for kind in kinds if long and kind in LONG]
    far = {kind: [pool.submit(measure_long, kind, number) for number in range(3)] for kind in longer}
    medians: dict[tuple[float, str], dict[str, float]] = {}
    for key, futures in pending.items():
        rows = pd.DataFrame([future.result() for future in futures])
        medians[key] = {**rows.median().to_dict(), "learnt": float(rows["learnt"].mean())}
    noise = ("sharpe_minus_equal_weight", "turnover_ratio", "learnt")
    return {
        "planted": {str(ic): {kind: medians[ic, kind]["share"] for kind in kinds} for ic in ICS},
        "learnt": {str(ic): {kind: medians[ic, kind]["learnt"] for kind in kinds} for ic in ICS},
        "noise": {kind: {name: medians[0.0, kind][name] for name in noise} for kind in kinds},
        "long": {kind: float(np.median([future.result() for future in futures])) for kind, futures in far.items()},
    }


def run_universes(
    pool: ProcessPoolExecutor, span: str, prices: Path, features: tuple[str, ...], kinds: Sequence[str], seeds: int
) -> dict[str, Any]:
    """Return the table of one span of years."""
    universes = cut_universes(pd.read_csv(prices / "symbols.csv"), span)
    results = {}
    for kind in kinds:
        measure = partial(measure_universe, str(prices / "prices.csv.gz"), span, features, kind, seeds)
        results[kind] = summarise_universes(list(pool.map(measure, universes)), kind)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="planted markets and noise, three seeds, the recipe alone")
    parser.add_argument("--agents", nargs="+", choices=[*AGENTS], help="these alone; all when left out")
    parser.add_argument(
        "--universes", choices=[*SPANS], nargs="*", default=[], help="real stocks instead, with --prices"
    )
    parser.add_argument(
        "--prices", type=Path, help="folder with prices.csv.gz and symbols.csv, as market/daily has them"
    )
    parser.add_argument("--markets", type=int, default=MARKETS, help="planted markets of each strength")
    parser.add_argument("--features", nargs="+", default=[*FEATURES], help="families or names that agents see there")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of an agent on real stocks, averaged")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    if arguments.universes and arguments.prices is None:
        parser.error("--universes needs --prices, the folder of market/daily")
    kinds = arguments.agents or ([*LONG] if arguments.quick or arguments.universes else [*AGENTS])
    with ProcessPoolExecutor(arguments.jobs) as pool:
        results: dict[str, Any] = {}
        if arguments.universes:
            for span in arguments.universes:
                results[span] = run_universes(
                    pool, span, arguments.prices, tuple(arguments.features), kinds, arguments.seeds
                )
        else:
            markets = 3 if arguments.quick else arguments.markets
            results = run_planted(pool, kinds, markets, long=not arguments.quick)
    print(json.dumps(results, indent=2 if arguments.json else None))


if __name__ == "__main__":
    main()
