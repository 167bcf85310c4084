"""What a Sharpe ratio is worth after the trials that were made to find it (Bailey and Lopez de Prado, 2012, 2014).

The best of many trials looks good by luck alone. How good depends on how many there were and on how far their Sharpe
ratios spread; both stand beside every verdict.

Axes legend: T dates, K logged trials. Returns are simple and in excess of cash, Sharpe ratios annual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

import numpy as np
from scipy.special import ndtr, ndtri

from alfred.errors import DataError
from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, is_constant
from alfred.typing import FloatArray

# A spread that K trials measured is held against this many trials more that spread as luck spreads them.
_PRIOR_TRIALS = 5
# Returns of which a kurtosis means something.
_FEWEST = 3
SpreadSource = Literal["logged trials", "floor", "no skill"]


@dataclass(frozen=True)
class Trials:
    """The trials that were made to find a strategy.

    Attributes:
        count: All of them, logged or not.
        sharpes: Annual Sharpe ratios, in excess of cash, of the logged ones; those that have none are left out.
    """

    count: int = 1
    sharpes: tuple[float, ...] = ()

    @classmethod
    def declare(cls, n_trials: int, trial_sharpes: Sequence[float] | None = None) -> Self:
        """Take what was declared and what was logged; the logged ones count among the declared ones.

        Args:
            n_trials: All trials: those in the log and those made elsewhere.
            trial_sharpes: Annual Sharpe ratio in excess of cash of every logged trial; NaN for one without.

        Raises:
            DataError: There is no trial.
        """
        if n_trials < 1:
            raise DataError(f"n_trials is {n_trials}; it must be at least 1, for the strategy itself is a trial")
        logged = () if trial_sharpes is None else tuple(map(float, trial_sharpes))
        return cls(max(n_trials, len(logged)), tuple(value for value in logged if np.isfinite(value)))

    def assume_spread(self, unskilled: float) -> tuple[float, SpreadSource]:
        """Return the standard deviation of the trials' annual Sharpe ratios that deflation assumes, and its source.

        The standard deviation of the logged ratios, ddof 1. A few trials may lie close together by chance, so that it
        is held from below: u sqrt((5 + n - K) / (5 + n - 1)), u the spread without skill, n all trials, K the logged
        ones. This is the pooled spread of K trials that do not differ at all, of n - K that nobody logged, and of 5
        more, the latter two spread as luck spreads them. Two logged trials have a floor of 0.91 u, fifty of 0.30 u.
        Without two logged trials that differ, it is u.

        Args:
            unskilled: Spread u of trials without skill: the standard error of what is deflated.
        """
        logged = len(self.sharpes)
        measured = float(np.std(self.sharpes, ddof=1)) if logged > 1 else 0.0
        if measured <= 1e-9:
            return unskilled, "no skill"
        unlogged = self.count - logged
        floor = unskilled * float(np.sqrt((_PRIOR_TRIALS + unlogged) / (_PRIOR_TRIALS + self.count - 1)))
        return (floor, "floor") if floor > measured else (measured, "logged trials")

    def expect_best(self, spread: float) -> float:
        """Return the Sharpe ratio that the best of the trials shows by luck, when they spread by `spread`."""
        return spread * _expect_best_of(self.count)


@cache
def _expect_best_of(count: int) -> float:
    """Return how many standard deviations the best of `count` trials lies above their mean, by luck.

    The expected largest of so many normal variables, approximated (Bailey and Lopez de Prado, 2014, equation 1).
    """
    if count == 1:
        return 0.0
    gamma = np.euler_gamma
    return float((1 - gamma) * ndtri(1 - 1 / count) + gamma * ndtri(1 - 1 / (count * np.e)))


def compute_probabilistic_sharpe(
    returns: FloatArray, reference: float = 0.0, periods_per_year: int = DAYS_PER_YEAR
) -> float:
    """Return the probability that the true annual Sharpe ratio exceeds `reference` (Bailey and Lopez de Prado, 2012).

    Skew and fat tails are allowed for, serial correlation is not.
    """
    if is_constant(returns):
        return float("nan")
    if len(returns) < _FEWEST:
        return float("nan")
    mean = returns.mean()
    sharpe = mean / np.sqrt(np.var(returns, ddof=1))
    centred = returns - mean
    centred -= centred.mean()  # what rounding the mean left
    variance = (centred**2).mean()
    skew, kurtosis = ((centred**order).mean() / variance ** (order / 2) for order in (3, 4))
    # The variance of the estimate, times T - 1 (equation 8 of the paper).
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if not spread > 0:
        return float("nan")
    gain = sharpe - reference / np.sqrt(periods_per_year)
    return float(ndtr(gain * np.sqrt(len(returns) - 1) / np.sqrt(spread)))


def compute_expected_max_sharpe(n_trials: int, n_days: int, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the annual Sharpe ratio that the best of `n_trials` independent trials without skill shows by luck.

    The spread of trials without skill is 1 / sqrt(T) a period, the standard error of a Sharpe ratio of zero.

    Raises:
        DataError: There is no trial or no day.
    """
    if n_days < 1:
        raise DataError(f"n_days is {n_days}; it must be at least 1")
    return Trials.declare(n_trials).expect_best(compute_unskilled_spread(n_days, periods_per_year))


def compute_unskilled_spread(n_days: int, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the standard deviation of annual Sharpe ratios of independent trials without skill."""
    return float(np.sqrt(periods_per_year / n_days))


def compute_deflated_sharpe(
    returns: FloatArray,
    n_trials: int = 1,
    trial_sharpes: Sequence[float] | None = None,
    periods_per_year: int = DAYS_PER_YEAR,
) -> float:
    """Return the probability that the true Sharpe ratio is above zero, given the trials made to find it.

    Bailey and Lopez de Prado (2014): the probabilistic Sharpe ratio against the best that luck alone would show.

    Args:
        returns: Returns of the selected strategy in excess of cash, `[T]`.
        n_trials: All trials made, logged or not, pruned ones included.
        trial_sharpes: Annual Sharpe ratio in excess of cash of every logged trial; see `Trials.assume_spread`.
        periods_per_year: Sessions in a year.
    """
    trials = Trials.declare(n_trials, trial_sharpes)
    if is_constant(returns):
        return float("nan")
    spread, _ = trials.assume_spread(compute_unskilled_spread(len(returns), periods_per_year))
    return compute_probabilistic_sharpe(returns, trials.expect_best(spread), periods_per_year)
