"""Listings: a ticker that ends and comes back much later is another company, and some of the ends are known.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.delisting import Delisting
from alfred.data.sessions import infer_periods_per_year
from alfred.errors import DataError

_FORGOTTEN = pd.Timedelta(days=183)


@dataclass(frozen=True)
class Listing:
    """One listing of a symbol.

    Attributes:
        symbol: What the source calls it.
        name: What the market calls it: the symbol for the latest listing, `SYMBOL.1` for the oldest, `SYMBOL.2` for the
            one after it, and so on.
        column: Column of the symbol among the source's.
        first: First row with a price.
        last: Last row with a price.
    """

    symbol: str
    name: str
    column: int
    first: int
    last: int


def find_longest_halt(dates: pd.DatetimeIndex) -> int:
    """Return how many sessions in a row a symbol may lack before what follows is a new listing: half a year of them.

    Args:
        dates: Sessions, `[T]`.

    Raises:
        DataError: The sessions are spaced irregularly.
    """
    return max(2, round(infer_periods_per_year(dates) / 2))


def find_listings(
    rows_of: Iterable[tuple[str, npt.NDArray[np.int64]]], dates: pd.DatetimeIndex, longest: int | None = None
) -> list[Listing]:
    """Return the listings of all symbols, the latest of a symbol first and those before it behind it by age.

    The name of an earlier listing says nothing of when it ends: who sees the name must not know the end before it
    comes. A number that a symbol of the source has already is passed over.

    Args:
        rows_of: Each symbol, and the sessions on which it has a price, ascending.
        dates: Sessions, `[T]`.
        longest: Sessions that a symbol may lack; half a year of them when left out.
    """
    longest = find_longest_halt(dates) if longest is None else longest
    pairs = list(rows_of)
    taken = {symbol for symbol, _ in pairs}
    found = []
    for column, (symbol, rows) in enumerate(pairs):
        parts = [rows]
        if len(rows) and rows[-1] - rows[0] >= len(rows) + longest:
            parts = np.split(rows, np.flatnonzero(np.diff(rows) - 1 > longest) + 1)
        found.append(Listing(symbol, symbol, column, *_get_bounds(parts[-1])))
        free = (name for number in itertools.count(1) if (name := f"{symbol}.{number}") not in taken)
        for part, name in zip(parts[:-1], free, strict=False):
            taken.add(name)
            found.append(Listing(symbol, name, column, *_get_bounds(part)))
    return found


def move_cells(cells: npt.NDArray[np.int64], listings: Sequence[Listing], n_columns: int) -> npt.NDArray[np.int64]:
    """Return the cells of a flattened `[T, N]` panel in the panel of one column a listing.

    Args:
        cells: Cells in a panel of one column a symbol.
        listings: As `find_listings` gives them.
        n_columns: Columns of the panel that `cells` are of.
    """
    if len(listings) == n_columns:
        return cells
    t, n = np.divmod(cells, n_columns)
    current = np.empty(n_columns, dtype=np.int64)
    for position, listing in enumerate(listings):
        if listing.name == listing.symbol:
            current[listing.column] = position
    moved = current[n]
    for position, listing in enumerate(listings):
        if listing.name != listing.symbol:
            moved[(n == listing.column) & (t >= listing.first) & (t <= listing.last)] = position
    return t * len(listings) + moved


def note_listings(listings: Sequence[Listing], dates: pd.DatetimeIndex) -> list[str]:
    """Return the caveat about symbols that were used twice; empty where there is none."""
    earlier = [listing for listing in listings if listing.name != listing.symbol]
    if not earlier:
        return []
    told = [f"'{item.symbol}' has no rows for long after {dates[item.last].date()}" for item in earlier[:4]]
    more = f", and {len(earlier) - 4} more do" if len(earlier) > 4 else ""
    names = ", ".join(f"'{item.name}'" for item in earlier[:4]) + (", ..." if more else "")
    return [
        f"{', '.join(told)}{more}: more than {find_longest_halt(dates)} missing sessions end a listing, what comes "
        f"after them is a new one, and the earlier is kept as {names}."
    ]


def assign_delistings(
    known: Mapping[str, Sequence[Delisting]], listings: Sequence[Listing], dates: pd.DatetimeIndex
) -> dict[str, Delisting]:
    """Return the delistings by name of the listing that each of them ended, those up to the last session.

    Args:
        known: Delistings by symbol of the source; symbols that the market lacks are passed over.
        listings: The market's.
        dates: Sessions, `[T]`.

    Raises:
        DataError: A symbol has a price after its delisting.
    """
    assigned: dict[str, Delisting] = {}
    for symbol, entries in known.items():
        parts = sorted((item for item in listings if item.symbol == symbol), key=lambda item: item.first)
        for entry in entries:
            # A delisting is the end of the last listing that began before it.
            begun = [item for item in parts if dates[item.first] <= entry.date]
            if not begun and parts and dates[parts[0].first] - entry.date > _FORGOTTEN:
                continue  # of an earlier user of the ticker, whose prices are not here
            if parts and (not begun or dates[begun[-1].last] > entry.date):
                priced = dates[parts[0].first] if not begun else dates[begun[-1].last]
                raise DataError(
                    f"symbols.csv: '{symbol}' is delisted on {entry.date.date()}, but has a price on {priced.date()}; "
                    "correct the date, or drop the rows after it"
                )
            if begun and entry.date <= dates[-1]:
                assigned[begun[-1].name] = entry
    return assigned


def _get_bounds(rows: npt.NDArray[np.int64]) -> tuple[int, int]:
    return (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
