"""From rows to a market: aligned on the benchmark's sessions, on a total-return basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.delisting import Delisting
from alfred.data.market import Market
from alfred.data.prices.listings import assign_delistings, find_listings, move_cells, note_listings
from alfred.data.prices.long_table import PriceTable
from alfred.data.prices.row_checks import check_rows
from alfred.errors import DataError, suggest
from alfred.typing import FloatArray

_DEFAULT_BENCHMARK = "SPY"


def build_market(
    table: PriceTable,
    *,
    symbols: Sequence[str] | None = None,
    benchmark: str | None = None,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    dtype: str = "float64",
    sectors: Mapping[str, str] | None = None,
    delistings: Mapping[str, Sequence[Delisting]] | None = None,
    sundays: bool = False,
) -> Market:
    """Align the rows of a table on the sessions of its benchmark.

    A session on which a symbol has no row is not tradable for it. Rows of other symbols on days that are no session
    of the benchmark (a crypto weekend) are left out; the next session's return then spans them. Columns are read one
    at a time, so that the peak is the market itself and a few columns.

    A symbol that lacks more than half a year of sessions and comes back is another company under the same ticker: the
    rows before are a listing of their own, `SYMBOL.1`, so that no return spans the gap.

    Args:
        table: The rows as read.
        symbols: Symbols to keep; all when left out.
        benchmark: The symbol whose sessions count; SPY when left out.
        start: First date, or None.
        end: Last date, or None.
        dtype: `float64`, or `float32` for half the memory.
        sectors: Sector by symbol.
        delistings: Known delistings by symbol of the table.
        sundays: Whether the exchange trades on Sundays and not on Fridays.

    Raises:
        DataError: A symbol or the benchmark is unknown or has no row in the range, or a row is bad.
    """
    bench = choose_benchmark(table.symbols, benchmark, table.hint)
    names = _choose_symbols(table, symbols, bench)
    table = _restrict(table, names, start, end)
    check_rows(table, sundays=sundays)
    positions = {symbol: code for code, symbol in enumerate(table.symbols)}
    sessions = np.unique(table.days[table.codes == positions[bench]])
    if not len(sessions):
        raise DataError(f"benchmark '{bench}' has no row {_format_range(start, end)}; widen start and end")
    present = np.unique(table.codes[np.isin(table.days, sessions)])
    absent = [name for name in names if positions[name] not in present]
    if absent and symbols is not None:
        raise DataError(
            f"'{absent[0]}' has no row on a session {_format_range(start, end)}; drop it or widen the range"
        )
    names = [name for name in names if name not in absent]
    rows, cells = _locate(table, sessions, [positions[name] for name in names])
    dates = pd.DatetimeIndex(sessions.astype("datetime64[D]").astype("datetime64[s]"))
    by_symbol = np.asfortranarray(_mark(cells, (len(dates), len(names))))
    listings = find_listings(((name, np.flatnonzero(by_symbol[:, n])) for n, name in enumerate(names)), dates)
    cells = move_cells(cells, listings, len(names))
    shape = (len(dates), len(listings))
    # A row whose scaled price overflows must not pass for a missing one, hence the mask of the rows themselves.
    tradable = _mark(cells, shape)
    with np.errstate(over="ignore", invalid="ignore"):
        panels, rescaled = _fill_panels(table, rows, cells, shape, np.dtype(dtype))
    return Market.from_arrays(
        dates,
        [listing.name for listing in listings],
        panels["close"],
        benchmark=bench,
        tradable=tradable,
        open=panels.get("open"),
        high=panels.get("high"),
        low=panels.get("low"),
        volume=panels.get("volume"),
        # Both listings of a reused ticker get its sector: a cap that one of them escaped would be none.
        sectors={item.name: sectors[item.symbol] for item in listings if item.symbol in sectors} if sectors else {},
        notes=[*_make_notes(table, len(rows), absent, rescaled=rescaled), *note_listings(listings, dates)],
        delistings=assign_delistings(delistings or {}, listings, dates),
    )


def choose_benchmark(symbols: Sequence[str], benchmark: str | None, hint: str = "") -> str:
    """Return the benchmark: the named one, or SPY.

    Args:
        symbols: What there is.
        benchmark: The named one, or None.
        hint: Further advice for the message.

    Raises:
        DataError: It is not among the symbols, or none is named and SPY is not there.
    """
    if benchmark is None and _DEFAULT_BENCHMARK not in symbols:
        raise DataError(
            f"the data hold no '{_DEFAULT_BENCHMARK}'; name the benchmark: data.benchmark={symbols[0]}.{hint}"
        )
    chosen = benchmark or _DEFAULT_BENCHMARK
    if chosen not in symbols:
        raise DataError(
            f"unknown benchmark '{chosen}'; the data have {_show(symbols)}.{suggest(chosen, symbols)}{hint}"
        )
    return chosen


def _choose_symbols(table: PriceTable, symbols: Sequence[str] | None, benchmark: str) -> list[str]:
    if symbols is None:
        return sorted(table.symbols)
    for symbol in symbols:
        if symbol not in table.symbols:
            raise DataError(
                f"unknown symbol '{symbol}'; the data have {_show(table.symbols)}.{suggest(symbol, table.symbols)}"
            )
    if len(set(symbols)) != len(symbols):
        raise DataError(f"a symbol stands twice in {list(symbols)}; name each once")
    return [*symbols] + ([] if benchmark in symbols else [benchmark])


def _restrict(table: PriceTable, names: list[str], start: pd.Timestamp | None, end: pd.Timestamp | None) -> PriceTable:
    """Return the rows of some symbols within the dates; the table itself when that is all of it."""
    mask = np.ones(table.n_rows, dtype=bool)
    if len(names) < len(table.symbols):
        mask &= np.isin(np.array(table.symbols), names)[table.codes]
    if start is not None:
        mask &= table.days >= start.to_datetime64().astype("datetime64[D]").astype(np.int64)
    if end is not None:
        mask &= table.days <= end.to_datetime64().astype("datetime64[D]").astype(np.int64)
    return table if mask.all() else table.keep(mask)


def _locate(
    table: PriceTable, sessions: npt.NDArray[np.int32], codes: list[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows that fall on a session, and their cells in a flattened `[T, N]` panel."""
    first, last = int(sessions[0]), int(sessions[-1])
    row_of_day = np.full(last - first + 1, -1, dtype=np.int32)
    row_of_day[sessions - first] = np.arange(len(sessions))
    column_of_code = np.full(len(table.symbols), -1, dtype=np.int32)
    column_of_code[codes] = np.arange(len(codes))
    inside = (table.days >= first) & (table.days <= last)
    t = np.where(inside, row_of_day[np.clip(table.days - first, 0, last - first)], -1)
    n = column_of_code[table.codes]
    rows = np.flatnonzero((t >= 0) & (n >= 0))
    return rows, t[rows].astype(np.int64) * len(codes) + n[rows]


