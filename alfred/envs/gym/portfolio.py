"""The portfolio environment for one portfolio, with gymnasium's interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pandas as pd
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.attribution import PnLAttribution
from alfred.envs.gym.episodes import draw_windows, prepare_tape, read_settings
from alfred.envs.gym.rendering import RENDER_MODES, check_render_mode, draw_frame
from alfred.envs.observations import AnyObservation, flatten, make_observation_space, observe
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape

__all__ = ["PortfolioEnv", "PortfolioSettings"]

_NOTHING_BOOKED = dict.fromkeys(PnLAttribution._fields, 0.0)


class PortfolioEnv(gym.Env[AnyObservation, npt.NDArray[np.float32]]):
    """A portfolio that is rebalanced on daily bars.

    ## Description
    At the close of a session the agent sees forecasts, its weights and the state of the market, and chooses target
    weights. Constraints cut them down to what is allowed, and they are traded at the next open (or the next close, when
    there are no opens) at costs that are solved exactly; then the book drifts with prices until the next decision.
    Inside a bar a stop-loss may sell a position, after a close the drawdown breaker may sell all of them. A holding
    whose asset is delisted is paid out at its last price, at the session after its last bar.

    ## Action Space
    `Box(-1, 1, (N+1,), float32)`, cash last. `action.mode` says what the numbers are:

    | mode | number of an asset | number of cash |
    | --- | --- | --- |
    | `softmax` | score; weights are the softmax of `action.logit_scale` times the scores | score |
    | `simplex` | `2 w - 1` for a weight w | `2 w - 1` |
    | `long_short` | `w / action.max_leverage` for a weight w, negative when short | not read |

    All weight on any one asset, or on cash, is within reach, and so is every corner that the constraints allow.
    `alfred.envs.encode_weights` returns the action for given weights.

    ## Observation Space
    A `Dict`, or a flat `Box` with `observation` set to `flat`; see `alfred.envs.observations` for the contents.

    ## Rewards
    `reward.scale` times log growth of wealth from one execution to the next, net of costs, less a risk term, and with
    `reward.kind` `excess` less the same of equal weights or of the benchmark; or a differential Sharpe ratio; less
    penalties for drawdown and turnover. See `alfred.envs.rewards`. Counting from execution to execution gives each
    decision all of its own consequences and none of its predecessor's.

    ## Starting State
    All cash, one unit of wealth, at a random session when `episode_length` is set, else at the first.

    ## Episode End
    `terminated` when wealth is gone; `truncated` at the end of the window or of the data.

    ## Info
    `wealth`; `cost` (everything paid in the step, as a fraction of the wealth before) and `turnover`; and where the
    change of wealth came from, in units of the wealth at the start: `gross`, `commission`, `spread`, `impact`,
    `borrow`, `interest` (see `alfred.envs.attribution.PnLAttribution`).

    ## Rendering
    `render_mode="rgb_array"`: wealth against the benchmark, and the current weights.

    ## Arguments
    market: Prices. signals: Forecasts on the same symbols, or None. settings: `PortfolioSettings`. start, end: First
    date of a decision and last date of a mark. tape: A prepared tape instead of market and signals. record: Whether to
    keep every marked close in `simulator.marks`; rendering does so too. render_mode: `rgb_array`, or None. warm_up:
    Bars at the beginning in which no episode starts; policies with a recurrent state are walked through them first.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 10}  # noqa: RUF012  gymnasium's way

    def __init__(
        self,
        market: Market | None = None,
        signals: Signals | None = None,
        settings: PortfolioSettings | Mapping[str, Any] | None = None,
        *,
        start: pd.Timestamp | str | None = None,
        end: pd.Timestamp | str | None = None,
        tape: Tape | None = None,
        record: bool = False,
        render_mode: str | None = None,
        warm_up: int = 0,
    ) -> None:
        """Prepare the tape; the arguments are described in the class docstring.

        Raises:
            ConfigError: The render mode is unknown, or the settings ask for what the data do not hold.
        """
        self.render_mode = check_render_mode(render_mode)
        self.settings = read_settings(settings)
        self.tape = tape or prepare_tape(market, signals, self.settings, start=start, end=end)
        self.warm_up = warm_up
        self.simulator = PortfolioSimulator(self.tape, self.settings, record=record or render_mode is not None)
        self.observation_space = make_observation_space(self.tape, self.settings)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.tape.symbols) + 1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[AnyObservation, dict[str, Any]]:
        """Start an episode; see gymnasium. `options` are not used."""
        super().reset(seed=None if seed is None else int(seed))  # gymnasium refuses the integers of numpy
        start, stop = draw_windows(self.tape, self.settings, 1, self.np_random)
        self.simulator.reset(np.maximum(start, self.warm_up), stop)
        self.simulator.marks.clear()
        self.simulator.trades.clear()
        return self._observe(), {"wealth": 1.0, "cost": 0.0, "turnover": 0.0, **_NOTHING_BOOKED}

    def step(self, action: npt.ArrayLike) -> tuple[AnyObservation, float, bool, bool, dict[str, Any]]:
        """Trade, hold and mark; see gymnasium.

        Raises:
            ResetNeeded: The episode has ended, or has not begun.
            DataError: The action holds NaN.
        """
        if self.simulator.bar[0] >= self.simulator.stop[0]:
            raise ResetNeeded("there is no episode to step in: call reset first")
        result = self.simulator.step(self.simulator.decide(np.asarray(action)[None]))
        info = {
            "wealth": float(self.simulator.wealth[0]),
            "cost": float(result.cost[0]),
            "turnover": float(result.turnover[0]),
            **{name: float(amount[0]) for name, amount in zip(PnLAttribution._fields, result.attribution, strict=True)},
        }
        reward, terminated, truncated = result.reward[0], result.terminated[0], result.truncated[0]
        return self._observe(), float(reward), bool(terminated), bool(truncated), info

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the assets, `[N]`."""
        return self.tape.symbols

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the signals, `[K]`."""
        return self.tape.signal_names

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Return the picture of the episode so far, `[height, width, 3]`; None without a render mode."""
        return None if self.render_mode is None else draw_frame(self.tape, self.simulator.marks)

    def _observe(self) -> AnyObservation:
        observation = observe(self.simulator)
        if self.settings.observation == "flat":
            return flatten(observation)[0]
        return {key: value[0] for key, value in observation.items()}
