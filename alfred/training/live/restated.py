"""Restated bars: what a source says of the past today against what it said before.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.data.files import read_parquet, write_atomically
from alfred.data.market import FIELDS, Market
from alfred.errors import CheckpointError
from alfred.typing import FloatArray

_SEPARATOR = " of "
_SAME = 1e-5  # room for the digits of a file: a factor that moves less than this is one factor


@dataclass(frozen=True)
class Restatement:
    """One bar that is not what it was.

    Attributes:
        symbol: Whose.
        date: ISO date of the session.
        field: Which of open, high, low, close, volume; `session` where the session itself came or went.
        old: The value before; None where there was none.
        new: The value now; None where there is none.
    """

    symbol: str
    date: str
    field: str
    old: float | None
    new: float | None

    def __str__(self) -> str:
        """Return it on one line."""
        old, new = ("none" if value is None else f"{value:.10g}" for value in (self.old, self.new))
        return f"{self.field} of {self.symbol} on {self.date}: {old} before, {new} now"

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """What a source says of the past, against what it said before.

    Attributes:
        restated: Bars that changed, by date and symbol; those of `rescaled` symbols are left out.
        rescaled: Factor of each symbol all of whose prices were multiplied by one: an adjustment, which leaves every
            return as it was.
    """

    restated: tuple[Restatement, ...]
    rescaled: Mapping[str, float]


def save_bars(market: Market, path: Path) -> None:
    """Write the bars of a market, to be compared with later."""
    columns = {
        f"{name}{_SEPARATOR}{symbol}": np.asarray(array[:, column], dtype=np.float64)
        for name in FIELDS
        if (array := getattr(market, name)) is not None
        for column, symbol in enumerate(market.symbols)
    }
    table = pd.DataFrame(columns, index=market.dates).rename_axis("date")
    write_atomically(path, table.to_parquet)


def load_bars(path: Path) -> pd.DataFrame:
    """Read what `save_bars` wrote: a row a session, a column `FIELD of SYMBOL` a series.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    try:
        return read_parquet(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not hold bars ({' '.join(str(error).split())}); `alfred update RUN --fresh` starts over"
        ) from error


def compare_bars(earlier: pd.DataFrame, market: Market) -> Comparison:
    """Compare bars that were kept with a market that ends with the same session.

    Args:
        earlier: As `load_bars` returns them.
        market: What the source says of these sessions now.
    """
    restated = _compare_sessions(earlier.index, market)
    both = earlier.index.intersection(market.dates)
    old_rows, new_rows = earlier.index.get_indexer(both), market.dates.get_indexer(both)
    rescaled: dict[str, float] = {}
    for column, symbol in enumerate(market.symbols):
        found, factors, moved = [], [], False
        for name in FIELDS:
            key, array = f"{name}{_SEPARATOR}{symbol}", getattr(market, name)
            if array is None or key not in earlier:
                continue
            before = earlier[key].to_numpy(dtype=np.float64)[old_rows]
            now = np.asarray(array[new_rows, column], dtype=np.float64)
            rows = np.flatnonzero(~((before == now) | (np.isnan(before) & np.isnan(now))))
            found += [_describe(symbol, both[row], name, before[row], now[row]) for row in rows]
            factor = _find_factor(before, now)
            if name != "volume":
                factors.append(factor)
                moved = moved or len(rows) > 0
            elif factor is None:  # a split divides all volumes alike
                moved = False
        if moved and _agree(factors):
            rescaled[symbol] = float(factors[-1] or 1.0)
        else:
            restated += found
    return Comparison(tuple(sorted(restated, key=lambda item: (item.date, item.symbol))), rescaled)


def _compare_sessions(dates: pd.DatetimeIndex, market: Market) -> list[Restatement]:
    gone = [(date, 1.0, None) for date in dates.difference(market.dates)]
    came = [(date, None, 1.0) for date in market.dates.difference(dates)]
    return [Restatement("all", str(date.date()), "session", old, new) for date, old, new in [*gone, *came]]


def _describe(symbol: str, date: pd.Timestamp, name: str, old: float, new: float) -> Restatement:
    spelt = [None if np.isnan(value) else float(value) for value in (old, new)]
    return Restatement(symbol, str(date.date()), name, *spelt)


def _find_factor(before: FloatArray, now: FloatArray) -> float | None:
    """Return what all numbers were multiplied by, or None when it is not one; NaN and zero must stay what they are."""
    known = np.isfinite(before) & (before != 0.0)
    if not known.any() or (known != (np.isfinite(now) & (now != 0.0))).any():
        return None
    ratio = now[known] / before[known]
    middle = float(np.median(ratio))
    return middle if np.abs(ratio / middle - 1.0).max() <= _SAME else None


def _agree(factors: Sequence[float | None]) -> bool:
    numbers = np.array([item for item in factors if item is not None])
    if len(numbers) < len(factors):
        return False
    return bool(np.abs(numbers / numbers[0] - 1.0).max() <= _SAME)
