"""Was it luck: standard errors, tests and verdicts on Sharpe ratios.

Axes legend: T dates, K trials or strategies. Returns are simple, one a session, and in excess of cash; Sharpe ratios
are annual. A constant series has no Sharpe ratio: its results are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from alfred.errors import DataError
from alfred.evaluation.formatting import format_difference, format_interval, format_number, format_probability
from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, compute_sharpe, is_constant
from alfred.evaluation.statistics.deflation import (
    SpreadSource,
    Trials,
    compute_deflated_sharpe,
    compute_expected_max_sharpe,
    compute_probabilistic_sharpe,
)
from alfred.typing import FloatArray

__all__ = [
    "DEFLATED_LIMIT",
    "Outcome",
    "SharpeTest",
    "Verdict",
    "compare_sharpe",
    "compute_autocorrelated_sharpe",
    "compute_deflated_sharpe",
    "compute_expected_max_sharpe",
    "compute_long_run_variance",
    "compute_overfitting_probability",
    "compute_probabilistic_sharpe",
    "compute_sharpe_error",
    "compute_sharpe_influence",
    "decide",
]

Outcome = Literal["beats", "does not beat", "cannot tell", "did not learn"]
# Probability that a deflated Sharpe ratio has to exceed before a strategy may be said to beat anything.
DEFLATED_LIMIT = 0.95
# Chance with which a difference of the detectable size is found.
POWER = 0.8
_LIMIT_ERRORS, _POWER_ERRORS = float(ndtri(DEFLATED_LIMIT)), float(ndtri(POWER))
_NAN = float("nan")


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
    """Return how much each session moves the Sharpe ratio of one session, `[T]`, mean zero.

    With mean m, variance s^2 and z = (r - m) / s, the influence is z - SR / 2 (z^2 - 1) (delta method).
    """
    z = (returns - returns.mean()) / returns.std()
    return np.asarray(z - 0.5 * returns.mean() / returns.std() * (z**2 - 1))


def compute_sharpe_error(
    returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR, *, autocorrelated: bool = False
) -> float:
    """Return the standard error of the annual Sharpe ratio (Lo, 2002).

    Args:
        returns: Returns in excess of cash, `[T]`.
        periods_per_year: Sessions in a year.
        autocorrelated: False for independent normal returns, sqrt((1 + SR^2 / 2) / T) with the SR of one session; True
            for the generalised method of moments, which allows for skew, fat tails and serial correlation.
    """
    if is_constant(returns):
        return _NAN
    if autocorrelated:
        variance = compute_long_run_variance(compute_sharpe_influence(returns))
    else:
        variance = 1 + 0.5 * (returns.mean() / returns.std(ddof=1)) ** 2
    return float(np.sqrt(variance / len(returns) * periods_per_year))


def compute_autocorrelated_sharpe(
    returns: FloatArray, n_lags: int = 21, periods_per_year: int = DAYS_PER_YEAR
) -> float:
    """Return the Sharpe ratio annualised for serially correlated returns (Lo, 2002, equation 20).

    eta(q) = q / sqrt(q + 2 sum_k (q - k) rho_k) takes the place of sqrt(q), q sessions in a year.

    Args:
        returns: Returns in excess of cash, `[T]`.
        n_lags: Autocorrelations that are estimated, fewer than q of them; later ones are taken as zero, for they are
            mostly noise.
        periods_per_year: Sessions q in a year.
    """
    if is_constant(returns):
        return _NAN
    q = periods_per_year
    centred = returns - returns.mean()
    lags = range(1, min(n_lags, len(returns) - 1, q - 1) + 1)
    correlations = [float(centred[lag:] @ centred[:-lag]) / float(centred @ centred) for lag in lags]
    spread = q + 2 * sum((q - lag) * rho for lag, rho in zip(lags, correlations, strict=True))
    return _NAN if spread <= 0 else float(returns.mean() / returns.std(ddof=1) * q / np.sqrt(spread))


class SharpeTest(NamedTuple):
    """The test of equal Sharpe ratios.

    Attributes:
        difference: Annual Sharpe ratio of the first series less the second's.
        error: Its standard error.
        p_value: Two-sided probability of a difference as large, were the true ones equal, by the normal distribution;
            NaN for series that are the same up to leverage.
    """

    difference: float
    error: float
    p_value: float


def compare_sharpe(
    first: FloatArray, second: FloatArray, periods_per_year: int = DAYS_PER_YEAR, n_lags: int | None = None
) -> SharpeTest:
    """Test whether two series have the same Sharpe ratio (Ledoit and Wolf, 2008).

    The delta method with a Newey-West variance, which allows for fat tails, serial correlation and the correlation of
    the two series. Ledoit and Wolf write the gradient and the covariance of four moments; the influence of each session
    on the difference is the same quantity in one series.

    Args:
        first: Returns in excess of cash, `[T]`.
        second: Returns in excess of cash of the same sessions, `[T]`.
        periods_per_year: Sessions in a year.
        n_lags: Lags of the variance; see `compute_long_run_variance`.

    Raises:
        DataError: The lengths differ.
    """
    if first.shape != second.shape:
        raise DataError(f"cannot pair {len(first)} with {len(second)} days; backtest both over the same dates")
    difference = compute_sharpe(first, periods_per_year) - compute_sharpe(second, periods_per_year)
    if np.isnan(difference):
        return SharpeTest(_NAN, _NAN, _NAN)
    influence = compute_sharpe_influence(first) - compute_sharpe_influence(second)
    # Influences are of the size of one: less is rounding, and the two are one portfolio at two leverages.
    if influence.std() < 1e-7:
        return SharpeTest(difference, _NAN, _NAN)
    error = float(np.sqrt(max(compute_long_run_variance(influence, n_lags), 0.0) / len(first) * periods_per_year))
    return SharpeTest(difference, error, float(2 * ndtr(-abs(difference) / error)) if error > 0 else _NAN)


def compute_overfitting_probability(returns: FloatArray, n_blocks: int = 12) -> float:
    """Return the probability of backtest overfitting, by combinatorially symmetric cross-validation.

    Bailey, Borwein, Lopez de Prado and Zhu (2017): over every half of the blocks, how often the strategy with the best
    Sharpe ratio inside ends in the lower half outside. 0.5 is luck, near 0 is skill.

    Args:
        returns: Returns of every trial in excess of cash, `[T, K]`.
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
    # scipy.stats takes half a second to load, and nothing else here needs it.
    from scipy import stats

    rank = stats.rankdata(scores[1], axis=1)[np.arange(len(best)), best] / (n_trials + 1)
    return float((rank <= 0.5).mean())


