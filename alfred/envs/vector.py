"""Many portfolios at once with gymnasium's vector interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.actions import compute_weights
from alfred.envs.observations import Observation, make_observation_space, observe
from alfred.envs.portfolio import PortfolioSettings, draw_windows, make_kernel, prepare_tape
from alfred.envs.tape import Tape


class PortfolioVectorEnv(VectorEnv[Observation, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """P portfolios stepped by one kernel over one shared tape.

    Spaces, rewards and settings are those of `PortfolioEnv`. A portfolio whose episode ends is reset in the same step;
    its last observation is in `info["final_obs"]`, marked in `info["_final_obs"]`.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  gymnasium declares it so

    def __init__(
        self,
        num_envs: int,
        market: Market | None = None,
        signals: Signals | None = None,
        settings: PortfolioSettings | None = None,
        *,
        start: str | None = None,
        end: str | None = None,
        tape: Tape | None = None,
    ) -> None:
        """Prepare the tape; see `PortfolioEnv` for the arguments."""
        self.settings = settings or PortfolioSettings()
        self.num_envs = num_envs
        self.tape = tape or prepare_tape(market, signals, self.settings, start=start, end=end)
        self.kernel = make_kernel(self.tape, self.settings, num_envs)
        self.single_observation_space = make_observation_space(self.tape)
        self.single_action_space = spaces.Box(-1.0, 1.0, (len(self.tape.symbols) + 1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start all episodes; one seed serves all portfolios. See gymnasium."""
        if seed is not None:
            first = seed if isinstance(seed, int) else seed[0]
            self._np_random, self._np_random_seed = np.random.default_rng(first), first or 0
        self.kernel.reset(*draw_windows(self.tape, self.settings, self.num_envs, self.np_random))
        return observe(self.kernel), {}

    def step(
        self, actions: npt.NDArray[np.float32]
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Step all portfolios; see gymnasium."""
        result = self.kernel.step(compute_weights(actions, self.settings.action))
        observation = observe(self.kernel)
        info: dict[str, Any] = {
            "wealth": self.kernel.wealth.copy(),
            "cost": result.cost,
            "turnover": result.turnover,
        }
        done = result.terminated | result.truncated
        if done.any():
            which = np.flatnonzero(done)
            info["final_obs"], info["_final_obs"] = observation, done
            start, stop = draw_windows(self.tape, self.settings, len(which), self.np_random)
            self.kernel.reset(start, stop, which)
            observation = observe(self.kernel)
        return observation, result.reward, result.terminated, result.truncated, info
