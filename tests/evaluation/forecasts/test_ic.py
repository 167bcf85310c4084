from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.errors import DataError
from alfred.evaluation.forecast_metrics import compute_correlations, estimate_mean
from alfred.evaluation.forecasts.by_date import count_overlapping, estimate_by_date
from alfred.evaluation.forecasts.ic import estimate_ic


def draw(n_dates: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    signal, outcome = rng.standard_normal((2, n_dates, 9))
    signal += 0.3 * outcome
    signal[rng.random(signal.shape) < 0.2] = np.nan
    signal[3], signal[4], signal[5, 2:] = np.nan, 0.1, np.nan
    outcome[6] = 0.1
    return signal, outcome


def test_correlations_equal_scipy_date_by_date() -> None:
    signal, outcome = draw()
    result = compute_correlations(signal, outcome)
    for t in range(len(signal)):
        known = np.isfinite(signal[t])
        usable = known.sum() >= 3 and t not in (4, 6)
        expected = stats.pearsonr(signal[t, known], outcome[t, known]).statistic if usable else np.nan
        assert result[t] == pytest.approx(expected, nan_ok=True)


def test_a_constant_has_no_correlation_even_if_its_mean_is_rounded() -> None:
    for n in range(3, 30):
        result = compute_correlations(np.full((1, n), 0.1), np.random.default_rng(n).standard_normal((1, n)))
        assert np.isnan(result).all()


@pytest.mark.parametrize("kind", ["pearson", "rank"])
def test_the_mean_is_over_dates_with_a_coefficient(kind: str) -> None:
    signal, outcome = draw()
    of_scipy = stats.pearsonr if kind == "pearson" else stats.spearmanr
    scores = np.array(
        [
            of_scipy(signal[t, known], outcome[t, known]).statistic
            for t, known in enumerate(np.isfinite(signal))
            if known.sum() >= 3 and t not in (4, 6)
        ]
    )
    estimate = estimate_ic(signal, outcome, 5, kind=kind)  # type: ignore[arg-type]
    expected = estimate_mean(scores - scores.mean(), scores.mean(), without_skill=0.0, horizon=5)
    np.testing.assert_allclose(estimate, expected)
    assert estimate.low > 0 and estimate.t > 4


def test_independent_dates_have_the_t_value_of_the_t_test() -> None:
    rng = np.random.default_rng(5)
    outcome = rng.standard_normal((500, 20))
    signal = 0.05 * outcome + rng.standard_normal((500, 20))
    estimate = estimate_ic(signal, outcome, 1, kind="pearson")
    plain = stats.ttest_1samp(compute_correlations(signal, outcome), 0.0).statistic
    assert 0.85 * plain < estimate.t <= plain * 1.002


def test_shapes_are_checked() -> None:
    with pytest.raises(DataError, match="differ in shape"):
        estimate_ic(np.zeros((3, 4)), np.zeros((3, 1)), 1)


def test_overlap_is_counted_in_rows() -> None:
    assert count_overlapping(np.arange(100), 20) == 20
    assert count_overlapping(np.arange(0, 100, 5), 20) == 4
    assert count_overlapping(np.arange(0, 100, 20), 20) == 1
    assert count_overlapping(np.array([0, 1, 2, 50, 90]), 20) == 3
    assert count_overlapping(np.array([], dtype=int), 20) == 1


def test_a_mean_by_date_is_the_mean_over_pairs_and_its_error_that_of_clusters() -> None:
    """The cluster-robust error of a mean with dates as clusters: sqrt(sum_t (sum_i e_ti)^2) / n."""
    rng = np.random.default_rng(6)
    common = rng.standard_normal((400, 1))
    values = 0.1 + common + rng.standard_normal((400, 8))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[7] = np.nan
    known = np.isfinite(values)
    estimate = estimate_by_date(
        np.nan_to_num(values).sum(axis=1), known.sum(axis=1), np.arange(400), horizon=1, level=0.9
    )
    mean = values[known].mean()
    clusters = np.where(known, values - mean, 0.0).sum(axis=1)
    error = np.sqrt((clusters**2).sum()) / known.sum()
    assert estimate.value == pytest.approx(mean)
    own = (estimate.high - estimate.low) / 2 / stats.t.ppf(0.95, estimate.n_effective - 1)
    assert 1.0 - 1e-9 <= own / error < 1.15
    # Pairs would be taken for independent by a plain t-test.
    assert own > 1.5 * values[known].std() / np.sqrt(known.sum())


def test_only_rows_that_overlap_are_counted() -> None:
    values = np.random.default_rng(7).standard_normal(100)
    sessions = 5 * np.arange(100)
    estimate = estimate_by_date(values, np.ones(100), sessions, horizon=10)
    expected, all_of_ten = (
        estimate_mean(values - values.mean(), values.mean(), without_skill=0.0, horizon=rows) for rows in (2, 10)
    )
    np.testing.assert_allclose(estimate, expected)
    assert estimate.n_effective != pytest.approx(all_of_ten.n_effective)


def test_no_pair_is_no_estimate() -> None:
    estimate = estimate_by_date(np.zeros(5), np.zeros(5), np.arange(5), horizon=3)
    assert np.isnan(estimate.value) and np.isnan(estimate.low) and estimate.n_effective == 0


@pytest.mark.parametrize("stride", [1, 5])
def test_noise_is_significant_at_the_nominal_rate(stride: int) -> None:
    """Differences with mean zero that overlap over ten sessions, 300 times: 15 expected, standard error 4."""
    rng, small = np.random.default_rng(stride), 0
    for _ in range(300):
        scores = np.convolve(rng.standard_normal(700), np.ones(10), "valid")[::stride]
        sessions = np.arange(len(scores)) * stride
        small += estimate_by_date(scores, np.ones(len(scores)), sessions, horizon=10).p < 0.05
    assert 3 <= small <= 30
