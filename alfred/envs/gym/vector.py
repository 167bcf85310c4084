"""Many portfolios at once with gymnasium's vector interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.attribution import PnLAttribution
from alfred.envs.gym.episodes import draw_windows, prepare_tape, read_settings
from alfred.envs.gym.rendering import RENDER_MODES, check_render_mode, draw_frame
from alfred.envs.observations import AnyObservation, flatten, make_observation_space, observe
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.errors import ConfigError

_INFO = ("wealth", "cost", "turnover", *PnLAttribution._fields)
_KEYS = _INFO + tuple(f"_{name}" for name in _INFO)


class PortfolioVectorEnv(VectorEnv[AnyObservation, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """P portfolios stepped by one simulator over one shared tape.

    Spaces, rewards, info and settings are those of `PortfolioEnv`. A portfolio whose episode ends is reset in the same
    step, as gymnasium's `AutoresetMode.SAME_STEP` has it: the observation and the info are those of the new episode,
    and the last ones of the old are in `info["final_obs"]` (an array of observations, None where nothing ended) and
    `info["final_info"]`, with the masks `_final_obs` and `_final_info`. With `render_mode="rgb_array"` every close is
    kept, and `render` returns a picture of each portfolio's episode.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  gymnasium declares it so
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": RENDER_MODES,
        "render_fps": 10,
    }

    def __init__(
        self,
        num_envs: int,
        market: Market | None = None,
        signals: Signals | None = None,
        settings: PortfolioSettings | Mapping[str, Any] | None = None,
        *,
        start: pd.Timestamp | str | None = None,
        end: pd.Timestamp | str | None = None,
        tape: Tape | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Prepare the tape; see `PortfolioEnv` for the arguments.

        Raises:
            ConfigError: The render mode is unknown, or the settings ask for what the data do not hold.
        """
        self.render_mode = check_render_mode(render_mode)
        self.settings = read_settings(settings)
        self.num_envs = num_envs
        self.tape = tape or prepare_tape(market, signals, self.settings, start=start, end=end)
        self.simulator = PortfolioSimulator(self.tape, self.settings, num_envs, record=render_mode is not None)
        self.single_observation_space = make_observation_space(self.tape, self.settings)
        self.single_action_space = spaces.Box(-1.0, 1.0, (len(self.tape.symbols) + 1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        # Where in the marks the episode of each portfolio began.
        self._first_mark = np.zeros(num_envs, dtype=np.int64)
        self._everyone = np.ones(num_envs, dtype=bool)
        self._masks = (self._everyone,) * len(_INFO)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[AnyObservation, dict[str, Any]]:
        """Start all episodes, or those in the boolean array `options["reset_mask"]`; see gymnasium.

        One generator draws the windows of all portfolios; of a list of seeds the first is taken.

        Raises:
            ConfigError: The mask is not one boolean for each portfolio.
        """
        if seed is not None:
            first = next((item for item in np.atleast_1d(np.asarray(seed, dtype=object))), None)
            self._np_random, self._np_random_seed = np.random.default_rng(first), int(first or 0)
        mask = np.asarray((options or {}).get("reset_mask", self._everyone))
        if mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ConfigError(
                f"reset_mask has type {mask.dtype} and shape {mask.shape}: it must be {self.num_envs} booleans, one a "
                "portfolio"
            )
        self._start(np.flatnonzero(mask))
        info = {name: np.zeros(self.num_envs) for name in _INFO} | {f"_{name}": mask for name in _INFO}
        info["wealth"] = np.where(mask, 1.0, 0.0)
        return self._observe(), info

    def step(
        self, actions: npt.NDArray[np.float32]
    ) -> tuple[AnyObservation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Step all portfolios; see gymnasium.

        Raises:
            DataError: An action holds NaN.
        """
        result = self.simulator.step(self.simulator.decide(actions))
        observation = self._observe()
        amounts = (self.simulator.wealth, result.cost, result.turnover, *result.attribution)
        info: dict[str, Any] = dict(zip(_KEYS, amounts + self._masks, strict=True))
        if result.any_done:
            done = result.terminated | result.truncated
            rows = np.flatnonzero(done)
            final = {name: np.where(done, info[name], 0.0) for name in _INFO}
            self._start(rows)
            info |= {name: np.where(done, 0.0, info[name]) for name in _INFO}
            info["wealth"] = self.simulator.wealth.copy()
            info |= {"final_info": final | {f"_{name}": done for name in _INFO}, "_final_info": done}
            info |= {"final_obs": _pick(observation, rows, self.num_envs), "_final_obs": done}
            observation = self._observe()
        return observation, result.reward, result.terminated, result.truncated, info

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the assets, `[N]`."""
        return self.tape.symbols

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the signals, `[K]`."""
        return self.tape.signal_names

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """Return a picture of each portfolio's episode so far, `[height, width, 3]`; None without a render mode."""
        if self.render_mode is None:
            return None
        marks = self.simulator.marks
        return tuple(draw_frame(self.tape, marks[first:], place) for place, first in enumerate(self._first_mark))

    def _start(self, which: npt.NDArray[np.integer]) -> None:
        start, stop = draw_windows(self.tape, self.settings, len(which), self.np_random)
        self.simulator.reset(start, stop, which)
        if self.render_mode is not None:
            self._first_mark[which] = len(self.simulator.marks)
            past = int(self._first_mark.min())  # of no running episode
            del self.simulator.marks[:past]
            self._first_mark -= past
            self.simulator.trades.clear()

    def _observe(self) -> AnyObservation:
        observation = observe(self.simulator)
        return flatten(observation) if self.settings.observation == "flat" else observation


def _pick(observation: AnyObservation, rows: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.object_]:
    """Return the observations of some portfolios, None elsewhere, `[P]`."""
    picked = np.full(count, None, dtype=object)
    for row in rows:  # only where an episode ended
        if isinstance(observation, dict):
            picked[row] = {key: value[row] for key, value in observation.items()}
        else:
            picked[row] = observation[row]
    return picked
