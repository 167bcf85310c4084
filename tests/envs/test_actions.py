"""What actions and constraints can reach, and what they cannot pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.envs import ActionSettings, ConstraintSettings, PortfolioEnv, PortfolioVectorEnv, encode_weights
from alfred.envs.actions import compute_weights
from alfred.envs.constraints import Constraints, keep_frozen
from alfred.errors import ConfigError
from tests.conftest import make_random_market
from tests.envs.markets import make_settings

MODES = [ActionSettings(mode="softmax"), ActionSettings(mode="simplex"), ActionSettings(mode="long_short")]
SECTORS = ("Tech", "Tech", "Energy", "Energy", "Tech", "")


@pytest.mark.parametrize("action", MODES, ids=lambda action: action.mode)
@pytest.mark.parametrize("n_symbols", [2, 30, 500])
def test_everything_can_be_put_on_any_one_asset_or_cash(action: ActionSettings, n_symbols: int) -> None:
    corners = np.eye(n_symbols + 1)
    reached = compute_weights(encode_weights(corners, action), action)
    np.testing.assert_allclose(reached, corners, atol=1e-15)


def test_the_env_itself_reaches_every_corner() -> None:
    market = make_random_market(10, 4)
    for action in MODES:
        env = PortfolioVectorEnv(5, market, None, make_settings(action=action, execution="next_close"))
        env.reset(seed=0)
        corners = np.eye(5)
        observation, *_ = env.step(encode_weights(corners, action).astype(np.float32))
        np.testing.assert_allclose(observation["weights"], corners, atol=1e-6)


def test_short_and_levered_corners_are_reached() -> None:
    action = ActionSettings(mode="long_short", max_leverage=2.5)
    wanted = np.array([[2.5, 0, 0, -1.5], [-2.5, 0, 0, 3.5], [1.5, -1.0, 0, 0.5], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(compute_weights(encode_weights(wanted, action), action), wanted, atol=1e-15)
    # Beyond the limit the numbers are scaled down together.
    scaled = compute_weights(np.array([[1.0, -1.0, 0.5, 0.0]]), action)
    np.testing.assert_allclose(scaled[0], [1.0, -1.0, 0.5, 0.5])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_encoding_is_undone(seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(7) * 0.5, 4)
    for action in (MODES[0], MODES[1]):
        kept = np.where(weights < 1e-5, 0.0, weights)
        kept /= kept.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(compute_weights(encode_weights(kept, action), action), kept, rtol=1e-9, atol=1e-12)


def test_softmax_is_a_softmax() -> None:
    scores = np.array([[0.3, -0.2, 0.1]])
    expected = np.exp(4 * scores) / np.exp(4 * scores).sum()
    np.testing.assert_allclose(compute_weights(scores, ActionSettings(logit_scale=4.0)), expected, rtol=1e-14)


def test_no_weight_anywhere_means_cash() -> None:
    np.testing.assert_array_equal(compute_weights(np.full((1, 3), -1.0), MODES[1]), [[0, 0, 1]])
    np.testing.assert_array_equal(compute_weights(np.zeros((1, 3)), MODES[2]), [[0, 0, 1]])


@st.composite
def draw_limits(draw: st.DrawFn) -> ConstraintSettings:
    sectors = st.none() | st.floats(0.05, 1.0) | st.fixed_dictionaries({"Tech": st.floats(0.05, 1.0)})
    return ConstraintSettings(
        max_weight=draw(st.none() | st.floats(0.02, 1.0)),
        max_sector_weight=draw(sectors),
        max_turnover=draw(st.none() | st.floats(0.01, 1.0)),
    )


@settings(deadline=None, max_examples=150)
@given(draw_limits(), st.integers(0, 2**32 - 1), st.sampled_from([None, 0.8, 2.0]))
def test_what_comes_out_is_allowed_and_what_is_allowed_stays(
    limits: ConstraintSettings, seed: int, leverage: float | None
) -> None:
    rng = np.random.default_rng(seed)
    action = ActionSettings() if leverage is None else ActionSettings(mode="long_short", max_leverage=leverage)
    constraints = Constraints(limits, SECTORS)
    free = np.ones((20, 7))
    free[:, :-1] = rng.random((20, 6)) > 0.3
    draw = rng.uniform(-1, 1, (3, 20, 7))
    target, other = (compute_weights(part, action) for part in draw[:2])
    # A book that already keeps the caps: then nothing stands against the turnover limit.
    uncapped = ConstraintSettings(max_weight=limits.max_weight, max_sector_weight=limits.max_sector_weight)
    drifted = Constraints(uncapped, SECTORS).apply(other, other) if uncapped.bind else other
    kept = keep_frozen(target, drifted, free, leverage)
    chosen = constraints.apply(kept, drifted, free)
    np.testing.assert_allclose(chosen.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(chosen * (1 - free), drifted * (1 - free), atol=1e-15)
    size = np.abs(chosen[:, :-1])
    if leverage is None:
        assert chosen.min() >= -1e-12
    else:
        assert (size.sum(axis=1) <= leverage + 1e-12).all()
    if limits.max_weight is not None:
        assert (size <= limits.max_weight + 1e-12).all()
    for name, cap in zip(sorted({"Tech", "Energy"}), constraints_caps(limits), strict=True):
        members = np.array([sector == name for sector in SECTORS])
        assert (size[:, members].sum(axis=1) <= cap + 1e-12).all()
    if limits.max_turnover is not None:
        assert (0.5 * np.abs(chosen - drifted).sum(axis=1) <= limits.max_turnover + 1e-12).all()
    # What is allowed stays to the last digit but one, so every corner that the limits allow can be asked for.
    np.testing.assert_allclose(constraints.apply(chosen, drifted, free), chosen, atol=1e-12)


def constraints_caps(limits: ConstraintSettings) -> list[float]:
    caps = limits.max_sector_weight
    if isinstance(caps, dict):
        return [caps.get("Energy", np.inf), caps["Tech"]]
    return [np.inf if caps is None else caps] * 2


def test_corners_of_caps_are_reached_in_the_env() -> None:
    """At most 40 % of an asset and 50 % of a sector: a corner of each kind, to the last digit."""
    market = make_random_market(10, 4)
    market = type(market)(**{**vars(market), "sectors": {"S0": "Tech", "S1": "Tech", "S2": "Energy"}})
    limits = ConstraintSettings(max_weight=0.4, max_sector_weight=0.5)
    for action in (MODES[0], MODES[1]):
        env = PortfolioEnv(market, None, make_settings(action=action, constraints=limits, execution="next_close"))
        for corner in ([0.4, 0.1, 0.4, 0.1, 0], [0.1, 0.4, 0, 0.4, 0.1], [0, 0, 0, 0, 1.0], [0.4, 0, 0.4, 0, 0.2]):
            env.reset(seed=0)
            env.step(encode_weights(np.array(corner), action))
            np.testing.assert_allclose(env.simulator.weights[0], corner, atol=1e-12)


def test_bad_limits_are_named() -> None:
    with pytest.raises(ConfigError, match=r"the sector 'Tehc', but this market has Energy, Tech\. Did you mean 'Tech'"):
        Constraints(ConstraintSettings(max_sector_weight={"Tehc": 0.3}), SECTORS)
    with pytest.raises(ConfigError, match="no symbol of this market has a sector"):
        Constraints(ConstraintSettings(max_sector_weight=0.3), ("", ""))
    with pytest.raises(ConfigError, match=r"max_sector_weight of 'Tech' is 0\.0: it must be above 0"):
        Constraints(ConstraintSettings(max_sector_weight={"Tech": 0.0}), SECTORS)
