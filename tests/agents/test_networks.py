"""Networks and heads against plain arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from alfred.agents.base import NetworkPolicy, describe_network
from alfred.agents.networks import AssetNetwork, NetworkSpec, ObservationShape, make_network, split_features, unflatten
from alfred.agents.recurrent import RecurrentNetwork, build_network, forget
from alfred.agents.sb3.dirichlet import DirichletWeights
from alfred.agents.settings import AgentSettings
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.observations import flatten, observe
from alfred.envs.settings import ActionSettings, PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from tests.agents.tasks import make_observation
from tests.conftest import make_random_market


def as_tensors(observation: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(value) for name, value in observation.items()}


@pytest.mark.parametrize("lookback", [0, 3])
def test_flat_observations_are_parted_as_they_were_joined(lookback: int) -> None:
    observation = make_observation(7, lookback=lookback)
    parted = unflatten(torch.as_tensor(flatten(observation)), ObservationShape(5, 6, lookback))
    assert set(parted) == set(observation)
    for name, value in observation.items():
        np.testing.assert_array_equal(parted[name], value)


@pytest.mark.parametrize("kind", ["shared", "attention", "flat"])
@pytest.mark.parametrize("max_leverage", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["softmax", "simplex", "long_short"])
@pytest.mark.parametrize("squashed", [False, True], ids=["plain", "squashed"])
def test_an_untrained_network_holds_equal_weights_of_what_may_be_held(
    kind: str, mode: str, max_leverage: float, squashed: bool
) -> None:
    market = make_random_market(60, 8)
    action = ActionSettings(mode=mode, max_leverage=max_leverage)  # type: ignore[arg-type]
    settings = PortfolioSettings(execution="next_close", action=action)
    tape = prepare_tape(market, None, settings, holdable=market.universe)
    spec = describe_network(tape, AgentSettings(kind="any", network=kind), action, squashed=squashed)  # type: ignore[arg-type]
    policy = NetworkPolicy(make_network(spec), action, name="untrained")
    simulator = PortfolioSimulator(tape, settings, 3)
    simulator.reset(np.zeros(3, int), np.full(3, 9))
    expected = np.array([1 / 7] * 7 + [0.0, 0.0])  # the benchmark and cash stand last
    np.testing.assert_allclose(policy.predict(observe(simulator)), np.tile(expected, (3, 1)), atol=1e-3)
    tensors = {name: torch.as_tensor(value) for name, value in observe(simulator).items() if name != "holdable"}
    assert policy.network(tensors)[1].shape == (3, policy.network.summary_width)


def test_an_asset_is_scored_by_its_own_numbers_and_the_means() -> None:
    network = AssetNetwork(NetworkSpec(ObservationShape(5, 6, 0), hidden=(4,), score_scale=2.0))
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(0))
    observation = as_tensors(make_observation(7))
    own = torch.cat(
        [(observation["weights"][:, :-1] * 7)[..., None], observation["tradable"][..., None], observation["signals"]],
        -1,
    )
    shared = torch.cat([own.mean(1), observation["market"], observation["weights"][:, -1:]], -1)
    first, last = network.body[0], network.head
    for asset in range(7):
        hidden = torch.tanh(torch.cat([own[:, asset], shared], -1) @ first.weight.T + first.bias)
        expected = 2.0 * (hidden @ last.weight.T + last.bias)[:, 0]
        torch.testing.assert_close(network(observation)[0][:, asset], expected)
    assert split_features(observation)[0].shape == own.shape


def test_a_memory_step_by_step_is_the_memory_of_a_sequence() -> None:
    network = build_network(NetworkSpec(ObservationShape(5, 6, 0), state_size=3))
    assert isinstance(network, RecurrentNetwork)
    steps = [as_tensors(make_observation(4, seed=seed)) for seed in range(5)]
    whole = {name: torch.stack([step[name] for step in steps]) for name in steps[0]}
    remembered, after = network.memory(whole, network.start(3))
    memory = network.start(3)
    for number, step in enumerate(steps):
        scores, memory = network.step(step, memory)
        torch.testing.assert_close(scores, network.score(step, remembered[number])[0])
    torch.testing.assert_close(memory, after)
    emptied = forget(memory, torch.tensor([True, False, True]))
    assert not emptied[0][:, [0, 2]].any()
    torch.testing.assert_close(emptied[0][:, 1], memory[0][:, 1])


def test_the_dirichlet_head_has_the_density_of_scipy() -> None:
    scores = torch.tensor([[0.1, -0.2, 0.05], [0.0, 0.0, 0.0]])
    noise = torch.tensor([math.log(0.3)])
    head = DirichletWeights(3, logit_scale=10.0).proba_distribution(scores, noise)
    torch.manual_seed(0)
    actions = head.sample()
    torch.testing.assert_close(actions.sum(-1), torch.full((2,), 2.0 - 3.0))
    means = torch.softmax(10 * scores, -1)
    torch.testing.assert_close((head.mode() + 1) / 2, means)
    for row in range(2):
        alpha = (means[row] / 0.09).double().numpy()
        weights = ((actions[row] + 1) / 2).double().numpy()
        expected = stats.dirichlet.logpdf(weights / weights.sum(), alpha) - 2 * math.log(2)
        assert float(head.log_prob(actions)[row]) == pytest.approx(expected, rel=1e-3)
        entropy = stats.dirichlet.entropy(alpha) + 2 * math.log(2)
        assert float(head.entropy()[row]) == pytest.approx(entropy, rel=1e-3, abs=1e-4)


def test_the_noise_of_the_dirichlet_head_is_what_it_says() -> None:
    torch.manual_seed(0)
    head = DirichletWeights(4, logit_scale=1.0).proba_distribution(
        torch.zeros(50_000, 4), torch.tensor([math.log(0.05)])
    )
    weights = (head.sample() + 1) / 2
    torch.testing.assert_close(weights.mean(0), torch.full((4,), 0.25), atol=1e-3, rtol=0)
    # A share m of a Dirichlet with total concentration A has the variance m (1 - m) / (A + 1).
    expected = math.sqrt(0.25 * 0.75 / (1 / 0.05**2 + 1))
    torch.testing.assert_close(weights.std(0), torch.full((4,), expected), atol=3e-4, rtol=0)
