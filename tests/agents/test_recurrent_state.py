"""What a recurrent policy remembers comes from the sessions before a walk, and from nothing that was walked earlier."""

import numpy as np
import pytest
import torch

from alfred.agents.base import EnsemblePolicy, NetworkPolicy
from alfred.agents.networks import NetworkSpec, ObservationShape
from alfred.agents.recurrent import RecurrentNetwork
from alfred.envs import ActionSettings, PortfolioSettings
from alfred.envs.market_features import MARKET_FEATURES
from alfred.evaluation.backtest import Stage, backtest, make_walk
from tests.conftest import make_random_market

MARKET = make_random_market(260, 4, seed=2)
SETTINGS = PortfolioSettings(risk={"breaker_drawdown_pct": 6.0, "breaker_cooldown_days": 5})  # often wholly in cash


def make_policy(seed: int) -> NetworkPolicy:
    shape = ObservationShape(0, len(MARKET_FEATURES), 0)
    torch.manual_seed(seed)
    network = RecurrentNetwork(NetworkSpec(shape=shape, hidden=(8,), score_scale=0.02, n_assets=4, state_size=6))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # the heads start at zero
    return NetworkPolicy(network, ActionSettings(), name=f"recurrent {seed}")


def walk(policy, start: int, stop: int = 259, stages=None):
    env = make_walk(MARKET, None, SETTINGS, policy, start=MARKET.dates[start], end=MARKET.dates[stop])
    return backtest(stages or policy, env)


def test_a_walk_does_not_depend_on_an_earlier_one() -> None:
    policy = make_policy(0)
    first = walk(policy, 150)
    assert first.dates[0] == MARKET.dates[151]
    walk(policy, 20, 100)
    assert walk(policy, 150).weights.tobytes() == first.weights.tobytes()
    # It sees the sessions before, and they matter.
    blind = make_policy(0)
    blind.burn_in = 0
    assert walk(blind, 150).weights.tobytes() != first.weights.tobytes()
    # Cash earns nothing of those sessions, and no other record of theirs is kept.
    assert len(first.net) == len(first.cash_return) == len(first.benchmark) == 259 - 150


@pytest.mark.parametrize("together", [False, True])
def test_a_stage_begins_as_it_would_alone(together) -> None:
    """The state of the second fold's policy at its start is the same whoever held the book before."""
    second = EnsemblePolicy([make_policy(1), make_policy(2)], "both") if together else make_policy(1)
    seen = []
    original = second.predict

    def spy(observation):
        weights = original(observation)
        seen.append(weights)
        return weights

    second.predict = spy
    switch = MARKET.dates[200]
    for before in (make_policy(3), make_policy(4)):
        walk(before, 150, stages=[Stage(MARKET.dates[150], before), Stage(switch, second)])
    half = len(seen) // 2
    burnt = 63
    np.testing.assert_array_equal(np.stack(seen[:burnt]), np.stack(seen[half : half + burnt]))
    # Later on the books differ, and with them what is observed and decided.
    assert not np.array_equal(np.stack(seen[burnt:half]), np.stack(seen[half + burnt :]))


def test_a_book_in_cash_does_not_lose_its_memory() -> None:
    policy = make_policy(5)
    policy.reset()
    observation = {
        "weights": np.array([[0, 0, 0, 0, 1.0]], dtype=np.float32),
        "market": np.ones((1, len(MARKET_FEATURES)), dtype=np.float32),
        "tradable": np.ones((1, 4), dtype=np.float32),
    }
    first, second = policy.predict(observation), policy.predict(observation)
    assert not np.array_equal(first, second)
    policy.reset(np.array([0]))
    np.testing.assert_array_equal(policy.predict(observation), first)
