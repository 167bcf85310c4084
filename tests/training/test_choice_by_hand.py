"""Which checkpoint is kept, number by number against a plainer way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.evaluation.statistics.significance import compute_long_run_variance
from alfred.training.cross_fitting.choice import LEVEL, Beyond, choose, compute_p_value, measure_beyond
from alfred.training.cross_fitting.held_out import HeldOut

N_DAYS = 300


def test_errors_are_those_of_least_squares_with_a_slope() -> None:
    rng = np.random.default_rng(5)
    # A reference far from zero: the slope's error is most of the intercept's.
    reference = rng.normal(0.02, 0.01, N_DAYS)
    series = np.array([[0.5], [1.5], [0.0]]) * reference + rng.normal(1e-3, 0.004, (3, N_DAYS))
    found = measure_beyond(series, reference)
    design = np.column_stack([np.ones(N_DAYS), reference])
    for row in range(3):
        (intercept, slope), *_ = np.linalg.lstsq(design, series[row], rcond=None)
        left = series[row] - slope * reference - intercept
        share = np.linalg.inv(design.T @ design)[0, 0] * N_DAYS
        assert found.mean[row] == pytest.approx(intercept, rel=1e-9)
        np.testing.assert_allclose(found.noise[row], left, atol=1e-12)
        assert found.error[row] == pytest.approx(np.sqrt(compute_long_run_variance(left) / N_DAYS * share), rel=1e-9)


def test_a_reference_that_stands_still_is_no_exposure() -> None:
    rng = np.random.default_rng(6)
    series = rng.normal(1e-3, 0.01, (2, N_DAYS))
    found = measure_beyond(series, np.full(N_DAYS, 0.25))
    np.testing.assert_allclose(found.mean, series.mean(axis=1), rtol=1e-12)
    expected = [np.sqrt(compute_long_run_variance(row) / N_DAYS) for row in series]
    np.testing.assert_allclose(found.error, expected, rtol=1e-9)


def make_beyond(t: list[float], correlation: float, seed: int = 0) -> Beyond:
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=4_000), rng.normal(size=(len(t), 4_000))
    noise = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return Beyond(np.array(t) * 2.0, np.full(len(t), 2.0), noise)


@pytest.mark.parametrize("t", [-1.0, 0.3, 1.5, 2.4])
@pytest.mark.parametrize("count", [1, 3])
def test_the_chance_of_the_largest_of_independent_statistics(t: float, count: int) -> None:
    found = compute_p_value(make_beyond([-2.0] * (count - 1) + [t], 0.0))
    expected = 1 - stats.norm.cdf(t) ** count
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 20_000) + 0.01)


def test_statistics_that_move_together_cost_less() -> None:
    rng = np.random.default_rng(1)
    for correlation in (0.5, 0.9):
        common, own = rng.normal(size=(2, 100_000))[0], rng.normal(size=(4, 100_000))
        largest = (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own).max(axis=0)
        expected = float((largest >= 1.6).mean())
        assert compute_p_value(make_beyond([0.0, 1.6, -1.0, 0.5], correlation)) == pytest.approx(expected, abs=0.012)


def test_no_chance_is_zero_and_the_draws_are_counted() -> None:
    assert compute_p_value(make_beyond([9.0, 0.0], 0.2)) == 1 / 20_001
    assert compute_p_value(make_beyond([-9.0, -9.0], 0.2)) == 1.0
    still = make_beyond([1.0, 50.0], 0.2)._replace(error=np.array([2.0, 0.0]))
    # A series that is the reference has no statistic.
    assert compute_p_value(still) == pytest.approx(1 - stats.norm.cdf(1.0), abs=0.012)


def make_record(gains: list[float], costs: list[float], noise: float = 1e-5) -> HeldOut:
    """Checkpoints that earn these gains beyond the start, with a little noise of their own."""
    rng = np.random.default_rng(2)
    start = rng.normal(0.0, 0.01, N_DAYS)
    own = rng.normal(0.0, noise, (len(gains), N_DAYS))
    own -= own.mean(axis=1, keepdims=True)
    gross = [start, *(start + gain + row for gain, row in zip(gains, own, strict=True))]
    net = [gross[0], *(row - cost for row, cost in zip(gross[1:], costs, strict=True))]
    return HeldOut(
        [10 * number for number in range(len(gross))], net, gross, [0.5 + number for number in range(len(gross))]
    )


def test_the_latest_within_an_error_of_the_best_is_kept() -> None:
    # The second is best; the fourth is as good within its error; the last is far behind.
    record = make_record([1e-3, 3e-3, 2e-3, 3e-3 - 1e-8, 1e-3], [0.0] * 5)
    kept = choose(record, 252)
    assert (kept.step, kept.utility) == (40, 4.5)
    assert kept.p_value == 1 / 20_001
    found = measure_beyond(np.stack(record.net[1:]), record.net[0])
    assert kept.gain == pytest.approx(100 * 252 * found.mean[3], rel=1e-12)
    assert kept.gain == pytest.approx(75.6, rel=0.01)
    assert kept.gain_error == pytest.approx(100 * 252 * found.error[3], rel=1e-12)


def test_with_noise_the_error_of_the_difference_counts() -> None:
    # Both are far above their start; each one's own error is large beside the difference between them.
    near, far = (make_record([3e-3, 3e-3 - gap], [0.0, 0.0], noise=1e-3) for gap in (5e-5, 5e-4))
    assert choose(near, 252).step == 20
    assert choose(far, 252).step == 10


def test_without_skill_the_start_is_kept_and_the_best_is_reported() -> None:
    record = make_record([-1e-3, -2e-4, -5e-4], [0.0] * 3)
    kept = choose(record, 252)
    assert kept.untrained and (kept.step, kept.utility) == (0, 0.5)
    assert kept.p_value == 1.0
    assert kept.gain == pytest.approx(-100 * 252 * 2e-4, rel=0.01)


def test_skill_that_its_costs_eat_is_not_kept() -> None:
    kept = choose(make_record([1e-3, 2e-3], [2e-3, 3e-3]), 252)
    assert kept.untrained and kept.p_value == 1 / 20_001


def test_the_level_is_a_fiftieth() -> None:
    assert LEVEL == 0.02


def test_the_first_checkpoint_counts() -> None:
    # Only the first earns anything before costs; without it nothing would be found.
    record = make_record([3e-3, -1e-3, -1e-3], [0.0] * 3)
    kept = choose(record, 252)
    assert (kept.step, kept.p_value) == (10, 1 / 20_001)


def test_what_two_checkpoints_share_says_nothing_about_their_difference() -> None:
    rng = np.random.default_rng(4)
    start, common = rng.normal(0.0, 0.01, N_DAYS), rng.normal(0.0, 5e-3, N_DAYS)
    own = rng.normal(0.0, 1e-6, (2, N_DAYS))
    rows = [start, *(start + gain + common + row for gain, row in zip((3e-3, 2.9e-3), own, strict=True))]
    # Alone, each is known to 0.3 per mille only; their difference is known to a thousandth of that.
    kept = choose(HeldOut([0, 10, 20], rows, rows, [0.0, 1.0, 2.0]), 252)
    assert kept.step == 10


def test_a_gain_that_may_be_luck_is_not_kept() -> None:
    kept = choose(make_record([1e-5, 2e-5], [0.0, 0.0], noise=1e-3), 252)
    assert kept.p_value > LEVEL
    assert kept.untrained and kept.gain > 0.0
