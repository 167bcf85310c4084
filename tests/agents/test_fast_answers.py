"""What is quicker is the same to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skfolio import RiskMeasure
from skfolio.moments import LedoitWolf
from skfolio.optimization import HierarchicalRiskParity
from skfolio.prior import EmpiricalPrior

from alfred.agents.base import EnsemblePolicy, NetworkPolicy
from alfred.agents.crew import CrewPolicy, find_crew
from alfred.agents.networks import AssetNetwork, NetworkSpec, ObservationShape, make_network, split_features
from alfred.agents.strategies.hierarchical import FastHierarchicalRiskParity, make_seriation
from alfred.envs.actions import compute_weights
from alfred.envs.settings import ActionSettings
from alfred.errors import ConfigError
from alfred.typing import Float, Observation

SHAPE = ObservationShape(n_signals=5, n_market=4, lookback=0)


def _observe(rng: np.random.Generator, n_assets: int = 6) -> Observation:
    return {
        "weights": rng.dirichlet(np.ones(n_assets + 1), 2).astype(np.float32),
        "market": rng.normal(size=(2, 4)).astype(np.float32),
        "tradable": (rng.random((2, n_assets)) > 0.2).astype(np.float32),
        "signals": rng.normal(size=(2, n_assets, 5)).astype(np.float32),
        "holdable": np.ones((2, n_assets), dtype=np.float32),
    }


def _answer_slowly(network: AssetNetwork, action: ActionSettings, observation: Observation) -> Float:
    tensors = {key: torch.as_tensor(value) for key, value in observation.items() if key != "holdable"}
    with torch.no_grad():
        scores = network(tensors)[0]
    actions = (torch.tanh(scores) if network.spec.squashed else scores).double().numpy()
    return compute_weights(actions, action, observation["holdable"])


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.parametrize("mode", ["softmax", "long_short"])
def test_an_answer_is_that_of_the_whole_network(squashed: bool, mode: str) -> None:
    torch.manual_seed(0)
    action = ActionSettings.model_validate({"mode": mode})
    spec = NetworkSpec(SHAPE, start_asset=0.7, start_cash=-0.4, score_scale=0.3, squashed=squashed, n_assets=6)
    network = make_network(spec)
    assert isinstance(network, AssetNetwork)
    policy, rng = NetworkPolicy(network, action, name="mine"), np.random.default_rng(1)
    answers = []
    # Untrained, then trained on under the same policy, then untrained again.
    for spread in (0.0, 0.5, 0.0):
        with torch.no_grad():
            network.head.weight.copy_(torch.randn(network.head.weight.shape) * spread)
        assert network.learnt_nothing == (spread == 0.0)
        for _ in range(20):
            observation = _observe(rng)
            answers.append(policy.predict(observation))
            np.testing.assert_array_equal(answers[-1], _answer_slowly(network, action, observation))
    kept = answers[0].copy()
    policy.predict(observation)[:] = 7.0  # who writes to an answer must not change the next one
    np.testing.assert_array_equal(policy.predict(observation), answers[-1])
    np.testing.assert_array_equal(answers[0], kept)


def test_a_bias_alone_is_something_learnt() -> None:
    network = make_network(NetworkSpec(SHAPE))
    assert network.learnt_nothing
    with torch.no_grad():
        network.get_submodule("cash_head").get_parameter("bias").add_(1e-3)
    assert not network.learnt_nothing


def test_hierarchical_risk_parity_is_that_of_skfolio() -> None:
    rng = np.random.default_rng(0)
    prior = EmpiricalPrior(covariance_estimator=LedoitWolf())
    for n_assets in (2, 5, 20):
        returns = rng.normal(3e-4, 0.01, (120, 1)) + rng.normal(0, 0.01, (120, n_assets))
        theirs = HierarchicalRiskParity(risk_measure=RiskMeasure.VARIANCE, prior_estimator=prior).fit(returns)
        own = FastHierarchicalRiskParity(
            risk_measure=RiskMeasure.VARIANCE, prior_estimator=prior, seriation_estimator=make_seriation()
        ).fit(returns)
        np.testing.assert_array_equal(own.weights_, theirs.weights_)


def _make_policy(seed: int, spread: float, *, squashed: bool = False, **changes: object) -> NetworkPolicy:
    torch.manual_seed(seed)
    network = make_network(replace(NetworkSpec(SHAPE, start_asset=0.7, squashed=squashed, n_assets=6), **changes))  # type: ignore[arg-type]
    assert isinstance(network, AssetNetwork)
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(network.head.weight.shape) * spread)
        network.cash_head.bias.fill_(spread)
    return NetworkPolicy(network, ActionSettings(), name=f"seed {seed}")


def _make_tilt(seed: int, logit_scale: float) -> NetworkPolicy:
    network = make_network(NetworkSpec(SHAPE, kind="tilt", n_assets=6, logit_scale=logit_scale))
    with torch.no_grad():
        network.get_parameter("slopes").copy_(torch.randn(5, generator=torch.Generator().manual_seed(seed)) * 0.05)
    return NetworkPolicy(network, ActionSettings(), name=f"tilt {seed}")


def test_a_crew_answers_as_its_members_do_one_after_another() -> None:
    """An ensemble, its members, one that learnt nothing, one with other bounds; halts and what may be held change."""
    members = [_make_policy(0, 0.5), _make_policy(1, 0.0), _make_policy(2, 0.3, squashed=True)]
    check_crew(members)


def test_a_crew_of_tilts_answers_as_they_do_one_after_another() -> None:
    check_crew([_make_tilt(0, 10.0), _make_policy(1, 0.0), _make_tilt(2, 10.0)])


def check_crew(members: list[NetworkPolicy]) -> None:
    """Compare a crew of an ensemble and its members with them; the second is trained on halfway."""
    policies = [EnsemblePolicy(members, "all"), *members, EnsemblePolicy(members[1:2], "one")]
    crew, rng = CrewPolicy(policies, "crew"), np.random.default_rng(3)
    for spread in (0.0, 0.2):
        with torch.no_grad():
            members[1].network.get_submodule("head").get_parameter("weight").fill_(spread)
        crew.reset()
        for _ in range(20):
            market = {key: np.repeat(value[:1], 5, axis=0) for key, value in _observe(rng).items()}
            weights = rng.dirichlet(np.ones(7), 5).astype(np.float32)
            holdable = np.repeat((rng.random((1, 6)) > 0.1).astype(np.float32), 5, axis=0)
            observation = {**market, "weights": weights, "holdable": holdable}
            rows = [{key: value[row : row + 1].copy() for key, value in observation.items()} for row in range(5)]
            alone = [policy.predict(row) for policy, row in zip(policies, rows, strict=True)]
            np.testing.assert_array_equal(crew.predict(observation), np.concatenate(alone))


def test_a_crew_is_of_networks_alike() -> None:
    one = _make_policy(0, 0.5)
    assert find_crew([one]) == find_crew([_make_policy(1, 0.0), EnsemblePolicy([one], "all")]) is not None
    other = NetworkPolicy(make_network(NetworkSpec(ObservationShape(4, 4, 0))), ActionSettings(), name="other")
    assert find_crew([other]) not in (None, find_crew([one]))
    attention = NetworkPolicy(make_network(NetworkSpec(SHAPE, kind="attention")), ActionSettings(), name="looks")
    for refused in ([one, other], [one, attention], [EnsemblePolicy([one, attention], "both")], []):
        assert find_crew(refused) is None
        with pytest.raises(ConfigError, match="needs networks with the same observations"):
            CrewPolicy(refused, "crew")


def test_what_assets_share_is_multiplied_once_and_gives_the_same() -> None:
    """Values and gradients, against a network that reads one asset at a time with all that is shared behind it."""
    torch.manual_seed(0)
    network = make_network(NetworkSpec(SHAPE)).double()
    assert isinstance(network, AssetNetwork)
    with torch.no_grad():
        for layer in (network.head, network.cash_head):
            layer.weight.copy_(torch.randn(layer.weight.shape))
    tensors = {key: torch.as_tensor(value).double() for key, value in _observe(np.random.default_rng(1)).items()}
    own, shared = split_features(tensors)
    joined = torch.cat([own, shared.unsqueeze(-2).expand(-1, own.shape[1], -1)], dim=-1)
    assets, cash = network.head(network.body(joined)).squeeze(-1), network.cash_head(network.cash_body(shared))
    expected = torch.cat([assets, cash], dim=-1)
    found = network.score_features(own, shared)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    scores = network(tensors)[0] - network.find_start(tensors["tradable"])
    torch.testing.assert_close(scores, expected * network.spec.score_scale, rtol=1e-12, atol=1e-12)
    wanted = torch.randn_like(expected)
    weights = list(network.body.parameters())
    for one, other in zip(
        torch.autograd.grad((found * wanted).sum(), weights),
        torch.autograd.grad((expected * wanted).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
