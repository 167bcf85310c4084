"""Weights that cannot be traded as they stand are refused by policy, date and sum, or scaled when that is asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alfred.envs import ActionSettings, PortfolioEnv, PortfolioSettings, PortfolioVectorEnv, policy
from alfred.envs.policy import check_weights
from alfred.errors import DataError
from alfred.evaluation.backtest import backtest, make_walk
from tests.conftest import make_random_market

MARKET = make_random_market(40, 4)
LONG, SHORT = PortfolioSettings(), PortfolioSettings(action=ActionSettings(mode="long_short"))


class Fixed:
    """A stranger's policy: the three attributes and `predict`, nothing else."""

    name, lookback, rebalance_every = "mine", 0, 1

    def __init__(self, weights: object) -> None:
        self.weights = weights

    def predict(self, observation):
        return self.weights if self.weights is None else np.array([self.weights])


def walk(weights, settings=LONG, **options):
    policy = Fixed(weights)
    return backtest(policy, make_walk(MARKET, None, settings, policy), **options)


@pytest.mark.parametrize(
    ("weights", "settings", "text"),
    [
        ([0.25, 0, 0.25, 0, 0], LONG, "'mine' returned weights that sum to 0.5 on 2010-01-05"),
        ([0.5, 0.6, 0.5, 0, -0.6], LONG, "a weight of -0.6 on 2010-01-05"),
        ([1.3, -0.3, 0, 0, 0], SHORT, "sizes sum to 1.6 on 2010-01-05, above env.action.max_leverage 1"),
        ([np.inf, 0, 0, 0, 0], LONG, "not a finite number on 2010-01-05"),
        ([np.nan, 0, 0, 0, 1], SHORT, "not a finite number on 2010-01-05"),
        ([0.5, 0.5], LONG, r"an array of shape \(1, 2\) on 2010-01-05: it must return weights of shape \(1, 5\)"),
        (None, LONG, "'mine' returned NoneType on 2010-01-05"),
    ],
)
def test_bad_weights_are_refused(weights, settings, text) -> None:
    with pytest.raises(DataError, match=text):
        walk(weights, settings)


def test_they_are_scaled_when_asked() -> None:
    scaled, meant = walk([0.25, 0, 0.25, 0, 0], normalise=True), walk([0.5, 0, 0.5, 0, 0])
    np.testing.assert_allclose(scaled.net, meant.net, atol=1e-15)
    levered, within = (
        walk([1.3, -0.3, 0, 0, 0], SHORT, normalise=True),
        walk([1.3 / 1.6, -0.3 / 1.6, 0, 0, 0.375], SHORT),
    )
    np.testing.assert_allclose(levered.net, within.net, atol=1e-15)


EDGES = st.sampled_from([0.0, -0.0, 1.0, 0.5, -1e-7, -1e-5, 1.0 + 1e-7, 1e-300, np.nan, np.inf])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_short_way_answers_and_refuses_as_the_long_one(data) -> None:
    shape = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 5))
    entry = st.one_of(EDGES, st.floats(-0.01, 1.01))
    weights = data.draw(arrays(np.float64, shape, elements=entry))
    if data.draw(st.booleans()):
        weights[:, -1] = (
            1.0 - weights[:, :-1].sum(axis=1) + data.draw(st.sampled_from([0.0, 1e-16, -1e-16, 4e-6, 6e-6, -2e-5]))
        )
    found = []
    for way in (policy._are_sound, lambda _values: False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(policy, "_are_sound", way)
            try:
                date = MARKET.dates[0]
                values = check_weights(weights, shape, ActionSettings(), "mine", date, normalise=False)
                found.append((values + 0.0).tobytes())  # the sign of a zero is nobody's business
            except DataError as error:
                found.append(str(error))
    assert found[0] == found[1]


def test_single_precision_is_near_enough() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(5)).astype(np.float32)
    # The benchmark may not be held.
    weights[4], weights[3] = weights[3] + weights[4], 0.0
    assert np.isfinite(walk(weights).net).all()


def test_seeds_of_numpy_are_seeds() -> None:
    for env in (PortfolioEnv(MARKET), PortfolioVectorEnv(2, MARKET)):
        first, _ = env.reset(seed=3)
        second, _ = env.reset(seed=np.int64(3))
        assert all((first[key] == second[key]).all() for key in first)
