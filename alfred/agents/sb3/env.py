"""The vector environment as stable-baselines3 wants it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.observations import AnyObservation


class Sb3PortfolioVecEnv(VecEnv):
    """Wraps a `PortfolioVectorEnv`; steps are still taken by one simulator.

    The info of a portfolio whose episode ends holds `episode` (reward `r`, length `l`, seconds `t`: what
    stable-baselines3 logs), `terminal_observation`, `TimeLimit.truncated`, and the mean cost and turnover of a step.
    """

    def __init__(self, env: PortfolioVectorEnv) -> None:
        """Take over the spaces of `env`."""
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: npt.NDArray[np.float32] | None = None
        self._began = time.monotonic()
        self._totals = np.zeros((3, env.num_envs))
        self._length = np.zeros(env.num_envs, dtype=np.int64)

    def reset(self) -> AnyObservation:
        """Start all episodes with the seed given to `seed`, if any."""
        observation, _ = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        self._totals[:] = 0.0
        self._length[:] = 0
        return observation

    def step_async(self, actions: npt.NDArray[np.float32]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[AnyObservation, npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Step all portfolios."""
        if self._actions is None:
            raise RuntimeError("step_wait was called before step_async")
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        self._totals[0] += reward
        self._totals[1] += info["cost"]
        self._totals[2] += info["turnover"]
        self._length += 1
        done = terminated | truncated
        if np.count_nonzero(done):
            # Where an episode ended, `info` is that of the next one.
            self._totals[1:] += np.stack((info["final_info"]["cost"], info["final_info"]["turnover"]))
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(done):
            total, length = self._totals[:, index], int(self._length[index])
            seconds = round(time.monotonic() - self._began, 6)
            infos[index] = {
                "episode": {"r": float(total[0]), "l": length, "t": seconds},
                "terminal_observation": info["final_obs"][index],
                "TimeLimit.truncated": bool(truncated[index]),
                "cost": float(total[1]) / length,
                "turnover": float(total[2]) / length,
            }
        self._totals[:, done] = 0.0
        self._length[done] = 0
        return observation, reward.astype(np.float32), done, infos

    def get_state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return all that later steps depend on: arrays by name, and facts as JSON knows them."""
        sums = {"sums.totals": self._totals.copy(), "sums.length": self._length.copy()}
        return {**self.env.simulator.get_state(), **sums}, {"random": self.env.np_random.bit_generator.state}

    def set_state(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Go back to the moment at which `get_state` was called, on an environment of the same tape and settings."""
        self.env.simulator.set_state(arrays)
        self._totals, self._length = arrays["sums.totals"].copy(), arrays["sums.length"].copy()
        self.env.np_random.bit_generator.state = facts["random"]

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Return an attribute of the environment, once per portfolio."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: object, indices: int | Iterable[int] | None = None) -> None:
        """Set an attribute of the environment that all portfolios share."""
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the environment once, and return its result once per portfolio."""
        result = getattr(self.env, method_name)(*args, **kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Return False for every portfolio: nothing is wrapped."""
        return [False for _ in self._get_indices(indices)]
