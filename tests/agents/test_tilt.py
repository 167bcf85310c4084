"""The tilt: what its network holds, where it starts, and that agents find a planted signal with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from alfred.agents.base import NetworkPolicy, describe_network
from alfred.agents.networks import TiltNetwork, make_network, split_features
from alfred.agents.registry import make_agent
from alfred.data.synthetic import make_planted_market
from alfred.envs.settings import ActionSettings, PortfolioSettings
from alfred.envs.tape import make_tape
from tests.agents.tasks import ENVIRONMENT, make_observation, make_task, make_tiny

SIMPLEX = ENVIRONMENT.model_copy(update={"action": ActionSettings(mode="simplex")})


def make_tilt(
    folder: Path, tilts: list[float], pace: float, environment: PortfolioSettings = ENVIRONMENT
) -> TiltNetwork:
    settings = make_tiny("direct", network="tilt")
    network = make_network(describe_network(make_task(folder).tape, settings, environment.action))
    assert isinstance(network, TiltNetwork)
    with torch.no_grad():
        network.slopes.copy_(torch.tensor(tilts) / 10)
        network.pace.fill_(pace / 10)
    return network


@pytest.mark.parametrize("environment", [ENVIRONMENT, SIMPLEX], ids=["softmax", "simplex"])
def test_it_holds_a_softmax_of_its_slopes_approached_at_its_pace(
    environment: PortfolioSettings, tmp_path: Path
) -> None:
    tilts, pace = np.array([0.5, -0.3, 0.0, 0.2, 0.1]), -0.4
    network = make_tilt(tmp_path, tilts.tolist(), pace, environment)
    seen = make_observation(11)
    seen["tradable"][:, 4] = 0.0
    found = NetworkPolicy(network, environment.action, name="tilt").predict(seen)
    for row in range(3):
        traded = seen["tradable"][row] > 0
        signals = seen["signals"][row].astype(float)
        aim = np.where(traded, np.exp((signals - signals[traded].mean(axis=0)) @ tilts), 0.0)
        aim /= aim.sum()
        kept = seen["weights"][row, :-1] * (1 - 1 / (1 + np.exp(-pace)))
        expected = kept + (1 - kept.sum()) * aim  # cash goes into the target at once
        np.testing.assert_allclose(found[row, :-1], expected, atol=1e-5)
        assert found[row, -1] < 1e-5


def test_untrained_it_is_equal_weights_to_the_last_bit(tmp_path: Path) -> None:
    tape, seen = make_task(tmp_path).tape, make_observation(11)
    starts = [
        make_agent(make_tiny("direct", network=network)).start(tape, ENVIRONMENT).predict(seen)
        for network in ("tilt", "shared")
    ]
    np.testing.assert_array_equal(*starts)


def test_weights_that_it_thinks_of_are_the_weights_that_are_held(tmp_path: Path) -> None:
    network = make_tilt(tmp_path, [4.0, 0.0, -3.0, 0.0, 1.0], 8.0)  # far from equal, approached at once
    observation = {key: torch.as_tensor(value) for key, value in make_observation(11).items()}
    with torch.no_grad():
        wanted = network.find_weights(observation).numpy()
    assert wanted.max() > 0.6
    found = NetworkPolicy(network, ENVIRONMENT.action, name="tilt").predict(make_observation(11))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_where_nothing_trades_nothing_breaks(tmp_path: Path) -> None:
    seen = make_observation(11)
    seen["tradable"][:] = 0.0
    found = NetworkPolicy(make_tilt(tmp_path, [1.0] * 5, 0.0), ENVIRONMENT.action, name="tilt").predict(seen)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    "environment",
    [
        ENVIRONMENT,
        SIMPLEX,
        ENVIRONMENT.model_copy(update={"action": ActionSettings(mode="long_short", max_leverage=2.0)}),
    ],
    ids=["softmax", "simplex", "long_short"],
)
@pytest.mark.parametrize("squashed", [False, True])
def test_the_compiled_answer_is_that_of_the_network(
    environment: PortfolioSettings, squashed: bool, tmp_path: Path
) -> None:
    network = make_tilt(tmp_path, [4.0, -0.3, -3.0, 0.2, 1.0], -0.4, environment)
    network.spec = replace(network.spec, squashed=squashed)
    seen = make_observation(11)
    seen["tradable"][0, 4] = 0.0
    seen["tradable"][1] = 0.0
    with torch.no_grad():
        scores, summary = network({key: torch.as_tensor(value) for key, value in seen.items()})
    expected = (torch.tanh(scores) if squashed else scores).numpy()
    answers = network.answer(seen)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    # A crew asks for one book at a time, and must be told the same.
    alone = [network.answer({key: value[row : row + 1] for key, value in seen.items()}) for row in range(len(answers))]
    np.testing.assert_array_equal(np.concatenate(alone), answers)
    shared = split_features({key: torch.as_tensor(value) for key, value in seen.items()})[1]
    np.testing.assert_allclose(summary.numpy(), shared.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["direct", "ppo"])
def test_a_planted_signal_gets_the_largest_slope(kind: str, tmp_path: Path) -> None:
    world = make_planted_market(ic=0.1, n_days=4_000, seed=3, cost_bps=5.0)
    tape = make_tape(world.market, world.signals, execution="next_close", holdable=world.market.universe)
    settings = make_tiny(kind, network="tilt", total_steps=32_768, patience=None)
    task = replace(make_task(tmp_path, validate=lambda _policy, steps: float(steps)), tape=tape)
    network = make_agent(settings).train(task).network
    assert isinstance(network, TiltNetwork)
    tilts = network.tilts.detach().numpy()
    assert tilts[0] > 0.2 and tilts[0] > 2 * np.abs(tilts[1:]).max()  # the signal is the first, distractors follow


def test_sold_short_it_is_linear(tmp_path: Path) -> None:
    environment = ENVIRONMENT.model_copy(update={"action": ActionSettings(mode="long_short", max_leverage=2.0)})
    tilts, seen = np.array([0.9, -0.5, 0.0, 0.2, 0.1]), make_observation(11)
    seen["tradable"][:, 4] = 0.0
    network = make_tilt(tmp_path, tilts.tolist(), 9.0, environment)  # approached at once, but for a ten-thousandth
    found = NetworkPolicy(network, environment.action, name="tilt").predict(seen)
    for row in range(3):
        traded = seen["tradable"][row] > 0
        signals = seen["signals"][row].astype(float)
        aim = np.where(traded, 1 + (signals - signals[traded].mean(axis=0)) @ tilts, 0.0) / 10
        np.testing.assert_allclose(found[row, :-1], aim * min(1.0, 2.0 / np.abs(aim).sum()), atol=2e-4)
    assert found[:, :-1].min() < -0.01
    start = make_agent(make_tiny("direct", network="tilt")).start(make_task(tmp_path).tape, environment).predict(seen)
    assert start.std(axis=1).max() < 0.1 and start.min() > -1e-6


@pytest.mark.parametrize("changes", [{"kind": "sac"}, {"kind": "ppo", "head": "dirichlet"}, {"kind": "recurrent_ppo"}])
def test_every_agent_can_learn_a_tilt(changes: dict[str, object], tmp_path: Path) -> None:
    kind = str(changes.pop("kind"))
    policy = make_agent(make_tiny(kind, network="tilt", **changes)).train(make_task(tmp_path))
    network = cast("TiltNetwork", getattr(policy.network, "network", policy.network))
    assert bool(network.slopes.detach().any())
    policy.save(tmp_path)
    loaded, seen = NetworkPolicy.load(tmp_path), make_observation(11)
    policy.reset()
    np.testing.assert_array_equal(loaded.predict(seen), policy.predict(seen))
