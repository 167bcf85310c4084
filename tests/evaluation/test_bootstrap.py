from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.errors import DataError
from alfred.evaluation.portfolio_metrics import compute_cagr, compute_max_drawdown, compute_sharpe, compute_volatility
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.bootstrap import (
    choose_mean_block,
    compute_interval,
    count_rows,
    make_stationary_indices,
    resample_max_drawdown,
    resample_metrics,
    summarise_seeds,
)
from tests.evaluation.conftest import draw_returns


def test_blocks_run_on_and_have_the_mean_length() -> None:
    indices = make_stationary_indices(500, 400, 21.0, np.random.default_rng(0))
    assert indices.shape == (400, 500) and indices.min() == 0 and indices.max() == 499
    continues = (indices[:, 1:] - indices[:, :-1]) % 500 == 1
    # A new block follows by chance on the old one in 1 of 500 cases.
    assert 1 / (1 - continues.mean()) == pytest.approx(21.0, rel=0.03)


def test_every_row_is_equally_likely() -> None:
    indices = make_stationary_indices(40, 20_000, 5.0, np.random.default_rng(1))
    shares = np.bincount(indices.ravel(), minlength=40) / indices.size
    np.testing.assert_allclose(shares, 1 / 40, rtol=0.03)


def test_block_of_one_is_the_ordinary_bootstrap() -> None:
    indices = make_stationary_indices(200, 500, 1.0, np.random.default_rng(2))
    continues = (indices[:, 1:] - indices[:, :-1]) % 200 == 1
    assert continues.mean() == pytest.approx(1 / 200, abs=0.002)


def test_same_seed_same_rows() -> None:
    first, second = (make_stationary_indices(50, 10, 7.0, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_resampled_metrics_equal_a_plain_loop() -> None:
    returns = draw_returns(300, [0.5, 1.0, -0.2], 0.5, seed=4)
    indices = make_stationary_indices(300, 20, 10.0, np.random.default_rng(5))
    replicates = resample_metrics(returns, indices)
    for row in range(20):
        for column in range(3):
            sample = returns[indices[row], column]
            assert replicates.sharpe[row, column] == pytest.approx(compute_sharpe(sample), rel=1e-9)
            assert replicates.cagr[row, column] == pytest.approx(compute_cagr(sample), rel=1e-9)
            assert replicates.volatility[row, column] == pytest.approx(compute_volatility(sample), rel=1e-9)
    falls = [compute_max_drawdown(returns[rows, 0]) for rows in indices]
    np.testing.assert_allclose(resample_max_drawdown(returns[:, 0], indices), falls)


def test_counts_equal_a_plain_loop() -> None:
    indices = make_stationary_indices(30, 5, 4.0, np.random.default_rng(6))
    for row, counted in zip(indices, count_rows(indices), strict=True):
        assert counted.tolist() == [int((row == t).sum()) for t in range(30)]


def test_constant_series_has_no_sharpe_and_ruin_no_nan() -> None:
    returns = np.column_stack([np.full(50, 0.001), np.r_[np.full(49, 0.01), -1.0]])
    replicates = resample_metrics(returns, make_stationary_indices(50, 200, 5.0, np.random.default_rng(0)))
    assert np.isnan(replicates.sharpe[:, 0]).all()
    assert np.isfinite(replicates.cagr).all()
    assert replicates.cagr[:, 1].min() == pytest.approx(-1.0)


def test_a_single_day_gives_nan_rather_than_an_error() -> None:
    replicates = resample_metrics(np.array([[0.01]]), np.zeros((5, 1), dtype=np.int64))
    assert np.isnan(replicates.sharpe).all() and np.isnan(replicates.volatility).all()


def measure_coverage(n_days: int, n_histories: int, autocorrelation: float, seed: int) -> float:
    """Share of histories whose 95 per cent interval holds the true annual Sharpe ratio of 0.8."""
    rng = np.random.default_rng(seed)
    truth, hits = 0.8, 0
    for _ in range(n_histories):
        series = rng.standard_t(5, n_days) / np.sqrt(5 / 3)
        for t in range(1, n_days if autocorrelation else 0):
            series[t] = autocorrelation * series[t - 1] + np.sqrt(1 - autocorrelation**2) * series[t]
        returns = 0.01 * (series + truth / np.sqrt(252))
        indices = make_stationary_indices(n_days, 300, 21.0, rng)
        low, high = compute_interval(resample_metrics(returns[:, None], indices).sharpe[:, 0], 0.95)
        hits += low <= truth <= high
    return hits / n_histories


@pytest.mark.parametrize("autocorrelation", [0.0, 0.2])
def test_intervals_of_the_sharpe_ratio_cover_the_truth(autocorrelation: float) -> None:
    """The bounds are about four standard errors of 0.013 around the coverage over three years."""
    assert 0.87 <= measure_coverage(750, 400, autocorrelation, seed=11) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize(("n_days", "covered"), [(250, 0.90), (750, 0.92), (2500, 0.945)])
def test_coverage_grows_with_the_history(n_days: int, covered: float) -> None:
    assert measure_coverage(n_days, 1500, 0.0, seed=n_days) == pytest.approx(covered, abs=0.022)


def test_the_mean_block_is_read_off_the_series_unless_it_is_set() -> None:
    noise = draw_returns(1000, [0.5], 0.0, seed=8)
    slow = np.convolve(noise[:, 0], np.ones(40), mode="same")[:, None]
    chosen = [choose_mean_block(IntervalSettings(), values) for values in (noise, slow)]
    assert 1 <= chosen[0] < 15 < chosen[1] <= 100
    assert choose_mean_block(IntervalSettings(mean_block_days=21), slow) == 21


def test_seed_summary_is_the_interquartile_mean_with_a_bootstrap_interval() -> None:
    scores = np.array([0.1, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 5.0])
    summary = summarise_seeds(scores, IntervalSettings(n_replicates=4000))
    assert summary.mean == pytest.approx(np.mean([0.6, 0.7, 0.8, 0.9]))
    other = stats.bootstrap(
        (scores,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert summary.low == pytest.approx(other.low, abs=0.05)
    assert summary.high == pytest.approx(other.high, abs=0.15)


def test_few_seeds_are_averaged_and_none_is_an_error() -> None:
    assert summarise_seeds([1.0, 2.0, 6.0], IntervalSettings()).mean == pytest.approx(3.0)
    with pytest.raises(DataError, match="no seed to summarise"):
        summarise_seeds([], IntervalSettings())
