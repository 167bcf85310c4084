"""The last mile of a run: `python benchmarks/bench_evaluation.py [--json] [--run runs/demo] [--rounds 3]`.

A finished run is evaluated, and its page is written again; without `--run` the demonstration (20 stocks and the index,
1990 to 2022, 3 folds x 3 seeds x 2 agents) is trained with a few steps first, which takes minutes the first time. CPU
seconds of this process, medians over rounds: of walking, judging and reporting everyone, and of the page alone.
`taught` is the same with small random last layers in the networks that learnt nothing, so that every one of them is
asked as a trained one is. The run is copied before; what it was made from is not compared with the code as it stands,
so that two versions of the code can be measured on one run.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import tempfile
from pathlib import Path

import torch

from alfred.agents.base import NetworkPolicy
from alfred.agents.networks import AssetNetwork
from alfred.config import load_experiment
from alfred.training import pipeline
from alfred.training.judging import judge
from alfred.training.judging.judge import Trained

ROOT = Path(".cache/bench_evaluation")
FEW_STEPS = (
    *("agents.0.total_steps=2048", "agents.0.validate_every=2048", "agents.0.validation_blocks=1"),
    *("agents.1.total_steps=4096", "agents.1.validate_every=4096", "agents.1.validation_blocks=1"),
    *("analysts.2.fitting.steps=50", "analysts.3.forecast_every_days=20", "analysts.4.forecast_every_days=120"),
    *("analysts.4.tokenizer_fitting.steps=40", "analysts.4.model_fitting.steps=40"),
    *("training.n_jobs=1", f"forecast.cache={ROOT / 'forecasts'}"),
)
ROUNDS = 3
_SPREAD = 0.05  # of the last layers, in scores


def read_cpu() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def teach(trained: Trained) -> None:
    """Give networks that learnt nothing something to say."""
    generator = torch.Generator().manual_seed(0)
    for item in (item for items in trained.values() for item in items):
        policy = item.policy
        network = policy.network if isinstance(policy, NetworkPolicy) else None
        if isinstance(network, AssetNetwork) and network.learnt_nothing:
            with torch.no_grad():
                for weight in (network.head.weight, network.cash_head.weight):
                    weight.copy_(torch.randn(weight.shape, generator=generator) * _SPREAD)


def measure(run: Path, taught: bool) -> tuple[float, float]:
    """Return CPU seconds of an evaluation with its page, and of the page alone."""
    prepared = pipeline.reopen(run, [])
    trained = pipeline.load_trainings(prepared)
    if taught:
        teach(trained)
    shutil.rmtree(prepared.run.backtests, ignore_errors=True)
    began = read_cpu()
    pipeline.evaluate(prepared, trained)
    middle = read_cpu()
    pipeline.rewrite_report(prepared)
    return middle - began, read_cpu() - middle


def measure_rounds(run: Path, rounds: int) -> dict[str, float]:
    """Return the medians by name."""
    pipeline.explain_change = judge.explain_change = lambda *_parts: ""
    measure(run, taught=False)  # compiled code is read from its cache, libraries are loaded
    found = {}
    for taught, names in ((False, ("evaluate_cpu_s", "report_cpu_s")), (True, ("taught_evaluate_cpu_s",))):
        measured = [measure(run, taught) for _ in range(rounds)]
        for name, values in zip(names, zip(*measured, strict=True), strict=False):
            found[name] = round(statistics.median(values), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", type=Path, help="folder of a finished run [one that is trained with a few steps]")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds that are measured [{ROUNDS}]")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.run is None:
        pipeline.run_all(load_experiment(None, FEW_STEPS), ROOT / "runs", judge=False)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(arguments.run or ROOT / "runs" / "demo", run)
        found = measure_rounds(run, arguments.rounds)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for name, seconds in found.items():
            print(f"{name:24s} {seconds:6.2f}")


if __name__ == "__main__":
    main()
