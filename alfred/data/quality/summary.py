"""What a source holds and what is wrong with it, also where a market would refuse it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.data.delisting import Delisting
from alfred.data.market import FIELDS, PRICE_FIELDS, Market
from alfred.data.prices.alignment import choose_benchmark
from alfred.data.prices.listings import assign_delistings, find_listings, find_longest_halt
from alfred.data.prices.long_table import PriceTable, read_price_table
from alfred.data.prices.row_checks import Problem, find_row_problems
from alfred.data.prices.symbols import read_delistings
from alfred.data.quality.anomalies import LONGEST_HALT, Series, find_suspicions
from alfred.data.sessions import find_missing_sessions, infer_periods_per_year
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import DataError


@dataclass(frozen=True)
class SymbolDescription:
    """What there is of one symbol.

    Attributes:
        symbol: The symbol.
        first: First date.
        last: Last date.
        n_rows: Dates with a row.
        coverage: Share of the source's sessions between first and last that have a row.
        delisting: How it ended, where the source says so.
    """

    symbol: str
    first: pd.Timestamp
    last: pd.Timestamp
    n_rows: int
    coverage: float
    delisting: Delisting | None = None


@dataclass(frozen=True)
class MarketDescription:
    """What a source holds.

    Attributes:
        benchmark: The symbol whose dates are the sessions, or None when the source has none: then the dates on which at
            least half of the symbols listed on them have a row.
        first: First session.
        last: Last session.
        n_sessions: Sessions.
        symbols: One entry a symbol, sorted by name.
        problems: What is wrong or looks wrong, sorted by symbol and date.
        periods_per_year: Sessions in a year; None where they are spaced irregularly.
        notes: How the dates were read, where they were not just dates.
    """

    benchmark: str | None
    first: pd.Timestamp
    last: pd.Timestamp
    n_sessions: int
    symbols: tuple[SymbolDescription, ...]
    problems: tuple[Problem, ...]
    periods_per_year: int | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the description as plain values for JSON: symbols, dates, coverage and problems."""
        return {
            "benchmark": self.benchmark,
            "symbols": [item.symbol for item in self.symbols],
            "dates": {
                "first": str(self.first.date()),
                "last": str(self.last.date()),
                "sessions": self.n_sessions,
                "periods_per_year": self.periods_per_year,
                "notes": list(self.notes),
            },
            "coverage": {
                item.symbol: {
                    "first": str(item.first.date()),
                    "last": str(item.last.date()),
                    "rows": item.n_rows,
                    "share": item.coverage,
                    **_format_delisting(item.delisting),
                }
                for item in self.symbols
            },
            "problems": [
                {
                    "symbol": problem.symbol,
                    "date": str(problem.date.date()),
                    "kind": problem.kind,
                    # JSON has no NaN: an empty cell is null.
                    "value": problem.value if np.isfinite(problem.value) else None,
                }
                for problem in self.problems
            ],
        }


def describe_market(settings: DataSettings, calendar: str | None = "XNYS") -> MarketDescription:
    """Describe a source leniently: rows that a market would refuse are reported, not raised.

    Args:
        settings: Which source; `symbols`, `start` and `end` narrow what is described.
        calendar: Exchange whose sessions the benchmark must have (see `find_missing_sessions`), or None to leave that
            out. Sessions that it lacks are reported as `missing_session`, where the market is daily.

    Raises:
        DataError: A file cannot be read at all, or nothing is left to describe.
    """
    problems: list[Problem] = []
    known: dict[str, tuple[Delisting, ...]] = {}
    notes: tuple[str, ...] = ()
    if settings.path is None:
        market = load_market(settings)
        series = list(_split_market(market))
        benchmark: str | None = market.benchmark
    else:
        table = _narrow(read_price_table(settings.path, settings.time_zone), settings)
        benchmark = _find_benchmark(table, settings.benchmark)
        problems += find_row_problems(table, sundays=settings.sunday_sessions)
        series = list(_split_table(table))
        notes = table.notes
        try:
            known = read_delistings(settings.path)
        except DataError as error:
            problems.append(Problem("", series[0].dates[0], "delisting", float("nan"), "delisted", reason=str(error)))
    sessions = _find_sessions(series, benchmark)
    periods, longest = None, LONGEST_HALT
    try:
        periods, longest = infer_periods_per_year(sessions), find_longest_halt(sessions)
    except DataError as error:
        problems.append(Problem(benchmark or "", sessions[0], "irregular", float(len(sessions)), reason=str(error)))
    if benchmark is not None and calendar is not None and _is_daily(sessions, periods):
        missing = find_missing_sessions(sessions, calendar)
        problems += [Problem(benchmark, day, "missing_session", 1.0) for day in missing]
    for item in series:
        problems += find_suspicions(item, sessions, longest)
    delistings, wrong = _find_delistings(known, series, sessions, longest)
    return MarketDescription(
        benchmark=benchmark,
        first=sessions[0],
        last=sessions[-1],
        n_sessions=len(sessions),
        symbols=tuple(
            _describe_symbol(item, sessions, delistings.get(item.symbol))
            for item in sorted(series, key=lambda item: item.symbol)
        ),
        problems=tuple(sorted([*problems, *wrong], key=lambda item: (item.symbol, item.date, item.kind))),
        periods_per_year=periods,
        notes=notes,
    )


