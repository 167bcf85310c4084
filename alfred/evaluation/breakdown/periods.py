"""How a strategy did by calendar year, by part of the test, and by the state of the market.

Regimes are read off the benchmark with nothing but what was known at the close before the session. The first year of a
test has no year before it in the records and belongs to no regime.

Axes legend: T dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_sharpe, compute_wealth
from alfred.evaluation.statistics.significance import compute_long_run_variance
from alfred.typing import BoolArray, FloatArray

BULL, BEAR = 0.10, 0.0
"""Return of the benchmark over the year before: above the first is a bull market, below the second a bear market."""

_PARTS = 4
_FEWEST = 20  # sessions of a state that has a Sharpe ratio


@dataclass(frozen=True)
class Span:
    """How a strategy and its references did on some sessions.

    Attributes:
        label: Which sessions.
        n_days: How many.
        returns: Mean net return in per cent a year, of the strategy and of each reference.
        sharpe: Annual Sharpe ratio, likewise; NaN of a few sessions.
        gains: Mean net return less each reference's, in per cent a year.
        errors: Standard error of each gain, serial correlation allowed for.
    """

    label: str
    n_days: int
    returns: tuple[float, ...]
    sharpe: tuple[float, ...]
    gains: tuple[float, ...]
    errors: tuple[float, ...]


def measure_span(label: str, records: Sequence[Backtest], inside: BoolArray) -> Span:
    """Measure the strategy and its references on some sessions.

    Args:
        label: Which sessions.
        records: The strategy, then its references.
        inside: Whether a session counts, `[T]`.
    """
    periods, count = records[0].periods_per_year, int(inside.sum())
    unit = 100.0 * periods
    net = [record.net[inside] for record in records]
    gaps = [net[0] - other for other in net[1:]]
    enough = count >= _FEWEST
    nan = float("nan")
    return Span(
        label=label,
        n_days=count,
        returns=tuple(unit * float(series.mean()) if count else nan for series in net),
        sharpe=tuple(compute_sharpe(record.excess[inside], periods) if enough else nan for record in records),
        gains=tuple(unit * float(gap.mean()) if count else nan for gap in gaps),
        errors=tuple(
            unit * float(np.sqrt(max(compute_long_run_variance(gap - gap.mean()), 0.0) / count)) if enough else nan
            for gap in gaps
        ),
    )


def split_parts(records: Sequence[Backtest], count: int = _PARTS) -> list[Span]:
    """Measure equal parts of the test, one after another."""
    dates = records[0].dates
    bounds = np.linspace(0, len(dates), count + 1).round().astype(int)
    rows = np.arange(len(dates))
    return [
        measure_span(
            f"{dates[first].date()} to {dates[stop - 1].date()}", records, np.asarray((rows >= first) & (rows < stop))
        )
        for first, stop in pairwise(bounds.tolist())
        if stop > first
    ]


def split_regimes(records: Sequence[Backtest]) -> list[Span]:
    """Measure the states of the market; see `find_regimes`."""
    first = records[0]
    market = records[1].net if len(records) > 1 else first.benchmark
    return [
        measure_span(label, records, inside)
        for label, inside in find_regimes(market, first.periods_per_year).items()
        if inside.any()
    ]


def find_regimes(market: FloatArray, periods_per_year: int) -> dict[str, BoolArray]:
    """Return the sessions of each state of the market, `[T]` each.

    A session counts by what was known at the close before it: the return of the market over the year before, and
    whether its volatility over the last quarter is above the median of all such volatilities so far.

    Args:
        market: Returns of the market, `[T]`.
        periods_per_year: Sessions in a year.
    """
    wealth = np.concatenate([[1.0], compute_wealth(market)])
    year, quarter = periods_per_year, max(periods_per_year // 4, 2)
    known = np.full(len(market), np.nan)
    # Row t is about the session t: it may use wealth up to the close before, which is entry t of `wealth`.
    if len(market) > year:
        known[year:] = wealth[year:-1] / np.maximum(wealth[: -1 - year], 1e-300) - 1.0
    with np.errstate(invalid="ignore"):
        bull, bear = known > BULL, known < BEAR
        sideways = (known >= BEAR) & (known <= BULL)
    volatility = pd.Series(market).rolling(quarter).std().shift(1)
    median = volatility.expanding(min_periods=max(year - quarter, 1)).median()
    high = (volatility > median).to_numpy()
    low = (volatility <= median).to_numpy()
    return {
        "bull market": bull,
        "sideways market": sideways,
        "bear market": bear,
        "high volatility": high,
        "low volatility": low,
    }


@dataclass(frozen=True)
class Year:
    """Compounded net returns of a calendar year, incomplete ones as far as they go.

    Attributes:
        label: The year.
        n_days: Sessions in it.
        returns: Of the strategy and of each reference.
        worst: Worst drawdown of the strategy within the year.
    """

    label: str
    n_days: int
    returns: tuple[float, ...]
    worst: float


def list_years(records: Sequence[Backtest]) -> list[Year]:
    """Return the calendar years of a strategy and its references."""
    years = records[0].dates.year.to_numpy()
    found = []
    for year in np.unique(years):
        inside = years == year
        grown = [compute_wealth(record.net[inside]) for record in records]
        own = grown[0]
        peak = np.maximum(np.maximum.accumulate(own), 1.0)
        found.append(
            Year(
                label=str(year),
                n_days=int(inside.sum()),
                returns=tuple(float(wealth[-1] - 1.0) for wealth in grown),
                worst=float((own / peak - 1.0).min()),
            )
        )
    return found
