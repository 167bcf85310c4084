from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from alfred.errors import DataError
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.statistics import significance
from alfred.evaluation.statistics.significance import Verdict, compare_sharpe, decide
from tests.evaluation.conftest import draw_returns


def make_verdict(interval: tuple[float, float], deflated: float, n_trials: int = 10) -> Verdict:
    return Verdict("SPY", decide(interval, deflated), sum(interval) / 2, interval, deflated, 0.04, 0.1, n_trials)


def test_iid_error_matches_the_spread_of_simulated_ratios() -> None:
    returns = draw_returns(400, [1.5] * 1500, 0.0, seed=1)
    spread = np.std([compute_sharpe(series) for series in returns.T])
    assert significance.compute_sharpe_error(returns[:, 0]) == pytest.approx(spread, rel=0.06)


def test_autocorrelated_error_matches_the_spread_of_simulated_ratios() -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((1500, 1200))
    series = noise[1:] + 0.5 * noise[:-1]
    returns = 0.01 * series + 0.0005
    spread = np.std([compute_sharpe(column) for column in returns.T])
    errors = [significance.compute_sharpe_error(column, autocorrelated=True) for column in returns.T[:50]]
    naive = [significance.compute_sharpe_error(column) for column in returns.T[:50]]
    assert np.mean(errors) == pytest.approx(spread, rel=0.1)
    assert np.mean(naive) < 0.85 * spread


def test_influence_is_the_derivative_of_the_sharpe_ratio() -> None:
    returns = draw_returns(60, [1.0], 0.0, seed=3)[:, 0]
    influence = significance.compute_sharpe_influence(returns)

    def ratio(shares: np.ndarray) -> float:
        mean = shares @ returns / shares.sum()
        return float(mean / np.sqrt(shares @ (returns - mean) ** 2 / shares.sum()))

    for day in (0, 17, 59):
        step = np.zeros(60)
        step[day] = 1e-5
        slope = (ratio(np.ones(60) + step) - ratio(np.ones(60) - step)) / 2e-5
        assert influence[day] / 60 == pytest.approx(slope, rel=1e-4)


def test_autocorrelated_ratio_of_a_moving_average() -> None:
    """For an MA(1), eta(q) = q / sqrt(q + 2 (q - 1) rho) in closed form."""
    noise = np.random.default_rng(4).standard_normal(200_001)
    moving = noise[1:] + 0.4 * noise[:-1]
    returns = 0.01 * (moving - moving.mean()) + 0.001
    rho, q = 0.4 / (1 + 0.4**2), 252
    expected = 0.001 / (0.01 * np.sqrt(1 + 0.4**2)) * q / np.sqrt(q + 2 * (q - 1) * rho)
    assert significance.compute_autocorrelated_sharpe(returns, n_lags=1) == pytest.approx(expected, rel=0.01)
    assert significance.compute_autocorrelated_sharpe(returns, n_lags=1) < compute_sharpe(returns)
    # A year of twelve sessions cannot hold twenty-one lags.
    assert np.isfinite(significance.compute_autocorrelated_sharpe(returns[:200], periods_per_year=12))


def ledoit_wolf_by_matrices(first: np.ndarray, second: np.ndarray, n_lags: int) -> float:
    """The standard error as the paper writes it: gradient and covariance of four moments, lag by lag."""
    n = len(first)
    moments = np.column_stack([first, second, first**2, second**2])
    m1, m2, g1, g2 = moments.mean(axis=0)
    gradient = np.array(
        [
            g1 / (g1 - m1**2) ** 1.5,
            -g2 / (g2 - m2**2) ** 1.5,
            -0.5 * m1 / (g1 - m1**2) ** 1.5,
            0.5 * m2 / (g2 - m2**2) ** 1.5,
        ]
    )
    centred = moments - moments.mean(axis=0)
    covariance = centred.T @ centred / n
    for lag in range(1, n_lags + 1):
        part = centred[lag:].T @ centred[:-lag] / n
        covariance += (1 - lag / (n_lags + 1)) * (part + part.T)
    return float(np.sqrt(gradient @ covariance @ gradient / n * 252))


def test_ledoit_wolf_error_equals_the_matrix_form() -> None:
    first, second = draw_returns(800, [0.5, 0.9], 0.8, seed=5).T
    test = compare_sharpe(first, second)
    lags = int(4 * (800 / 100) ** (2 / 9))
    assert test.error == pytest.approx(ledoit_wolf_by_matrices(first, second, lags), rel=1e-9)
    assert test.difference == pytest.approx(compute_sharpe(first) - compute_sharpe(second))
    assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(test.difference) / test.error))


