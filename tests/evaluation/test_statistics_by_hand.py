"""Every statistic of the verdict against a second, plainer way to the same number."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from alfred.errors import DataError
from alfred.evaluation.statistics.deflation import (
    Trials,
    compute_deflated_sharpe,
    compute_expected_max_sharpe,
    compute_probabilistic_sharpe,
)
from alfred.evaluation.statistics.significance import (
    Verdict,
    compare_sharpe,
    compute_autocorrelated_sharpe,
    compute_long_run_variance,
    compute_overfitting_probability,
    compute_sharpe_error,
    decide,
)

SERIES = np.random.default_rng(3).gamma(2.0, 0.01, 400) - 0.012  # skewed, with a mean that is not zero


def sum_lags(series: np.ndarray, lags: int) -> float:
    """The Newey-West variance, pair by pair."""
    n, mean = len(series), series.mean()
    total = sum((value - mean) ** 2 for value in series)
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1)
        for row in range(lag, n):
            total += 2 * weight * (series[row] - mean) * (series[row - lag] - mean)
    return total / n


# floor(4 (T / 100)^(2/9)) changes from 2 to 3, 3 to 4, and 4 to 5 between these lengths.
@pytest.mark.parametrize(("n", "lags"), [(20, 2), (27, 2), (28, 3), (99, 3), (100, 4), (272, 4), (274, 5), (400, 5)])
def test_long_run_variance_with_the_lags_of_newey_and_west(n: int, lags: int) -> None:
    series = SERIES[:n]
    assert compute_long_run_variance(series) == pytest.approx(sum_lags(series, lags), rel=1e-12)


@pytest.mark.parametrize("lags", [0, 1, 2, 3, 4, 7, 8])
def test_long_run_variance_with_lags_of_ones_own(lags: int) -> None:
    assert compute_long_run_variance(SERIES[:9], lags) == pytest.approx(sum_lags(SERIES[:9], lags), rel=1e-12)


def test_no_lag_reaches_beyond_the_series() -> None:
    # The weights are still those of the lags that were asked for.
    short, mean = SERIES[:3], SERIES[:3].mean()
    products = {lag: sum((short[row] - mean) * (short[row - lag] - mean) for row in range(lag, 3)) for lag in range(3)}
    expected = (products[0] + 2 * (10 / 11) * products[1] + 2 * (9 / 11) * products[2]) / 3
    assert compute_long_run_variance(short, 10) == pytest.approx(expected, rel=1e-12)


def test_error_of_a_large_ratio() -> None:
    returns = SERIES + 0.02
    ratio = returns.mean() / returns.std(ddof=1)
    expected = np.sqrt((1 + ratio**2 / 2) / 400 * 12)
    assert ratio > 1
    assert compute_sharpe_error(returns, 12) == pytest.approx(expected, rel=1e-12)
    z = (returns - returns.mean()) / returns.std()
    influence = z - (z**2 - 1) / 2 * returns.mean() / returns.std()
    robust = compute_sharpe_error(returns, 12, autocorrelated=True)
    assert robust == pytest.approx(np.sqrt(sum_lags(influence, 5) / 400 * 12), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "n_lags", "periods", "used"), [(400, 3, 5, 3), (400, 9, 5, 4), (6, 9, 30, 5), (400, 1, 5, 1), (400, 2, 2, 1)]
)
def test_autocorrelated_ratio_by_its_formula(n: int, n_lags: int, periods: int, used: int) -> None:
    returns = np.cumsum(SERIES)[:n] + SERIES[:n]
    centred = returns - returns.mean()
    spread = float(periods)
    for lag in range(1, used + 1):
        rho = sum(centred[row] * centred[row - lag] for row in range(lag, n)) / sum(centred**2)
        spread += 2 * (periods - lag) * rho
    found = compute_autocorrelated_sharpe(returns, n_lags, periods)
    if spread <= 0:
        assert np.isnan(found)
    else:
        expected = returns.mean() / returns.std(ddof=1) * periods / np.sqrt(spread)
        assert found == pytest.approx(expected, rel=1e-12)


def test_autocorrelations_of_a_month_unless_told_otherwise() -> None:
    assert compute_autocorrelated_sharpe(SERIES) == compute_autocorrelated_sharpe(SERIES, 21, 252)
    assert compute_autocorrelated_sharpe(SERIES) != pytest.approx(compute_autocorrelated_sharpe(SERIES, 20), rel=1e-12)
    # Returns that turn at once have no spread left over a year.
    assert np.isnan(compute_autocorrelated_sharpe(np.tile([0.02, -0.01], 50), 1, 3)) == (3 - 2 * 2 * 0.99 <= 0)


def test_difference_of_two_ratios_by_the_delta_method() -> None:
    other = np.roll(SERIES, 7) * 0.5 + 0.001
    found = compare_sharpe(SERIES, other, 12, n_lags=3)
    influence = []
    for returns in (SERIES, other):
        z = (returns - returns.mean()) / returns.std()
        influence.append(z - returns.mean() / returns.std() / 2 * (z**2 - 1))
    error = np.sqrt(sum_lags(influence[0] - influence[1], 3) / 400 * 12)
    assert found.error == pytest.approx(error, rel=1e-12)
    assert found.p_value == pytest.approx(2 * stats.norm.cdf(-abs(found.difference) / error), rel=1e-9)
    for first, second in ((SERIES, SERIES[1:]), (SERIES[1:], SERIES)):
        with pytest.raises(DataError, match="cannot pair"):
            compare_sharpe(first, second)


def count_overfits(returns: np.ndarray, n_blocks: int) -> float:
    """CSCV as it is told: for each half of the blocks, the rank outside of the one that was best inside."""
    length = len(returns) // n_blocks
    blocks = np.split(returns[len(returns) - length * n_blocks :], n_blocks)
    low = []
    for chosen in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[number] for number in chosen])
        outside = np.concatenate([blocks[number] for number in range(n_blocks) if number not in chosen])
        best = int(np.argmax(inside.mean(axis=0) / inside.std(axis=0)))
        ratios = outside.mean(axis=0) / outside.std(axis=0)
        rank = 1 + (ratios < ratios[best]).sum()
        low.append(rank / (returns.shape[1] + 1) <= 0.5)
    return float(np.mean(low))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("n_dates", "n_trials", "n_blocks"), [(8, 3, 4), (61, 5, 6), (50, 2, 2), (96, 4, 8)])
def test_probability_of_overfitting_half_by_half(seed: int, n_dates: int, n_trials: int, n_blocks: int) -> None:
    rng = np.random.default_rng(seed)
    # Means of different sizes and spreads, so that the mean and the ratio choose differently.
    returns = rng.normal(0.01, rng.uniform(0.02, 1.0, n_trials), (n_dates, n_trials)) + rng.normal(0, 0.05, n_trials)
    assert compute_overfitting_probability(returns, n_blocks) == count_overfits(returns, n_blocks)


@pytest.mark.parametrize(
    ("n_dates", "n_trials", "n_blocks"), [(60, 1, 6), (60, 3, 5), (60, 3, 0), (11, 3, 6), (60, 3, 1)]
)
def test_overfitting_needs_trials_and_even_blocks(n_dates: int, n_trials: int, n_blocks: int) -> None:
    with pytest.raises(DataError, match="cannot compute overfitting"):
        compute_overfitting_probability(np.random.default_rng(0).normal(size=(n_dates, n_trials)), n_blocks)


def make_verdict(**changes: object) -> Verdict:
    values = {
        "baseline": "SPY",
        "outcome": "cannot tell",
        "difference": 0.4,
        "interval": (0.1, 0.7),
        "deflated": 0.96,
        "p_value": 0.01,
        "error": 0.15,
        "n_trials": 20,
    }
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]


def test_the_detectable_difference_inverts_the_whole_rule() -> None:
    limit, power, level = (float(stats.norm.ppf(share)) for share in (0.95, 0.8, 0.975))
    best = Trials(20).expect_best(1.0)
    assert make_verdict().detectable == pytest.approx(best * 0.15 + limit * 0.15 + power * 0.15)
    one = make_verdict(n_trials=1)
    assert one.detectable == pytest.approx((level + power) * 0.15)
    # Logged trials keep their spread; that of trials without skill grows with the error.
    logged = make_verdict(trials_spread=0.3, spread_source="logged trials", error_detectable=0.2)
    assert logged.detectable == pytest.approx(best * 0.3 + (limit + power) * 0.2)
    for source in ("floor", "no skill"):
        grown = make_verdict(trials_spread=0.3, spread_source=source, error_detectable=0.2)
        assert grown.detectable == pytest.approx(best * 0.3 * 0.2 / 0.15 + (limit + power) * 0.2)
    assert np.isnan(make_verdict(ruined=True).detectable)
    assert np.isnan(make_verdict(interval=(np.nan, 0.7)).detectable)
    assert not np.isnan(make_verdict(interval=(0.1, np.nan)).detectable)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "wholly above zero, and after 20 trials the deflated"),
        ({"n_trials": 1}, "and after 1 trial the deflated"),
        ({"trials_spread": 0.2, "spread_source": "floor"}, "spread by 0.2"),
        ({"deflated": 0.95}, "not above 0.95"),
        ({"interval": (0.0, 0.5)}, "zero is inside"),
        ({"interval": (-0.5, 0.0)}, "zero is inside"),
        ({"interval": (0.0, 0.0)}, "the same Sharpe ratio"),
        ({"interval": (0.2, 0.2)}, "wholly above zero"),
        ({"interval": (-0.5, -0.1)}, "wholly below zero."),
        ({"interval": (-0.5, -0.1), "p_adjusted": 0.2}, ": below zero, but p is 0.2"),
        ({"p_adjusted": 0.2}, ": above zero, but p is 0.2"),
        ({"p_adjusted": 0.04}, "wholly above zero, and"),
        ({"interval": (np.nan, np.nan)}, "too few sessions"),
        ({"difference": np.nan}, "no Sharpe ratio"),
        ({"ruined": True}, "All wealth was lost"),
        ({"outcome": "did not learn", "trainings": "All kept their start."}, "All kept their start. Sharpe difference"),
    ],
)
def test_reasons_say_what_decided(changes: dict[str, object], text: str) -> None:
    assert text in make_verdict(**changes).explain()
    if changes.get("outcome") != "did not learn":
        # What the trainings kept is a reason only where it decided.
        assert "kept" not in make_verdict(**{**changes, "trainings": "All kept their start."}).explain()


def test_decisions_at_their_bounds() -> None:
    assert decide((1e-9, 1.0), 0.9501) == "beats"
    assert decide((1e-9, 1.0), 0.95) == decide((0.0, 1.0), 0.99) == decide((-1.0, 0.0), 0.0) == "cannot tell"
    assert decide((-1.0, -1e-9), 0.0) == "does not beat"
    for level, p in ((0.95, 0.05), (0.9, 0.1), (0.4, 0.6)):
        assert decide((0.1, 1.0), 0.99, np.nextafter(1 - level, 0), level) == "beats"
        assert decide((0.1, 1.0), 0.99, p + 1e-9, level) == "cannot tell"
    assert decide((0.1, 1.0), 0.99, float("nan")) == "cannot tell"


def test_probability_of_a_true_ratio_by_its_formula() -> None:
    skew, kurtosis = stats.skew(SERIES), stats.kurtosis(SERIES, fisher=False)
    ratio = SERIES.mean() / SERIES.std(ddof=1)
    for reference in (ratio * np.sqrt(252) - 1.5, 0.0, ratio * np.sqrt(252) + 2.0):
        aim = reference / np.sqrt(252)
        error = np.sqrt((1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2) / (len(SERIES) - 1))
        expected = stats.norm.cdf((ratio - aim) / error)
        assert compute_probabilistic_sharpe(SERIES, reference) == pytest.approx(expected, abs=2e-3)
    assert compute_probabilistic_sharpe(SERIES) == compute_probabilistic_sharpe(SERIES, 0.0)
    assert np.isnan(compute_probabilistic_sharpe(np.full(50, 0.01)))
    assert np.isnan(compute_deflated_sharpe(np.full(50, 0.01)))
    assert compute_deflated_sharpe(SERIES) == compute_deflated_sharpe(SERIES, 1) == compute_probabilistic_sharpe(SERIES)
    weak = SERIES - 0.0075
    assert 0.5 < compute_deflated_sharpe(weak, 2) < compute_deflated_sharpe(weak) < 0.999


def test_the_best_of_several_by_its_formula() -> None:
    euler = 0.5772156649015329
    for count in (2, 3, 10, 200):
        high, higher = (stats.norm.ppf(1 - 1 / count / scale) for scale in (1.0, np.e))
        expected = (1 - euler) * high + euler * higher
        assert Trials(count).expect_best(0.7) == pytest.approx(0.7 * expected, rel=1e-6)
    assert Trials().count == 1 and Trials().expect_best(1.0) == 0.0
    assert compute_expected_max_sharpe(7, 1) == pytest.approx(Trials(7).expect_best(np.sqrt(252)))
    for n_trials, n_days in ((0, 10), (10, 0)):
        with pytest.raises(DataError, match="must be at least 1"):
            compute_expected_max_sharpe(n_trials, n_days)


@pytest.mark.parametrize(("count", "logged"), [(2, 2), (3, 2), (9, 4), (13, 6), (40, 3)])
def test_the_floor_of_a_measured_spread(count: int, logged: int) -> None:
    close = tuple(0.5 + 1e-4 * number for number in range(logged))
    floor = 0.6 * np.sqrt((5 + count - logged) / (5 + count - 1))
    spread, source = Trials(count, close).assume_spread(0.6)
    assert (spread, source) == (pytest.approx(floor, rel=1e-12), "floor")
    wide = tuple(3.0 * number for number in range(logged))
    assert Trials(count, wide).assume_spread(0.6) == (pytest.approx(np.std(wide, ddof=1)), "logged trials")
    assert Trials(count, (0.5,)).assume_spread(0.6) == (0.6, "no skill")
    assert Trials(count, (0.5,) * logged).assume_spread(0.6) == (0.6, "no skill")
