"""Returns of another tool beside its benchmark: records of the same sessions, the verdict, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.files import compute_checksum
from alfred.data.prices.rates import align_rates, read_rates
from alfred.errors import ConfigError, DataError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.breakdown.breakdown import Breakdown
from alfred.evaluation.outside.series import OutsideSeries
from alfred.evaluation.report.inputs import MarketFacts, ReportInput
from alfred.evaluation.settings import IntervalSettings
from alfred.typing import FloatArray
from alfred.version import __version__

# Blocks of the bootstrap that a resampled history needs at least.
_FEWEST_SESSIONS = 20
_SHIFTED = 0.5  # correlation with another session that no strategy is believed to have
_MOST_CASH = 1.0  # a year: what is above is a yearly rate, or per cent
_SHOWN = 3  # dates that are named
CashRate = float | Path | None

NO_CASH = (
    "Cash is taken to earn nothing: Sharpe ratios are those of the returns themselves. Say what it earned with "
    "--cash-rate."
)
_NO_WEIGHTS = (
    "What the gain came from (selection, timing, cash and costs), and what other costs would leave of it, cannot be "
    "told from returns: give a table of weights."
)


@dataclass(frozen=True, eq=False)
class Reference:
    """What a strategy is judged against.

    Attributes:
        name: Name in tables.
        dates: Sessions, `[T]`.
        returns: Simple returns from the session before, `[T]`.
        cash: What cash earned, `[T]`; None where nobody says it.
        source: Where it comes from, in words.
        notes: Caveats, one sentence each.
    """

    name: str
    dates: pd.DatetimeIndex
    returns: FloatArray
    source: str
    cash: FloatArray | None = None
    notes: tuple[str, ...] = ()


def make_reference(series: OutsideSeries) -> Reference:
    """Return a benchmark that was read from a file."""
    notes = [*series.notes, *series.warnings]
    if series.layout.columns[0].lower() == "close":
        notes.append(f"The column 'close' of {series.path.name} is taken as adjusted: dividends that it lacks flatter.")
    return Reference(
        series.name, series.dates, series.returns, f"{series.path}: {series.layout.describe()}", notes=tuple(notes)
    )


def make_own_reference(series: OutsideSeries, name: str = "benchmark") -> Reference | None:
    """Return the benchmark that stands beside a strategy in its own file, or None."""
    if series.benchmark is None:
        return None
    return Reference(name, series.dates, series.benchmark, f"column '{series.layout.benchmark}' of {series.path}")


def make_report_input(
    series: OutsideSeries,
    reference: Reference,
    *,
    n_trials: int = 1,
    cash_rate: CashRate = None,
    intervals: IntervalSettings | None = None,
) -> ReportInput:
    """Return what `write_report` makes a page of.

    Args:
        series: The strategy.
        reference: What it is judged against.
        n_trials: Strategies that were tried to find this one; the verdict pays for them.
        cash_rate: What cash earned: per cent a year, or a CSV of dated rates. Left out, the file of the strategy or the
            benchmark says it, and where neither does, cash earned nothing.
        intervals: How intervals are made.

    Raises:
        ConfigError: Strategy and benchmark have one name.
        DataError: Their sessions do not fit.
    """
    if series.name == reference.name:
        raise ConfigError(f"strategy and benchmark are both called '{series.name}'; pass --name")
    series, reference, cut = align(series, reference)
    periods = series.periods_per_year
    cash, told = _find_cash(series, reference, cash_rate, periods)
    paid = series.layout.kind == "wealth"
    nothing = np.zeros(len(series.returns))
    unknown = np.full(len(series.returns), np.nan)
    record = Backtest(
        name=series.name,
        dates=series.dates,
        symbols=(series.name,),
        weights=np.full((len(series.returns), 2), np.nan),
        gross=unknown,
        costs=unknown,
        net=series.returns,
        turnover=unknown,
        benchmark=reference.returns,
        cash_return=cash,
        periods_per_year=periods,
    )
    held = replace(
        record,
        name=reference.name,
        symbols=(reference.name,),
        weights=np.tile([1.0, 0.0], (len(nothing), 1)),
        gross=reference.returns,
        costs=nothing,
        net=reference.returns,
        turnover=nothing,
    )
    caveats = [
        f"{series.name} was computed elsewhere, as {series.layout.describe()} of {series.path.name}: its costs, its "
        "execution and what it knew when it decided cannot be checked here.",
        *(["Money paid into or out of it would count as a gain or a loss: its wealth must hold none."] if paid else []),
        f"{reference.name} is free of cost.",
        *told,
        *cut,
        *_suspect_shift(series, reference),
        *series.notes,
        *reference.notes,
    ]
    return ReportInput(
        title=f"{series.name}, judged by alfred",
        backtests=(record, held),
        market=MarketFacts(
            start=series.dates[0],
            end=series.dates[-1],
            symbols=(series.name, reference.name),
            benchmark=reference.name,
            notes=(),
            checksum=compute_checksum(series.path),
        ),
        benchmark=reference.name,
        n_trials=n_trials,
        breakdown=Breakdown(series.name, (reference.name,), missing=(_NO_WEIGHTS,)),
        warnings=series.warnings,
        caveats=caveats,
        versions={"alfred": __version__},
        intervals=intervals or IntervalSettings(),
    )


def align(series: OutsideSeries, reference: Reference) -> tuple[OutsideSeries, Reference, list[str]]:
    """Cut a strategy and its benchmark to the range of both; what was cut is told.

    Raises:
        DataError: They share no range, or one has sessions within it that the other lacks.
    """
    first = max(series.dates[0], reference.dates[0])
    last = min(series.dates[-1], reference.dates[-1])
    if first > last:
        raise DataError(
            f"{series.name} covers {_write_range(series.dates)}, and {reference.name} {_write_range(reference.dates)}: "
            "they share no session; give a benchmark of the same years with --benchmark"
        )
    own, other = _find_rows(series.dates, first, last), _find_rows(reference.dates, first, last)
    dates, theirs = series.dates[own], reference.dates[other]
    _refuse_gap(theirs.difference(dates), series.name, reference.name, "fill the rows (a return of 0 where flat)")
    _refuse_gap(
        dates.difference(theirs),
        reference.name,
        series.name,
        "give a benchmark of the same sessions with --benchmark, or drop the rows",
    )
    if len(dates) < _FEWEST_SESSIONS:
        raise DataError(
            f"{series.name} and {reference.name} share {len(dates)} sessions, from {first.date()} to {last.date()}; "
            f"a verdict needs {_FEWEST_SESSIONS} at least, and a useful one some years"
        )
    left = len(series.dates) - len(dates)
    cut = (
        [f"{left} session(s) of {series.name} are left out: {reference.name} covers {_write_range(reference.dates)}."]
        if left
        else []
    )

    def keep(values: FloatArray | None, rows: slice) -> FloatArray | None:
        return None if values is None else values[rows]

    shorter = replace(
        series,
        dates=dates,
        returns=series.returns[own],
        cash=keep(series.cash, own),
        benchmark=keep(series.benchmark, own),
    )
    return (
        shorter,
        replace(reference, dates=theirs, returns=reference.returns[other], cash=keep(reference.cash, other)),
        cut,
    )


def _suspect_shift(series: OutsideSeries, reference: Reference) -> list[str]:
    """Say so where returns go along with the benchmark of the session before or after instead of their own."""

    def correlate(mine: FloatArray, theirs: FloatArray) -> float:
        spread = float(mine.std() * theirs.std())
        return float(np.mean((mine - mine.mean()) * (theirs - theirs.mean()))) / spread if spread > 0 else 0.0

    mine, theirs = series.returns, reference.returns
    same = correlate(mine, theirs)
    shifted = {"after": correlate(mine[:-1], theirs[1:]), "before": correlate(mine[1:], theirs[:-1])}
    way, most = max(shifted.items(), key=lambda item: item[1])
    if most < _SHIFTED or most < 2.0 * same:
        return []
    return [
        f"{series.name} goes along with {reference.name} of the session {way} (correlation {most:.2f}) and not with "
        f"that of its own ({same:.2f}): its dates look one session off, and the difference to the benchmark is noise."
    ]


def _find_rows(dates: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp) -> slice:
    return slice(int(dates.searchsorted(first, side="left")), int(dates.searchsorted(last, side="right")))


def _refuse_gap(missing: pd.DatetimeIndex, name: str, other: str, remedy: str) -> None:
    if len(missing):
        shown = ", ".join(f"{date:%a} {date.date()}" for date in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(f"{name} has no row on {shown}{more}, sessions that {other} has; {remedy}")


def _write_range(dates: pd.DatetimeIndex) -> str:
    return f"{dates[0].date()} to {dates[-1].date()}"


def _find_cash(
    series: OutsideSeries, reference: Reference, rate: CashRate, periods: int
) -> tuple[FloatArray, Sequence[str]]:
    """Return what cash earned each session, `[T]`, and what a reader must know about it."""
    if isinstance(rate, Path):
        # A rate holds from its close to the next: what a session earned was known at the one before.
        before = series.dates[:1] - pd.Timedelta(days=1)
        yearly = align_rates(read_rates(rate), before.append(series.dates[:-1]), str(rate))
        return (1.0 + yearly) ** (1.0 / periods) - 1.0, ()
    if rate is not None:
        return np.full(len(series.dates), (1.0 + rate / 100.0) ** (1.0 / periods) - 1.0), ()
    if series.cash is not None:
        typical = float(series.cash.mean())
        if abs(typical) * periods > _MOST_CASH:
            raise DataError(
                f"the column '{series.layout.cash}' of {series.path} says that cash earned {typical:.2%} a session, "
                f"{typical * periods:.0%} a year: it must hold what one session earned, as a fraction; divide a yearly "
                f"rate by {periods}, drop the column, or say --cash-rate"
            )
        return series.cash, ()
    if reference.cash is not None:
        return reference.cash, ()
    return np.zeros(len(series.dates)), (NO_CASH,)