def test_equal_ratios_are_rejected_at_the_nominal_rate() -> None:
    """1000 pairs of equal skill: 50 rejections expected at 5 per cent, standard error 7."""
    returns = draw_returns(750, [0.6] * 2000, 0.7, seed=6)
    p_values = np.array([compare_sharpe(returns[:, i], returns[:, i + 1]).p_value for i in range(0, 2000, 2)])
    assert 0.03 <= (p_values < 0.05).mean() <= 0.075


def test_a_true_difference_is_found() -> None:
    """A difference of five standard errors is found nearly always."""
    returns = draw_returns(1500, [0.2, 1.5] * 100, 0.9, seed=7)
    p_values = np.array([compare_sharpe(returns[:, i + 1], returns[:, i]).p_value for i in range(0, 200, 2)])
    assert (p_values < 0.05).mean() > 0.9


def test_comparing_a_series_with_itself_says_nothing() -> None:
    returns = draw_returns(100, [1.0], 0.0, seed=0)[:, 0]
    test = compare_sharpe(returns, returns)
    assert test.difference == 0 and np.isnan(test.p_value)
    with pytest.raises(DataError, match="cannot pair 100 with 99 days"):
        compare_sharpe(returns, returns[1:])


def test_probabilistic_sharpe_equals_its_formula() -> None:
    returns = np.random.default_rng(8).standard_t(5, 700) * 0.01 + 0.0004
    daily, bar = returns.mean() / returns.std(ddof=1), 0.3 / np.sqrt(252)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)
    spread = np.sqrt((1 - skew * daily + (kurtosis - 1) / 4 * daily**2) / (len(returns) - 1))
    expected = stats.norm.cdf((daily - bar) / spread)
    assert significance.compute_probabilistic_sharpe(returns, 0.3) == pytest.approx(expected, abs=2e-3)


def overfitting_by_brute_force(returns: np.ndarray, n_blocks: int) -> float:
    length = len(returns) // n_blocks
    blocks = np.array_split(returns[len(returns) - n_blocks * length :], n_blocks)
    below, total = 0, 0
    for chosen in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[i] for i in chosen])
        outside = np.concatenate([blocks[i] for i in range(n_blocks) if i not in chosen])
        best = int(np.argmax(inside.mean(axis=0) / inside.std(axis=0)))
        scores = outside.mean(axis=0) / outside.std(axis=0)
        rank = 1 + int((scores < scores[best]).sum())
        below += rank / (len(scores) + 1) <= 0.5
        total += 1
    return below / total


@pytest.mark.parametrize("n_trials", [5, 50, 500])
def test_expected_best_of_many_matches_simulation(n_trials: int) -> None:
    best = np.random.default_rng(9).standard_normal((4000, n_trials)).max(axis=1).mean() / np.sqrt(1000)
    expected = significance.compute_expected_max_sharpe(n_trials, 1000)
    assert expected == pytest.approx(best * np.sqrt(252), rel=0.03)


def test_more_trials_deflate_more() -> None:
    returns = draw_returns(1000, [1.5], 0.0, seed=10)[:, 0]
    one, ten, thousand = (significance.compute_deflated_sharpe(returns, n) for n in (1, 10, 1000))
    assert one == pytest.approx(significance.compute_probabilistic_sharpe(returns))
    assert one > ten > thousand
    spread = np.linspace(-1, 1, 50)
    wide = significance.compute_deflated_sharpe(returns, trial_sharpes=list(2 * spread))
    assert wide < significance.compute_deflated_sharpe(returns, trial_sharpes=list(spread))
    with pytest.raises(DataError, match="n_trials is 0"):
        significance.compute_deflated_sharpe(returns, 0)


def test_the_best_of_many_without_skill_is_rarely_called_skill() -> None:
    """Picking the best of 20 noisy strategies 300 times: undeflated most look good, deflated 5 per cent may."""
    undeflated, deflated = [], []
    for seed in range(300):
        returns = draw_returns(500, [0.0] * 20, 0.0, seed=seed)
        best = returns[:, np.argmax([compute_sharpe(series) for series in returns.T])]
        undeflated.append(significance.compute_deflated_sharpe(best, 1))
        deflated.append(significance.compute_deflated_sharpe(best, 20))
    assert np.mean(np.array(undeflated) > 0.95) > 0.5
    assert np.mean(np.array(deflated) > 0.95) < 0.09


@pytest.mark.parametrize(("n_days", "n_trials"), [(120, 5), (127, 8)])
def test_overfitting_probability_equals_brute_force(n_days: int, n_trials: int) -> None:
    returns = np.random.default_rng(n_days).standard_normal((n_days, n_trials))
    expected = overfitting_by_brute_force(returns, 8)
    assert significance.compute_overfitting_probability(returns, 8) == pytest.approx(expected)


