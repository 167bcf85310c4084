"""Frames a second and reward reached a minute: PPO as the libraries have it, PPO as alfred has it, and direct.

    OMP_NUM_THREADS=1 python benchmarks/bench_training.py --json

All three learn on one planted market (10 assets, 5 bps; correlation 0.05 unless `--ic` says otherwise) in one process,
one after the other, on one torch thread. The clock is CPU time of this process: a machine that does other things as
well does not change it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from planted_task import SETTINGS, PlantedTask
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from alfred.agents.registry import make_agent
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.agents.settings import AgentSettings, DirectSettings, PpoSettings
from alfred.envs.actions import compute_weights
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.observations import flatten
from alfred.envs.policy import Policy
from alfred.typing import Float, Observation

N_ENVS = 8
ACTION = SETTINGS.action.model_copy(update={"logit_scale": 1.0})  # of the library's PPO


class LibraryPolicy:
    """The deterministic policy of a stable-baselines3 learner on flat observations."""

    name, lookback = "library", 0
    rebalance_every: int | None = None

    def __init__(self, learner: BaseAlgorithm) -> None:
        self.learner = learner

    def reset(self, rows: object = None) -> None:
        """Forget nothing: there is no state."""

    def predict(self, observation: Observation) -> Float:
        actions, _ = self.learner.predict(flatten(observation), deterministic=True)
        return compute_weights(actions, ACTION)


class Curve:
    """Quality by CPU seconds, without the seconds that measuring takes."""

    def __init__(self, task: PlantedTask) -> None:
        self.task = task
        self.began = time.process_time()
        self.points: list[tuple[float, int, float]] = []

    def add(self, policy: Policy, steps: int) -> None:
        now = time.process_time()
        self.points.append((now - self.began, steps, self.task.measure(policy).share))
        self.began += time.process_time() - now

    def summarise(self) -> dict[str, object]:
        seconds, steps, _ = self.points[-1]
        best = max(share for _, _, share in self.points)
        return {
            "frames_per_second": steps / seconds,
            "best_share": best,
            "share_per_minute": {
                f"{minute:g}": max((share for second, _, share in self.points if second <= 60 * minute), default=None)
                for minute in (0.25, 0.5, 1, 2)
            },
            "cpu_seconds": seconds,
            "curve": [[round(second, 1), step, round(share, 4)] for second, step, share in self.points],
        }


class _Watch(BaseCallback):
    def __init__(self, curve: Curve, every: int) -> None:
        super().__init__()
        self.curve, self.every, self.next = curve, every, 0

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.next:
            self.next += self.every
            self.curve.add(LibraryPolicy(self.model), self.num_timesteps)
        return True


def run_library(task: PlantedTask, steps: int) -> Curve:
    """PPO with the library's own settings: flat network, gamma 0.99, raw reward, softmax of a box of unit logits."""
    reward = SETTINGS.reward.model_copy(update={"kind": "growth", "risk_aversion": 0.0})
    changes = {"reward": reward, "action": ACTION, "observation": "flat", "episode_length": 252}
    settings = SETTINGS.model_copy(update=changes)
    env = Sb3PortfolioVecEnv(PortfolioVectorEnv(N_ENVS, settings=settings, tape=task.train_tape))
    curve = Curve(task)
    PPO("MlpPolicy", env, seed=0, device="cpu").learn(steps, callback=_Watch(curve, steps // 8))
    return curve


def run_ours(task: PlantedTask, settings: AgentSettings) -> Curve:
    """One of alfred's agents with its defaults."""
    curve = Curve(task)
    with tempfile.TemporaryDirectory() as folder:
        make_agent(settings).train(task.make_training(Path(folder), 0, curve.add))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the steps of all three")
    parser.add_argument("--ic", type=float, default=0.05, help="correlation of the planted signal")
    parser.add_argument(
        "--network", choices=["shared", "attention", "tilt"], default="shared", help="of our two agents"
    )
    arguments = parser.parse_args()
    network = arguments.network
    torch.set_num_threads(1)
    task = PlantedTask(arguments.ic)

    def scale(steps: int) -> int:
        return max(int(arguments.scale * steps), 1)

    ppo = PpoSettings(total_steps=scale(800_000), validate_every=scale(50_000), network=network, learning_rate=3e-3)
    direct = DirectSettings(
        total_steps=scale(1_000_000), validate_every=scale(60_000), patience=None, network=network, learning_rate=6e-3
    )
    curves = {
        "library_ppo": run_library(task, scale(800_000)),
        "ppo": run_ours(task, ppo),
        "direct": run_ours(task, direct),
    }
    results: dict[str, object] = {name: curve.summarise() for name, curve in curves.items()}
    library = curves["library_ppo"].points
    goal, spent = max(share for _, _, share in library), library[-1][0]
    reached = next((second for second, _, share in curves["ppo"].points if share >= goal), None)
    results["ppo_seconds_to_library_best"] = reached
    results["ratio"] = None if reached is None else reached / spent
    print(json.dumps(results, indent=2 if arguments.json else None))


if __name__ == "__main__":
    main()
