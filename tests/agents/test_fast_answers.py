"""What is quicker is the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skfolio import RiskMeasure
from skfolio.moments import LedoitWolf
from skfolio.optimization import HierarchicalRiskParity
from skfolio.prior import EmpiricalPrior

from alfred.agents.base import NetworkPolicy
from alfred.agents.networks import AssetNetwork, NetworkSpec, ObservationShape, make_network
from alfred.agents.strategies.hierarchical import FastHierarchicalRiskParity
from alfred.envs.actions import compute_weights
from alfred.envs.settings import ActionSettings
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
    for n_assets in (2, 5, 20):
        returns = rng.normal(3e-4, 0.01, (120, 1)) + rng.normal(0, 0.01, (120, n_assets))
        own, theirs = (
            kind(
                risk_measure=RiskMeasure.VARIANCE, prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf())
            ).fit(returns)
            for kind in (FastHierarchicalRiskParity, HierarchicalRiskParity)
        )
        np.testing.assert_array_equal(own.weights_, theirs.weights_)
