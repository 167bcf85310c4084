"""PPO as the field uses it: the library's learner on one flat observation.

As usual: stable-baselines3's PPO with `MlpPolicy`, log growth as the reward, a box of logits through a softmax, all
assets side by side in one array, 80,000 steps with the settings of FinRL's tutorials (rollouts of 2,048 steps, batches
of 128, steps of 1e-4, an entropy bonus of 0.005; everything else as the library has it).

Different: a rollout comes from eight books side by side, episodes are a year from a random start instead of the whole
past, and the reward is that of the ledger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import PPO

from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.envs.actions import compute_weights
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.observations import flatten
from alfred.envs.policy import Policy
from alfred.envs.settings import ActionSettings
from alfred.typing import Float, Observation

from .past import Past

STEPS, EPISODE, BOOKS = 80_000, 252, 8
PPO_SETTINGS: dict[str, Any] = {"n_steps": 2_048 // BOOKS, "batch_size": 128, "learning_rate": 1e-4, "ent_coef": 0.005}
ACTION = ActionSettings(logit_scale=1.0)


class LibraryPolicy:
    """The deterministic policy of a learner of stable-baselines3 on flat observations."""

    lookback = 0
    rebalance_every: int | None = None

    def __init__(self, learner: PPO) -> None:
        self.name, self.actor = "library PPO", learner.policy

    def reset(self, rows: object = None) -> None:
        """Forget nothing: there is no state."""

    def predict(self, observation: Observation) -> Float:
        shown = {key: value for key, value in observation.items() if key != "returns"}
        actions, _ = self.actor.predict(flatten(shown), deterministic=True)
        holdable = observation.get("holdable")
        return compute_weights(np.asarray(actions), ACTION, holdable)


def fit(past: Past, steps: int = STEPS) -> Policy:
    """Learn on random years of the past."""
    reward = past.environment.reward.model_copy(update={"kind": "growth", "risk_aversion": 0.0})
    changes = {"reward": reward, "action": ACTION, "observation": "flat", "episode_length": EPISODE}
    settings = past.environment.model_copy(update=changes)
    env = Sb3PortfolioVecEnv(PortfolioVectorEnv(BOOKS, settings=settings, tape=past.lay_out()))
    learner = PPO("MlpPolicy", env, seed=past.seed, device="cpu", **PPO_SETTINGS)
    return LibraryPolicy(learner.learn(steps))