def _mark(cells: npt.NDArray[np.int64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    mask.reshape(-1)[cells] = True
    return mask


def _fill_panels(
    table: PriceTable,
    rows: npt.NDArray[np.int64],
    cells: npt.NDArray[np.int64],
    shape: tuple[int, int],
    dtype: np.dtype[np.floating],
) -> tuple[dict[str, FloatArray], bool]:
    """Return the panels by field, each `[T, N]`, on the basis of adj_close, and whether that differs from the close."""
    factor: FloatArray | float = 1.0
    if "adj_close" in table.fields:
        factor = table.column("adj_close")[rows] / table.column("close")[rows]
    panels = {}
    for name in table.fields:
        if name == "adj_close":
            continue
        values = table.column(name)[rows]
        panel = np.full(shape, np.nan, dtype=dtype)
        # A column at a time, written straight to its cells: nothing is sorted or pivoted.
        # Volume goes the other way, so that volume times close stays the money that changed hands.
        panel.reshape(-1)[cells] = values / factor if name == "volume" else values * factor
        panels[name] = panel
    return panels, bool(np.any(factor != 1.0))


def _make_notes(table: PriceTable, n_used: int, absent: list[str], *, rescaled: bool) -> list[str]:
    notes = list(table.notes)
    if "adj_close" not in table.fields:
        notes.append("The source has no adj_close: its prices are taken as adjusted already.")
    elif rescaled and "volume" in table.fields:
        notes.append("Volume is on the basis of the adjusted close: volume times close is the money that was traded.")
    if n_used < table.n_rows:
        notes.append(f"{table.n_rows - n_used} rows on days that are no session of the benchmark are left out.")
    if absent:
        notes.append(f"{len(absent)} symbols without a row in the range are left out: {_show(absent)}.")
    return notes


def _show(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _format_range(start: pd.Timestamp | None, end: pd.Timestamp | None) -> str:
    return f"from {'the start' if start is None else start.date()} to {'the end' if end is None else end.date()}"
