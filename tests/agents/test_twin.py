"""The control variate: a twin takes the luck of the days away, and nothing that an action did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.agents.base import NetworkPolicy, describe_network
from alfred.agents.recurrent import RecurrentNetwork, build_network
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.agents.sb3.greedy_baseline import GreedyBaselineVecEnv
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.settings import PortfolioSettings
from tests.agents.tasks import ENVIRONMENT, make_task, make_tiny

SETTINGS = ENVIRONMENT.model_copy(update={"episode_length": 24, "observation": "flat"})
N_ENVS, N_STEPS = 8, 60


def make_policy(folder: Path, memory: int = 0) -> NetworkPolicy:
    """A policy that has left its start, so that its weights follow what it sees."""
    torch.manual_seed(0)
    spec = describe_network(make_task(folder).tape, make_tiny("ppo", network="shared"), SETTINGS.action)
    network = build_network(type(spec)(**{**vars(spec), "state_size": memory}))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return NetworkPolicy(network, SETTINGS.action, name="test")


def make_env(folder: Path, policy: NetworkPolicy | None, settings: PortfolioSettings = SETTINGS) -> Sb3PortfolioVecEnv:
    portfolios = PortfolioVectorEnv(N_ENVS, settings=settings, tape=make_task(folder).tape)
    env: Sb3PortfolioVecEnv = Sb3PortfolioVecEnv(portfolios) if policy is None else GreedyBaselineVecEnv(portfolios)
    if isinstance(env, GreedyBaselineVecEnv) and policy is not None:
        env.follow(policy)
    env.seed(5)
    return env


def walk(env: Sb3PortfolioVecEnv, actions: np.ndarray) -> np.ndarray:
    env.reset()
    return np.array([env.step(action)[1] for action in actions])


def draw_actions(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (N_STEPS, N_ENVS, 12)).astype(np.float32)


def test_what_is_taken_away_does_not_depend_on_the_actions(tmp_path: Path) -> None:
    policy = make_policy(tmp_path)
    taken = []
    for seed in (1, 2):
        actions = draw_actions(seed)
        taken.append(walk(make_env(tmp_path, None), actions) - walk(make_env(tmp_path, policy), actions))
    np.testing.assert_allclose(taken[0], taken[1], atol=1e-6)
    assert taken[0].std() > 0.05  # per cent a day: there is luck to take away


def test_a_portfolio_that_does_not_explore_earns_nothing(tmp_path: Path) -> None:
    policy = make_policy(tmp_path)
    env = make_env(tmp_path, policy)
    env.reset()
    for _ in range(N_STEPS):
        simulator = env.env.simulator
        observation = {
            "signals": simulator.tape.signals[simulator.bar],
            "weights": simulator.weights.astype(np.float32),
            "market": simulator.tape.features[simulator.bar],
            "tradable": simulator.tape.tradable_then[simulator.bar],
        }
        weights = policy.predict(observation)
        with np.errstate(divide="ignore"):
            scores = np.log(weights / weights.max(axis=1, keepdims=True)) / SETTINGS.action.logit_scale
        _, reward, _, _ = env.step(np.maximum(scores, -1.0).astype(np.float32))
        np.testing.assert_allclose(reward, 0.0, atol=1e-4)


@pytest.mark.parametrize("memory", [0, 3])
def test_it_goes_on_from_its_state(tmp_path: Path, memory: int) -> None:
    env = make_env(tmp_path, make_policy(tmp_path, memory))
    actions = draw_actions(3)
    walk(env, actions[:30])
    arrays, facts = env.get_state()
    expected = np.array([env.step(action)[1] for action in actions[30:]])
    again = make_env(tmp_path, make_policy(tmp_path, memory))
    again.reset()
    again.set_state(arrays, facts)
    np.testing.assert_array_equal(np.array([again.step(action)[1] for action in actions[30:]]), expected)
    assert isinstance(again, GreedyBaselineVecEnv)
    assert isinstance(again.policy.network, RecurrentNetwork) == bool(memory)
