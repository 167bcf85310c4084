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


def test_what_does_not_move_and_what_is_too_short_is_no_change() -> None:
    still = judge_changes(np.array([0.0, 0.2]), np.zeros((500, 2)), SETTINGS)
    assert [item.p for item in still] == [1.0, 1.0]
    short = judge_changes(np.array([5.0]), np.random.default_rng(0).standard_normal((8, 1)), SETTINGS)
    assert short[0].verdict == "no credible change"


def test_a_spread_of_its_own_widens_the_interval() -> None:
    series = draw(np.random.default_rng(5), 500, 1)
    one, two = (
        judge_changes(np.array([0.2]), series - series.mean(), SETTINGS, spread=np.array([spread]))[0]
        for spread in (0.0, 0.5)
    )
    assert two.high - two.low > 2 * (one.high - one.low) and two.p > one.p
