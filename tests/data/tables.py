"""Price tables small enough to read, written where a test wants them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HEADER = "date,symbol,open,high,low,close,adj_close,volume\n"


def make_rows(symbols: tuple[str, ...] = ("AAA", "SPY"), days: int = 5, start: str = "2020-01-06") -> pd.DataFrame:
    """A clean long table: close 10, 11, 12, ... and an adj_close of half of it."""
    rows = []
    for number, symbol in enumerate(symbols):
        for step, day in enumerate(pd.bdate_range(start, periods=days)):
            close = 10.0 * (number + 1) + step
            rows.append((day.strftime("%Y-%m-%d"), symbol, close - 0.5, close + 1, close - 1, close, close / 2, 1000.0))
    return pd.DataFrame(rows, columns=HEADER.strip().split(","))


def write_rows(rows: pd.DataFrame, path: Path) -> Path:
    """Write rows as the ending of the path says."""
    if path.suffix == ".parquet":
        rows.to_parquet(path, index=False)
    else:
        rows.to_csv(path, index=False)
    return path
