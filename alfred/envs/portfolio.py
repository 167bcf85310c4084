"""The portfolio environment for one portfolio, with gymnasium's interface."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from pydantic import Field

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.actions import ActionSettings, compute_weights
from alfred.envs.kernel import PortfolioKernel
from alfred.envs.observations import Observation, make_observation_space, observe
from alfred.envs.rewards import RewardSettings
from alfred.envs.tape import Execution, Tape, make_tape
from alfred.errors import ConfigError
from alfred.settings import Settings


class PortfolioSettings(Settings):
    """How a portfolio is traded and paid.

    Attributes:
        cost_bps: Commission on traded value, in basis points.
        slippage_bps: Half of the bid-ask spread, in basis points.
        execution: When a decision is traded; `auto` takes the next open, or the next close when there are no opens.
            `close` trades at the price that the observation already holds and is flagged as optimistic in reports.
        rebalance_every: Sessions from one decision to the next; the book drifts in between.
        episode_length: Decisions in a training episode, from a random start; the whole range when left out.
        lookback: Sessions of log returns in an observation, L.
        cash_rate_pct: Yearly rate that cash earns, in per cent.
        action: How actions become weights.
        reward: What a step pays.
    """

    cost_bps: float = Field(default=5.0, ge=0, lt=1000)
    slippage_bps: float = Field(default=5.0, ge=0, lt=1000)
    execution: Execution = "auto"
    rebalance_every: int = Field(default=1, ge=1)
    episode_length: int | None = Field(default=None, ge=2)
    lookback: int = Field(default=0, ge=0)
    cash_rate_pct: float = Field(default=0.0, gt=-100, le=100)
    action: ActionSettings = ActionSettings()
    reward: RewardSettings = RewardSettings()


def make_kernel(
    tape: Tape, settings: PortfolioSettings, n_portfolios: int = 1, *, record: bool = False
) -> PortfolioKernel:
    """Build the kernel that the settings describe."""
    rates = np.full(len(tape.symbols) + 1, (settings.cost_bps + settings.slippage_bps) / 1e4)
    rates[-1] = 0.0
    return PortfolioKernel(
        tape,
        rates,
        settings.reward,
        n_portfolios=n_portfolios,
        rebalance_every=settings.rebalance_every,
        record=record,
    )


def draw_windows(
    tape: Tape, settings: PortfolioSettings, count: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw the first bar and the bar after the last of `count` episodes.

    Raises:
        ConfigError: An episode is longer than the data.
    """
    if settings.episode_length is None:
        return np.zeros(count, dtype=np.int64), np.full(count, tape.n_bars)
    length = settings.episode_length * settings.rebalance_every
    if length > tape.n_bars:
        raise ConfigError(
            f"episode_length {settings.episode_length} x rebalance_every {settings.rebalance_every} needs {length} "
            f"bars, the range has {tape.n_bars}; shorten the episode or widen the range"
        )
    start = rng.integers(0, tape.n_bars - length + 1, size=count)
    return start, start + length


class PortfolioEnv(gym.Env[Observation, npt.NDArray[np.float32]]):
    """A portfolio that is rebalanced on daily bars.

    ## Description
    At the close of a session the agent sees forecasts, its weights and the state of the market, and chooses target
    weights. They are traded at the next open (or the next close, when there are no opens) at proportional costs that
    are solved exactly; then the book drifts with prices until the next decision.

    ## Action Space
    `Box(-1, 1, (N+1,), float32)`, cash last. With `action.mode` `softmax` the numbers are scores, with `simplex` they
    are `2 w - 1` for weights w. All weight on any one asset, or on cash, is within reach.

    ## Observation Space
    A `Dict`; see `alfred.envs.observations` for its table of contents.

    ## Rewards
    `reward.scale` times log growth of wealth from one execution to the next, net of costs, less a risk term, and with
    `reward.kind` `excess` less the same of equal weights; see `alfred.envs.rewards`. Counting from execution to
    execution gives each decision all of its own consequences and none of its predecessor's.

    ## Starting State
    All cash, one unit of wealth, at a random session when `episode_length` is set, else at the first.

    ## Episode End
    `terminated` when wealth is gone; `truncated` at the end of the window or of the data.

    ## Arguments
    market: Prices. signals: Forecasts on the same symbols, or None. settings: `PortfolioSettings`. start, end: First
    date of a decision and last date of a mark. tape: A prepared tape instead of market and signals.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  gymnasium declares it so

    def __init__(
        self,
        market: Market | None = None,
        signals: Signals | None = None,
        settings: PortfolioSettings | None = None,
        *,
        start: str | None = None,
        end: str | None = None,
        tape: Tape | None = None,
        record: bool = False,
    ) -> None:
        """Prepare the tape; the arguments are described in the class docstring."""
        self.settings = settings or PortfolioSettings()
        self.tape = tape or prepare_tape(market, signals, self.settings, start=start, end=end)
        self.kernel = make_kernel(self.tape, self.settings, record=record)
        self.observation_space = make_observation_space(self.tape)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.tape.symbols) + 1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see gymnasium. `options` are not used."""
        super().reset(seed=seed)
        start, stop = draw_windows(self.tape, self.settings, 1, self.np_random)
        self.kernel.reset(start, stop)
        self.kernel.marks.clear()
        return _first(observe(self.kernel)), self._info(0.0, 0.0)

    def step(self, action: npt.ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Trade, hold and mark; see gymnasium."""
        weights = compute_weights(np.asarray(action, dtype=np.float64)[None], self.settings.action)
        result = self.kernel.step(weights)
        return (
            _first(observe(self.kernel)),
            float(result.reward[0]),
            bool(result.terminated[0]),
            bool(result.truncated[0]),
            self._info(float(result.cost[0]), float(result.turnover[0])),
        )

    def _info(self, cost: float, turnover: float) -> dict[str, Any]:
        return {"wealth": float(self.kernel.wealth[0]), "cost": cost, "turnover": turnover}


def prepare_tape(
    market: Market | None,
    signals: Signals | None,
    settings: PortfolioSettings,
    *,
    start: str | None = None,
    end: str | None = None,
) -> Tape:
    """Lay out the tape that the settings ask for.

    Raises:
        ConfigError: There is no market.
    """
    if market is None:
        raise ConfigError("a portfolio environment needs market=... (or tape=...)")
    return make_tape(
        market,
        signals,
        start=start,
        end=end,
        execution=settings.execution,
        lookback=settings.lookback,
        cash_rate_pct=settings.cash_rate_pct,
    )


def _first(observation: Observation) -> Observation:
    return {key: value[0] for key, value in observation.items()}
