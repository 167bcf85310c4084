"""Strategies against baselines: the rule that decides every verdict of a report, in one place.

The strategy that is judged first was declared before the test, so that each of its comparisons stands alone. All other
comparisons of the table are one family: even one false gain among them is as rare as the level of the intervals says.

Axes legend: T dates, S series, M pairs, R replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, is_constant
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.deflation import Trials
from alfred.evaluation.statistics.sharpe_bootstrap import adjust_p_values, draw_blocks, studentise_differences
from alfred.evaluation.statistics.significance import (
    SharpeTest,
    Verdict,
    compare_sharpe,
    compute_long_run_variance,
    compute_sharpe_influence,
    decide,
)
from alfred.typing import FloatArray

# Blocks that a resampled history has at least: fewer cannot tell its standard error.
_FEWEST_BLOCKS = 20
# Turns in which the detectable difference and its standard error settle, to which precision, and how far the latter may
# grow: on a few sessions it outgrows every difference, and none can be detected.
_TURNS, _SETTLED, _UNDETECTABLE = 30, 1e-4, 100.0
# Share of resampled histories without a statistic (none of the sessions on which two series differ was drawn) that are
# left out; with more, nothing is told.
_FEW_EMPTY = 0.02
_NAN = float("nan")


class Pair(NamedTuple):
    """A comparison.

    Attributes:
        own: Column of the strategy.
        other: Column of the baseline.
        baseline: Name of the baseline.
    """

    own: int
    other: int
    baseline: str


def judge(
    returns: FloatArray,
    pairs: Sequence[Pair],
    settings: IntervalSettings,
    trials: Trials,
    periods_per_year: int = DAYS_PER_YEAR,
) -> list[Verdict]:
    """Return the verdict of every pair.

    Pairs of column 0 stand alone; what is found about them does not depend on the others. All others share one family.

    Args:
        returns: Returns in excess of cash, `[T, S]`, the judged strategy first.
        pairs: What to compare, M of them.
        settings: How the intervals are made.
        trials: Made to find the strategies; every pair pays for them.
        periods_per_year: Sessions in a year.
    """
    verdicts: dict[int, Verdict] = {}
    alone = [[number] for number, pair in enumerate(pairs) if pair.own == 0]
    family = [number for number, pair in enumerate(pairs) if pair.own != 0]
    for group in [*alone, family] if family else alone:
        block, replicates = _resample(returns, [pairs[number] for number in group], settings)
        tests = [_compare(returns, pairs[number], periods_per_year, block) for number in group]
        observed = np.array([test.difference / test.error for test in tests])
        known = np.isfinite(observed) & (np.isfinite(replicates).mean(axis=0) >= 1.0 - _FEW_EMPTY)
        complete = np.isfinite(replicates[:, known]).all(axis=1)
        adjusted = np.full(len(group), _NAN)
        critical = np.full(len(group), float(ndtri((1 + settings.level) / 2)))
        if known.any():
            shared = replicates[complete][:, known]
            adjusted[known] = adjust_p_values(observed[known], shared)
            critical[known] = np.quantile(shared.max(axis=1), (1 + settings.level) / 2)
        for place, number in enumerate(group):
            verdict = _conclude(
                pairs[number].baseline,
                tests[place],
                replicates[:, place],
                None if group is not family else float(adjusted[place]),
                float(critical[place]),
                block,
                settings.level,
                trials,
            )
            verdicts[number] = _foresee(verdict, returns, pairs[number], periods_per_year)
    return [verdicts[number] for number in range(len(pairs))]


def resample_differences(
    returns: FloatArray,
    pairs: Sequence[Pair],
    settings: IntervalSettings,
    periods_per_year: int = DAYS_PER_YEAR,
) -> dict[str, FloatArray]:
    """Return, by baseline, the true Sharpe differences that resampled histories point to, each `[R]`.

    The difference less its standard error times a studentised replicate: the interval of `judge` cuts off equal shares
    of these on both sides. Pairs whose difference has no standard error are left out.

    Args:
        returns: Returns in excess of cash, `[T, S]`.
        pairs: Comparisons of the judged strategy, column 0.
        settings: As in `judge`.
        periods_per_year: Sessions in a year.
    """
    found = {}
    for pair in pairs:
        block, replicates = _resample(returns, [pair], settings)
        test = _compare(returns, pair, periods_per_year, block)
        if np.isfinite(test.error):
            found[pair.baseline] = test.difference - test.error * replicates[np.isfinite(replicates[:, 0]), 0]
    return found


def _resample(returns: FloatArray, pairs: Sequence[Pair], settings: IntervalSettings) -> tuple[int, FloatArray]:
    """Return the block length of a group of comparisons and its studentised replicates, `[R, M]`.

    The length is the longest that the influences of any pair ask for (Politis and White, 2004), unless it is set.
    """
    asked = settings.mean_block_days
    if asked is None:
        asked = max((compute_block_lengths(_find_influence(returns, pair)).circular for pair in pairs), default=1.0)
    block = max(1, min(round(asked), len(returns) // _FEWEST_BLOCKS))
    starts = draw_blocks(len(returns), block, settings.n_replicates, np.random.default_rng(settings.seed))
    # Only the series that are compared: a pair alone needs two of a whole table.
    used = sorted({column for pair in pairs for column in (pair.own, pair.other)})
    places = [(used.index(pair.own), used.index(pair.other)) for pair in pairs]
    return block, studentise_differences(np.ascontiguousarray(returns[:, used]), places, starts, block)


def _find_influence(returns: FloatArray, pair: Pair) -> FloatArray:
    """Return how much each session moves the difference, `[T]`; zeros when a series has no spread."""
    own, other = returns[:, pair.own], returns[:, pair.other]
    if is_constant(own) or is_constant(other):
        return np.zeros(len(returns))
    return compute_sharpe_influence(own) - compute_sharpe_influence(other)


def _compare(returns: FloatArray, pair: Pair, periods_per_year: int, block: int) -> SharpeTest:
    """Return difference and standard error, whose lags reach as far as the blocks do."""
    return compare_sharpe(returns[:, pair.own], returns[:, pair.other], periods_per_year, block - 1)


def _conclude(
    baseline: str,
    test: SharpeTest,
    replicates: FloatArray,
    p_adjusted: float | None,
    critical: float,
    block: int,
    level: float,
    trials: Trials,
) -> Verdict:
    """Return the verdict on one difference, given its studentised replicates `[R]`."""
    interval, p_value, deflated = (_NAN, _NAN), _NAN, _NAN
    spread, source = trials.assume_spread(test.error)
    if np.isnan(test.error) and np.isfinite(test.difference):
        # One portfolio at two leverages: the two ratios are the same, and known to be.
        interval = (0.0, 0.0)
    elif np.isfinite(replicates).mean() >= 1.0 - _FEW_EMPTY and np.isfinite(test.error):
        replicates = replicates[np.isfinite(replicates)]
        low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
        interval = (test.difference - float(high) * test.error, test.difference - float(low) * test.error)
        p_value = float(adjust_p_values(np.array([test.difference / test.error]), replicates[:, None])[0])
    if np.isfinite(test.error):
        deflated = float(ndtr((test.difference - trials.expect_best(spread)) / test.error))
    return Verdict(
        baseline=baseline,
        outcome=decide(interval, deflated, p_adjusted, level),
        difference=test.difference,
        interval=interval,
        deflated=deflated,
        p_value=p_value,
        error=test.error,
        n_trials=trials.count,
        trials_spread=spread,
        spread_source=source,
        critical=critical,
        p_adjusted=p_adjusted,
        block_days=float(block),
        level=level,
    )


def _foresee(verdict: Verdict, returns: FloatArray, pair: Pair, periods_per_year: int) -> Verdict:
    """Return the verdict with the standard error that it would have, were the true difference the detectable one.

    A strategy whose Sharpe ratio is higher by d has influences that differ by -d / 2 (z^2 - 1), z its standardised
    returns: their variance is quadratic in d. The error and the difference that it lets detect are found in turns.
    """
    if not np.isfinite(verdict.error):
        return verdict
    own, other = returns[:, pair.own], returns[:, pair.other]
    rise = -0.5 * (((own - own.mean()) / own.std()) ** 2 - 1.0)
    # The influence at equal Sharpe ratios: the strategy's own ratio is moved to the baseline's.
    gap = other.mean() / other.std() - own.mean() / own.std()
    equal = _find_influence(returns, pair) + gap * rise
    lags = round(verdict.block_days) - 1
    level, bend, both = (compute_long_run_variance(series, lags) for series in (equal, rise, equal + rise))
    error, scale = verdict.error, periods_per_year / len(returns)
    for _ in range(_TURNS):
        gain = replace(verdict, error_detectable=error).detectable / np.sqrt(periods_per_year)
        last, error = error, float(np.sqrt(max((level + gain * (both - level - bend) + gain**2 * bend) * scale, 0.0)))
        if error > _UNDETECTABLE * verdict.error:
            return replace(verdict, error_detectable=float("inf"))
        if abs(error - last) < _SETTLED * error:
            break
    return replace(verdict, error_detectable=error)
