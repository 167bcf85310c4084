"""Methods of the literature and ours in one table: the same ledger, costs, signals and dates.

    OMP_NUM_THREADS=1 python benchmarks/bench_field.py --json --prices PRICES --cache field.jsonl

Every method is fitted with its published settings (`benchmarks/field`, docs/field.md) on all that came before, and what
comes out is judged; ours choose for themselves whether they keep a trained network. `planted` and `noise` are those of
bench_recipe.py with three of its markets, `chosen` and `locked` its universes, the first six of them: the networks of
the field and ours are fitted anew every four years, what costs nothing every year. Nothing is chosen from what this
prints. With `--cache` each cell is written as it comes, and a second run goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from bench_recipe import (
    AGENTS,
    DAYS,
    FEATURES,
    FIRST_SEED,
    GAP_DAYS,
    N_ASSETS,
    SPANS,
    VALIDATION_DAYS,
    cut_universes,
)
from field import blended, eiie, library_ppo, recurrent, sharpe_lstm
from field.past import Past
from planted_task import SETTINGS, PlantedTask

import alfred
from alfred.agents.registry import make_agent
from alfred.agents.strategies.registry import BASELINES
from alfred.data.features.catalogue import compute_features
from alfred.data.settings import FeatureSettings, SplitSettings
from alfred.data.splits import Fold, make_folds
from alfred.data.synthetic import PlantedModel
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import backtest, make_walk
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.cross_fitting.folds import train_agent

Fit = Callable[[Past], Policy]
EQUAL = "equal weight"
LOOKBACK = 252
ICS = (0.02, 0.05, 0.0)
N_MARKETS, N_UNIVERSES, TOLERATED = 3, 6, -0.03
PLANTED_HORIZON, HORIZON = 2, 21
FOLDS = {"chosen": 3, "locked": 2}  # four years each


def train_ours(kind: str, past: Past) -> Policy:
    """Train an agent of ours, which keeps what its own rule says."""
    with tempfile.TemporaryDirectory() as folder:
        trained = train_agent(
            past.market, past.signals, past.fold, AGENTS[kind], past.environment, past.seed, Path(folder)
        )
    return trained.policy


def build_rule(raw: Mapping[str, object], past: Past) -> Policy:
    """Build a rule, which learns nothing."""
    kind = str(raw["kind"])
    return BASELINES.load_settings(kind)(**raw).build(past.market, past.signals.names)


METHODS: Mapping[str, Fit] = {
    EQUAL: partial(build_rule, {"kind": "mix"}),
    "inverse volatility": partial(build_rule, {"kind": "inverse_volatility"}),
    "12-1 momentum": partial(build_rule, {"kind": "momentum"}),
    "mean-variance": blended.fit_mean_variance,
    "aim": blended.fit_aim,
    "differential Sharpe": recurrent.fit,
    "EIIE": eiie.fit,
    "Sharpe-loss LSTM": sharpe_lstm.fit,
    "library PPO": library_ppo.fit,
    "direct": partial(train_ours, "direct"),
    "ppo": partial(train_ours, "ppo"),
}
YEARLY = ("mean-variance", "aim", "differential Sharpe")


def measure_planted(name: str, ic: float, number: int) -> dict[str, float]:
    """Fit on twelve years of one planted market, and measure as bench_recipe.py does."""
    torch.set_num_threads(1)
    model = PlantedModel(ic=ic, n_assets=N_ASSETS)
    task = PlantedTask(ic, train_days=1_000, model=model, test_seed=FIRST_SEED - 1, lookback=LOOKBACK)
    world = task.draw(DAYS, seed=FIRST_SEED + number)
    dates, first, last = world.market.dates, DAYS - VALIDATION_DAYS - GAP_DAYS, DAYS - 1
    fold = Fold(0, (dates[0], dates[first - GAP_DAYS - 1]), (dates[first], dates[last]), (dates[last], dates[last]))
    found = task.measure(METHODS[name](Past(world.market, world.signals, fold, SETTINGS, PLANTED_HORIZON, number)))
    start = task.measure(make_agent(AGENTS["direct"]).start(task.train_tape, SETTINGS))
    gain = found.sharpe - start.sharpe
    share = {"share": gain / (task.optimum.sharpe - start.sharpe)} if ic else {}
    return {**share, "sharpe_minus_equal_weight": gain, "turnover_ratio": found.turnover / start.turnover}


def measure_universe(name: str, prices: str, span: str, symbols: Sequence[str]) -> dict[str, float]:
    """Return the Sharpe ratio of a method on one universe, and its turnover a year."""
    torch.set_num_threads(1)
    start, end, n_years = SPANS[span]
    market = alfred.load_market(prices, symbols=[*symbols, "SPY"], benchmark="SPY", end=str(end))
    signals = compute_features(market, FeatureSettings(names=FEATURES)).scaled()
    environment = PortfolioSettings()
    n_folds = n_years if name in YEARLY else FOLDS[span]
    excess, turnover = [], []
    splits = SplitSettings(test_start=start, test_end=end, n_folds=n_folds)
    for fold in make_folds(market.dates, splits, horizon=HORIZON):
        known = fold.validation[1]
        policy = METHODS[name](Past(market.until(known), signals.until(known), fold, environment, HORIZON, 0))
        walk = make_walk(market, signals, environment, policy, start=fold.test[0], end=fold.test[1])
        record = backtest(policy, walk)
        excess.append(record.excess)
        turnover.append(record.turnover)
    return {
        "sharpe": compute_sharpe(np.concatenate(excess), 252),
        "turnover_a_year": float(252 * np.concatenate(turnover).mean()),
    }


def list_cells(methods: Sequence[str], parts: Sequence[str], prices: Path | None) -> list[tuple[str, str, Callable]]:
    """Return method, name and work of each cell: the first market and universe of all methods first, and ours last."""
    cells: list[tuple[bool, int, str, str, Callable]] = []
    for method in methods:
        ours = method in AGENTS
        for ic, number in product(ICS if "planted" in parts else (), range(N_MARKETS)):
            work = partial(measure_planted, method, ic, number)
            cells.append((ours, number, method, f"planted {ic} {number}", work))
        for span in (item for item in parts if item in SPANS):
            if prices is None:
                raise SystemExit("the universes need --prices, the folder of market/daily")
            file, universes = str(prices / "prices.csv.gz"), cut_universes(pd.read_csv(prices / "symbols.csv"), span)
            for number, symbols in enumerate(universes[:N_UNIVERSES]):
                work = partial(measure_universe, method, file, span, symbols)
                cells.append((ours, number, method, f"{span} {number}", work))
    return [cell[2:] for cell in sorted(cells, key=lambda cell: cell[:2])]


def summarise(found: Mapping[tuple[str, str], Mapping[str, float]]) -> dict[str, Any]:
    """Return the table: for each method medians over markets, and differences to equal weight over universes."""
    table: dict[str, Any] = {}
    for method in dict.fromkeys(name for name, _ in found):
        row: dict[str, Any] = {}
        for ic in ICS:
            cells = [found[key] for n in range(N_MARKETS) if (key := (method, f"planted {ic} {n}")) in found]
            if cells:
                medians = pd.DataFrame(cells).median()
                kept = ["share"] if ic else ["sharpe_minus_equal_weight"]
                named = {name: float(medians[name]) for name in (*kept, "turnover_ratio")}
                row[f"planted {ic}"] = {**named, "markets": len(cells)}
        for span in SPANS:
            numbers = [n for n in range(N_UNIVERSES) if {(method, f"{span} {n}"), (EQUAL, f"{span} {n}")} <= {*found}]
            if numbers:
                own = pd.DataFrame([found[method, f"{span} {n}"] for n in numbers])
                less = own["sharpe"] - [found[EQUAL, f"{span} {n}"]["sharpe"] for n in numbers]
                row[span] = {
                    "median": float(less.median()),
                    "worst": float(less.min()),
                    "not_below_minus_0.03": int((less >= TOLERATED).sum()),
                    "universes": len(numbers),
                    "sharpe": float(own["sharpe"].median()),
                    "turnover_a_year": float(own["turnover_a_year"].median()),
                }
        table[method] = row
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--methods", nargs="+", choices=[*METHODS], default=[*METHODS], help="these alone")
    parser.add_argument(
        "--parts", nargs="+", choices=["planted", *SPANS], help="[planted, and both spans with --prices]"
    )
    parser.add_argument("--prices", type=Path, help="folder with prices.csv.gz and symbols.csv, as market/daily")
    parser.add_argument("--cache", type=Path, help="file of finished cells, read and added to")
    parser.add_argument(
        "--jobs", type=int, default=2, help="processes; with 0 nothing is measured, and what is in --cache is shown"
    )
    arguments = parser.parse_args()
    parts = arguments.parts or ["planted", *(SPANS if arguments.prices else [])]
    found: dict[tuple[str, str], dict[str, float]] = {}
    if arguments.cache is not None and arguments.cache.exists():
        for line in arguments.cache.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            found[item["method"], item["cell"]] = item["result"]
    cells = list_cells(arguments.methods, parts, arguments.prices)
    if arguments.jobs:
        with ProcessPoolExecutor(arguments.jobs) as pool:
            pending = {pool.submit(work): (name, cell) for name, cell, work in cells if (name, cell) not in found}
            for done in as_completed(pending):
                name, cell = pending[done]
                found[name, cell] = done.result()
                if arguments.cache is not None:
                    with arguments.cache.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"method": name, "cell": cell, "result": found[name, cell]}) + "\n")
    ordered = {(name, cell): found[name, cell] for name, cell, _ in cells if (name, cell) in found}
    print(json.dumps(summarise(ordered), indent=2 if arguments.json else None))


if __name__ == "__main__":
    main()
