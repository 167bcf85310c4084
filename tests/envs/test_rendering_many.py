"""Pictures of many portfolios: each is that of its own episode."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from alfred.envs.gym.portfolio import PortfolioEnv
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.settings import PortfolioSettings
from alfred.errors import ConfigError
from tests.conftest import make_random_market

MARKET = make_random_market(60, 4)
WHOLE = PortfolioSettings()
SHORT = PortfolioSettings(episode_length=5)


def test_each_picture_is_that_of_an_environment_alone() -> None:
    env = gym.make_vec("alfred/Portfolio-v0", 2, render_mode="rgb_array", market=MARKET, settings=WHOLE)
    assert isinstance(env, PortfolioVectorEnv) and env.render_mode == "rgb_array"
    alone = [PortfolioEnv(MARKET, None, WHOLE, render_mode="rgb_array") for _ in range(2)]
    env.reset(seed=0)
    for one in alone:
        one.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(6):
        actions = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)  # type: ignore[arg-type]
        env.step(actions)
        for one, action in zip(alone, actions, strict=True):
            one.step(action)
    frames = env.render()
    assert frames is not None and len(frames) == 2
    for frame, one in zip(frames, alone, strict=True):
        np.testing.assert_array_equal(frame, one.render())
    assert not np.array_equal(frames[0], frames[1])


def test_closes_of_episodes_that_are_over_are_dropped() -> None:
    env = PortfolioVectorEnv(3, MARKET, None, SHORT, render_mode="rgb_array")
    env.reset(seed=0)
    for step in range(1, 23):
        env.step(np.zeros((3, MARKET.n_symbols + 1), dtype=np.float32))
        assert len(env.simulator.marks) == step % 5
    # One portfolio is begun anew in the middle: its picture starts there, those of the others go on.
    env.reset(options={"reset_mask": np.array([False, True, False])})
    env.step(np.zeros((3, MARKET.n_symbols + 1), dtype=np.float32))
    frames = env.render()
    assert frames is not None and not np.array_equal(frames[0], frames[1])
    assert len(env.simulator.marks) == 3


def test_nothing_is_kept_or_drawn_without_a_mode_and_another_mode_is_refused() -> None:
    env = PortfolioVectorEnv(2, MARKET, None, SHORT)
    env.reset(seed=0)
    env.step(np.zeros((2, MARKET.n_symbols + 1), dtype=np.float32))
    assert env.render() is None and env.simulator.marks == []
    with pytest.raises(ConfigError, match=r"unknown render_mode 'human'; accepted are 'rgb_array' and None"):
        gym.make_vec("alfred/Portfolio-v0", 2, render_mode="human", market=MARKET, settings=SHORT)
