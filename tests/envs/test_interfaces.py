"""The three wrappers: gymnasium's Env, gymnasium's VectorEnv, stable-baselines3's VecEnv."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.data.signals import Signals
from alfred.envs import ActionSettings, PortfolioEnv, PortfolioSettings, PortfolioVectorEnv
from alfred.envs.observations import flatten, observe
from alfred.errors import ConfigError, DataError
from tests.conftest import make_random_market

MODES = ["softmax", "simplex", "long_short"]
MARKET = make_random_market(80, 4, seed=3)


def make_signals(seed: int = 0) -> Signals:
    values = np.random.default_rng(seed).normal(size=(MARKET.n_dates, MARKET.n_symbols, 2)).astype(np.float32)
    return Signals(
        dates=MARKET.dates,
        symbols=MARKET.symbols,
        names=("naive.mean_1", "naive.mean_5"),
        values=values,
        trained_until=np.full(MARKET.n_dates, np.datetime64("2009-12-31")),
        horizons=(1, 5),
    )


def make_settings(mode: str = "simplex", observation: str = "dict", **changes: Any) -> PortfolioSettings:
    return PortfolioSettings(
        action=ActionSettings(mode=mode, max_leverage=1.5),  # type: ignore[arg-type]
        observation=observation,  # type: ignore[arg-type]
        **changes,
    )


@pytest.mark.parametrize("observation", ["dict", "flat"])
@pytest.mark.parametrize("mode", MODES)
def test_both_checkers_pass_without_a_warning(mode: str, observation: str) -> None:
    settings = make_settings(mode, observation, lookback=3, episode_length=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("alfred/Portfolio-v0", market=MARKET, signals=make_signals(), settings=settings).unwrapped)
        # stable-baselines3 advises against every array with two axes; that is its one remark on the dict.
        warnings.filterwarnings("ignore", message="Your observation (returns|signals) has an unconventional shape")
        check_env_sb3(PortfolioEnv(MARKET, make_signals(), settings))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("observation", ["dict", "flat"])
@pytest.mark.parametrize("mode", MODES)
def test_the_vector_env_equals_gymnasiums_own_over_single_ones(mode: str, observation: str) -> None:
    """Observations, rewards, flags, infos, final infos: all that gymnasium's same-step autoreset defines."""
    settings = make_settings(mode, observation, rebalance_every=4)
    ours = gym.make_vec(
        "alfred/Portfolio-v0", 3, vectorization_mode="vector_entry_point", market=MARKET, settings=settings
    )
    theirs = SyncVectorEnv([lambda: PortfolioEnv(MARKET, None, settings)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    compare(ours.reset(seed=1), theirs.reset(seed=1))
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(50):
        actions = rng.uniform(-1, 1, (3, 5)).astype(np.float32)
        mine, other = ours.step(actions), theirs.step(actions)
        compare(mine, other)
        assert mine[0] in ours.observation_space
        ends += int(mine[3].sum())
    assert ends == 6


def compare(mine: Any, other: Any) -> None:
    """Compare nested results to the last digits that a matrix product may round differently."""
    if isinstance(other, dict):
        assert set(mine) == set(other)
        for key in other:
            compare(mine[key], other[key])
    elif isinstance(other, tuple) or (isinstance(other, np.ndarray) and other.dtype == object):
        for one, two in zip(mine, other, strict=True):
            compare(one, two)
    elif other is None:
        assert mine is None
    else:
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-12)


def test_gymnasiums_vector_wrappers_take_it() -> None:
    env = DictInfoToList(RecordEpisodeStatistics(PortfolioVectorEnv(2, MARKET, None, make_settings(episode_length=5))))
    env.reset(seed=0)
    for _ in range(5):
        _, _, _, _, infos = env.step(np.zeros((2, 5), dtype=np.float32))
    assert infos[0]["episode"]["l"] == 5
    assert infos[1]["final_info"]["turnover"] >= 0


def test_portfolios_reset_one_by_one_on_request() -> None:
    env = PortfolioVectorEnv(3, MARKET, None, make_settings())
    env.reset(seed=0)
    env.step(np.full((3, 5), 0.5, dtype=np.float32))
    env.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(env.simulator.bar, [1, 0, 1])
    assert env.simulator.wealth[1] == 1.0
    assert (env.simulator.wealth[[0, 2]] != 1.0).all()
    with pytest.raises(ConfigError, match="reset_mask has type int64 and shape \\(2,\\): it must be 3 booleans"):
        env.reset(options={"reset_mask": np.array([0, 1])})


@pytest.mark.parametrize("observation", ["dict", "flat"])
def test_a_seed_makes_everything_repeat(observation: str) -> None:
    settings = make_settings("softmax", observation, episode_length=6)

    def play(seed: int) -> list[Any]:
        env = PortfolioVectorEnv(4, MARKET, make_signals(), settings)
        seen = [env.reset(seed=seed)]
        rng = np.random.default_rng(5)
        seen += [env.step(rng.uniform(-1, 1, (4, 5)).astype(np.float32)) for _ in range(20)]
        return [*seen, env.simulator.bar.copy()]

    for one, two in zip(play(7), play(7), strict=True):
        compare(one, two) if not isinstance(one, np.ndarray) else np.testing.assert_array_equal(one, two)
    assert (play(7)[-1] != play(8)[-1]).any()


def test_random_windows_lie_inside_the_data_and_reach_both_ends() -> None:
    env = PortfolioVectorEnv(2000, MARKET, None, make_settings(episode_length=10, rebalance_every=3))
    env.reset(seed=0)
    assert env.simulator.bar.min() == 0
    assert env.simulator.stop.max() == env.tape.n_bars
    assert (env.simulator.stop - env.simulator.bar == 30).all()
    with pytest.raises(ConfigError, match="episode_length 40 x rebalance_every 2 needs 80 bars, the range has 79"):
        PortfolioEnv(MARKET, None, make_settings(episode_length=40, rebalance_every=2)).reset(seed=0)


def test_flat_observations_hold_the_named_ones_in_order() -> None:
    settings = make_settings("long_short", lookback=2)
    env = PortfolioVectorEnv(2, MARKET, make_signals(), settings)
    env.reset(seed=0)
    env.step(np.random.default_rng(0).uniform(-1, 1, (2, 5)))
    named = observe(env.simulator)
    flat = flatten(named)
    parts = np.split(flat, np.cumsum([8, 5, 6, 4, 8])[:-1], axis=1)
    for key, part in zip(("signals", "weights", "market", "tradable", "returns"), parts, strict=True):
        np.testing.assert_array_equal(part, named[key].reshape(2, -1))
    assert (named["weights"] < 0).any()


def test_stepping_without_an_episode_is_refused() -> None:
    env = PortfolioEnv(MARKET, None, make_settings(episode_length=2))
    with pytest.raises(ResetNeeded, match="call reset first"):
        env.step(np.zeros(5))
    env.reset(seed=0)
    env.step(np.zeros(5))
    env.step(np.zeros(5))
    with pytest.raises(ResetNeeded, match="call reset first"):
        env.step(np.zeros(5))


def test_an_action_of_nan_is_refused() -> None:
    for mode in MODES:
        env = PortfolioVectorEnv(3, MARKET, None, make_settings(mode))
        env.reset(seed=0)
        actions = np.zeros((3, 5))
        actions[1, 2] = np.nan
        with pytest.raises(DataError, match="the action of portfolio 1 holds NaN"):
            env.step(actions)


def test_actions_of_another_shape_are_refused() -> None:
    env = PortfolioVectorEnv(3, MARKET, None, make_settings())
    env.reset(seed=0)
    with pytest.raises(DataError, match=r"the actions have shape \(3, 4\): they must be \(3, 5\)"):
        env.step(np.zeros((3, 4), dtype=np.float32))
    with pytest.raises(DataError, match=r"the actions have shape \(2, 5\): they must be \(3, 5\)"):
        env.step(np.zeros((2, 5), dtype=np.float32))
    with pytest.raises(DataError, match=r"actions have shape \(5,\): they need a row for each portfolio"):
        env.step(np.zeros(5, dtype=np.float32))


def test_rendering_draws_the_episode() -> None:
    env = PortfolioEnv(MARKET, None, make_settings(), render_mode="rgb_array")
    env.reset(seed=0)
    blank = env.render()
    for _ in range(5):
        env.step(np.array([1.0, -1, -1, -1, -1]))
    frame = env.render()
    assert blank is not None
    assert frame is not None
    assert frame.shape == (400, 800, 3)
    assert frame.dtype == np.uint8
    assert (frame != blank).any()
    assert PortfolioEnv(MARKET).render() is None
    with pytest.raises(ConfigError, match="unknown render_mode 'human'; accepted are 'rgb_array' and None"):
        PortfolioEnv(MARKET, render_mode="human")


def test_stable_baselines3_face_reports_episodes() -> None:
    env = Sb3PortfolioVecEnv(PortfolioVectorEnv(3, MARKET, None, make_settings(episode_length=4)))
    env.seed(0)
    env.reset()
    rewards = np.zeros(3)
    rng = np.random.default_rng(0)
    for _ in range(4):
        observation, reward, done, infos = env.step(rng.uniform(-1, 1, (3, 5)).astype(np.float32))
        rewards += reward
    assert done.all()
    for row in range(3):
        assert infos[row]["episode"]["r"] == pytest.approx(rewards[row], rel=1e-5)
        assert infos[row]["episode"]["l"] == 4
        assert infos[row]["TimeLimit.truncated"]
        assert infos[row]["cost"] > 0
        assert infos[row]["turnover"] > 0
        # The last observation of the old episode holds a traded book; the first of the new one is all cash.
        assert infos[row]["terminal_observation"]["weights"][-1] < 1
        assert observation["weights"][row, -1] == 1


@pytest.mark.parametrize(("observation", "policy"), [("dict", "MultiInputPolicy"), ("flat", "MlpPolicy")])
def test_stable_baselines3_learns_on_it(observation: str, policy: str) -> None:
    settings = make_settings("softmax", observation, episode_length=4)
    env = Sb3PortfolioVecEnv(PortfolioVectorEnv(3, MARKET, make_signals(), settings))
    model = PPO(policy, env, n_steps=8, batch_size=12, seed=0)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(48)
    assert model.num_timesteps == 48
    assert len(model.ep_info_buffer or ()) == 12
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))


def test_a_kernel_goes_on_from_its_state() -> None:
    settings = make_settings(
        episode_length=20,
        reward={"kind": "differential_sharpe", "drawdown_penalty": 0.5},
        risk={"breaker_drawdown_pct": 0.5, "breaker_cooldown_days": 3},
    )
    actions = np.random.default_rng(1).uniform(-1, 1, (40, 6, 5)).astype(np.float32)
    first = Sb3PortfolioVecEnv(PortfolioVectorEnv(6, MARKET, make_signals(), settings))
    first.seed(3)
    first.reset()
    for action in actions[:25]:
        first.step(action)
    assert first.env.simulator.get_state()["breaker.cooling"].any()
    state = first.get_state()
    expected = [first.step(action) for action in actions[25:]]
    second = Sb3PortfolioVecEnv(PortfolioVectorEnv(6, MARKET, make_signals(), settings))
    second.reset()
    second.set_state(*state)
    for action, (observation, reward, done, _) in zip(actions[25:], expected, strict=True):
        found = second.step(action)
        for key, value in observation.items():
            np.testing.assert_array_equal(found[0][key], value)
        np.testing.assert_array_equal(found[1], reward)
        np.testing.assert_array_equal(found[2], done)