def _find_delistings(
    known: Mapping[str, Sequence[Delisting]], series: list[Series], sessions: pd.DatetimeIndex, longest: int
) -> tuple[dict[str, Delisting], list[Problem]]:
    """Return the last delisting of each symbol, and the entries that contradict its prices."""
    rows_of = ((item.symbol, np.flatnonzero(sessions.isin(item.dates))) for item in series)
    listings = find_listings(rows_of, sessions, longest)
    found: dict[str, Delisting] = {}
    wrong: list[Problem] = []
    for symbol in known.keys() & {item.symbol for item in series}:
        try:
            assigned = assign_delistings({symbol: known[symbol]}, listings, sessions)
            if assigned:
                found[symbol] = max(assigned.values(), key=lambda item: item.date)
        except DataError as error:
            entry = known[symbol][-1]
            wrong.append(Problem(symbol, entry.date, "delisting", float("nan"), "delisted", reason=str(error)))
    return found, wrong


def _narrow(table: PriceTable, settings: DataSettings) -> PriceTable:
    mask = np.ones(table.n_rows, dtype=bool)
    if settings.symbols is not None:
        wanted = {*settings.symbols} | ({settings.benchmark} if settings.benchmark else set())
        mask &= np.isin(np.array(table.symbols), list(wanted))[table.codes]
    for bound, keep in ((settings.start, np.greater_equal), (settings.end, np.less_equal)):
        if bound is not None:
            mask &= keep(table.days, np.datetime64(bound, "D").astype(np.int64))
    if not mask.any():
        raise DataError(f"{settings.path} has no row of the chosen symbols and dates; widen them")
    return table if mask.all() else table.keep(mask)


def _find_benchmark(table: PriceTable, named: str | None) -> str | None:
    present = [table.symbols[code] for code in np.unique(table.codes)]
    if named is None:
        # A source without a benchmark can still be described.
        return "SPY" if "SPY" in present else None
    return choose_benchmark(present, named)


def _split_table(table: PriceTable) -> Iterator[Series]:
    """Yield the rows of each symbol in order of date, the first of each date, on a total-return basis."""
    columns = {name: table.column(name) for name in table.fields}
    printed = columns["close"]
    if "adj_close" in columns:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = columns.pop("adj_close") / columns["close"]
            columns |= {name: columns[name] * factor for name in PRICE_FIELDS if name in columns}
            columns |= {name: columns[name] / factor for name in ("volume",) if name in columns}
    order = np.lexsort((table.days, table.codes))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(table.codes[order]) != 0) | (np.diff(table.days[order]) != 0)
    order = order[first]
    for rows in np.split(order, np.flatnonzero(np.diff(table.codes[order])) + 1):
        dates = pd.DatetimeIndex(table.days[rows].astype("datetime64[D]").astype("datetime64[s]"))
        values = {name: column[rows] for name, column in columns.items()}
        yield Series(table.symbols[int(table.codes[rows[0]])], dates, values, printed[rows])


def _split_market(market: Market) -> Iterator[Series]:
    for n, symbol in enumerate(market.symbols):
        rows = np.flatnonzero(market.tradable[:, n])
        if len(rows):
            panels = {name: market.field(name) for name in FIELDS if getattr(market, name) is not None}
            values = {name: panel[rows, n] for name, panel in panels.items()}
            yield Series(symbol, market.dates[rows], values, values["close"])


def _find_sessions(series: list[Series], benchmark: str | None) -> pd.DatetimeIndex:
    if benchmark is not None:
        return next(item.dates for item in series if item.symbol == benchmark)
    counts = pd.Series(1, index=np.concatenate([item.dates.to_numpy() for item in series])).groupby(level=0).sum()
    firsts = np.sort([item.dates[0].to_datetime64() for item in series])
    lasts = np.sort([item.dates[-1].to_datetime64() for item in series])
    days = counts.index.to_numpy()
    listed = np.searchsorted(firsts, days, side="right") - np.searchsorted(lasts, days, side="left")
    return pd.DatetimeIndex(days[counts.to_numpy() >= listed / 2])


def _is_daily(sessions: pd.DatetimeIndex, periods: int | None) -> bool:
    if periods is None:  # irregular: a daily table with a hole is daily
        return bool(np.median(np.diff(sessions.to_numpy()) / np.timedelta64(1, "D")) < 2)
    return periods >= 252


def _describe_symbol(series: Series, sessions: pd.DatetimeIndex, delisting: Delisting | None) -> SymbolDescription:
    first, last = series.dates[0], series.dates[-1]
    expected = sessions[(sessions >= first) & (sessions <= last)]
    coverage = float(expected.isin(series.dates).mean()) if len(expected) else 1.0
    return SymbolDescription(series.symbol, first, last, len(series.dates), coverage, delisting)


def _format_delisting(delisting: Delisting | None) -> dict[str, object]:
    return {} if delisting is None else {"delisted": str(delisting.date.date()), "payout": delisting.payout}
