"""A model of stable-baselines3 is told which portfolios begin, and keeps what it knows of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from alfred.envs.settings import PortfolioSettings
from alfred.notebook.policies import ModelPolicy


class Counting:
    """Counts the decisions of each episode, as a recurrent model keeps its state."""

    observation_space = spaces.Dict({"weights": spaces.Box(0.0, 1.0, (3,))})

    def predict(self, seen: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        count = np.zeros(len(episode_start)) if state is None else state
        count = np.where(episode_start, 1.0, count + 1.0)
        return np.column_stack([count, np.zeros((len(count), 2))]), count


def test_a_reset_of_some_portfolios_begins_these_alone() -> None:
    policy = ModelPolicy(Counting(), PortfolioSettings(), "counting")
    seen = {"weights": np.zeros((3, 3), dtype=np.float32)}
    for _ in range(2):
        policy.predict(seen)
    policy.reset(np.array([0, 2]))
    policy.predict(seen)
    np.testing.assert_array_equal(policy._state, [1, 3, 1])
    policy.reset()
    policy.predict(seen)
    np.testing.assert_array_equal(policy._state, [1, 1, 1])
