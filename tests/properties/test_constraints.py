"""Limits are maps onto what they allow: what is allowed stays, what is not is moved just far enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.envs.constraints import Constraints, cap_weights, keep_frozen, limit_turnover
from alfred.envs.settings import ConstraintSettings
from tests.properties.draws import SHAPES, books, levered, masks

QUICK = settings(max_examples=80, deadline=None, derandomize=True)
LIMITS = st.one_of(st.none(), st.floats(0.05, 1.0))
NEAR = 1e-12


def is_allowed(weights: np.ndarray, chosen: ConstraintSettings, sectors: tuple[str, ...], slack: float) -> np.ndarray:
    """Whether each row keeps the caps, `[P]`, written without the code that is tested."""
    size = np.abs(weights[:, :-1])
    fine = np.ones(len(weights), dtype=bool)
    if chosen.max_weight is not None:
        fine &= (size <= chosen.max_weight + slack).all(axis=1)
    if isinstance(chosen.max_sector_weight, float):
        for name in set(sectors) - {""}:
            inside = [sector == name for sector in sectors]
            fine &= size[:, inside].sum(axis=1) <= chosen.max_sector_weight + slack
    return fine


@QUICK
@given(st.data(), SHAPES, LIMITS, LIMITS, st.booleans())
def test_what_comes_out_is_allowed_and_what_is_allowed_stays(
    data: st.DataObject, shape: tuple[int, int], most: float | None, sector: float | None, short: bool
) -> None:
    sectors = tuple(data.draw(st.sampled_from(["A", "B", ""])) for _ in range(shape[1]))
    chosen = ConstraintSettings(max_weight=most, max_sector_weight=sector if any(sectors) else None)
    target = data.draw(levered(shape, 2.0)) if short else data.draw(books(shape))
    limits = Constraints(chosen, sectors)
    before = target.copy()
    found = limits.apply(target, target)
    np.testing.assert_array_equal(target, before)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=NEAR)
    assert is_allowed(found, chosen, sectors, NEAR).all()
    # No position grows or changes its side.
    assert (np.abs(found[:, :-1]) <= np.abs(target[:, :-1]) + NEAR).all()
    assert (found[:, :-1] * target[:, :-1] >= 0.0).all()
    fine = is_allowed(target, chosen, sectors, -NEAR)
    np.testing.assert_allclose(found[fine], target[fine], atol=NEAR)
    np.testing.assert_allclose(limits.apply(found, found), found, atol=NEAR)


@QUICK
@given(st.data(), SHAPES, st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.floats(0.01, 0.5))
def test_a_limit_of_turnover_has_the_last_word(
    data: st.DataObject, shape: tuple[int, int], most: float, sector: float, turnover: float
) -> None:
    drifted, target = data.draw(books(shape)), data.draw(books(shape))
    sectors = tuple("AB"[number % 2] for number in range(shape[1]))
    chosen = ConstraintSettings(max_weight=most, max_sector_weight=sector)
    goal = Constraints(chosen, sectors).apply(target, drifted)
    found = Constraints(chosen.model_copy(update={"max_turnover": turnover}), sectors).apply(target, drifted)
    traded, wanted = (0.5 * np.abs(weights - drifted).sum(axis=1) for weights in (found, goal))
    # Every row goes exactly as far as it may, straight towards the target.
    np.testing.assert_allclose(traded, np.minimum(wanted, turnover), atol=NEAR)
    share = np.divide(traded, wanted, out=np.ones_like(traded), where=wanted > 1e-9)[:, None]
    np.testing.assert_allclose(found, drifted + share * (goal - drifted), atol=1e-9)
    near = wanted <= turnover
    np.testing.assert_array_equal(limit_turnover(goal, drifted, turnover)[near], goal[near])


@QUICK
@given(st.data(), SHAPES, st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.booleans())
def test_frozen_holdings_keep_their_weight_whatever_the_caps(
    data: st.DataObject, shape: tuple[int, int], most: float, sector: float, short: bool
) -> None:
    leverage = 1.5 if short else None
    drifted = data.draw(levered(shape, 1.5)) if short else data.draw(books(shape))
    target = data.draw(levered(shape, 1.5)) if short else data.draw(books(shape))
    free = data.draw(masks(shape))
    sectors = tuple("AB"[number % 2] for number in range(shape[1]))
    limits = Constraints(ConstraintSettings(max_weight=most, max_sector_weight=sector), sectors)
    around = keep_frozen(target, drifted, free, leverage)
    found = limits.apply(around, drifted, free)
    frozen = free == 0.0
    np.testing.assert_allclose(found[frozen], drifted[frozen], atol=NEAR)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=NEAR)
    if short:
        held = np.abs(drifted[:, :-1] * (1.0 - free[:, :-1])).sum(axis=1)
        assert (np.abs(around[:, :-1]).sum(axis=1) <= np.maximum(held, 1.5) + NEAR).all()
    else:
        assert found.min() >= -NEAR
    movable = free[:, :-1] > 0.0
    assert (np.abs(found[:, :-1])[movable] <= most + NEAR).all()
    for name in set(sectors):
        inside = np.array([item == name for item in sectors])
        size = np.abs(found[:, :-1])
        held_inside = (size * ~movable)[:, inside].sum(axis=1)
        assert (size[:, inside].sum(axis=1) <= np.maximum(sector, held_inside) + NEAR).all()
    # What already stands around the frozen holdings within the caps is not touched again.
    np.testing.assert_allclose(limits.apply(found, drifted, free), found, atol=NEAR)


@QUICK
@given(st.data(), SHAPES)
def test_with_everything_free_a_book_is_its_own_target(data: st.DataObject, shape: tuple[int, int]) -> None:
    drifted, target = data.draw(books(shape)), data.draw(books(shape))
    free = np.ones_like(target)
    np.testing.assert_allclose(keep_frozen(target, drifted, free), target, atol=NEAR)
    np.testing.assert_allclose(keep_frozen(target, drifted, free, 1.0), target, atol=NEAR)
    nothing = np.zeros_like(target)
    nothing[:, -1] = 1.0
    # With every asset frozen, cash is what is left.
    np.testing.assert_allclose(keep_frozen(target, drifted, nothing), drifted, atol=NEAR)


def test_caps_by_hand() -> None:
    assert cap_weights(np.array([[0.5, -0.7, 0.1]]), 0.3).tolist() == [[0.3, -0.3, 0.1]]
    capped = cap_weights(np.array([[0.5, -0.7, 0.1]]), 0.3, np.array([[0.0, 1.0, 1.0]]))
    assert capped.tolist() == [[0.5, -0.3, 0.1]]
    limits = Constraints(ConstraintSettings(max_sector_weight={"A": 0.4}), ("A", "A", ""))
    scaled = limits.cap_sectors(np.array([[0.6, -0.2, 0.9]]))
    assert scaled == pytest.approx(np.array([[0.3, -0.1, 0.9]]))