@dataclass(frozen=True)
class Verdict:
    """A strategy against one baseline, in one word with its reasons.

    Attributes:
        baseline: Name of the baseline.
        outcome: `beats`, `does not beat`, `cannot tell`, or `did not learn` for a strategy most of whose trainings kept
            their untrained start.
        difference: Annual Sharpe ratio less the baseline's, both in excess of cash.
        interval: Studentised bootstrap interval of the difference.
        deflated: Probability that the true difference is above what luck gives the best of the trials.
        p_value: Two-sided p-value of equal Sharpe ratios, from the same bootstrap.
        error: Standard error of the difference.
        n_trials: Trials made to find the strategy.
        trials_spread: Spread of the trials' annual Sharpe ratios that `deflated` assumes; NaN is that of trials without
            skill, which is `error`.
        spread_source: Where the spread comes from.
        critical: Standard errors that the difference must exceed for the interval, or for the whole table, to allow
            `beats`.
        p_adjusted: The p-value after all comparisons of the table; None for the strategy that is judged first, whose
            comparisons were fixed before.
        block_days: Sessions in a block of the bootstrap.
        level: Coverage of the interval.
        error_detectable: Standard error were the true difference the detectable one: it grows with the Sharpe ratio,
            most where returns are skewed. NaN is `error`.
        ruined: Whether the strategy lost all its wealth, which no ratio makes good.
        trainings: What the trainings behind the strategy kept, in one sentence; empty for one that is not trained.
    """

    baseline: str
    outcome: Outcome
    difference: float
    interval: tuple[float, float]
    deflated: float
    p_value: float
    error: float
    n_trials: int
    trials_spread: float = _NAN
    spread_source: SpreadSource = "no skill"
    critical: float = float(ndtri(0.975))
    p_adjusted: float | None = None
    block_days: float = _NAN
    level: float = 0.95
    error_detectable: float = _NAN
    ruined: bool = False
    trainings: str = ""

    @property
    def detectable(self) -> float:
        """The smallest true difference that this history would call `beats` four times in five.

        The whole rule is inverted: the difference must clear the interval (or the table) and the deflation, whichever
        asks for more, and exceed that by the 0.84 standard errors of a power of 0.8.
        """
        if np.isnan(self.interval[0]) or self.ruined:
            return _NAN
        error = self.error if np.isnan(self.error_detectable) else self.error_detectable
        spread = self.error if np.isnan(self.trials_spread) else self.trials_spread
        if self.spread_source != "logged trials":
            # The spread of trials without skill is a multiple of the error, and grows with it.
            spread *= error / self.error
        needed = Trials(self.n_trials).expect_best(spread) + _LIMIT_ERRORS * error
        return max(self.critical * error, needed) + _POWER_ERRORS * error

    def explain(self) -> str:
        """Return the reasons in one sentence."""
        if self.outcome == "did not learn":
            return f"{self.trainings} {self._explain_numbers()}".strip()
        return self._explain_numbers()

    def _explain_numbers(self) -> str:
        low, high = self.interval
        if self.ruined:
            return "All wealth was lost: a Sharpe ratio over what came before and after says nothing."
        if np.isnan(self.difference):
            return "One of the two has no Sharpe ratio: there is nothing to compare."
        if np.isnan(low):
            return (
                "The two differ on too few sessions: many resampled histories hold none of them, and nothing is told."
            )
        if low == high == 0:
            return "The two have the same Sharpe ratio: one is the other, at another leverage perhaps."
        numbers = f"Sharpe difference {format_difference(self.difference)}, interval {format_interval(low, high)}"
        adjusted = (
            f"p is {format_number(self.p_adjusted, 3)} after all comparisons of the table" if self.p_adjusted else ""
        )
        if low <= 0 <= high:
            return f"{numbers}: zero is inside, so luck may explain it."
        side = "below" if high < 0 else "above"
        if self.p_adjusted is not None and not self.p_adjusted < 1 - self.level:
            return f"{numbers}: {side} zero, but {adjusted}."
        if high < 0:
            return f"{numbers}: wholly below zero."
        sure = format_probability(self.deflated)
        paid = f"after {self.write_trials()} the deflated probability of a true gain is {sure}"
        if self.deflated > DEFLATED_LIMIT:
            return f"{numbers}: wholly above zero, and {paid}."
        return f"{numbers}: above zero, but {paid}, not above {DEFLATED_LIMIT}."

    def write_trials(self) -> str:
        """Return the number of trials and the spread that was assumed, as words."""
        if self.n_trials == 1:
            return "1 trial"
        if np.isnan(self.trials_spread):
            return f"{self.n_trials} trials"
        source = {
            "logged trials": "as logged",
            "floor": "the least that so few logged trials can claim",
            "no skill": "that of trials without skill, none being logged",
        }[self.spread_source]
        return f"{self.n_trials} trials (Sharpe ratios spread by {format_number(self.trials_spread)}, {source})"


def decide(
    interval: tuple[float, float], deflated: float, p_adjusted: float | None = None, level: float = 0.95
) -> Outcome:
    """Say whether a baseline was beaten.

    `beats` needs both: the interval of the Sharpe difference lies wholly above zero, and the deflated probability of a
    true difference exceeds 0.95, so that the number of trials is paid for. An interval wholly below zero is `does not
    beat`. A row that shares its table with others needs more: its p-value after all comparisons is below 1 - `level`.
    Anything else, a NaN included, is `cannot tell`.

    Args:
        interval: Of the Sharpe difference.
        deflated: Probability of a true difference after all trials.
        p_adjusted: Two-sided p-value after all comparisons of the table; None when there was only this one.
        level: Coverage of the interval.
    """
    if p_adjusted is not None and not p_adjusted < 1 - level:
        return "cannot tell"
    if interval[0] > 0 and deflated > DEFLATED_LIMIT:
        return "beats"
    return "does not beat" if interval[1] < 0 else "cannot tell"
