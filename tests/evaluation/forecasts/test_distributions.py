from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.metrics import mean_pinball_loss

from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.errors import DataError
from alfred.evaluation.forecasts.distributions import (
    compute_crps,
    compute_distribution_scores,
    compute_gaussian_crps,
    compute_interval,
    compute_pinball_losses,
    compute_pit,
    compute_pit_histogram,
    make_crps_weights,
)

LEVELS = np.asarray(DEFAULT_LEVELS)


def draw(n: int = 400, scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal quantiles with a mean of their own, and outcomes; the forecast spread is `scale` times the true one."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(0, 0.5, n)
    return centre[:, None] + scale * stats.norm.ppf(LEVELS), centre + rng.standard_normal(n)


def test_pinball_equals_scikit_learn_by_level() -> None:
    quantiles, outcome = draw()
    quantiles[3, 4], outcome[5] = np.nan, np.nan
    known = np.isfinite(quantiles).all(axis=1) & np.isfinite(outcome)
    scores = compute_distribution_scores(quantiles, outcome, DEFAULT_LEVELS)
    expected = [
        mean_pinball_loss(outcome[known], quantiles[known, q], alpha=level) for q, level in enumerate(DEFAULT_LEVELS)
    ]
    assert scores.n == 398
    np.testing.assert_allclose(scores.pinball_by_level, expected)
    assert scores.pinball == pytest.approx(np.mean(expected))


def test_the_closed_form_is_the_integral_that_defines_the_score() -> None:
    for mean, scale, outcome in ((0.0, 1.0, 0.3), (0.01, 0.02, -0.05)):
        exact = compute_gaussian_crps(np.array(mean), np.array(scale), np.array(outcome))
        cdf = stats.norm(mean, scale).cdf
        low = integrate.quad(lambda x, cdf=cdf: cdf(x) ** 2, mean - 12 * scale, outcome)[0]
        high = integrate.quad(lambda x, cdf=cdf: (1 - cdf(x)) ** 2, outcome, mean + 12 * scale)[0]
        assert exact == pytest.approx(low + high, rel=1e-6)


# The numbers of the docstring of `make_crps_weights`.
@pytest.mark.parametrize(
    ("levels", "error"),
    [
        (LEVELS, -0.0098),
        (np.arange(1, 10) / 10, -0.0152),
        (np.arange(1, 100) / 100, -0.00019),
    ],
)
def test_crps_of_a_calibrated_normal_is_off_by_what_is_stated(levels: np.ndarray, error: float) -> None:
    outcome = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    quantiles = np.broadcast_to(stats.norm.ppf(levels), (len(outcome), len(levels)))
    exact = compute_gaussian_crps(np.zeros(1), np.ones(1), outcome).mean()
    assert exact == pytest.approx(1 / np.sqrt(np.pi), rel=1e-3)
    assert compute_crps(quantiles, outcome, levels).mean() / exact - 1 == pytest.approx(error, rel=0.05)


def test_crps_far_out_is_off_by_what_is_stated() -> None:
    outcome = np.array([3.0])
    exact = compute_gaussian_crps(np.zeros(1), np.ones(1), outcome)
    score = compute_crps(stats.norm.ppf(LEVELS)[None], outcome, DEFAULT_LEVELS)
    assert score[0] / exact[0] - 1 == pytest.approx(-0.017, abs=0.0005)


def test_the_error_of_the_crps_is_of_second_order() -> None:
    """A uniform distribution has no tails: ten times finer levels, a hundredth of the error."""
    outcome, errors = np.linspace(0.003, 0.997, 331), []
    exact = outcome**3 / 3 + (1 - outcome) ** 3 / 3
    for n in (10, 100):
        levels = np.arange(1, n) / n
        score = compute_crps(np.broadcast_to(levels, (len(outcome), len(levels))), outcome, levels)
        errors.append(abs((score - exact).mean()))
    assert 50 < errors[0] / errors[1] < 200


def test_the_weights_do_not_prefer_a_region_with_many_levels() -> None:
    np.testing.assert_allclose(make_crps_weights([0.25, 0.5, 0.75]), [0.5, 0.5, 0.5])
    np.testing.assert_allclose(make_crps_weights([0.05, 0.1, 0.5]), [0.1, 0.45, 0.9])


def test_the_crps_of_a_point_is_the_absolute_error() -> None:
    """Nearly: the weights of the eleven levels have to sum to two for that, less what the ends lack."""
    outcome = np.array([0.5, -0.5])
    levels = np.arange(1, 1000) / 1000
    score = compute_crps(np.zeros((2, len(levels))), outcome, levels)
    np.testing.assert_allclose(score, 0.5, rtol=2e-3)


def test_intervals_count_their_ends() -> None:
    quantiles = np.array([[-1.0, 0.0, 2.0]] * 4)
    outcome = np.array([-1.0, 2.0, 2.1, np.nan])
    coverage, width = compute_interval(quantiles, outcome, (0.05, 0.5, 0.95))
    assert coverage == pytest.approx(2 / 3) and width == 3.0


def test_coverage_is_that_of_a_normal() -> None:
    quantiles, outcome = draw(20_000)
    coverage, width = compute_interval(quantiles, outcome, DEFAULT_LEVELS)
    # Binomial error of 0.002.
    assert coverage == pytest.approx(0.9, abs=0.008) and width == pytest.approx(2 * stats.norm.ppf(0.95))
    narrow, _ = compute_interval(*draw(20_000, scale=0.5), DEFAULT_LEVELS)
    assert narrow == pytest.approx(stats.norm.cdf(0.5 * 1.6449) * 2 - 1, abs=0.01)
    assert compute_interval(quantiles, outcome, DEFAULT_LEVELS, 0.8)[0] == pytest.approx(0.8, abs=0.01)


def test_an_interval_without_its_levels_is_refused_and_nan_among_the_scores() -> None:
    quantiles, outcome = draw(10)
    with pytest.raises(DataError, match=r"50% needs the levels 0\.25 and 0\.75"):
        compute_interval(quantiles, outcome, DEFAULT_LEVELS, 0.5)
    scores = compute_distribution_scores(quantiles, outcome, DEFAULT_LEVELS, share=0.5)
    assert np.isnan(scores.coverage) and np.isnan(scores.width) and scores.pinball > 0


def test_pit_of_a_normal_is_its_distribution_function_in_the_tails_as_well() -> None:
    quantiles, outcome = draw()
    outcome[:2] = 4.0, -4.0
    centre = quantiles[:, 5]
    np.testing.assert_allclose(
        compute_pit(quantiles, outcome, DEFAULT_LEVELS), stats.norm.cdf(outcome - centre), atol=1e-12
    )


def test_pit_at_zero_is_what_the_probability_of_a_rise_leaves() -> None:
    samples = np.random.default_rng(3).standard_t(3, (30, 500, 1)) * 0.02
    forecast = Forecast.from_samples(samples, (5,))
    pit = compute_pit(forecast.quantiles, np.zeros((30, 1)), forecast.levels)
    np.testing.assert_allclose(1 - pit, forecast.probability_up(), atol=1e-12)


def test_pit_of_a_point_and_of_what_is_unknown() -> None:
    pit = compute_pit(np.zeros((4, 11)), np.array([-1.0, 0.0, 1.0, np.nan]), DEFAULT_LEVELS)
    np.testing.assert_array_equal(pit, [0.0, 0.5, 1.0, np.nan])
    # Two levels at one value: at least the upper one of them is at or below it.
    assert compute_pit(np.array([[-1.0, 0.0, 0.0, 1.0]]), np.zeros(1), (0.2, 0.4, 0.6, 0.8)) == pytest.approx(0.6)
    with pytest.raises(DataError, match="too few"):
        compute_pit(np.zeros((4, 1)), np.zeros(4), (0.5,))


@pytest.mark.parametrize("shape", ["calibrated", "narrow", "wide"])
def test_pit_histogram_tells_the_shape(shape: str) -> None:
    scale = {"calibrated": 1.0, "narrow": 0.5, "wide": 2.0}[shape]
    quantiles, outcome = draw(20_000, scale=scale, seed=4)
    shares = compute_pit_histogram(quantiles, outcome, DEFAULT_LEVELS)
    edges = stats.norm.cdf(scale * stats.norm.ppf(np.arange(11) / 10))
    assert shares.sum() == pytest.approx(1) and len(shares) == 10
    np.testing.assert_allclose(shares, np.diff(edges), atol=0.012)


def test_an_outcome_at_a_quantile_is_counted_from_there() -> None:
    shares = compute_pit_histogram(LEVELS[None].repeat(11, axis=0), LEVELS, DEFAULT_LEVELS)
    np.testing.assert_allclose(shares * 11, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="do not fit outcomes"):
        compute_pinball_losses(np.zeros((3, 2)), np.zeros(3), (0.1, 0.5, 0.9))
    with pytest.raises(DataError, match="must ascend"):
        compute_crps(np.zeros((3, 2)), np.zeros(3), (0.9, 0.1))


def test_nothing_known_is_nan() -> None:
    scores = compute_distribution_scores(np.full((3, 11), np.nan), np.zeros(3), DEFAULT_LEVELS)
    assert scores.n == 0 and np.isnan([scores.pinball, scores.crps, scores.coverage, scores.width]).all()
    assert np.isnan(scores.pit_histogram).all() and np.isnan(scores.pinball_by_level).all()
