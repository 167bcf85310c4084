"""The numbers of a page: all that takes long to compute, so that a page can be drawn again without it.

Axes legend: T dates, R replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from alfred.evaluation.breakdown.drawdowns import Drawdown, find_drawdowns
from alfred.evaluation.breakdown.periods import Span, Year, list_years, split_parts, split_regimes
from alfred.evaluation.plausibility import find_signal_warnings
from alfred.evaluation.report.inputs import ReportInput
from alfred.evaluation.report.tables import FoldRow, SeedTable, compute_folds, compute_seeds, describe_table
from alfred.evaluation.results import ResultRow, compute_results, resample_sharpe_differences
from alfred.typing import FloatArray

_N_BARS = 50
# The few replicates further out are not drawn: they would only squeeze the rest.
_TAILS = (0.001, 0.999)


@dataclass(frozen=True)
class Histogram:
    """How resampled Sharpe differences are spread.

    Attributes:
        baseline: Less whom.
        low: Left edge of the first bar.
        high: Right edge of the last bar.
        shares: Share of all histories in each bar; all bars are equally wide.
        ends: Ends of the interval.
    """

    baseline: str
    low: float
    high: float
    shares: tuple[float, ...]
    ends: tuple[float, float]


@dataclass(frozen=True)
class Numbers:
    """What a page shows of some backtests.

    Attributes:
        rows: One a strategy, the judged one first.
        folds: Sharpe ratios of each fold.
        seeds: Results of every seed, or None.
        table_notes: What is said of all rows together.
        histograms: Resampled Sharpe differences of the judged strategy.
        drawdowns: Its worst drawdowns.
        years: Its calendar years beside its baselines'.
        parts: Equal parts of the test.
        regimes: States of the market.
    """

    rows: list[ResultRow]
    folds: list[FoldRow]
    seeds: SeedTable | None
    table_notes: list[str]
    histograms: list[Histogram]
    drawdowns: list[Drawdown]
    years: list[Year]
    parts: list[Span]
    regimes: list[Span]

    def to_json(self) -> Any:
        """Return plain values; Python's JSON keeps what is not finite."""
        return _adapt().dump_python(self, mode="python", warnings=False)

    @classmethod
    def from_json(cls, raw: Any) -> Numbers:
        """Read what `to_json` returned, after JSON.

        Raises:
            ValueError: Something is missing or no number.
        """
        try:
            return _adapt().validate_python(raw)
        except ValidationError as error:
            raise ValueError(f"these are no numbers of a page: {error.error_count()} mistakes") from error


@cache
def _adapt() -> TypeAdapter[Numbers]:
    return TypeAdapter(Numbers)


def compute_numbers(report: ReportInput, rows: Sequence[ResultRow] | None = None) -> Numbers:
    """Compute the numbers of a page.

    Args:
        report: What to tell.
        rows: From `compute_results` on the same backtests, where they are there.

    Raises:
        DataError: A backtest cannot be compared with the others, or a name is unknown.
    """
    if rows is None:
        rows = compute_results(
            report.backtests,
            benchmark=report.benchmark,
            equal_weight=report.equal_weight,
            n_trials=report.n_trials,
            trial_sharpes=report.trial_sharpes,
            intervals=report.intervals,
            trainings=report.trainings,
            behaviours=report.behaviours,
            signal_warnings=find_signal_warnings(report.skill, report.backtests[0].periods_per_year),
            first_warnings=report.warnings,
        )
    agent, baselines = report.backtests[0], report.baselines
    together = [agent, *baselines]
    reference = baselines[0].net if baselines else agent.benchmark
    return Numbers(
        rows=list(rows),
        folds=compute_folds(report),
        seeds=compute_seeds(report),
        table_notes=describe_table(report, rows),
        histograms=_count(report),
        drawdowns=find_drawdowns(agent.net, agent.dates, reference),
        years=list_years(together),
        parts=split_parts(together),
        regimes=split_regimes(together),
    )


def _count(report: ReportInput) -> list[Histogram]:
    if not report.baselines:
        return []
    replicates = resample_sharpe_differences(report.backtests[0], report.baselines, report.intervals)
    counted = (make_histogram(name, values, report.intervals.level) for name, values in replicates.items())
    return [item for item in counted if item is not None]


def make_histogram(baseline: str, replicates: FloatArray, level: float = 0.95) -> Histogram | None:
    """Count true Sharpe differences that resampled histories point to; None when there is none.

    Args:
        baseline: Less whom.
        replicates: See `resample_sharpe_differences`, `[R]`; NaN is left out.
        level: Coverage of the interval whose ends are marked.
    """
    finite = replicates[np.isfinite(replicates)]
    if not len(finite):
        return None
    low, high = (float(end) for end in np.quantile(finite, _TAILS))
    counts, edges = np.histogram(finite, bins=_N_BARS, range=(low, high))
    first, last = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    shares = tuple((counts / len(finite)).tolist())
    return Histogram(baseline, float(edges[0]), float(edges[-1]), shares, (float(first), float(last)))
