"""Actions reach the weights they stand for; rewards are their formula, and penalties only take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.envs.actions import compute_weights, encode_weights
from alfred.envs.differentiable import ledger as gradients
from alfred.envs.rewards import RewardState, compute_reward, differentiate_sharpe
from alfred.envs.settings import ActionSettings, RewardSettings
from alfred.errors import DataError
from tests.properties.draws import SHAPES, books, levered

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
MODES = st.sampled_from(["softmax", "simplex", "long_short"])


@QUICK
@given(SHAPES, MODES, SEEDS, st.floats(0.5, 30.0), st.floats(0.2, 5.0))
def test_any_numbers_become_a_book(shape: tuple[int, int], mode: str, seed: int, scale: float, leverage: float) -> None:
    rng = np.random.default_rng(seed)
    chosen = ActionSettings(mode=mode, logit_scale=scale, max_leverage=leverage)  # type: ignore[arg-type]
    actions = rng.normal(0, 2, (shape[0], shape[1] + 1))
    before = actions.copy()
    weights = compute_weights(actions, chosen)
    np.testing.assert_array_equal(actions, before)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(weights, compute_weights(np.clip(actions, -1.0, 1.0), chosen))
    if chosen.long_only:
        assert weights.min() >= 0.0
    else:
        assert (np.abs(weights[:, :-1]).sum(axis=1) <= leverage + 1e-12).all()
    holdable = rng.integers(0, 2, shape).astype(np.float64)
    held = compute_weights(actions, chosen, holdable)
    assert (held[:, :-1][holdable == 0.0] == 0.0).all()
    np.testing.assert_allclose(held.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(compute_weights(actions, chosen, np.ones(shape[1])), weights, atol=1e-15)


@QUICK
@given(st.data(), SHAPES, st.floats(7.0, 30.0), st.floats(0.2, 5.0))
def test_weights_become_actions_and_weights_again(
    data: st.DataObject, shape: tuple[int, int], scale: float, leverage: float
) -> None:
    book = data.draw(books(shape))
    for mode, slack in (("simplex", 1e-12), ("softmax", 2e-6 * shape[1] + np.exp(-2 * scale) * (shape[1] + 1))):
        chosen = ActionSettings(mode=mode, logit_scale=scale)  # type: ignore[arg-type]
        actions = encode_weights(book, chosen)
        assert actions.min() >= -1.0 and actions.max() <= 1.0
        np.testing.assert_allclose(compute_weights(actions, chosen), book, atol=slack)
    np.testing.assert_array_equal(encode_weights(book), encode_weights(book, ActionSettings(mode="simplex")))
    book = data.draw(levered(shape, leverage))
    chosen = ActionSettings(mode="long_short", max_leverage=leverage)
    np.testing.assert_allclose(compute_weights(encode_weights(book, chosen), chosen), book, atol=1e-12)


@pytest.mark.parametrize("mode", ["softmax", "simplex", "long_short"])
def test_a_number_that_is_none_is_refused(mode: str) -> None:
    actions = np.zeros((3, 4))
    actions[1, 2] = np.nan
    with pytest.raises(DataError, match="portfolio 1 holds NaN"):
        compute_weights(actions, ActionSettings(mode=mode))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="a row for each portfolio"):
        compute_weights(np.zeros(4), ActionSettings(mode=mode))  # type: ignore[arg-type]


@QUICK
@given(SEEDS, st.floats(0, 50), st.floats(0.1, 100), st.sampled_from(["growth", "excess"]))
def test_a_reward_is_its_formula_in_numpy_and_torch(seed: int, aversion: float, scale: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    growth, other = 1 + rng.normal(0, 0.05, (2, 6))
    chosen = RewardSettings(kind=kind, risk_aversion=aversion, scale=scale)
    expected = np.log(growth) - 0.5 * aversion * (growth - 1) ** 2
    if kind == "excess":
        expected -= np.log(other) - 0.5 * aversion * (other - 1) ** 2
        # Not to the last bit: compiled, a product and a difference may be fused into one rounding.
        np.testing.assert_allclose(compute_reward(growth, growth, chosen), 0.0, atol=1e-15 * scale)
    paid = compute_reward(growth, other, chosen)
    np.testing.assert_allclose(paid, scale * expected, rtol=1e-10, atol=1e-12 * scale)
    twin = gradients.compute_reward(torch.tensor(growth), torch.tensor(other), chosen).numpy()
    np.testing.assert_allclose(twin, paid, rtol=1e-10, atol=1e-12 * scale)
    assert np.isfinite(compute_reward(np.zeros(2), np.ones(2), chosen)).all()


@QUICK
@given(SEEDS, st.floats(0.01, 5), st.floats(0.01, 5), st.sampled_from(["growth", "excess", "differential_sharpe"]))
def test_penalties_take_what_they_say(seed: int, drawdown: float, turnover: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    plain = RewardSettings(kind=kind)
    strict = plain.model_copy(update={"drawdown_penalty": drawdown, "turnover_penalty": turnover})
    states = [RewardState(chosen, 3) for chosen in (plain, strict)]
    path = np.cumprod(np.vstack([np.ones(3), 1 + rng.normal(0, 0.05, (8, 3))]), axis=0)
    depth = 1 - path / np.maximum.accumulate(path, axis=0)
    for step in range(8):
        traded = rng.random(3)
        free, paid = (state.pay(path[step], path[step + 1], np.ones(3), traded) for state in states)
        taken = 100 * (drawdown * np.maximum(depth[step + 1] - depth[step], 0.0) + turnover * traded)
        assert (taken >= 0.0).all()
        np.testing.assert_allclose(free - paid, taken, atol=1e-9)


@QUICK
@given(SEEDS, st.floats(0.005, 0.5))
def test_the_differential_ratio_is_a_derivative(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    returns, mean = rng.normal(0, 0.02, 4), rng.normal(0, 0.003, 4)
    square = mean**2 + rng.uniform(1e-5, 1e-3, 4)
    ratio, following, squares = differentiate_sharpe(returns, mean, square, rate)

    def sharpe(step: float) -> np.ndarray:
        first, second = mean + step * (returns - mean), square + step * (returns**2 - square)
        return np.asarray(first / np.sqrt(second - first**2))

    # The step is small beside the spread that the ratio divides by, whatever was drawn.
    np.testing.assert_allclose(ratio, (sharpe(1e-6) - sharpe(-1e-6)) / 2e-6, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(following, (1 - rate) * mean + rate * returns, atol=1e-15)
    np.testing.assert_allclose(squares, (1 - rate) * square + rate * returns**2, atol=1e-15)
    still, _, _ = differentiate_sharpe(np.zeros(1), np.zeros(1), np.zeros(1), rate)
    assert still == [0.0]
