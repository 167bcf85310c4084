"""Dated membership: an index is what it was on the day, not what it is today."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from alfred.data.market import Market
from alfred.data.prices.parsing import parse_days, read_csv_text
from alfred.errors import DataError
from alfred.typing import BoolArray

MEMBER = "member"
"""Field of the market that is 1 where a symbol belongs to the universe of the day and 0 where it does not."""

# What a market calls an earlier listing of a ticker that was used again.
_LISTING = re.compile(r"\.[0-9]+$")
_NONE = np.empty(0, dtype=np.int64)


def join_members(market: Market, path: Path | str) -> Market:
    """Return the market with what belonged to the universe on each session as the extra field `member`.

    A symbol that is not in the table never belonged, save the benchmark. What does not belong can be sold but not
    bought, is not forecast and not learnt from; its bars stay, since they are the history of what comes back.

    Args:
        market: The market.
        path: A CSV with `symbol`, `from` (first day; empty for always) and `to` (last day; empty for still). A symbol
            that came back has two rows. An earlier listing of a ticker (`GM.1`) goes by the rows of the ticker.

    Raises:
        DataError: The file cannot be read, a date is none or lies before its `from`, or no symbol of the market is in
            it.
    """
    file = Path(path)
    table = read_csv_text(file, ("symbol", "from", "to"))
    first = parse_days(table["from"].mask(table["from"] == "", "1677-09-22"), "from", file)
    last = parse_days(table["to"].mask(table["to"] == "", "2262-04-10"), "to", file)
    for row in np.flatnonzero(last < first)[:1]:
        raise DataError(
            f"{file}: '{table['symbol'].iloc[row]}' is a member from {first[row].date()} to {last[row].date()}: the "
            "last day must not be before the first; swap them"
        )
    rows_of = table.groupby("symbol").indices
    rows = [rows_of.get(symbol, rows_of.get(_LISTING.sub("", symbol), _NONE)) for symbol in market.symbols]
    if not any(len(found) for found in rows):
        shown = ", ".join(sorted(set(table["symbol"]))[:8])
        raise DataError(f"{file}: none of its symbols ({shown}, ...) is in the market; name the file of this universe")
    member = np.zeros(market.close.shape, dtype=market.close.dtype)
    starts = market.dates.searchsorted(first, side="left")
    stops = market.dates.searchsorted(last, side="right")
    for column, found in enumerate(rows):
        for row in found:
            member[starts[row] : stops[row], column] = 1.0
    return replace(market, extras={**market.extras, MEMBER: member})


def find_members(market: Market) -> BoolArray:
    """Return whether each symbol belongs to the universe on each session, `[T, N]`; all do where nothing says it.

    The benchmark always does: it is what the universe is judged against.
    """
    if MEMBER not in market.extras:
        return np.ones(market.close.shape, dtype=bool)
    members: BoolArray = market.extras[MEMBER] > 0
    members[:, market.index_of(market.benchmark)] = True
    return members
