"""The weights of the blend, against closed forms and against fits written out in full."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from alfred.training.blending.ridge import EQUAL, Sums, choose_penalty, compute_gain, run_sums, solve


def draw(n: int = 400, n_forecasts: int = 4, seed: int = 0, weights: tuple[float, ...] = (0.5, 0.1, 0.0, -0.2)):
    rng = np.random.default_rng(seed)
    forecasts = rng.standard_normal((n, 3, n_forecasts))
    outcomes = forecasts @ np.asarray(weights) + rng.standard_normal((n, 3))
    return forecasts, outcomes


def total(forecasts, outcomes) -> Sums:
    known = np.ones(outcomes.shape, dtype=bool)
    return run_sums(forecasts, outcomes, known).between(0, len(outcomes))


def test_running_sums_against_a_plain_loop() -> None:
    forecasts, outcomes = draw(20)
    known = np.random.default_rng(1).random(outcomes.shape) < 0.7
    sums = run_sums(forecasts, np.where(known, outcomes, np.nan), known).between(5, 12)
    gram, moments, count = np.zeros((4, 4)), np.zeros(4), 0
    for t in range(5, 12):
        for n in range(3):
            if known[t, n]:
                gram += np.outer(forecasts[t, n], forecasts[t, n])
                moments += forecasts[t, n] * outcomes[t, n]
                count += 1
    np.testing.assert_allclose(sums.gram, gram, atol=1e-10)
    np.testing.assert_allclose(sums.moments, moments, atol=1e-10)
    assert sums.count == count


def test_no_penalty_is_least_squares() -> None:
    forecasts, outcomes = draw()
    expected, *_ = np.linalg.lstsq(forecasts.reshape(-1, 4), outcomes.ravel(), rcond=None)
    found = solve(total(forecasts, outcomes), 0.0, nonnegative=False)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_penalty_of_any_size_against_the_closed_form() -> None:
    forecasts, outcomes = draw()
    x, y = forecasts.reshape(-1, 4), outcomes.ravel()
    size = np.trace(x.T @ x / len(x)) / 4
    for penalty in (0.1, 3.0):
        centring = np.eye(4) - 0.25
        expected = np.linalg.solve(x.T @ x / len(x) + penalty * size * centring, x.T @ y / len(x))
        found = solve(total(forecasts, outcomes), penalty, nonnegative=False)
        np.testing.assert_allclose(found, expected, atol=1e-7)
    # The limit is the slope of the outcomes on the sum of the forecasts.
    slope = (x.sum(axis=1) @ y) / (x.sum(axis=1) @ x.sum(axis=1))
    np.testing.assert_allclose(solve(total(forecasts, outcomes), EQUAL), np.full(4, slope), atol=1e-9)
    np.testing.assert_allclose(solve(total(forecasts, outcomes), 1e7), np.full(4, slope), atol=1e-4)


def test_weights_that_may_not_be_negative_against_a_general_solver() -> None:
    forecasts, outcomes = draw()
    sums, penalty, target = total(forecasts, outcomes), 0.3, np.array([1.0, 1.0, 2.0, 0.0])
    gram, moments = sums.gram / sums.count, sums.moments / sums.count
    line = target / np.sqrt(target @ target)
    whole = gram + penalty * np.trace(gram) / 4 * (np.eye(4) - np.outer(line, line))
    reference = minimize(
        lambda w: w @ whole @ w - 2 * w @ moments,
        np.full(4, 0.1),
        jac=lambda w: 2 * (whole @ w - moments),
        bounds=[(0, None)] * 4,
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    found = solve(sums, penalty, target=target)
    np.testing.assert_allclose(found, reference.x, atol=1e-6)
    assert (found == 0).any() and (found > 0).any()


def test_the_gain_is_the_fall_of_the_squared_errors() -> None:
    forecasts, outcomes = draw()
    weights = np.array([0.3, 0.2, 0.1, 0.0])
    expected = (outcomes**2).sum() - ((outcomes - forecasts @ weights) ** 2).sum()
    assert compute_gain(total(forecasts, outcomes), weights) == pytest.approx(expected)


def choose(forecasts, outcomes, purge: int = 1) -> float:
    sums = run_sums(forecasts, outcomes, np.ones(outcomes.shape, dtype=bool))
    return choose_penalty(sums, 0, len(outcomes), (0.0, 0.1, 1.0), purge=purge, n_blocks=4, nonnegative=True)


def test_the_penalty_follows_what_there_is_to_learn() -> None:
    assert choose(*draw(2_000, weights=(0.6, 0.0, 0.0, 0.0))) == 0.0
    equal = draw(200, weights=(0.05, 0.05, 0.05, 0.05))
    assert choose(*equal) > 0.1


def test_the_choice_does_not_read_outcomes_that_reach_into_the_block() -> None:
    """A block is forecast from sessions whose outcomes are known where it begins: the ones between are not read."""
    forecasts, outcomes = draw(200)
    sums = run_sums(forecasts, outcomes, np.ones(outcomes.shape, dtype=bool))
    asked: list[tuple[int, int]] = []

    def watch(start: int, stop: int) -> None:
        asked.append((start, stop))

    choose_penalty(sums, 0, 200, (0.1,), purge=20, n_blocks=4, nonnegative=True, find_target=watch)
    # Blocks begin at 100, 125, 150 and 175; the outcome of session s is known at s + 20.
    assert asked == [(0, 81), (0, 106), (0, 131), (0, 156)]


def test_nothing_to_learn_from_gives_no_weight() -> None:
    nothing = Sums(np.zeros((3, 3)), np.zeros(3), np.float64(0))  # type: ignore[arg-type]
    for penalty in (0.0, EQUAL):
        assert solve(nothing, penalty).tolist() == [0.0, 0.0, 0.0]
