"""A control variate for agents that explore: a greedy rollout of each portfolio on the same days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alfred.agents.base import NetworkPolicy
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.observations import AnyObservation, observe
from alfred.envs.simulator import PortfolioSimulator


class GreedyBaselineVecEnv(Sb3PortfolioVecEnv):
    """Pays each portfolio what it earns beyond its greedy rollout.

    The rollout starts with the portfolio, on the same window, and follows the mean action of the policy as it is at
    that moment. What it earns depends on the days and on the policy, never on what the portfolio tried out, so that
    taking it away leaves the expected gradient of the policy as it was (a baseline that knows the exogenous input: Mao
    et al., "Variance reduction for reinforcement learning in input-driven environments", 2019). What remains is what
    exploring changed; the luck of the days, which is nearly all of a day's reward, is gone.

    What is logged (`episode` in the infos) is the reward itself.
    """

    policy: NetworkPolicy

    def __init__(self, env: PortfolioVectorEnv) -> None:
        """Put a greedy rollout beside every portfolio of `env`; call `follow` before `reset`."""
        super().__init__(env)
        self.rollouts = PortfolioSimulator(env.tape, env.settings, env.num_envs)

    def follow(self, policy: NetworkPolicy) -> None:
        """Have the rollouts follow a policy; its network may go on learning."""
        self.policy = policy

    def reset(self) -> AnyObservation:
        """Start all episodes and all rollouts; see the base class."""
        observation = super().reset()
        self.rollouts.reset(self.env.simulator.bar, self.env.simulator.stop)
        self.policy.reset()
        return observation

    def step_wait(self) -> tuple[AnyObservation, npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Step all portfolios and their rollouts."""
        earned = self.rollouts.step(self.policy.predict(observe(self.rollouts))).reward
        observation, reward, done, infos = super().step_wait()
        ended = np.flatnonzero(done)
        if len(ended):
            # The portfolios stand at the start of their next windows by now.
            self.rollouts.reset(self.env.simulator.bar[ended], self.env.simulator.stop[ended], ended)
            self.policy.reset(ended)
        return observation, (reward - earned).astype(np.float32), done, infos

    def get_state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return all that later steps depend on; see the base class."""
        arrays, facts = super().get_state()
        arrays |= {f"rollouts.{name}": array for name, array in self.rollouts.get_state().items()}
        if self.policy.recurrent_state is not None:
            arrays |= {f"memory.{index}": part.numpy().copy() for index, part in enumerate(self.policy.recurrent_state)}
        return arrays, facts

    def set_state(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Go back to the moment of `get_state`; see the base class."""
        super().set_state(arrays, facts)
        prefix = "rollouts."
        self.rollouts.set_state({k.removeprefix(prefix): array for k, array in arrays.items() if k.startswith(prefix)})
        if "memory.0" in arrays:
            self.policy.recurrent_state = (torch.tensor(arrays["memory.0"]), torch.tensor(arrays["memory.1"]))
