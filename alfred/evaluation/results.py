"""The numbers of a report: one row a strategy, the same in the table, in JSON and on the page.

Axes legend: T dates, S series, R replicates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alfred.errors import DataError, suggest
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.behaviour import Behaviour
from alfred.evaluation.headline import Headline, Training, count_untrained, describe_trainings, write_headline
from alfred.evaluation.plausibility import find_sharpe_warning
from alfred.evaluation.portfolio_metrics import PortfolioMetrics, compute_portfolio_metrics, compute_sharpe
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.bootstrap import (
    choose_mean_block,
    compute_interval,
    make_stationary_indices,
    resample_max_drawdown,
    resample_metrics,
)
from alfred.evaluation.statistics.comparisons import Pair, judge, resample_differences
from alfred.evaluation.statistics.deflation import (
    SpreadSource,
    Trials,
    compute_deflated_sharpe,
    compute_unskilled_spread,
)
from alfred.evaluation.statistics.significance import Verdict, compute_autocorrelated_sharpe, compute_sharpe_error
from alfred.typing import FloatArray

Interval = tuple[float, float]
# What `to_json` spells out instead of copying it.
_SPELT_OUT = ("name", "versus_benchmark", "versus_equal_weight", "trainings", "warnings", "headline", "behaviour")
RUIN = 1e-6
"""Wealth, in units of the beginning, at which nothing is left."""


@dataclass(frozen=True, kw_only=True)
class ResultRow(PortfolioMetrics):
    """One strategy: its metrics, their intervals, and how it compares.

    Attributes:
        name: Name of the backtest.
        sharpe_ci: Bootstrap interval of `sharpe`.
        sharpe_error: Standard error of `sharpe`, with skew, fat tails and serial correlation allowed for (Lo, 2002).
        autocorrelated_sharpe: Sharpe ratio annualised for serially correlated returns (Lo, 2002).
        cagr_ci: Bootstrap interval of `cagr`.
        volatility_ci: Bootstrap interval of `volatility`.
        max_drawdown_ci: Bootstrap interval of `max_drawdown`: what other orders of such days would have shown.
        deflated_sharpe: Probability that the true Sharpe ratio is above zero, given the trials made.
        n_trials: Trials made, logged or not.
        trials_spread: Spread of the trials' annual Sharpe ratios that `deflated_sharpe` assumes.
        spread_source: Where that spread comes from; see `Trials.assume_spread`.
        mean_block_days: Mean block of the intervals of this row alone, in sessions.
        block_days: Block of the comparison with the benchmark, in sessions.
        versus_benchmark: Against the benchmark.
        versus_equal_weight: Against equal weight of the same universe; None when it was not backtested.
        trainings: What the trainings behind it ended with; empty for a strategy that is not trained.
        warnings: What makes its numbers too good to be true, a sentence each.
        behaviour: What it did; None where it was not described.
        headline: What may be said about it; None for the benchmark and equal weight themselves.
    """

    name: str
    sharpe_ci: Interval
    sharpe_error: float
    autocorrelated_sharpe: float
    cagr_ci: Interval
    volatility_ci: Interval
    max_drawdown_ci: Interval
    deflated_sharpe: float
    n_trials: int
    trials_spread: float
    spread_source: SpreadSource
    mean_block_days: float
    block_days: float
    versus_benchmark: Verdict
    versus_equal_weight: Verdict | None
    trainings: tuple[Training, ...] = ()
    warnings: tuple[str, ...] = ()
    behaviour: Behaviour | None = None
    headline: Headline | None = None

    @property
    def sharpe_minus_benchmark(self) -> float:
        """Annual Sharpe ratio less the benchmark's."""
        return self.versus_benchmark.difference

    @property
    def sharpe_minus_benchmark_ci(self) -> Interval:
        """Paired bootstrap interval of `sharpe_minus_benchmark`."""
        return self.versus_benchmark.interval

    @property
    def detectable(self) -> float:
        """The smallest true difference to the benchmark that the test would call `beats` four times in five."""
        return self.versus_benchmark.detectable

    def to_json(self) -> dict[str, object]:
        """Return a flat mapping that JSON can hold: a number that does not exist is None, an interval a pair."""
        flat: dict[str, object] = {"name": self.name}
        for item in dataclasses.fields(self):
            if item.name not in _SPELT_OUT:
                flat[item.name] = _to_plain(getattr(self, item.name))
        for label, verdict in (("benchmark", self.versus_benchmark), ("equal_weight", self.versus_equal_weight)):
            if verdict is not None:
                flat |= {
                    f"sharpe_minus_{label}": _to_plain(verdict.difference),
                    f"sharpe_minus_{label}_ci": _to_plain(verdict.interval),
                    f"{label}_p_value": _to_plain(verdict.p_value),
                    f"{label}_p_adjusted": _to_plain(verdict.p_adjusted),
                    f"{label}_detectable": _to_plain(verdict.detectable),
                    f"{label}_trials_spread": _to_plain(verdict.trials_spread),
                    f"{label}_deflated": _to_plain(verdict.deflated),
                    f"{label}_verdict": verdict.outcome,
                }
        flat["detectable"] = _to_plain(self.detectable)
        flat["kept"] = [_to_record(item) for item in self.trainings] or None
        flat["untrained"] = count_untrained(self.trainings) if self.trainings else None
        flat["trainings"] = len(self.trainings) or None
        flat["behaviour"] = None if self.behaviour is None else self.behaviour.to_json()
        flat["warnings"] = list(self.warnings)
        flat["headline"] = None if self.headline is None else self.headline.text
        flat["headline_tone"] = None if self.headline is None else self.headline.tone
        return flat


