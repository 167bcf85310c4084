"""What share of what is attainable each agent learns on planted markets, and whether it keeps still on noise.

    OMP_NUM_THREADS=1 python benchmarks/bench_learning.py --json

The share is (Sharpe - no skill) / (attainable - no skill) on a path that no training has seen, with 10 assets and
5 bps. CPU seconds are those of the whole training, its validations among them, on one torch thread. `--quick` takes a
tenth of the steps and one seed. `--only ppo --ppo '{"greedy_baseline": false}'` shows what one setting is worth.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from garleanu_pedersen import measure_garleanu_pedersen
from planted_task import PlantedTask

from alfred.agents.registry import make_agent
from alfred.agents.settings import AgentSettings, DirectSettings, PpoSettings

ICS = (0.05, 0.10)
# The defaults of both agents, with steps that stay inside the budgets of 20 and 120 CPU seconds.
AGENTS: dict[str, AgentSettings] = {
    "direct": DirectSettings(patience=None, validate_every=50_000, network="shared", learning_rate=6e-3),
    "ppo": PpoSettings(total_steps=1_500_000, validate_every=150_000, network="shared", learning_rate=3e-3),
}
N_SEEDS = 3


def measure(task: PlantedTask, settings: AgentSettings, seeds: range) -> dict[str, object]:
    """Train an agent from some seeds and return the median of what it attains."""
    results, seconds = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            policy = make_agent(settings).train(task.make_training(Path(folder), seed))
            seconds.append(time.process_time() - began)
        results.append(task.measure(policy))
    return {
        "share": float(np.median([result.share for result in results])),
        "seeds": [result.share for result in results],
        "sharpe_seeds": [result.sharpe for result in results],
        "sharpe": float(np.median([result.sharpe for result in results])),
        "sharpe_error": results[0].sharpe_error,
        "attainable_sharpe": task.optimum.sharpe,
        "no_skill_sharpe": task.optimum.no_skill_sharpe,
        "turnover_a_day": float(np.median([result.turnover for result in results])),
        "turnover_seeds": [result.turnover for result in results],
        "cpu_seconds": float(np.median(seconds)),
        "steps": settings.total_steps,
    }


def measure_noise(task: PlantedTask, settings: AgentSettings, seeds: range) -> dict[str, object]:
    """Train on signals that foretell nothing; skill is what lies above the best fixed weights."""
    found = measure(task, settings, seeds)
    excess = float(found["sharpe"]) - task.optimum.no_skill_sharpe  # type: ignore[arg-type]
    # Fifty thousand sessions are 198 years: the standard error of a Sharpe ratio over them.
    error = float(np.sqrt((1.0 + found["sharpe"] ** 2 / 2.0 / 252.0) / (task.test_tape.n_bars / 252.0)))  # type: ignore[operator]
    return {
        "sharpe": found["sharpe"],
        "sharpe_seeds": found["sharpe_seeds"],
        "no_skill_sharpe": task.optimum.no_skill_sharpe,
        "excess_in_standard_errors": excess / error,
        "turnover_a_day": found["turnover_a_day"],
        "turnover_seeds": found["turnover_seeds"],
        "cpu_seconds": found["cpu_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, one seed")
    parser.add_argument("--only", choices=[*AGENTS, "noise", "garleanu_pedersen"], help="one part alone")
    parser.add_argument("--ic", type=float, choices=ICS, help="one strength of the signal alone")
    parser.add_argument("--ppo", type=json.loads, default={}, help="other settings of ppo, in JSON")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first training")
    parser.add_argument("--path", type=int, default=3, help="seed of the path to measure on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    agents, n_seeds = dict(AGENTS), N_SEEDS
    agents["ppo"] = PpoSettings.model_validate({**agents["ppo"].model_dump(), **arguments.ppo})
    if arguments.quick:
        n_seeds = 1
        agents = {
            name: settings.model_copy(update={"total_steps": settings.total_steps // 10})
            for name, settings in agents.items()
        }
    seeds = range(arguments.first_seed, arguments.first_seed + n_seeds)
    parts = [arguments.only] if arguments.only else [*AGENTS, "noise", "garleanu_pedersen"]
    results: dict[str, object] = {}
    ics = ICS if arguments.ic is None else (arguments.ic,)
    tasks = {ic: PlantedTask(ic, test_seed=arguments.path) for ic in ics} if set(parts) & set(AGENTS) else {}
    for name in parts:
        if name in agents:
            results[name] = {f"{ic:g}": measure(task, agents[name], seeds) for ic, task in tasks.items()}
        elif name == "noise":
            task = PlantedTask(0.0, test_seed=arguments.path)
            results[name] = {agent: measure_noise(task, settings, seeds) for agent, settings in agents.items()}
        else:
            results[name] = {"direct": measure_garleanu_pedersen()}
        if not arguments.json:
            print(name, json.dumps(results[name], indent=2), flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
