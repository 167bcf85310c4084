"""The numbers of a report: one row a strategy, the same in the table, in JSON and on the page.

Axes legend: T dates, S series, R replicates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfred.data.market import FloatArray
from alfred.errors import DataError, suggest
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.bootstrap import (
    IntervalSettings,
    compute_interval,
    make_stationary_indices,
    resample_max_drawdown,
    resample_metrics,
)
from alfred.evaluation.portfolio_metrics import PortfolioMetrics, compute_portfolio_metrics
from alfred.evaluation.significance import Verdict, compare_sharpe, compute_deflated_sharpe, decide, match_volatility

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ResultRow(PortfolioMetrics):
    """One strategy: its metrics, their intervals, and how it compares.

    Attributes:
        name: Name of the backtest.
        sharpe_ci: Bootstrap interval of `sharpe`.
        cagr_ci: Bootstrap interval of `cagr`.
        volatility_ci: Bootstrap interval of `volatility`.
        max_drawdown_ci: Bootstrap interval of `max_drawdown`: what other orders of such days would have shown.
        deflated_sharpe: Probability that the true Sharpe ratio is above zero, given the trials made.
        versus_benchmark: Against the benchmark.
        versus_equal_weight: Against equal weight of the same universe; None when it was not backtested.
    """

    name: str
    sharpe_ci: Interval
    cagr_ci: Interval
    volatility_ci: Interval
    max_drawdown_ci: Interval
    deflated_sharpe: float
    versus_benchmark: Verdict
    versus_equal_weight: Verdict | None

    @property
    def sharpe_minus_benchmark(self) -> float:
        """Annual Sharpe ratio less the benchmark's."""
        return self.versus_benchmark.difference

    @property
    def sharpe_minus_benchmark_ci(self) -> Interval:
        """Paired bootstrap interval of `sharpe_minus_benchmark`."""
        return self.versus_benchmark.interval

    def to_json(self) -> dict[str, object]:
        """Return a flat mapping that JSON can hold: a number that does not exist is None, an interval a pair."""
        flat: dict[str, object] = {"name": self.name}
        for item in dataclasses.fields(self):
            if item.name not in ("name", "versus_benchmark", "versus_equal_weight"):
                flat[item.name] = _to_plain(getattr(self, item.name))
        for label, verdict in (("benchmark", self.versus_benchmark), ("equal_weight", self.versus_equal_weight)):
            if verdict is not None:
                flat |= {
                    f"sharpe_minus_{label}": _to_plain(verdict.difference),
                    f"sharpe_minus_{label}_ci": _to_plain(verdict.interval),
                    f"{label}_p_value": _to_plain(verdict.p_value),
                    f"{label}_deflated": _to_plain(verdict.deflated),
                    f"{label}_verdict": verdict.outcome,
                }
        return flat


def compute_results(
    backtests: Sequence[Backtest],
    *,
    benchmark: str | None = None,
    equal_weight: str | None = None,
    n_trials: int = 1,
    intervals: IntervalSettings | None = None,
) -> list[ResultRow]:
    """Compute one row for each backtest, with paired intervals.

    Args:
        backtests: Records of the same dates.
        benchmark: Name of the backtest that holds the benchmark in the same ledger; when left out, the comparison is
            with the benchmark's own returns, free of cost.
        equal_weight: Name of the backtest that holds the universe in equal weights, or None without one.
        n_trials: Trials made to find the strategies, in every search and by hand; every row pays for them.
        intervals: How the intervals are made.

    Raises:
        DataError: There is no backtest, a name is unknown or stands twice, or the dates differ.
    """
    settings = intervals or IntervalSettings()
    check_aligned(backtests)
    returns = np.column_stack([*(backtest.net for backtest in backtests), backtests[0].benchmark])
    columns = [backtest.name for backtest in backtests]
    rival = len(backtests) if benchmark is None else _column_of(benchmark, columns)
    rival_name = benchmark or "the benchmark, free of cost"
    peer = None if equal_weight is None else _column_of(equal_weight, columns)
    indices = make_stationary_indices(
        len(returns), settings.n_replicates, settings.mean_block_days, settings.make_generator()
    )
    replicates = resample_metrics(returns, indices)

    def compare(column: int, against: int, name: str) -> Verdict:
        own, other = returns[:, column], returns[:, against]
        test = compare_sharpe(own, other)
        interval = compute_interval(replicates.sharpe[:, column] - replicates.sharpe[:, against], settings.level)
        deflated = compute_deflated_sharpe(match_volatility(own, other), n_trials)
        return Verdict(
            baseline=name,
            outcome=decide(interval, deflated),
            difference=test.difference,
            interval=interval,
            deflated=deflated,
            p_value=test.p_value,
            error=test.error,
            n_trials=n_trials,
        )

    return [
        ResultRow(
            **dataclasses.asdict(compute_portfolio_metrics(backtest, returns[:, rival])),
            name=backtest.name,
            sharpe_ci=compute_interval(replicates.sharpe[:, column], settings.level),
            cagr_ci=compute_interval(replicates.cagr[:, column], settings.level),
            volatility_ci=compute_interval(replicates.volatility[:, column], settings.level),
            max_drawdown_ci=compute_interval(resample_max_drawdown(backtest.net, indices), settings.level),
            deflated_sharpe=compute_deflated_sharpe(backtest.net, n_trials),
            versus_benchmark=compare(column, rival, rival_name),
            versus_equal_weight=None if peer is None or equal_weight is None else compare(column, peer, equal_weight),
        )
        for column, backtest in enumerate(backtests)
    ]


def resample_sharpe_differences(returns: FloatArray, baselines: FloatArray, settings: IntervalSettings) -> FloatArray:
    """Return paired bootstrap replicates of the annual Sharpe ratio less each baseline's, `[R, S]`.

    The replicates are those behind `compute_results` with the same settings.

    Args:
        returns: Daily returns of the strategy, `[T]`.
        baselines: Daily returns of the baselines, `[T, S]`.
        settings: How the replicates are made.
    """
    indices = make_stationary_indices(
        len(returns), settings.n_replicates, settings.mean_block_days, settings.make_generator()
    )
    sharpe = resample_metrics(np.column_stack([returns, baselines]), indices).sharpe
    return np.asarray(sharpe[:, :1] - sharpe[:, 1:])


def check_aligned(backtests: Sequence[Backtest]) -> None:
    """Refuse backtests that cannot be compared day by day.

    Raises:
        DataError: There is none, a name stands twice, or the dates differ.
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