def compute_results(
    backtests: Sequence[Backtest],
    *,
    benchmark: str | None = None,
    equal_weight: str | None = None,
    n_trials: int = 1,
    trial_sharpes: Sequence[float] | None = None,
    intervals: IntervalSettings | None = None,
    trainings: Mapping[str, Sequence[Training]] | None = None,
    behaviours: Mapping[str, Behaviour] | None = None,
    signal_warnings: Sequence[str] = (),
    first_warnings: Sequence[str] = (),
) -> list[ResultRow]:
    """Compute one row for each backtest, with paired intervals.

    Sharpe ratios, tests and everything that rests on them are in excess of cash.

    Args:
        backtests: Records of the same dates, the strategy that is judged first. Its comparisons stand alone; all others
            are one family (see `judge`).
        benchmark: Name of the backtest that holds the benchmark in the same ledger; when left out, the comparison is
            with the benchmark's own returns, free of cost.
        equal_weight: Name of the backtest that holds the universe in equal weights, or None without one.
        n_trials: Trials made to find the strategies, in every search and by hand, those in the log included; every row
            pays for them.
        trial_sharpes: Annual Sharpe ratio in excess of cash of each logged trial (NaN for one that has none); their
            spread is what deflation assumes. None without a log.
        intervals: How the intervals are made.
        trainings: What the trainings behind a strategy ended with, by its name. One that kept the untrained start in
            half of them or more `did not learn`, whatever its numbers are.
        behaviours: What strategies did, by name; it stands in the JSON beside their numbers.
        signal_warnings: What makes the signals too good to be true; they concern every strategy that was trained on
            them.
        first_warnings: What makes the record of the strategy that is judged first too good to be true.

    Raises:
        DataError: There is no backtest, a name is unknown or stands twice, the dates or the sessions a year differ, or
            there is no trial.
    """
    settings = intervals or IntervalSettings()
    check_aligned(backtests)
    trials = Trials.declare(n_trials, trial_sharpes)
    first = backtests[0]
    periods = first.periods_per_year
    net = np.column_stack([*(backtest.net for backtest in backtests), first.benchmark])
    cash = np.column_stack([*(backtest.cash_return for backtest in backtests), first.cash_return])
    excess = net - cash
    columns = [backtest.name for backtest in backtests]
    benchmark_column = len(backtests) if benchmark is None else _column_of(benchmark, columns)
    equal_column = None if equal_weight is None else _column_of(equal_weight, columns)
    pairs = [
        Pair(column, benchmark_column, benchmark or "the benchmark, free of cost") for column in range(len(columns))
    ]
    if equal_column is not None and equal_weight is not None:
        pairs += [Pair(column, equal_column, equal_weight) for column in range(len(columns))]
    behind = trainings or {}
    verdicts = [
        _mark_untrained(
            _mark_ruin(verdict, net[:, pair.own]),
            behind.get(columns[pair.own], ()),
            (behaviours or {}).get(columns[pair.own]),
        )
        for verdict, pair in zip(judge(excess, pairs, settings, trials, periods), pairs, strict=True)
    ]
    mean_block = choose_mean_block(settings, excess[:, :1])
    indices = make_stationary_indices(len(net), settings.n_replicates, mean_block, np.random.default_rng(settings.seed))
    replicates = resample_metrics(net, indices, periods, cash)
    spread, source = trials.assume_spread(compute_unskilled_spread(len(net), periods))
    rows = [
        ResultRow(
            **dataclasses.asdict(compute_portfolio_metrics(backtest, net[:, benchmark_column])),
            name=backtest.name,
            sharpe_ci=compute_interval(replicates.sharpe[:, column], settings.level),
            sharpe_error=compute_sharpe_error(backtest.excess, periods, autocorrelated=True),
            autocorrelated_sharpe=compute_autocorrelated_sharpe(backtest.excess, periods_per_year=periods),
            cagr_ci=compute_interval(replicates.cagr[:, column], settings.level),
            volatility_ci=compute_interval(replicates.volatility[:, column], settings.level),
            max_drawdown_ci=compute_interval(resample_max_drawdown(backtest.net, indices), settings.level),
            deflated_sharpe=compute_deflated_sharpe(backtest.excess, n_trials, trial_sharpes, periods),
            n_trials=trials.count,
            trials_spread=spread,
            spread_source=source,
            mean_block_days=mean_block,
            block_days=verdicts[column].block_days,
            versus_benchmark=verdicts[column],
            versus_equal_weight=None if equal_column is None else verdicts[len(columns) + column],
            trainings=tuple(behind.get(backtest.name, ())),
            behaviour=(behaviours or {}).get(backtest.name),
            warnings=(
                *find_sharpe_warning(
                    compute_sharpe(backtest.excess, periods), compute_sharpe_error(backtest.excess, periods)
                ),
                *(signal_warnings if backtest.name in behind else ()),
                *(first_warnings if column == 0 else ()),
            ),
        )
        for column, backtest in enumerate(backtests)
    ]
    equal = None if equal_column is None else rows[equal_column]
    return [
        row if row.name in (benchmark, equal_weight) else dataclasses.replace(row, headline=write_headline(row, equal))
        for row in rows
    ]


