"""The smaller tables of a report: folds, training seeds, and what is said about the table as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfred.errors import DataError
from alfred.evaluation.formatting import format_p_value, format_percent
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.report.inputs import FoldScore, ReportInput
from alfred.evaluation.results import ResultRow, compute_results
from alfred.evaluation.statistics.bootstrap import SeedSummary, summarise_seeds
from alfred.evaluation.statistics.significance import compute_overfitting_probability, compute_sharpe_error
from alfred.typing import FloatArray

# Blocks of the cross-validation behind the probability of overfitting, and the sessions that each needs.
_BLOCKS, _BLOCK_SESSIONS = 12, 10


@dataclass(frozen=True)
class FoldRow:
    """One line of the fold table: annual Sharpe ratios in excess of cash, NaN where there is none.

    `test_error` is the standard error of `test` (Lo, 2002).
    """

    name: str
    period: str
    train: float
    validation: float
    test: float
    test_error: float
    benchmark: float
    equal_weight: float


@dataclass(frozen=True)
class SeedTable:
    """The seeds of the strategy, and their interquartile means of Sharpe ratio and of its gains."""

    rows: Sequence[ResultRow]
    sharpe: SeedSummary
    minus_benchmark: SeedSummary
    minus_equal_weight: SeedSummary | None


def compute_folds(report: ReportInput) -> list[FoldRow]:
    """Return the Sharpe ratios of each fold; those of the test are read off the backtests."""
    by_name = {backtest.name: backtest for backtest in report.backtests}
    agent = report.backtests[0]
    nan = float("nan")

    def cut(name: str, fold: FoldScore) -> FloatArray:
        inside = (agent.dates >= fold.start) & (agent.dates <= fold.end)
        if not inside.any():
            raise DataError(
                f"fold '{fold.name}' is tested from {fold.start.date()} to {fold.end.date()}, but the backtests run "
                f"from {agent.dates[0].date()} to {agent.dates[-1].date()}; pass the folds of this test"
            )
        return np.asarray(by_name[name].excess[inside])

    def score(name: str | None, fold: FoldScore) -> float:
        return nan if name is None else compute_sharpe(cut(name, fold), agent.periods_per_year)

    return [
        FoldRow(
            name=fold.name,
            period=f"{fold.start.date()} to {fold.end.date()}",
            train=nan if fold.train_sharpe is None else fold.train_sharpe,
            validation=nan if fold.validation_sharpe is None else fold.validation_sharpe,
            test=score(agent.name, fold),
            test_error=compute_sharpe_error(cut(agent.name, fold), agent.periods_per_year, autocorrelated=True),
            benchmark=score(report.benchmark, fold),
            equal_weight=score(report.equal_weight, fold),
        )
        for fold in report.folds
    ]


def compute_seeds(report: ReportInput) -> SeedTable | None:
    """Return the results of every seed next to the same baselines, or None without seeds."""
    if not report.seed_backtests:
        return None
    by_name = {backtest.name: backtest for backtest in report.backtests}
    names = list(dict.fromkeys(name for name in (report.benchmark, report.equal_weight) if name is not None))
    together = [*report.seed_backtests, *(by_name[name] for name in names)]
    rows = compute_results(
        together,
        benchmark=report.benchmark,
        equal_weight=report.equal_weight,
        n_trials=report.n_trials,
        trial_sharpes=report.trial_sharpes,
        intervals=report.intervals,
    )[: len(report.seed_backtests)]
    differences = [row.versus_equal_weight.difference for row in rows if row.versus_equal_weight is not None]
    return SeedTable(
        rows=rows,
        sharpe=summarise_seeds([row.sharpe for row in rows], report.intervals),
        minus_benchmark=summarise_seeds([row.sharpe_minus_benchmark for row in rows], report.intervals),
        minus_equal_weight=summarise_seeds(differences, report.intervals) if differences else None,
    )


def describe_table(report: ReportInput, rows: Sequence[ResultRow]) -> list[str]:
    """Return what can be said about all rows together: the best of them, and what picking the best is worth."""
    found = []
    verdicts = [verdict for row in rows[1:] for verdict in (row.versus_benchmark, row.versus_equal_weight) if verdict]
    family = [item for item in verdicts if item.p_adjusted is not None and np.isfinite(item.p_adjusted)]
    gains = [float(item.p_adjusted or 1.0) for item in family if item.difference > 0]
    if gains:
        found.append(
            f"Below the first row, {len(family)} comparisons share one table: the largest gain among them has "
            f"{format_p_value(min(gains))}, two-sided, against the largest that luck shows when none is better."
        )
    series = [item.excess for item, row in zip(report.backtests, rows, strict=True) if np.isfinite(row.sharpe)]
    if len(series) > 2 and len(series[0]) >= _BLOCKS * _BLOCK_SESSIONS:
        chance = compute_overfitting_probability(np.column_stack(series), _BLOCKS)
        found.append(
            "Probability of backtest overfitting: the row with the best Sharpe ratio in one half of this history ends "
            f"in the lower half of the table in the other half in {format_percent(chance, 0)} of all ways to halve it "
            "(about 50% is luck)."
        )
    return found
