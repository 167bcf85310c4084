"""What `symbols.csv` says about symbols: sectors, what may be held, and how the listings that ended were paid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alfred.data.delisting import Delisting
from alfred.data.prices.parsing import parse_days, parse_numbers, read_csv_text
from alfred.errors import DataError

SYMBOLS_FILE = "symbols.csv"
MEMBERS_FILE = "members.csv"
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


def read_sectors(path: Path | str) -> dict[str, str]:
    """Return sector by symbol from the `symbols.csv` beside (or in) `path`; empty when it has none, or is not there.

    Raises:
        DataError: The file is damaged or has no column `symbol`.
    """
    file = _find_file(path)
    if file is None:
        return {}
    table = read_csv_text(file, ("symbol",))
    if "sector" not in table:
        return {}
    rows = zip(table["symbol"], table["sector"], strict=True)
    return {symbol: sector for symbol, sector in rows if symbol and sector}


def read_investable(path: Path | str) -> dict[str, bool]:
    """Return by symbol whether agents and baselines may hold it, from the column `investable` of `symbols.csv`.

    Symbols whose cell is empty are left out.

    Raises:
        DataError: The file is damaged, or a cell is neither yes nor no.
    """
    file = _find_file(path)
    if file is None:
        return {}
    table = read_csv_text(file, ("symbol",))
    if "investable" not in table:
        return {}
    found = {}
    for symbol, cell in zip(table["symbol"], table["investable"], strict=True):
        if not symbol or not cell:
            continue
        if (word := cell.casefold()) not in (*_YES, *_NO):
            raise DataError(
                f"{file}: investable of '{symbol}' is '{cell}': it must be one of {', '.join((*_YES, *_NO))}, or empty"
            )
        found[symbol] = word in _YES
    return found


def read_delistings(path: Path | str) -> dict[str, tuple[Delisting, ...]]:
    """Return the delistings by symbol from the `symbols.csv` beside (or in) `path`, in order of date.

    The column `delisted` holds the last day of the listing, `delisting_return` what a holder made from the last price
    to the payout, as a fraction: -0.3 pays 70 per cent of the last price. A ticker that was used twice may have two
    rows.

    Raises:
        DataError: The file is damaged, a date is none, a return is below -1 or stands without a date, or a delisting
            stands twice; the text names the symbol.
    """
    file = _find_file(path)
    if file is None:
        return {}
    table = read_csv_text(file, ("symbol",))
    if "delisted" not in table:
        if "delisting_return" in table:
            raise DataError(f"{file} has a column 'delisting_return' but no 'delisted'; add the dates (YYYY-MM-DD)")
        return {}
    table = table[table["symbol"] != ""]
    returns = np.full(len(table), np.nan)
    if "delisting_return" in table:
        returns = parse_numbers(table["delisting_return"], "delisting_return", file)
    dated = (table["delisted"] != "").to_numpy()
    for symbol, value in zip(table["symbol"][~dated], returns[~dated], strict=True):
        if not np.isnan(value):
            raise DataError(f"{file}: '{symbol}' has a delisting_return {value:g} but no date 'delisted'; add it")
    found: dict[str, list[Delisting]] = {}
    for symbol, day, value in zip(
        table["symbol"][dated], parse_days(table["delisted"][dated], "delisted", file), returns[dated], strict=True
    ):
        if np.isinf(value) or value < -1:
            raise DataError(
                f"{file}: delisting_return of '{symbol}' is {value:g}: it is a fraction of the last price and at least "
                "-1 (-0.3 for a loss of 30 per cent)"
            )
        entry = Delisting(day.as_unit("s"), None if np.isnan(value) else 1.0 + float(value))
        if any(entry.date == other.date for other in found.get(symbol, [])):
            raise DataError(f"{file}: '{symbol}' is delisted twice on {day.date()}; keep one row")
        found.setdefault(symbol, []).append(entry)
    return {symbol: tuple(sorted(entries, key=lambda entry: entry.date)) for symbol, entries in found.items()}


def find_members_file(path: Path | str) -> Path | None:
    """Return the `members.csv` beside (or in) `path`, or None where there is none."""
    return _find_file(path, MEMBERS_FILE)


def _find_file(path: Path | str, name: str = SYMBOLS_FILE) -> Path | None:
    source = Path(path)
    try:
        file = (source if source.is_dir() else source.parent) / name
        return file if file.is_file() else None
    except OSError as error:
        raise DataError(
            f"{source} cannot be read ({error.strerror}); give the rights, or name another place"
        ) from error