def _mark_untrained(verdict: Verdict, trainings: Sequence[Training], behaviour: Behaviour | None) -> Verdict:
    """Return the verdict of a strategy with what its trainings kept; a ruined one stays what it is."""
    told = dataclasses.replace(
        verdict, trainings=describe_trainings(trainings, None if behaviour is None else behaviour.active_share)
    )
    if verdict.ruined or not trainings or 2 * count_untrained(trainings) < len(trainings):
        return told
    return dataclasses.replace(told, outcome="did not learn")


def _to_record(training: Training) -> dict[str, object]:
    fields = {name: _to_plain(value) for name, value in dataclasses.asdict(training).items()}
    return fields | {"untrained": training.untrained}


def _mark_ruin(verdict: Verdict, net: FloatArray) -> Verdict:
    """Return the verdict of a book that lost everything: it beats nothing, whatever its ratio says."""
    if np.cumprod(1.0 + net).min() > RUIN:
        return verdict
    return dataclasses.replace(verdict, outcome="does not beat", ruined=True)


def resample_sharpe_differences(
    first: Backtest, baselines: Sequence[Backtest], settings: IntervalSettings
) -> dict[str, FloatArray]:
    """Return the true Sharpe differences that resampled histories point to, by the name of the baseline, each `[R]`.

    The ends of the intervals of `compute_results` with the same settings are quantiles of these.

    Args:
        first: The strategy that is judged.
        baselines: What it is compared with.
        settings: How the replicates are made.
    """
    excess = np.column_stack([first.excess, *(baseline.excess for baseline in baselines)])
    pairs = [Pair(0, column, baseline.name) for column, baseline in enumerate(baselines, start=1)]
    return resample_differences(excess, pairs, settings, first.periods_per_year)


def check_aligned(backtests: Sequence[Backtest]) -> None:
    """Refuse backtests that cannot be compared day by day.

    Raises:
        DataError: There is none, a name stands twice, or the dates or the sessions a year differ.
    """
    if not backtests:
        raise DataError("there is no backtest to report; pass at least the agent's")
    names = [backtest.name for backtest in backtests]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two backtests are called '{twice}'; give each its own name")
    first = backtests[0]
    for backtest in backtests[1:]:
        if not backtest.dates.equals(first.dates):
            raise DataError(
                f"backtest '{backtest.name}' covers {_describe_dates(backtest)}, but '{first.name}' covers "
                f"{_describe_dates(first)}; backtest both over the same dates"
            )
        if backtest.periods_per_year != first.periods_per_year:
            raise DataError(
                f"backtest '{backtest.name}' has {backtest.periods_per_year} sessions a year, but '{first.name}' "
                f"{first.periods_per_year}; backtest both on the same market"
            )


def _describe_dates(backtest: Backtest) -> str:
    dates = backtest.dates
    return f"{len(dates)} days, {dates[0].date()} to {dates[-1].date()}" if len(dates) else "no day"


def _column_of(name: str, columns: list[str]) -> int:
    if name not in columns:
        raise DataError(f"no backtest is called '{name}'; there are {', '.join(columns)}.{suggest(name, columns)}")
    return columns.index(name)


def _to_plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
