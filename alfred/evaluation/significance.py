"""Was it luck: standard errors, tests and verdicts on Sharpe ratios.

Axes legend: T dates, K trials or strategies. Returns are daily and simple, Sharpe ratios annual (252 days, risk-free
rate zero) unless a name says daily. A constant series has no Sharpe ratio: its results are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats
from skfolio.measures import deflated_sharpe_ratio, expected_max_sharpe_ratio, probabilistic_sharpe_ratio

from alfred.data.market import FloatArray
from alfred.errors import DataError, import_extra
from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, compute_sharpe, is_constant

Outcome = Literal["beats", "does not beat", "cannot tell"]
# Probability that a deflated Sharpe ratio has to exceed before a strategy may be said to beat anything.
DEFLATED_LIMIT = 0.95


def compute_long_run_variance(series: FloatArray, n_lags: int | None = None) -> float:
    """Return the variance of the mean of a serially correlated series, times T (Newey and West, 1987).

    Args:
        series: Values, `[T]`.
        n_lags: Lags with Bartlett weights; floor(4 (T / 100)^(2/9)) of Newey and West (1994) when left out.
    """
    n = len(series)
    lags = int(4 * (n / 100) ** (2 / 9)) if n_lags is None else n_lags
    centred = series - series.mean()
    total = float(centred @ centred)
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    return total / n


def compute_sharpe_influence(returns: FloatArray) -> FloatArray:
    """Return how much each day moves the daily Sharpe ratio, `[T]`, mean zero.

    With mean m, variance s^2 and z = (r - m) / s, the influence is z - SR / 2 (z^2 - 1) (delta method).
    """
    z = (returns - returns.mean()) / returns.std()
    return np.asarray(z - 0.5 * returns.mean() / returns.std() * (z**2 - 1))


def compute_sharpe_error(returns: FloatArray, *, autocorrelated: bool = False) -> float:
    """Return the standard error of the annual Sharpe ratio (Lo, 2002).

    Args:
        returns: Daily returns, `[T]`.
        autocorrelated: False for independent normal returns, sqrt((1 + SR^2 / 2) / T) with the daily SR; True for
            the generalised method of moments, which allows for skew, fat tails and serial correlation.
    """
    if is_constant(returns):
        return float("nan")
    if autocorrelated:
        variance = compute_long_run_variance(compute_sharpe_influence(returns))
    else:
        variance = 1 + 0.5 * (returns.mean() / returns.std(ddof=1)) ** 2
    return float(np.sqrt(variance / len(returns) * DAYS_PER_YEAR))


def compute_autocorrelated_sharpe(returns: FloatArray, n_lags: int = 21) -> float:
    """Return the Sharpe ratio annualised for serially correlated returns (Lo, 2002, equation 20).

    eta(q) = q / sqrt(q + 2 sum_k (q - k) rho_k) takes the place of sqrt(q), q = 252.

    Args:
        returns: Daily returns, `[T]`.
        n_lags: Autocorrelations that are estimated; later ones are taken as zero, for they are mostly noise.
    """
    if is_constant(returns):
        return float("nan")
    centred = returns - returns.mean()
    lags = range(1, min(n_lags, len(returns) - 1) + 1)
    correlations = [float(centred[lag:] @ centred[:-lag]) / float(centred @ centred) for lag in lags]
    q = DAYS_PER_YEAR
    spread = q + 2 * sum((q - lag) * rho for lag, rho in zip(lags, correlations, strict=True))
    return float("nan") if spread <= 0 else float(returns.mean() / returns.std(ddof=1) * q / np.sqrt(spread))


class SharpeTest(NamedTuple):
    """The test of equal Sharpe ratios.

    Attributes:
        difference: Annual Sharpe ratio of the first series less the second's.
        error: Its standard error.
        p_value: Two-sided probability of a difference as large, were the true ones equal; NaN for equal series.
    """

    difference: float
    error: float
    p_value: float


def compare_sharpe(first: FloatArray, second: FloatArray) -> SharpeTest:
    """Test whether two series have the same Sharpe ratio (Ledoit and Wolf, 2008).

    The delta method with a Newey-West variance, which allows for fat tails, serial correlation and the correlation of
    the two series. Ledoit and Wolf write the gradient and the covariance of four moments; the influence of each day on
    the difference is the same quantity in one series.

    Args:
        first: Daily returns, `[T]`.
        second: Daily returns of the same days, `[T]`.

    Raises:
        DataError: The lengths differ.
    """
    if first.shape != second.shape:
        raise DataError(f"cannot pair {len(first)} with {len(second)} days; backtest both over the same dates")
    difference = compute_sharpe(first) - compute_sharpe(second)
    if np.isnan(difference) or np.array_equal(first, second):
        return SharpeTest(difference, float("nan"), float("nan"))
    influence = compute_sharpe_influence(first) - compute_sharpe_influence(second)
    error = float(np.sqrt(compute_long_run_variance(influence) / len(first) * DAYS_PER_YEAR))
    return SharpeTest(difference, error, float(2 * stats.norm.sf(abs(difference) / error)) if error > 0 else np.nan)


def compute_probabilistic_sharpe(returns: FloatArray, reference: float = 0.0) -> float:
    """Return the probability that the true annual Sharpe ratio exceeds `reference` (Bailey and Lopez de Prado, 2012).

    Skew and fat tails are allowed for, serial correlation is not.
    """
    if is_constant(returns):
        return float("nan")
    return float(probabilistic_sharpe_ratio(returns, reference / np.sqrt(DAYS_PER_YEAR)))


def compute_expected_max_sharpe(n_trials: int, n_days: int) -> float:
    """Return the annual Sharpe ratio that the best of `n_trials` independent trials without skill shows by luck.

    The spread of trials without skill is taken as 1 / sqrt(T) daily, the standard error of a Sharpe ratio of zero.

    Raises:
        DataError: There is no trial or no day.
    """
    if n_trials < 1 or n_days < 1:
        raise DataError(f"n_trials is {n_trials} and n_days {n_days}: both must be at least 1")
    return float(expected_max_sharpe_ratio(n_trials, 1 / np.sqrt(n_days)) * np.sqrt(DAYS_PER_YEAR))


def compute_deflated_sharpe(
    returns: FloatArray, n_trials: int = 1, trial_sharpes: Sequence[float] | None = None
) -> float:
    """Return the probability that the true Sharpe ratio is above zero, given the trials made to find it.

    Bailey and Lopez de Prado (2014): the probabilistic Sharpe ratio against the best that luck alone would show.

    Args:
        returns: Daily returns of the selected strategy, `[T]`.
        n_trials: Trials made, pruned ones included; used when `trial_sharpes` is left out.
        trial_sharpes: Annual Sharpe ratio of every trial; their number and spread then set the bar.
    """
    if is_constant(returns):
        return float("nan")
    if trial_sharpes is not None:
        return float(deflated_sharpe_ratio(returns, np.asarray(trial_sharpes) / np.sqrt(DAYS_PER_YEAR)))
    return compute_probabilistic_sharpe(returns, compute_expected_max_sharpe(n_trials, len(returns)))


def match_volatility(returns: FloatArray, baseline: FloatArray) -> FloatArray:
    """Return the returns scaled to the baseline's volatility, less the baseline's, `[T]`.

    Its mean is positive exactly when the Sharpe ratio is the higher one, so that deflating its Sharpe ratio asks how
    surely a baseline was beaten, where deflating the strategy's own asks only whether it earned anything.
    """
    if is_constant(returns) or is_constant(baseline):
        return np.full(len(returns), np.nan)
    return np.asarray(returns * (baseline.std() / returns.std()) - baseline)


def compute_overfitting_probability(returns: FloatArray, n_blocks: int = 12) -> float:
    """Return the probability of backtest overfitting, by combinatorially symmetric cross-validation.

    Bailey, Borwein, Lopez de Prado and Zhu (2017): over every half of the blocks, how often the strategy with the best
    Sharpe ratio inside ends in the lower half outside. 0.5 is luck, near 0 is skill.

    Args:
        returns: Daily returns of every trial, `[T, K]`.
        n_blocks: Blocks of equal length, even; rows left over at the start are dropped.

    Raises:
        DataError: There are fewer than two trials, an odd number of blocks, or fewer than two rows a block.
    """
    n_dates, n_trials = returns.shape
    if n_trials < 2 or n_blocks < 2 or n_blocks % 2 or n_dates < 2 * n_blocks:
        raise DataError(
            f"cannot compute overfitting from {n_dates} dates x {n_trials} trials in {n_blocks} blocks: it needs at "
            "least 2 trials, an even number of blocks and 2 dates in each"
        )
    length = n_dates // n_blocks
    blocks = returns[n_dates - n_blocks * length :].reshape(n_blocks, length, n_trials)
    sums, squares = blocks.sum(axis=1), (blocks**2).sum(axis=1)
    inside = np.zeros((len(list(combinations(range(n_blocks), n_blocks // 2))), n_blocks))
    for row, chosen in enumerate(combinations(range(n_blocks), n_blocks // 2)):
        inside[row, list(chosen)] = 1.0
    half = n_blocks // 2 * length
    scores = []
    for membership in (inside, 1.0 - inside):
        mean = membership @ sums / half
        scores.append(mean / np.sqrt(np.maximum(membership @ squares / half - mean**2, 1e-300)))
    best = scores[0].argmax(axis=1)
    rank = stats.rankdata(scores[1], axis=1)[np.arange(len(best)), best] / (n_trials + 1)
    return float((rank <= 0.5).mean())


class SuperiorAbility(NamedTuple):
    """Whether any of many strategies has a higher mean return than a benchmark.

    Attributes:
        p_value: Probability, were none better, of a best one as good (Hansen's consistent p-value).
        superior: Columns that are better, with a family-wise error of 5 per cent (Romano and Wolf's StepM).
    """

    p_value: float
    superior: tuple[int, ...]


def compare_means(
    benchmark: FloatArray, strategies: FloatArray, *, mean_block: int = 21, seed: int = 0
) -> SuperiorAbility:
    """Test many strategies against one benchmark at once (Hansen, 2005; Romano and Wolf, 2005).

    These tests compare mean returns; pass the output of `match_volatility` against zeros to compare Sharpe ratios.

    Args:
        benchmark: Daily returns, `[T]`.
        strategies: Daily returns, `[T, K]`.
        mean_block: Mean block length of the stationary bootstrap, in days.
        seed: Seed of the bootstrap.

    Raises:
        MissingExtraError: `arch` is not installed.
    """
    bootstrap = import_extra("arch.bootstrap", "stats")
    ability = bootstrap.SPA(-benchmark, -strategies, block_size=mean_block, seed=seed)
    ability.compute()
    steps = bootstrap.StepM(-benchmark, -strategies, block_size=mean_block, seed=seed)
    steps.compute()
    return SuperiorAbility(float(ability.pvalues["consistent"]), tuple(int(column) for column in steps.superior_models))


@dataclass(frozen=True)
class Verdict:
    """A strategy against one baseline, in one word with its reasons.

    Attributes:
        baseline: Name of the baseline.
        outcome: `beats`, `does not beat` or `cannot tell`.
        difference: Annual Sharpe ratio less the baseline's.
        interval: Paired bootstrap interval of the difference.
        deflated: Probability that the true difference is above zero, given the trials made.
        p_value: Of the Ledoit-Wolf test of equal Sharpe ratios.
        error: Standard error of the difference, from the same test.
        n_trials: Trials made to find the strategy.
    """

    baseline: str
    outcome: Outcome
    difference: float
    interval: tuple[float, float]
    deflated: float
    p_value: float
    error: float
    n_trials: int

    @property
    def detectable(self) -> float:
        """The smallest true difference that this history would show four times in five, at 5 per cent."""
        return float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * self.error

    def explain(self) -> str:
        """Return the reasons in one sentence."""
        low, high = self.interval
        if np.isnan(low):
            return "One of the two has no Sharpe ratio, so there is nothing to compare."
        numbers = f"Sharpe difference {self.difference:+.2f}, interval {low:+.2f} to {high:+.2f}".replace("-", "−")
        if high < 0:
            return f"{numbers}: wholly below zero."
        if low <= 0:
            return f"{numbers}: zero is inside, so luck may explain it."
        trials = "1 trial" if self.n_trials == 1 else f"{self.n_trials} trials"
        sure = "over 0.999" if self.deflated >= 0.9995 else f"{self.deflated:.3f}"
        paid = f"after {trials} the deflated probability of a true gain is {sure}"
        if self.outcome == "beats":
            return f"{numbers}: wholly above zero, and {paid}."
        return f"{numbers}: above zero, but {paid}, not above {DEFLATED_LIMIT}."


def decide(interval: tuple[float, float], deflated: float) -> Outcome:
    """Say whether a baseline was beaten.

    `beats` needs both: the paired interval of the Sharpe difference lies wholly above zero, and the deflated Sharpe
    ratio of the difference (see `match_volatility`) exceeds 0.95, so that the number of trials is paid for. An
    interval wholly below zero is `does not beat`. Anything else, a NaN included, is `cannot tell`.
    """
    if interval[0] > 0 and deflated > DEFLATED_LIMIT:
        return "beats"
    return "does not beat" if interval[1] < 0 else "cannot tell"
