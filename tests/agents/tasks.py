"""A training task small enough for a test, and every agent in a size that learns in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from alfred.agents.base import NetworkPolicy, TrainingTask
from alfred.agents.registry import AGENTS
from alfred.agents.settings import AgentSettings
from alfred.data.synthetic import make_noise_market
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import make_tape
from alfred.learning.events import EventFile

ENVIRONMENT = PortfolioSettings(cost_bps=5.0, slippage_bps=0.0)
TINY: dict[str, dict[str, object]] = {
    "direct": {"total_steps": 8_192, "n_portfolios": 32, "episode_length": 64, "patience": None},
    "ppo": {"total_steps": 4_096, "n_envs": 16, "n_steps": 32, "batch_size": 128, "n_epochs": 2},
    "a2c": {"total_steps": 2_048, "n_envs": 16},
    "recurrent_ppo": {
        "total_steps": 2_048,
        "n_envs": 16,
        "n_steps": 32,
        "batch_size": 128,
        "n_epochs": 2,
        "state_size": 4,
    },
    "sac": {"total_steps": 1_600, "n_envs": 16, "batch_size": 64, "buffer_size": 1_000},
    "td3": {"total_steps": 1_600, "n_envs": 16, "batch_size": 64, "buffer_size": 1_000},
    "ddpg": {"total_steps": 1_600, "n_envs": 16, "batch_size": 64, "buffer_size": 1_000},
    "tqc": {"total_steps": 800, "n_envs": 16, "episode_length": 32, "batch_size": 64, "buffer_size": 1_000},
}


def make_tiny(kind: str, **changes: object) -> AgentSettings:
    # The buffers are filled, so that a checkpoint of a full one is met.
    small = {"hidden": (8, 8), "validate_every": 1_000, "checkpoint_every": 512}
    raw = {"kind": kind, **small, **TINY[kind], **changes}
    return AGENTS.load_settings(kind).model_validate(raw)


def make_task(
    folder: Path,
    seed: int = 0,
    *,
    n_days: int = 400,
    environment: PortfolioSettings = ENVIRONMENT,
    progress: Callable[[int], None] = lambda _done: None,
    validate: Callable[[Policy, int], float] | None = None,
) -> TrainingTask:
    world = make_noise_market(n_assets=10, n_days=n_days, n_signals=5, seed=1)
    tape = make_tape(world.market, world.signals, execution=environment.execution, lookback=environment.lookback)
    validate = validate or score_size
    return TrainingTask(tape, environment, seed, folder, validate, progress, curves=EventFile(folder))


def score_size(policy: Policy, _steps: int) -> float:
    """A validation that is cheap and prefers networks that have moved away from their start, which is zero."""
    assert isinstance(policy, NetworkPolicy)
    heads = [value for name, value in policy.network.named_parameters() if "head" in name or name.endswith("slopes")]
    return float(sum(value.detach().abs().sum() for value in heads))


def make_observation(n: int, count: int = 3, seed: int = 0, lookback: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    observation = {
        "signals": rng.normal(size=(count, n, 5)).astype(np.float32),
        "weights": rng.dirichlet(np.ones(n + 1), count).astype(np.float32),
        "market": rng.normal(size=(count, 6)).astype(np.float32),
        "tradable": np.ones((count, n), dtype=np.float32),
    }
    if lookback:
        observation["returns"] = rng.normal(0, 0.01, (count, n, lookback)).astype(np.float32)
    return observation
