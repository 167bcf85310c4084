"""A trade is paid out of what it trades, on both sides, with impact, and in torch as in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.envs import ledger
from alfred.envs.differentiable import ledger as gradients
from tests.properties.draws import SHAPES, books, levered, masks

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
NEAR = 1e-12


def draw_costs(seed: int, shape: tuple[int, int], power: float | None) -> tuple[np.ndarray, ledger.Impact | None]:
    """Rates of each asset and an impact of each asset and portfolio; none on cash."""
    rng = np.random.default_rng(seed)
    rates = np.append(rng.uniform(0, 0.03, shape[1]), 0.0)
    if power is None:
        return rates, None
    scale = np.column_stack([rng.uniform(0, 0.05, shape), np.zeros(shape[0])])
    return rates, ledger.Impact(scale, power)


@QUICK
@given(st.data(), SHAPES, SEEDS, st.sampled_from([None, 1.5, 2.0]), st.booleans(), st.booleans())
def test_wealth_after_and_every_cost_close_to_one(
    data: st.DataObject, shape: tuple[int, int], seed: int, power: float | None, short: bool, frozen: bool
) -> None:
    drifted = data.draw(levered(shape, 1.5)) if short else data.draw(books(shape))
    target = data.draw(levered(shape, 1.5)) if short else data.draw(books(shape))
    free = data.draw(masks(shape)) if frozen else None
    rates, impact = draw_costs(seed, shape, power)
    trade = ledger.solve_trade(drifted, target, rates, free=free, impact=impact, long_only=not short)
    size = np.abs(trade.weights * trade.growth[:, None] - drifted)
    charge = np.zeros(shape[0]) if impact is None else (impact.scale * size**impact.power).sum(axis=1)
    np.testing.assert_allclose(trade.growth + size @ rates + charge, 1.0, atol=NEAR)
    np.testing.assert_allclose(trade.proportional, size @ rates, atol=NEAR)
    np.testing.assert_allclose(trade.impact, charge, atol=NEAR)
    np.testing.assert_allclose(trade.cost, trade.proportional + trade.impact, atol=0)
    np.testing.assert_allclose(trade.turnover, 0.5 * size.sum(axis=1), atol=NEAR)
    np.testing.assert_allclose(trade.weights.sum(axis=1), 1.0, atol=1e-11)
    if not frozen:
        np.testing.assert_array_equal(trade.weights, target)
    # A dearer market never leaves more.
    more = None if impact is None else ledger.Impact(1.7 * impact.scale, impact.power)
    dearer = ledger.solve_trade(drifted, target, 1.3 * rates, free=free, impact=more, long_only=not short)
    assert (dearer.growth <= trade.growth + NEAR).all()
    nothing = ledger.solve_trade(drifted, target, 0.0 * rates, free=free, long_only=not short)
    np.testing.assert_allclose(nothing.growth, 1.0, atol=NEAR)
    assert not nothing.cost.any()
    again = gradients.solve_trade(
        torch.tensor(drifted),
        torch.tensor(target),
        torch.tensor(rates),
        free=None if free is None else torch.tensor(free),
        impact_scale=None if impact is None else torch.tensor(impact.scale),
        impact_power=1.5 if power is None else power,
        long_only=not short,
    )
    np.testing.assert_allclose(again.weights.numpy(), trade.weights, atol=NEAR)
    np.testing.assert_allclose(again.growth.numpy(), trade.growth, atol=NEAR)
    np.testing.assert_allclose(again.turnover.numpy(), trade.turnover, atol=NEAR)


@QUICK
@given(st.data(), SHAPES, SEEDS, st.booleans())
def test_holding_fees_and_payouts_are_the_same_in_both(
    data: st.DataObject, shape: tuple[int, int], seed: int, short: bool
) -> None:
    rng = np.random.default_rng(seed)
    weights = data.draw(levered(shape, 2.0)) if short else data.draw(books(shape))
    factors = np.exp(rng.normal(0, 0.3, weights.shape))
    fee = rng.uniform(0, 0.01, shape[0])
    after, growth = ledger.drift(weights, factors, fee)
    expected = (weights * factors).sum(axis=1) - fee
    np.testing.assert_allclose(growth, np.maximum(expected, 0.0), atol=NEAR)
    np.testing.assert_allclose(after.sum(axis=1), 1.0, atol=1e-9)
    alive = growth > 1e-6
    paid = weights * factors
    paid[:, -1] -= fee
    np.testing.assert_allclose((after * growth[:, None])[alive], paid[alive], atol=NEAR)
    assert (after[growth == 0.0, :-1] == 0.0).all()
    twin, twin_growth = gradients.drift(*map(torch.tensor, (weights, factors, fee)))
    np.testing.assert_allclose(twin_growth.numpy(), growth, atol=NEAR)
    np.testing.assert_allclose(twin.numpy()[alive], after[alive], rtol=1e-6, atol=1e-9)
    free, _ = ledger.drift(weights, factors)
    unpaid, _ = ledger.drift(weights, factors, np.zeros(shape[0]))
    np.testing.assert_array_equal(free, unpaid)
    cost = ledger.compute_fee(weights, 0.02, 0.01)
    owed = np.where(weights < 0, -weights, 0.0)
    np.testing.assert_allclose(cost, 0.02 * owed[:, :-1].sum(axis=1) + 0.01 * owed[:, -1], atol=NEAR)
    np.testing.assert_allclose(gradients.compute_fee(torch.tensor(weights), 0.02, 0.01).numpy(), cost, atol=NEAR)
    moved = rng.random(weights.shape) < 0.5
    cash = ledger.move_to_cash(weights, moved)
    np.testing.assert_allclose(cash.sum(axis=1), 1.0, atol=NEAR)
    np.testing.assert_array_equal(cash[:, :-1], np.where(moved, 0.0, weights)[:, :-1])
    twin_cash = gradients.move_to_cash(torch.tensor(weights), torch.tensor(moved)).numpy()
    np.testing.assert_allclose(twin_cash, cash, atol=NEAR)


@QUICK
@given(st.data(), SHAPES, SEEDS, st.sampled_from([None, 1.5, 2.0]))
def test_selling_whole_positions_costs_what_a_trade_would(
    data: st.DataObject, shape: tuple[int, int], seed: int, power: float | None
) -> None:
    weights = data.draw(books(shape))
    rates, impact = draw_costs(seed, shape, power)
    sold = np.random.default_rng(seed).random(weights.shape) < 0.5
    sold[:, -1] = False
    trade = ledger.liquidate(weights, sold, rates, impact)
    value = np.where(sold, weights, 0.0)
    np.testing.assert_allclose(trade.proportional, value @ rates, atol=NEAR)
    charge = 0.0 if impact is None else (impact.scale * value**impact.power).sum(axis=1)
    np.testing.assert_allclose(trade.impact, charge, atol=NEAR)
    np.testing.assert_allclose(trade.growth, 1.0 - trade.cost, atol=NEAR)
    kept = np.where(sold, 0.0, weights)[:, :-1]
    np.testing.assert_allclose(trade.weights[:, :-1] * trade.growth[:, None], kept, atol=NEAR)
    np.testing.assert_allclose(trade.weights.sum(axis=1), 1.0, atol=NEAR)
    # Half of what is sold and of what cash gains by it.
    np.testing.assert_allclose(trade.turnover, value.sum(axis=1) - 0.5 * trade.cost, atol=NEAR)


def test_a_book_that_cannot_pay_for_its_trade_loses_all_of_it() -> None:
    rates = np.array([0.9, 0.9, 0.0])
    drifted, target = np.array([[4.0, 0.0, -3.0]]), np.array([[0.0, 1.0, 0.0]])
    trade = ledger.solve_trade(drifted, target, rates, long_only=False)
    assert trade.growth == [0.0]
    assert trade.cost == pytest.approx([1.0])
    assert trade.impact == [0.0]


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="must be the same"):
        ledger.drift(np.ones((1, 3)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="must be the same"):
        ledger.solve_trade(np.ones(3), np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="must be the same"):
        ledger.split_frozen(np.ones((1, 3)), np.ones((1, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="must be the same"):
        ledger.drift(np.ones((1, 3, 2)), np.ones((1, 3, 2)))


def test_a_free_part_shares_what_the_frozen_ones_leave() -> None:
    drifted, target = np.array([[0.4, 0.4, 0.2]]), np.array([[0.5, 0.3, 0.2]])
    wanted, held = ledger.split_frozen(drifted, target, np.array([[0.0, 1.0, 1.0]]))
    assert held.tolist() == [[0.4, 0.0, 0.0]]
    np.testing.assert_allclose(wanted, [[0.0, 0.6, 0.4]], atol=1e-12)


def test_all_that_a_ruined_book_keeps_is_cash() -> None:
    for width in (2, 3, 4, 6):
        weights = np.zeros((1, width))
        weights[0, 0], weights[0, -1] = 2.0, -1.0
        factors = np.ones((1, width))
        factors[0, 0] = 0.4
        after, growth = ledger.drift(weights, factors)
        assert growth == [0.0]
        assert after.tolist() == [[0.0] * (width - 1) + [1.0]]
