"""Which checkpoint is kept, against closed forms and against simulated trainings whose skill is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.training.cross_fitting.choice import LEVEL, choose, compute_p_value, measure_beyond
from alfred.training.cross_fitting.held_out import HeldOut, pool

N_DAYS = 2_000


def make_record(gross: np.ndarray, cost: float | np.ndarray, rng: np.random.Generator) -> HeldOut:
    """Checkpoints that earn `gross` beyond the start, `[J, D]`, at a cost a session."""
    start = rng.normal(4e-4, 0.01, gross.shape[1])
    rows = [start, *(start + row for row in gross)]
    costs = np.concatenate([[0.0], np.broadcast_to(cost, len(gross))])
    steps = [1_000 * number for number in range(len(rows))]
    return HeldOut(steps, [row - paid for row, paid in zip(rows, costs, strict=True)], rows, [float(s) for s in steps])


def make_gains(rng: np.random.Generator, mean: float, count: int = 4, shared: float = 0.8) -> np.ndarray:
    """Active returns of checkpoints that resemble each other, `[J, D]`."""
    common = rng.normal(size=N_DAYS)
    own = rng.normal(size=(count, N_DAYS))
    return mean + 0.002 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)


def test_the_intercept_is_that_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(5e-4, 0.01, N_DAYS)
    noise = rng.normal([[1e-4], [0.0]], [[0.003], [0.002]], (2, N_DAYS))
    series = np.array([[0.6], [1.2]]) * reference + noise
    found = measure_beyond(series, reference)
    for row in range(2):
        expected = stats.linregress(reference, series[row])
        assert found.mean[row] == pytest.approx(expected.intercept, rel=1e-9)
        # Independent residuals: the error that allows for serial correlation is near the plain one.
        assert found.error[row] == pytest.approx(expected.intercept_stderr, rel=0.12)
    # Holding more or less of the reference is no gain.
    levered = measure_beyond(np.stack([0.5 * reference, reference]), reference)
    assert np.abs(levered.mean).max() < 1e-12 and not levered.error.any()
    assert compute_p_value(levered) == 1.0


def test_trainings_without_skill_pass_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(1)
    kept = [
        not choose(make_record(make_gains(rng, 0.0), 0.0, rng), 252).untrained for _ in range(600)
    ]  # at no cost the first question alone decides
    assert np.mean(kept) == pytest.approx(LEVEL, abs=3 * np.sqrt(LEVEL * (1 - LEVEL) / 600))
    # A plain test of the best of the four would pass too often.
    largest = [(measure_beyond(make_gains(rng, 0.0, shared=0.0), rng.normal(size=N_DAYS) * 0.01)) for _ in range(300)]
    naive = np.mean([(item.mean / item.error).max() > stats.norm.ppf(1 - LEVEL) for item in largest])
    allowed = np.mean([compute_p_value(item) < LEVEL for item in largest])
    assert naive > 2.5 * LEVEL > allowed


def test_skill_is_kept_and_told() -> None:
    rng = np.random.default_rng(2)
    kept = choose(make_record(make_gains(rng, 2e-4), 0.5e-4, rng), 252)
    assert not kept.untrained and kept.step in (1_000, 2_000, 3_000, 4_000)
    assert kept.utility == kept.step
    assert kept.gain == pytest.approx(1.5e-4 * 25_200, abs=3 * kept.gain_error)
    assert kept.gain_error == pytest.approx(0.002 / np.sqrt(N_DAYS) * 25_200, rel=0.2)
    assert kept.p_value < LEVEL


def test_skill_that_does_not_pay_for_its_trades_is_not_kept() -> None:
    rng = np.random.default_rng(2)
    kept = choose(make_record(make_gains(rng, 2e-4), 4e-4, rng), 252)
    assert kept.untrained and kept.p_value < LEVEL and kept.gain < 0
    assert kept.utility == 0.0  # that of the start


def test_of_equals_the_one_that_was_trained_longest_is_kept() -> None:
    rng = np.random.default_rng(3)
    gains = np.tile(make_gains(rng, 3e-4, count=1), (4, 1)) + rng.normal(0, 1e-5, (4, N_DAYS))
    assert choose(make_record(gains, 0.0, rng), 252).step == 4_000
    # The last two have unlearned most of it, by far more than a standard error.
    gains[2:] -= 2.5e-4
    assert choose(make_record(gains, 0.0, rng), 252).step == 2_000


def test_blocks_are_joined_session_after_session() -> None:
    rng = np.random.default_rng(4)
    first, second = (make_record(make_gains(rng, 0.0, count), 1e-4, rng) for count in (4, 2))
    joined = pool([first, second])
    assert joined.steps == [0, 1_000, 2_000]  # those that both have
    np.testing.assert_array_equal(joined.net[1], np.concatenate([first.net[1], second.net[1]]))
    np.testing.assert_array_equal(joined.gross[2], np.concatenate([first.gross[2], second.gross[2]]))
