from __future__ import annotations

import numpy as np
import pytest

from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.sharpe_bootstrap import (
    adjust_p_values,
    draw_blocks,
    studentise_differences,
    sum_blocks,
)
from tests.evaluation.conftest import draw_returns


def draw_moving(n_days: int, memory: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(n_days)
    for day in range(1, n_days):
        noise[day] += memory * noise[day - 1]
    return noise


@pytest.mark.parametrize("n_days", [60, 300, 1260, 3150])
@pytest.mark.parametrize("memory", [-0.3, 0.0, 0.2, 0.5, 0.9, 1.0])
def test_block_lengths_equal_those_of_arch(n_days: int, memory: float) -> None:
    bootstrap = pytest.importorskip("arch.bootstrap", reason="arch is absent; it comes with the extra 'stats'")
    series = draw_moving(n_days, memory, seed=n_days)
    expected = bootstrap.optimal_block_length(series).iloc[0]
    found = compute_block_lengths(series)
    # arch may return less than one row, which no block can have.
    assert found.stationary == pytest.approx(max(expected["stationary"], 1.0))
    assert found.circular == pytest.approx(max(expected["circular"], 1.0))


def test_block_lengths_of_series_without_spread_are_one_row() -> None:
    for series in (np.zeros(100), np.full(100, 0.3), np.arange(3.0), np.array([0.1])):
        assert compute_block_lengths(series) == (1.0, 1.0)


def test_block_sums_equal_a_plain_loop() -> None:
    values = np.random.default_rng(0).standard_normal((11, 2))
    for block in (1, 4, 11):
        plain = [sum(values[(start + step) % 11] for step in range(block)) for start in range(11)]
        np.testing.assert_allclose(sum_blocks(values, block), plain, atol=1e-12)


@pytest.mark.parametrize("block", [1, 7])
def test_studentised_differences_equal_a_plain_loop(block: int) -> None:
    returns = draw_returns(200, [0.5, 1.5, -0.4], 0.6, seed=1)
    starts = draw_blocks(200, block, 40, np.random.default_rng(2))
    assert starts.shape == (40, 200 // block)
    pairs = [(0, 1), (2, 0)]
    found = studentise_differences(returns, pairs, starts, block)
    whole = returns.mean(axis=0) / returns.std(axis=0)
    for row in range(40):
        sample = returns[(starts[row][:, None] + np.arange(block)).ravel() % 200]
        ratio = sample.mean(axis=0) / sample.std(axis=0)
        z = (sample - sample.mean(axis=0)) / sample.std(axis=0)
        influence = z - ratio / 2 * (z**2 - 1)
        for place, (own, other) in enumerate(pairs):
            sums = (influence[:, own] - influence[:, other]).reshape(-1, block).sum(axis=1)
            error = np.sqrt((sums**2).mean() / block / len(sample))
            moved = (ratio[own] - ratio[other]) - (whole[own] - whole[other])
            assert found[row, place] == pytest.approx(moved / error, rel=1e-9)


def test_studentised_differences_of_cash_are_nan_and_scale_does_not_matter() -> None:
    returns = draw_returns(150, [0.5, 1.0], 0.6, seed=3)
    starts = draw_blocks(150, 3, 50, np.random.default_rng(4))
    flat = np.column_stack([returns, np.zeros(150)])
    assert np.isnan(studentise_differences(flat, [(0, 2)], starts, 3)).all()
    np.testing.assert_allclose(
        studentise_differences(returns, [(0, 1)], starts, 3),
        studentise_differences(returns * [1e-6, 1e3], [(0, 1)], starts, 3),
        rtol=1e-6,
    )


def test_adjusted_p_values_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(5)
    resampled = rng.standard_normal((500, 1)) * 0.7 + rng.standard_normal((500, 6))
    observed = np.array([2.5, -3.5, 0.1, 3.0, -0.4, 2.4])
    expected = np.ones(6)
    for sign in (1, -1):
        left, worst = list(np.argsort(-sign * observed)), 0.0
        for place in list(left):
            exceeded = ((sign * resampled[:, left]).max(axis=1) >= sign * observed[place]).sum()
            worst = max(worst, (1 + exceeded) / 501)
            expected[place] = min(expected[place], 2 * worst)
            left.remove(place)
    np.testing.assert_allclose(adjust_p_values(observed, resampled), np.minimum(expected, 1.0))


def test_one_comparison_needs_no_correction() -> None:
    resampled = np.random.default_rng(6).standard_normal((999, 1))
    alone = adjust_p_values(np.array([1.7]), resampled)
    assert alone[0] == pytest.approx(2 * (1 + (resampled >= 1.7).sum()) / 1000)
    many = adjust_p_values(np.array([1.7, 0.0, 0.0]), np.random.default_rng(6).standard_normal((999, 3)))
    assert many[0] > 1.5 * alone[0]
