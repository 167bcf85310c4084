"""How often a training keeps a trained network, and what that is worth, when the truth is known.

    OMP_NUM_THREADS=1 python benchmarks/bench_selection.py --json

Twelve years of a planted market (10 assets, 5 bps) are all that an agent is given: eleven to train on and one to
validate on. `kept` is the share of trainings that kept a trained network, `gain` the mean Sharpe ratio a year of the
policies that were kept less that of the untrained start, on a path of 198 years whose conditional means are known. Each
training has a market and a seed of its own.

Four rules on the same markets: `after` is that of `alfred.training.cross_fitting.choice`. `before` and `last` are one
training as it was until that rule came: with the steps of that time, on eleven years; `before` keeps the best of its
checkpoints, the start among them, on the one year of validation, and `last` always keeps its last network. `last_same`
always keeps the last network of a training with the steps of `after` on all twelve years: what the rule gives up by
keeping the start.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planted_task import SETTINGS, PlantedTask

from alfred.agents.base import NetworkPolicy, TrainingTask
from alfred.agents.registry import make_agent
from alfred.agents.settings import AgentSettings, DirectSettings, PpoSettings
from alfred.data.splits import Fold
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.policy import Policy
from alfred.evaluation.backtest import backtest, make_walk
from alfred.training.cross_fitting.folds import train_agent
from alfred.training.cross_fitting.utility import compute_utility

ICS = (0.0, 0.02, 0.05)
DAYS, VALIDATION_DAYS, GAP_DAYS = 3024, 252, 7
# The recipe of the time that these rules were compared at; `bench_recipe.py` has that of today.
_DIRECT: dict[str, Any] = {"network": "shared", "learning_rate": 6e-3}
_PPO: dict[str, Any] = {"network": "shared", "learning_rate": 3e-3}
AGENTS: dict[str, AgentSettings] = {
    "direct": DirectSettings(total_steps=100_000, validate_every=25_000, **_DIRECT),
    "ppo": PpoSettings(total_steps=80_000, validate_every=16_000, **_PPO),
}
FORMER: dict[str, AgentSettings] = {
    "direct": DirectSettings(total_steps=200_000, validate_every=50_000, **_DIRECT),
    "ppo": PpoSettings(total_steps=80_000, **_PPO),
}
RULES = ("after", "before", "last", "last_same")


def measure(ic: float, name: str, number: int) -> dict[str, tuple[bool, float]]:
    """Return whether a trained network was kept and its gain in Sharpe ratio, by rule, on one market."""
    torch.set_num_threads(1)
    task, settings = PlantedTask(ic, train_days=1000), AGENTS[name]
    world = task.draw(DAYS, seed=5000 + number)
    market, signals = world.market, world.signals
    dates = market.dates
    first, last = DAYS - VALIDATION_DAYS - GAP_DAYS, DAYS - 1
    fold = Fold(0, (dates[0], dates[first - GAP_DAYS - 1]), (dates[first], dates[last]), (dates[last], dates[last]))
    with tempfile.TemporaryDirectory() as folder:
        trained = train_agent(market, signals, fold, settings, SETTINGS, number, Path(folder))

    def validate(policy: Policy, _steps: int) -> float:
        span = {"start": fold.validation[0], "end": fold.validation[1]}
        record = backtest(policy, make_walk(market, signals, SETTINGS, policy, **span))
        return compute_utility(record, SETTINGS.reward.risk_aversion)

    ended: list[NetworkPolicy] = []

    def follow(policy: Policy, steps: int) -> float:
        assert isinstance(policy, NetworkPolicy)
        ended.append(policy)
        return validate(policy, steps)

    def train(chosen: AgentSettings, end: int, score: Callable[[Policy, int], float]) -> NetworkPolicy:
        tape = prepare_tape(market, signals, SETTINGS, end=dates[end], holdable=market.universe)
        with tempfile.TemporaryDirectory() as folder:
            task = TrainingTask(tape, SETTINGS, number, Path(folder), score, lambda _done: None)
            return make_agent(chosen).train(task)

    start = make_agent(settings).start(prepare_tape(market, signals, SETTINGS, holdable=market.universe), SETTINGS)
    before = train(FORMER[name], first - GAP_DAYS - 1, follow)
    same = train(settings, last, lambda _policy, steps: float(steps))
    base = task.measure(start).sharpe
    kept = {"after": not trained.kept.untrained, "before": not is_untrained(before), "last": True, "last_same": True}
    policies = {"after": trained.policy, "before": before, "last": ended[-1], "last_same": same}
    return {rule: (kept[rule], task.measure(policies[rule]).sharpe - base if kept[rule] else 0.0) for rule in RULES}


def is_untrained(policy: NetworkPolicy) -> bool:
    """Say whether the last layers of a network are as they began, all zero."""
    return all(not bool(value.any()) for name, value in policy.network.named_parameters() if "head" in name)


def summarise(results: list[dict[str, tuple[bool, float]]]) -> dict[str, dict[str, float]]:
    """Return the share kept and the mean gain with its standard error, by rule."""
    found = {}
    for rule in RULES:
        kept, gains = (np.array([result[rule][place] for result in results], dtype=float) for place in (0, 1))
        error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
        found[rule] = {"kept": float(kept.mean()), "gain": float(gains.mean()), "gain_error": error}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--markets", type=int, default=20, help="markets of each strength")
    parser.add_argument("--agent", choices=[*AGENTS], default="direct")
    parser.add_argument("--ic", type=float, choices=ICS, help="one strength alone")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    ics = ICS if arguments.ic is None else (arguments.ic,)
    results: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        pending = {
            ic: [pool.submit(measure, ic, arguments.agent, number) for number in range(arguments.markets)] for ic in ics
        }
        for ic, futures in pending.items():
            found = summarise([future.result() for future in futures])
            results[str(ic)] = {**found.pop("after"), **found}
            if not arguments.json:
                print(ic, json.dumps(results[str(ic)]), flush=True)
    if arguments.json:
        print(json.dumps({"agent": arguments.agent, "markets": arguments.markets, "ic": results}, indent=2))


if __name__ == "__main__":
    main()