def test_overfitting_probability_of_noise_and_of_skill() -> None:
    noise = [
        significance.compute_overfitting_probability(draw_returns(600, [0.0] * 10, 0.0, seed=s), 10) for s in range(60)
    ]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.12)
    skill = significance.compute_overfitting_probability(draw_returns(2000, [0.0] * 9 + [4.0], 0.0, seed=1))
    assert skill < 0.05
    with pytest.raises(DataError, match=r"20 dates x 3 trials in 12 blocks"):
        significance.compute_overfitting_probability(np.zeros((20, 3)))


@pytest.mark.parametrize(
    ("interval", "deflated", "outcome"),
    [
        ((0.1, 0.5), 0.99, "beats"),
        ((0.1, 0.5), 0.90, "cannot tell"),
        ((-0.1, 0.5), 0.99, "cannot tell"),
        ((-0.5, -0.1), 0.0, "does not beat"),
        ((0.0, 0.5), 0.99, "cannot tell"),
        ((float("nan"), float("nan")), float("nan"), "cannot tell"),
        ((0.1, 0.5), float("nan"), "cannot tell"),
    ],
)
def test_verdicts(interval: tuple[float, float], deflated: float, outcome: str) -> None:
    assert decide(interval, deflated) == outcome


def test_verdicts_give_their_reason() -> None:
    assert "wholly above zero, and after 10 trials" in make_verdict((0.1, 0.5), 0.99).explain()
    assert "not above 0.95" in make_verdict((0.1, 0.5), 0.9, n_trials=1).explain()
    assert "after 1 trial the" in make_verdict((0.1, 0.5), 0.9, n_trials=1).explain()
    assert "interval −0.10 to +0.50: zero is inside" in make_verdict((-0.1, 0.5), 0.9).explain()
    assert "wholly below zero" in make_verdict((-0.5, -0.1), 0.0).explain()
    assert "no Sharpe ratio" in make_verdict((float("nan"),) * 2, 0.0).explain()
    after_table = replace(make_verdict((0.1, 0.5), 0.99), p_adjusted=0.2)
    assert "above zero, but p is 0.200 after all comparisons" in after_table.explain()


def test_detectable_inverts_the_interval_and_the_deflation() -> None:
    # 1.96 + 0.84 standard errors: the classical difference that is found with 80 per cent power.
    one = make_verdict((0.1, 0.5), 0.9, n_trials=1)
    assert one.detectable == pytest.approx(2.8 * 0.1, rel=0.01)
    # The best of fifty shows 2.25 spreads by luck; 1.645 errors more make it 95 per cent sure.
    fifty = make_verdict((0.1, 0.5), 0.9, n_trials=50)
    assert fifty.detectable == pytest.approx((2.25 + 1.645 + 0.842) * 0.1, rel=0.01)
    logged = replace(fifty, trials_spread=0.3, spread_source="logged trials")
    assert logged.detectable == pytest.approx(2.25 * 0.3 + 2.487 * 0.1, rel=0.01)
    assert replace(one, critical=3.0).detectable == pytest.approx(3.84 * 0.1, rel=0.01)


@pytest.mark.parametrize(
    ("p_adjusted", "interval", "outcome"),
    [
        (None, (0.1, 0.5), "beats"),
        (0.01, (0.1, 0.5), "beats"),
        (0.08, (0.1, 0.5), "cannot tell"),
        (0.01, (-0.5, -0.1), "does not beat"),
        (0.08, (-0.5, -0.1), "cannot tell"),
        (float("nan"), (0.1, 0.5), "cannot tell"),
    ],
)
def test_a_table_asks_for_more(p_adjusted: float | None, interval: tuple[float, float], outcome: str) -> None:
    assert decide(interval, 0.99, p_adjusted) == outcome


def test_an_end_near_zero_shows_its_side() -> None:
    assert "interval −0.07 to −0.002: wholly below zero" in make_verdict((-0.07, -0.002), 0.0).explain()
    assert "interval +0.00004 to +0.07: wholly above" in make_verdict((0.00004, 0.07), 0.99).explain()
    assert "interval −0.07 to −0.001: wholly below" in make_verdict((-0.07, -0.001), 0.0).explain()


def test_noise_has_no_ratio_when_constant() -> None:
    flat = np.zeros(30)
    assert np.isnan(significance.compute_sharpe_error(flat))
    assert np.isnan(significance.compute_autocorrelated_sharpe(flat))
    assert np.isnan(significance.compute_probabilistic_sharpe(flat))
    assert np.isnan(significance.compute_deflated_sharpe(flat, 5))
