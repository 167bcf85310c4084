"""Tests of luck have no unit and no favourite: they turn with their sides, and their chances are chances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.deflation import (
    Trials,
    compute_deflated_sharpe,
    compute_expected_max_sharpe,
    compute_probabilistic_sharpe,
    compute_unskilled_spread,
)
from alfred.evaluation.statistics.sharpe_bootstrap import (
    adjust_p_values,
    draw_blocks,
    studentise_differences,
    sum_blocks,
)
from alfred.evaluation.statistics.significance import (
    compare_sharpe,
    compute_autocorrelated_sharpe,
    compute_long_run_variance,
    compute_overfitting_probability,
    compute_sharpe_error,
    compute_sharpe_influence,
    decide,
)

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.integers(20, 400)
UNITS = st.floats(1e-3, 1e3)


def draw_pair(seed: int, n: int) -> np.ndarray:
    """Two series of returns that move together, with fat tails and memory, `[2, T]`."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_t(4, (2, n + 1)) + 0.5 * rng.normal(size=n + 1)
    return 0.01 * (noise[:, 1:] + rng.uniform(-0.5, 0.5) * noise[:, :-1]) + rng.normal(0, 1e-3, (2, 1))


@QUICK
@given(SEEDS, LENGTHS, UNITS, UNITS)
def test_a_difference_turns_with_its_sides_and_has_no_unit(seed: int, n: int, unit: float, other: float) -> None:
    first, second = draw_pair(seed, n)
    one, turned, scaled = (
        compare_sharpe(*pair) for pair in ((first, second), (second, first), (unit * first, other * second))
    )
    assert one.difference == -turned.difference
    np.testing.assert_allclose(turned[1:], one[1:], rtol=1e-10)
    np.testing.assert_allclose(scaled, one, rtol=1e-6, atol=1e-9)
    assert 0.0 <= one.p_value <= 1.0 and one.error > 0.0
    # Leverage of one portfolio is no difference.
    same = compare_sharpe(first, unit * first)
    assert same.difference == pytest.approx(0.0, abs=1e-9) and np.isnan(same.p_value)


