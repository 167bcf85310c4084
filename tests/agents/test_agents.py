"""What holds for every agent: it learns something, twice the same, treats assets alike, and survives its own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alfred.agents.base import EnsemblePolicy, NetworkPolicy
from alfred.agents.direct import DirectAgent
from alfred.agents.registry import AGENTS, make_agent
from alfred.agents.settings import PpoSettings
from alfred.envs.settings import ActionSettings
from alfred.errors import CheckpointError, ConfigError
from tests.agents.tasks import ENVIRONMENT, make_observation, make_task, make_tiny

Trained = tuple[str, NetworkPolicy, Path]


class KilledError(Exception):
    """Stands for the end of a process in the middle of a training."""


def train(kind: str, folder: Path, seed: int = 0, **changes: object) -> NetworkPolicy:
    task = make_task(folder, seed)
    with task.curves:
        return make_agent(make_tiny(kind, **changes)).train(task)


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def parameters(policy: NetworkPolicy) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in policy.network.state_dict().values()])


@pytest.fixture(scope="module", params=list(AGENTS))
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, NetworkPolicy, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, train(request.param, folder), folder


def test_training_moves_away_from_equal_weights(trained: Trained) -> None:
    weights = trained[1].predict(make_observation(11))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert np.abs(weights - 1 / 12).max() > 1e-4


def test_permuting_assets_permutes_weights(trained: Trained) -> None:
    observation = make_observation(11)
    order = np.random.default_rng(3).permutation(11)
    with_cash = np.append(order, 11)
    permuted = {
        "signals": observation["signals"][:, order],
        "weights": observation["weights"][:, with_cash],
        "market": observation["market"],
        "tradable": observation["tradable"][:, order],
    }
    weights = trained[1].predict(observation)
    fresh = {**observation, "weights": np.eye(12, dtype=np.float32)[[11] * 3]}
    trained[1].reset()
    expected = trained[1].predict(fresh)[:, with_cash]
    trained[1].reset()
    np.testing.assert_allclose(trained[1].predict({**permuted, "weights": fresh["weights"]}), expected, atol=1e-6)
    assert weights.shape == (3, 12)


def test_a_universe_it_never_saw(trained: Trained) -> None:
    weights = trained[1].predict(make_observation(37))
    assert weights.shape == (3, 38)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_saved_and_loaded_it_decides_alike(trained: Trained, tmp_path: Path) -> None:
    trained[1].save(tmp_path)
    loaded = NetworkPolicy.load(tmp_path)
    observation = make_observation(11)
    trained[1].reset()
    np.testing.assert_array_equal(loaded.predict(observation), trained[1].predict(observation))
    assert loaded.name == trained[0]


def test_curves_are_written_and_checkpoints_cleared(trained: Trained) -> None:
    events = EventAccumulator(str(trained[2])).Reload()
    tags = events.Tags()["scalars"]
    assert {"2_train/reward", "2_train/turnover"} <= set(tags)
    assert all(tag.startswith("2_train/") for tag in tags)
    assert events.Tags()["histograms"] == ["5_distributions/actions"]
    assert not (trained[2] / "checkpoints").exists()


@pytest.mark.parametrize(
    "kind", ["direct", "ppo", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sac", "recurrent_ppo", "td3"))]
)
def test_a_training_that_was_killed_ends_where_it_would_have_ended(kind: str, tmp_path: Path) -> None:
    settings = make_tiny(kind)
    expected = train(kind, tmp_path / "whole")

    def kill(done: int) -> None:
        if done >= 0.6 * settings.total_steps:
            raise KilledError

    with pytest.raises(KilledError):
        task = make_task(tmp_path / "killed", progress=kill)
        with task.curves:
            make_agent(settings).train(task)
    assert list((tmp_path / "killed" / "checkpoints").glob("*.safetensors"))
    torch.manual_seed(99)  # whatever the process drew before it went on must not matter
    np.random.seed(99)  # noqa: NPY002
    found = train(kind, tmp_path / "killed")
    assert torch.equal(parameters(found), parameters(expected))
    whole, resumed = read_curves(tmp_path / "whole"), read_curves(tmp_path / "killed")
    for curves in (whole, resumed):  # these measure the machine
        curves.pop("2_train/steps_a_second", None)
    assert resumed == whole  # no point is doubled, and none is lost
    other_seed = make_agent(settings).train(make_task(tmp_path / "other", seed=1))
    assert not torch.equal(parameters(other_seed), parameters(expected))


@pytest.mark.parametrize("network", ["shared", "attention", "flat"])
@pytest.mark.parametrize("kind", ["direct", "ppo"])
def test_other_networks_train_and_are_read_again(kind: str, network: str, tmp_path: Path) -> None:
    policy = train(kind, tmp_path, network=network)
    policy.save(tmp_path)
    observation = make_observation(11)
    weights = policy.predict(observation)
    np.testing.assert_array_equal(NetworkPolicy.load(tmp_path).predict(observation), weights)
    assert np.abs(weights - 1 / 12).max() > 1e-4
    if network == "flat":
        with pytest.raises(ConfigError, match="flat network trained on 11 assets and is shown 12"):
            policy.predict(make_observation(12))
    else:
        swapped = {key: value[:, ::-1].copy() if value.ndim == 3 else value for key, value in observation.items()}
        swapped["weights"] = np.hstack([observation["weights"][:, -2::-1], observation["weights"][:, -1:]])
        np.testing.assert_allclose(policy.predict(swapped)[:, -2::-1], weights[:, :-1], atol=1e-6)


def test_a_dirichlet_head_learns(tmp_path: Path) -> None:
    weights = train("ppo", tmp_path, head="dirichlet", noise=0.05).predict(make_observation(11))
    assert np.abs(weights - 1 / 12).max() > 1e-4


def test_a_warm_start_begins_at_the_direct_agent(tmp_path: Path) -> None:
    warm = {"total_steps": 4_096, "n_portfolios": 32, "episode_length": 64}
    seen: list[NetworkPolicy] = []

    def watch(policy: NetworkPolicy, steps: int) -> float:
        seen.append(policy)
        return float(-steps)

    settings = make_tiny("ppo", warm_start=warm, validate_every=10_000)
    make_agent(settings).train(make_task(tmp_path / "ppo", validate=watch))
    assert isinstance(settings, PpoSettings) and settings.warm_start is not None
    same = {"network": settings.network, "hidden": settings.hidden, "temperature": settings.temperature}
    direct = DirectAgent(settings.warm_start.model_copy(update=same))
    last = direct.train(make_task(tmp_path / "direct", validate=lambda _policy, steps: float(steps)))
    # PPO's first validation shows the network that it began from, and none is the direct agent's.
    assert torch.equal(parameters(seen[0]), parameters(last))
    assert {policy.name for policy in seen} == {"ppo"}


def test_long_and_short_books_are_learned(tmp_path: Path) -> None:
    environment = ENVIRONMENT.model_copy(update={"action": ActionSettings(mode="long_short", max_leverage=1.5)})
    policy = make_agent(make_tiny("direct")).train(make_task(tmp_path, environment=environment))
    weights = policy.predict(make_observation(11))
    assert np.abs(weights[:, :-1]).max() > 1e-4
    assert (np.abs(weights[:, :-1]).sum(axis=1) <= 1.5 + 1e-9).all()


def test_an_agent_reads_past_returns(tmp_path: Path) -> None:
    environment = ENVIRONMENT.model_copy(update={"lookback": 4})
    for kind in ("direct", "ppo"):
        policy = make_agent(make_tiny(kind)).train(make_task(tmp_path / kind, environment=environment))
        assert policy.lookback == 4
        longer = make_observation(11, lookback=9)
        shorter = {**longer, "returns": longer["returns"][..., -4:]}
        np.testing.assert_array_equal(policy.predict(longer), policy.predict(shorter))


def test_an_ensemble_is_the_mean_of_its_members(tmp_path: Path) -> None:
    members = [train("direct", tmp_path / str(seed), seed) for seed in range(2)]
    observation = make_observation(11)
    mean = (members[0].predict(observation) + members[1].predict(observation)) / 2
    np.testing.assert_allclose(EnsemblePolicy(members, "both").predict(observation), mean)
    with pytest.raises(ConfigError, match="needs at least one policy"):
        EnsemblePolicy([], "none")


def test_a_damaged_policy_is_named(tmp_path: Path) -> None:
    train("direct", tmp_path).save(tmp_path)
    whole = (tmp_path / "policy.safetensors").read_bytes()
    (tmp_path / "policy.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="does not hold a saved policy"):
        NetworkPolicy.load(tmp_path)


def test_an_unknown_agent_is_suggested() -> None:
    with pytest.raises(ConfigError, match=r"unknown agent kind 'direkt'.*Did you mean 'direct'"):
        AGENTS.load("direkt")
