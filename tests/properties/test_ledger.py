"""Laws of the ledger, the constraints and the actions, on whatever books may be drawn."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.envs.actions import compute_weights, encode_weights
from alfred.envs.constraints import Constraints, keep_frozen, limit_turnover
from alfred.envs.differentiable import ledger as gradients
from alfred.envs.ledger import drift, move_to_cash, solve_trade
from alfred.envs.settings import ActionSettings, ConstraintSettings
from tests.properties.draws import SHAPES, books, masks

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
RATES = st.floats(0, 0.05)


@QUICK
@given(st.data(), SHAPES, RATES)
def test_what_a_trade_costs_is_charged_on_what_is_traded(
    data: st.DataObject, shape: tuple[int, int], rate: float
) -> None:
    drifted, target = data.draw(books(shape)), data.draw(books(shape))
    rates = np.full(shape[1] + 1, rate)
    rates[-1] = 0.0
    trade = solve_trade(drifted, target, rates)
    paid = (rates * np.abs(target * trade.growth[:, None] - drifted)).sum(axis=1)
    np.testing.assert_allclose(trade.growth + paid, 1.0, atol=1e-12)
    np.testing.assert_allclose(trade.weights, target, atol=1e-12)
    assert (trade.growth <= 1.0 + 1e-15).all() and (trade.growth > 0.9).all()
    if rate == 0.0:
        np.testing.assert_array_equal(trade.growth, 1.0)
    dearer = solve_trade(drifted, target, rates * 1.5)
    assert (dearer.growth <= trade.growth + 1e-15).all()
    again = gradients.solve_trade(torch.tensor(drifted), torch.tensor(target), torch.tensor(rates))
    np.testing.assert_allclose(again[1].numpy(), trade.growth, atol=1e-12)


@QUICK
@given(st.data(), SHAPES, RATES)
def test_what_is_frozen_keeps_its_value(data: st.DataObject, shape: tuple[int, int], rate: float) -> None:
    drifted, target, free = data.draw(books(shape)), data.draw(books(shape)), data.draw(masks(shape))
    rates = np.full(shape[1] + 1, rate)
    rates[-1] = 0.0
    trade = solve_trade(drifted, target, rates, free=free)
    values = trade.weights * trade.growth[:, None]
    np.testing.assert_allclose(values[free == 0], drifted[free == 0], atol=1e-12)
    np.testing.assert_allclose(trade.weights.sum(axis=1), 1.0, atol=1e-12)
    assert trade.weights.min() >= -1e-12


@QUICK
@given(st.data(), SHAPES, st.integers(0, 1_000))
def test_drift_is_multiplication(data: st.DataObject, shape: tuple[int, int], seed: int) -> None:
    weights = data.draw(books(shape))
    factors = np.exp(np.random.default_rng(seed).normal(0, 0.1, weights.shape))
    after, growth = drift(weights, factors)
    np.testing.assert_allclose(growth, (weights * factors).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(after * growth[:, None], weights * factors, rtol=1e-12, atol=1e-15)
    moved = np.random.default_rng(seed + 1).random(weights.shape) < 0.5
    moved[:, -1] = False
    cash = move_to_cash(weights, moved)
    assert (cash[moved] == 0.0).all()
    np.testing.assert_allclose(cash.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(cash[:, :-1][~moved[:, :-1]], weights[:, :-1][~moved[:, :-1]])


@QUICK
@given(st.data(), SHAPES, st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.floats(0.01, 1.0))
def test_limits_are_kept_and_what_keeps_them_is_left_alone(
    data: st.DataObject, shape: tuple[int, int], most: float, sector: float, turnover: float
) -> None:
    drifted, target = data.draw(books(shape)), data.draw(books(shape))
    sectors = tuple("AB"[n % 2] for n in range(shape[1]))
    limits = Constraints(ConstraintSettings(max_weight=most, max_sector_weight=sector), sectors)
    found = limits.apply(target.copy(), drifted)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    assert found.min() >= -1e-12 and found[:, :-1].max() <= most + 1e-12
    for name in set(sectors):
        held = found[:, :-1][:, [item == name for item in sectors]].sum(axis=1)
        assert (held <= sector + 1e-12).all()
    np.testing.assert_allclose(limits.apply(found.copy(), drifted), found, atol=1e-12)
    near = limit_turnover(target, drifted, turnover)
    assert (0.5 * np.abs(near - drifted).sum(axis=1) <= turnover + 1e-12).all()
    np.testing.assert_allclose(near.sum(axis=1), 1.0, atol=1e-12)


@QUICK
@given(st.data(), SHAPES)
def test_a_target_around_frozen_holdings_is_a_book(data: st.DataObject, shape: tuple[int, int]) -> None:
    drifted, target, free = data.draw(books(shape)), data.draw(books(shape)), data.draw(masks(shape))
    found = keep_frozen(target, drifted, free)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(found[free == 0], drifted[free == 0], atol=1e-15)
    assert found.min() >= 0.0


@QUICK
@given(st.data(), SHAPES, st.sampled_from(["softmax", "simplex", "long_short"]))
def test_actions_reach_the_weights_that_they_stand_for(data: st.DataObject, shape: tuple[int, int], mode: str) -> None:
    action = ActionSettings(mode=mode)  # type: ignore[arg-type]
    weights = data.draw(books(shape))
    reached = compute_weights(encode_weights(weights, action), action)
    np.testing.assert_allclose(reached, weights, atol=1e-4 if mode == "softmax" else 1e-9)
    holdable = np.zeros(shape[1])
    assert (compute_weights(encode_weights(weights, action), action, holdable)[:, :-1] == 0.0).all()
