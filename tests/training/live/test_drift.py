"""The drift alarm: how often it is false, what it finds, and that its parts are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.training.live.drift import bet_on_mean, bet_on_scale, draw_ties, rank_in_order, standardise, watch_drift

ALPHA = 0.1
N_JUDGED, N_NEW, N_PATHS = 250, 250, 400


def draw_normal(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(3e-4, 0.01, count)


def draw_fat_tails(rng: np.random.Generator, count: int) -> np.ndarray:
    return 3e-4 + 0.006 * rng.standard_t(3, count)


def draw_clusters(rng: np.random.Generator, count: int) -> np.ndarray:
    """GARCH(1, 1) with the persistence of daily stock returns."""
    found, variance = np.empty(count), 1e-4
    for day in range(count):
        found[day] = np.sqrt(variance) * rng.normal()
        variance = 2e-6 + 0.08 * found[day] ** 2 + 0.9 * variance
    return found


def draw_fat_clusters(rng: np.random.Generator, count: int) -> np.ndarray:
    """The same, nearly without an end to its memory, with Student's t of five degrees of freedom."""
    found, variance = np.empty(count), 1e-4
    for day in range(count):
        found[day] = np.sqrt(0.6 * variance) * rng.standard_t(5)
        variance = 1e-6 + 0.1 * found[day] ** 2 + 0.89 * variance
    return found


def count_alarms(draw, change=lambda new: new, n_paths: int = N_PATHS) -> tuple[float, list[int], list[str]]:
    found = []
    for seed in range(n_paths):
        path = draw(np.random.default_rng(seed), N_JUDGED + N_NEW)
        labels = [f"{seed} {day}" for day in range(N_NEW)]
        found.append(watch_drift(path[:N_JUDGED], change(path[N_JUDGED:]), labels, ALPHA))
    alarms = [item for item in found if item.alarm is not None]
    return len(alarms) / n_paths, [item.alarm for item in alarms], [item.direction for item in alarms]


@pytest.mark.parametrize(
    "draw",
    [
        *(pytest.param(draw, marks=pytest.mark.slow) for draw in (draw_normal, draw_fat_tails, draw_clusters)),
        draw_fat_clusters,
    ],
)
def test_a_false_alarm_is_as_rare_as_it_says(draw) -> None:
    rate, _, _ = count_alarms(draw)
    assert rate <= ALPHA + 2.0 * np.sqrt(ALPHA * (1 - ALPHA) / N_PATHS)


@pytest.mark.parametrize(
    ("change", "direction"),
    [
        (lambda new: new - 0.005, "lower"),
        (lambda new: new + 0.005, "higher"),
        (lambda new: 0.3 * new, "calmer"),
    ],
)
def test_another_strategy_is_found_and_named(change, direction) -> None:
    rate, alarms, directions = count_alarms(draw_normal, change, 60)
    assert rate > 0.9
    assert max(set(directions), key=directions.count) == direction
    assert np.median(alarms) < 150


def test_the_evidence_is_a_martingale() -> None:
    """Its mean stays at one: of many paths of uniform ranks, at every horizon, within four standard errors."""
    z = np.random.default_rng(0).normal(size=(40_000, 20))
    for bet in (bet_on_mean, bet_on_scale):
        paths = np.array([bet(row) for row in z])
        error = paths.std(axis=0) / np.sqrt(len(paths))
        assert (np.abs(paths.mean(axis=0) - 1.0) < 4.0 * error + 0.02).all()


def test_the_mixture_is_the_integral_of_likelihood_ratios() -> None:
    z = np.random.default_rng(1).normal(0.2, 1.0, 30)
    means, step = np.linspace(-4.0, 4.0, 20_001, retstep=True)
    prior = stats.norm.pdf(means, 0.0, 0.3)
    for count in (1, 7, 30):
        ratio = np.exp(means * z[:count].sum() - count * means**2 / 2.0)
        assert bet_on_mean(z, 0.3)[count - 1] == pytest.approx(float((prior * ratio).sum() * step), rel=1e-9)
        by_hand = [np.prod(stats.norm.pdf(z[:count], 0, s) / stats.norm.pdf(z[:count])) for s in (0.5, 0.7, 1.4, 2.0)]
        assert bet_on_scale(z)[count - 1] == pytest.approx(np.mean(by_hand), rel=1e-9)


def test_ranks_are_those_of_a_plain_count_and_uniform() -> None:
    rng = np.random.default_rng(2)
    scores, ties = rng.integers(0, 40, 120).astype(float), rng.uniform(size=50)
    found = rank_in_order(scores, 70, ties)
    for place in range(50):
        past, value = scores[: 70 + place], scores[70 + place]
        assert found[place] == pytest.approx(
            ((past < value).sum() + ties[place] * ((past == value).sum() + 1)) / (71 + place)
        )
    many = np.concatenate([rank_in_order(rng.normal(size=90), 60, rng.uniform(size=30)) for _ in range(300)])
    assert stats.kstest(many, "uniform").pvalue > 0.001


def test_volatility_is_that_of_the_days_before() -> None:
    values = np.random.default_rng(3).normal(size=80)
    found = standardise(values)
    changed = values.copy()
    changed[60:] *= 50.0
    np.testing.assert_array_equal(standardise(changed)[:39], found[:39])
    assert standardise(changed)[39] == pytest.approx(50.0 * found[39])
    assert not len(standardise(values[:21]))


def test_ties_are_always_broken_in_the_same_way() -> None:
    labels = [str(number) for number in range(2_000)]
    np.testing.assert_array_equal(draw_ties(labels), draw_ties(labels))
    assert stats.kstest(draw_ties(labels), "uniform").pvalue > 0.001


@pytest.mark.parametrize(
    ("judged", "new", "reason"),
    [
        (np.ones(40), np.ones(3), "the test was shorter than 81 sessions"),
        (np.random.default_rng(0).normal(size=200), np.empty(0), "no session has come since the test"),
        (np.zeros(200), np.ones(3), "the strategy never differed from the benchmark"),
    ],
)
def test_where_nothing_can_be_said_it_says_why(judged, new, reason) -> None:
    found = watch_drift(judged, new, [str(number) for number in range(len(new))])
    assert (found.reason, found.alarm, len(found.evidence)) == (reason, None, 0)
