"""Paired changes: how often nothing is called something, and whether something is found."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.paired import judge_changes

SETTINGS = IntervalSettings(n_replicates=400)


def draw(rng: np.random.Generator, n_dates: int, n_changes: int, memory: float = 0.0) -> np.ndarray:
    shocks = rng.standard_normal((n_dates, n_changes)) + 0.5 * rng.standard_normal((n_dates, 1))
    series = np.empty_like(shocks)
    series[0] = shocks[0]
    for t in range(1, n_dates):
        series[t] = memory * series[t - 1] + shocks[t]
    return series


@pytest.mark.parametrize("memory", [0.0, 0.5])
@pytest.mark.slow
def test_one_false_call_in_twenty_families_at_most(memory: float) -> None:
    rng, wrong, families = np.random.default_rng(7), 0, 300
    for _ in range(families):
        series = draw(rng, 400, 10, memory)
        found = judge_changes(series.mean(axis=0), series - series.mean(axis=0), SETTINGS)
        wrong += any(item.verdict != "no credible change" for item in found)
    # Three standard errors above 5 %, and a little for a past of 400 sessions with memory.
    assert wrong / families < (0.09 if memory == 0.0 else 0.11)


def test_a_change_is_found_among_twenty_that_are_none() -> None:
    series = draw(np.random.default_rng(1), 1_000, 21)
    series[:, 4] += 0.3
    series[:, 9] -= 0.3
    found = judge_changes(series.mean(axis=0), series - series.mean(axis=0), SETTINGS)
    assert found[4].verdict == "helps" and found[4].low > 0 and found[4].p < 0.05
    assert found[9].verdict == "hurts" and found[9].high < 0
    assert sum(item.verdict != "no credible change" for item in found) == 2


def test_the_standard_error_of_independent_sessions_is_the_usual_one() -> None:
    rng = np.random.default_rng(3)
    series = rng.standard_normal((2_000, 1))
    [found] = judge_changes(np.array([0.0]), series - series.mean(), SETTINGS, horizon=1)
    half = (found.high - found.low) / 2
    assert half == pytest.approx(1.96 * series.std() / np.sqrt(2_000), rel=0.15)


def test_overlapping_outcomes_make_wider_intervals() -> None:
    rng = np.random.default_rng(4)
    steps = rng.standard_normal(2_019)
    series = np.convolve(steps, np.ones(20), "valid")[:, None]
    [narrow] = judge_changes(np.array([0.0]), rng.permutation(series - series.mean()), SETTINGS)
    [wide] = judge_changes(np.array([0.0]), series - series.mean(), SETTINGS, horizon=20)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_what_does_not_move_is_no_change_and_what_is_too_short_says_nothing() -> None:
    still = judge_changes(np.array([0.0, 0.2]), np.zeros((500, 2)), SETTINGS)
    assert [(item.p, item.verdict) for item in still] == [(1.0, "no credible change")] * 2
    [short] = judge_changes(np.array([5.0]), np.random.default_rng(0).standard_normal((8, 1)), SETTINGS)
    assert short.verdict == "too short to say" and short.value == 5.0
    assert np.isnan([short.low, short.high, short.p]).all()


def test_a_long_horizon_without_enough_outcomes_leaves_the_others_alone() -> None:
    series = draw(np.random.default_rng(2), 300, 2)
    near, far = judge_changes(np.array([1.0, 1.0]), series - series.mean(axis=0), SETTINGS, horizon=[1, 20])
    assert near.verdict == "helps" and near.low > 0
    assert far.verdict == "too short to say" and np.isnan(far.low)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_interval_p_value_and_verdict_say_the_same(level: float) -> None:
    settings, rng = SETTINGS.model_copy(update={"level": level}), np.random.default_rng(11)
    verdicts = []
    for _ in range(60):
        # Skewed, so that luck lifts and lowers the changes by different amounts.
        series = rng.exponential(size=(200, 12)) ** 1.5
        series -= series.mean(axis=0)
        values = rng.normal(0.0, 3.0, 12) * series.std(axis=0) / np.sqrt(200)
        for item in judge_changes(values, series, settings):
            assert item.low <= item.value <= item.high
            assert (item.low > 0) == (item.verdict == "helps") and (item.high < 0) == (item.verdict == "hurts")
            assert (item.p < 1.0 - level) == (item.verdict != "no credible change")
            verdicts.append(item.verdict)
    assert set(verdicts) == {"helps", "hurts", "no credible change"}


def test_the_long_tail_of_luck_is_on_the_side_where_it_lifts() -> None:
    series = np.random.default_rng(12).exponential(size=(200, 1)) ** 2
    [found] = judge_changes(np.array([0.0]), series - series.mean(), SETTINGS)
    # Histories with few large gains have small means and small errors: their statistics fall far below zero.
    assert found.high - found.value > 1.1 * (found.value - found.low)


def test_what_moves_on_few_sessions_does_not_widen_the_others() -> None:
    series = draw(np.random.default_rng(13), 500, 3)
    rare = np.zeros((500, 1))
    rare[[40, 300]] = 1.0
    both = np.concatenate([series, rare], axis=1)
    alone = judge_changes(np.zeros(3), series - series.mean(axis=0), SETTINGS)
    *others, last = judge_changes(np.zeros(4), both - both.mean(axis=0), SETTINGS)
    assert last.verdict == "too short to say"
    assert others == alone


def draw_overlapping(rng: np.random.Generator, n_dates: int, horizon: int) -> np.ndarray:
    """What ten forecasts that change slowly earn on the outcomes of ten symbols, `[T, 10]`."""
    steps = 0.8 * rng.standard_normal((n_dates + horizon, 10)) + 0.6 * rng.standard_normal((n_dates + horizon, 1))
    paths = np.cumsum(steps, axis=0)
    outcomes = paths[horizon:] - paths[:-horizon]
    columns = []
    for _ in range(10):
        said, shocks = np.empty((n_dates, 10)), rng.standard_normal((n_dates, 10))
        said[0] = shocks[0]
        for t in range(1, n_dates):
            said[t] = 0.95 * said[t - 1] + np.sqrt(1 - 0.95**2) * shocks[t]
        columns.append((said * outcomes).mean(axis=1))
    return np.stack(columns, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [5, 20])
def test_one_false_call_in_twenty_families_of_overlapping_outcomes_at_most(horizon: int) -> None:
    rng, wrong, families = np.random.default_rng(horizon), 0, 300
    for _ in range(families):
        series = draw_overlapping(rng, 500, horizon)
        found = judge_changes(series.mean(axis=0), series - series.mean(axis=0), SETTINGS, horizon=horizon)
        wrong += any(item.verdict in ("helps", "hurts") for item in found)
    # Two standard errors above 5 %.
    assert wrong / families < 0.075


@pytest.mark.parametrize("horizon", [5, 20])
def test_the_standard_error_of_overlapping_outcomes_is_the_true_one(horizon: int) -> None:
    rng, n_dates, ratios = np.random.default_rng(horizon), 800, []
    for _ in range(60):
        series = np.convolve(rng.standard_normal(n_dates + horizon - 1), np.ones(horizon), "valid")[:, None]
        [found] = judge_changes(np.array([0.0]), series - series.mean(), SETTINGS, horizon=horizon)
        ratios.append((found.high - found.low) / 2 / (1.96 * horizon / np.sqrt(n_dates)))
    # Few blocks make the interval wider than the normal one, never narrower.
    assert 1.0 < np.mean(ratios) < 1.35


def test_a_spread_of_its_own_widens_the_interval() -> None:
    series = draw(np.random.default_rng(5), 500, 1)
    one, two = (
        judge_changes(np.array([0.2]), series - series.mean(), SETTINGS, spread=np.array([spread]))[0]
        for spread in (0.0, 0.5)
    )
    assert two.high - two.low > 2 * (one.high - one.low) and two.p > one.p