@QUICK
@given(SEEDS, LENGTHS, UNITS)
def test_ratios_and_their_errors_have_no_unit(seed: int, n: int, unit: float) -> None:
    series, _ = draw_pair(seed, n)
    for measure in (
        compute_sharpe_error,
        lambda returns: compute_sharpe_error(returns, autocorrelated=True),
        compute_autocorrelated_sharpe,
        compute_probabilistic_sharpe,
        lambda returns: compute_deflated_sharpe(returns, 7),
    ):
        np.testing.assert_allclose(measure(unit * series), measure(series), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(compute_autocorrelated_sharpe(-series), -compute_autocorrelated_sharpe(series))
    influence = compute_sharpe_influence(series)
    assert influence.mean() == pytest.approx(0.0, abs=1e-10)
    np.testing.assert_allclose(compute_sharpe_influence(unit * series), influence, rtol=1e-6, atol=1e-9)
    variance = compute_long_run_variance(series)
    assert variance >= 0.0
    assert compute_long_run_variance(unit * series + 3.0) == pytest.approx(unit**2 * variance, rel=1e-6, abs=1e-18)


@QUICK
@given(SEEDS, st.integers(1, 600), UNITS)
def test_blocks_are_at_least_a_row_and_at_most_a_third(seed: int, n: int, unit: float) -> None:
    series = draw_pair(seed, n)[0]
    found = compute_block_lengths(series)
    longest = max(1.0, np.ceil(min(3 * np.sqrt(n), n / 3)))
    assert 1.0 <= found.stationary <= found.circular <= longest
    np.testing.assert_allclose(compute_block_lengths(unit * series - 1.0), found, rtol=1e-6)
    # A spread of nothing but rounding is told apart in test_mended_faults.
    assert compute_block_lengths(np.full(n, 2.0)) == (1.0, 1.0)


@QUICK
@given(SEEDS, st.integers(24, 200), st.integers(1, 12))
def test_resampled_differences_turn_with_their_sides(seed: int, n: int, block: int) -> None:
    returns = draw_pair(seed, n).T
    starts = draw_blocks(n, block, 30, np.random.default_rng(seed))
    assert starts.min() >= 0 and starts.max() < n and starts.shape == (30, max(n // block, 1))
    both = studentise_differences(returns, [(0, 1), (1, 0)], starts, block)
    np.testing.assert_allclose(both[:, 0], -both[:, 1], rtol=1e-6, atol=1e-8)
    scaled = studentise_differences(returns * np.array([3.0, 0.1]), [(0, 1)], starts, block)
    # A history of one block again and again has no error but rounding; see test_mended_faults.
    varied = (starts != starts[:, :1]).any(axis=1)
    np.testing.assert_allclose(scaled[varied, 0], both[varied, 0], rtol=1e-5, atol=1e-7)
    wrapped = np.array([returns[np.arange(row, row + block) % n].sum(axis=0) for row in range(n)])
    np.testing.assert_allclose(sum_blocks(returns, block), wrapped, atol=1e-12)


@QUICK
@given(SEEDS, st.integers(1, 6), st.integers(1, 60))
def test_p_values_are_chances_in_the_order_of_their_evidence(seed: int, pairs: int, replicates: int) -> None:
    rng = np.random.default_rng(seed)
    observed, resampled = rng.normal(0, 2, pairs), rng.normal(size=(replicates, pairs))
    found = adjust_p_values(observed, resampled)
    assert ((found > 0.0) & (found <= 1.0)).all()
    np.testing.assert_allclose(adjust_p_values(-observed, -resampled), found)
    # Company costs: alone, no comparison looks less sure.
    for column in range(pairs):
        alone = adjust_p_values(observed[[column]], resampled[:, [column]])
        assert alone[0] <= found[column] + 1e-12


@QUICK
@given(SEEDS, st.integers(2, 400), st.integers(1, 200), st.integers(0, 30))
def test_deflation_pays_for_every_trial(seed: int, n: int, trials: int, logged: int) -> None:
    rng = np.random.default_rng(seed)
    sharpes = list(rng.normal(0, rng.uniform(0.01, 2.0), logged))
    declared = Trials.declare(trials, sharpes)
    assert declared.count == max(trials, logged)
    unit = compute_unskilled_spread(n)
    spread, source = declared.assume_spread(unit)
    floor = unit * np.sqrt((5 + declared.count - logged) / (4 + declared.count))
    expected = unit if logged < 2 else max(floor, float(np.std(sharpes, ddof=1)))
    assert spread == pytest.approx(expected)
    assert (source == "no skill") == (logged < 2)
    assert compute_expected_max_sharpe(trials, n) == pytest.approx(Trials(trials).expect_best(unit))
    assert compute_expected_max_sharpe(trials + 1, n) > compute_expected_max_sharpe(trials, n) >= 0.0
    series = rng.normal(1e-3, 0.01, n + 20)
    values = [compute_deflated_sharpe(series, count) for count in (1, trials, trials + 1)]
    assert 1.0 >= values[0] >= values[1] >= values[2] >= 0.0


@QUICK
@given(SEEDS, st.integers(2, 6), UNITS)
def test_the_chance_of_overfitting_is_one_and_has_no_unit(seed: int, trials: int, unit: float) -> None:
    returns = np.random.default_rng(seed).normal(size=(61, trials))
    found = compute_overfitting_probability(returns, 6)
    assert 0.0 <= found <= 1.0
    assert compute_overfitting_probability(unit * returns, 6) == found
    # Rows that do not fill a block are dropped at the start.
    assert compute_overfitting_probability(returns[1:], 6) == found


@QUICK
@given(st.floats(-2, 2), st.floats(0, 2), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1)))
def test_a_verdict_never_calls_both_sides_better(low: float, width: float, deflated: float, p: float | None) -> None:
    outcome = decide((low, low + width), deflated, p)
    if outcome == "beats":
        assert low > 0 and deflated > 0.95 and (p is None or p < 0.05)
        assert decide((-low - width, -low), deflated, p) == "does not beat"
    if outcome == "does not beat":
        assert low + width < 0
