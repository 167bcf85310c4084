"""Which column of a file is which, whatever its provider calls it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from alfred.errors import DataError

PRICE_COLUMNS = ("open", "high", "low", "close", "adj_close")
VALUE_COLUMNS = (*PRICE_COLUMNS, "volume")

_ADJUSTED = (
    "adjclose",
    "adjcloseprice",
    "adjclosing",
    "adjclosingprice",
    "adjcp",
    "adjustedclose",
    "adjustedcloseprice",
    "adjustedclosing",
    "adjustedclosingprice",
    "closeadj",
    "closeadjusted",
    "closepriceadj",
    "closepriceadjusted",
    "closingpriceadjusted",
)
# Providers' words, without punctuation, case and blanks. Of one group a file may have one; an earlier group counts
# before a later one, since a table with a symbol may well have a company's name, and one with a date a time, as well.
_WORDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "date": (
        ("date", "datetime"),
        ("timestamp", "tradedate", "tradingdate", "tradingday"),
        ("opentime", "unix", "epoch", "ds"),
        ("day", "time"),
    ),
    "symbol": (
        ("symbol", "ticker", "tic"),
        ("instrument", "asset", "code", "sym", "stock", "security", "pair", "coin"),
        ("tickersymbol", "stocksymbol", "stockcode", "instrumentid", "assetid", "securityid", "secid", "uniqueid"),
        ("name",),
    ),
    **{name: ((name,),) for name in VALUE_COLUMNS if name != "adj_close"},
    "adj_close": (_ADJUSTED,),
}

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def match_columns(names: Sequence[str], path: Path) -> dict[str, str]:
    """Return name in the file by our name (`date`, `symbol`, `open`, ..., `volume`).

    Punctuation, case and blanks do not matter, and the words of the common providers are known. A column with "adj" in
    its name that is not the adjusted close is refused rather than passed over: prices that were taken as adjusted
    because of a spelling would book every split as a loss.

    Args:
        names: Columns of the file.
        path: The file, for the message.

    Raises:
        DataError: Two columns are the same, date or close is missing, an adjusted column is unknown, or the
            columns are separated by anything but commas.
    """
    if len(names) == 1:
        for separator, word in _SEPARATORS.items():
            if separator in str(names[0]):
                raise DataError(
                    f"{path} has a single column '{names[0]}': its cells are separated by {word}; write them "
                    f"with commas, and a point in decimals (pandas: read_csv(path, sep={separator!r}), then "
                    "to_csv(path, index=False))"
                )
    plain = {name: squeeze(name) for name in map(str, names)}
    if len(plain) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        if any(squeeze(twice) in group for groups in _WORDS.values() for group in groups):
            raise DataError(f"{path} has two columns called '{twice}'; keep one")
    found: dict[str, str] = {}
    for ours, groups in _WORDS.items():
        for group in groups:
            matching = [name for name, word in plain.items() if word in group]
            if len(matching) > 1:
                raise DataError(
                    f"{path} has two columns for '{ours}': '{matching[0]}' and '{matching[1]}'; keep one, or call the "
                    f"right one '{ours}' and rename the other"
                )
            if matching:
                found[ours] = matching[0]
                break
    for name, word in plain.items():
        if "adj" in word and name != found.get("adj_close"):
            raise DataError(
                f"{path} has a column '{name}', which is not known: call the close adjusted for splits and dividends "
                "'adj_close', and drop any other adjusted column (open, high, low and volume are put on its basis here)"
            )
    for needed in ("date", "close"):
        if needed not in found:
            raise DataError(
                f"{path} has no column '{needed}'; it has {', '.join(map(str, names)) or 'none'}, and needs at least "
                f"date and close"
            )
    return found


def squeeze(name: str) -> str:
    """Return a column's name without punctuation, blanks and case."""
    return re.sub(r"[\W_]+", "", name).casefold()
