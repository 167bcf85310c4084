"""A control variate for agents that explore: a twin of each portfolio that walks the same days without exploring."""

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
    """Pays each portfolio what it earns beyond its twin.

    The twin starts with the portfolio, on the same window, and follows the mean action of the policy as it is at that
    moment. What it earns depends on the days and on the policy, never on what the portfolio tried out, so that taking
    it away leaves the expected gradient of the policy as it was (a baseline that knows the exogenous input: Mao et al.,
    "Variance reduction for reinforcement learning in input-driven environments", 2019). What remains is what
    exploring changed; the luck of the days, which is nearly all of a day's reward, is gone.

    What is logged (`episode` in the infos) is the reward itself.
    """

    policy: NetworkPolicy

    def __init__(self, env: PortfolioVectorEnv) -> None:
        """Put a twin beside every portfolio of `env`; call `follow` before `reset`."""
        super().__init__(env)
        self.twins = PortfolioSimulator(env.tape, env.settings, env.num_envs)

    def follow(self, policy: NetworkPolicy) -> None:
        """Have the twins follow a policy; its network may go on learning."""
        self.policy = policy

    def reset(self) -> AnyObservation:
        """Start all episodes and all twins; see the base class."""
        observation = super().reset()
        self.twins.reset(self.env.simulator.bar, self.env.simulator.stop)
        self.policy.reset()
        return observation

    def step_wait(self) -> tuple[AnyObservation, npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Step all portfolios and their twins."""
        earned = self.twins.step(self.policy.predict(observe(self.twins))).reward
        observation, reward, done, infos = super().step_wait()
        ended = np.flatnonzero(done)
        if len(ended):
            # The portfolios stand at the start of their next windows by now.
            self.twins.reset(self.env.simulator.bar[ended], self.env.simulator.stop[ended], ended)
            self.policy.reset(ended)
        return observation, (reward - earned).astype(np.float32), done, infos

    def get_state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return all that later steps depend on; see the base class."""
        arrays, facts = super().get_state()
        arrays |= {f"twins.{name}": array for name, array in self.twins.get_state().items()}
        if self.policy.recurrent_state is not None:
            arrays |= {f"memory.{index}": part.numpy().copy() for index, part in enumerate(self.policy.recurrent_state)}
        return arrays, facts

    def set_state(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Go back to the moment of `get_state`; see the base class."""
        super().set_state(arrays, facts)
        below = {name.removeprefix("twins."): array for name, array in arrays.items() if name.startswith("twins.")}
        self.twins.set_state(below)
        if "memory.0" in arrays:
            self.policy.recurrent_state = (torch.tensor(arrays["memory.0"]), torch.tensor(arrays["memory.1"]))
