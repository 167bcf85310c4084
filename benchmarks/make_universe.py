"""Write a synthetic universe of the size of a whole exchange as one long Parquet table.

    python benchmarks/make_universe.py --symbols 5300 --years 20 universe.parquet --reports reports.csv

Random walks with late listings and delistings, unadjusted dividends and a benchmark called SPY; nothing is real, and
neither are the quarterly reports, which mean nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SESSIONS_A_YEAR = 252
BLOCK = 100


def make_block(rng: np.random.Generator, names: list[str], days: np.ndarray, ends: np.ndarray) -> pa.Table:
    """Return the rows of some symbols; symbol n trades from the session `ends[n, 0]` to `ends[n, 1]`."""
    shape = (len(names), len(days))
    close = 50 * np.exp(np.cumsum(rng.normal(2e-4, 0.02, shape), axis=1))
    opened = close * np.exp(rng.normal(0, 0.005, shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.005, shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.005, shape)))
    # A dividend of half a per cent each quarter that only adj_close knows.
    dividends = 1.005 ** -((len(days) - np.arange(len(days))) // 63)
    position = np.arange(len(days))
    listed = (position >= ends[:, :1]) & (position <= ends[:, 1:])
    rows, columns = np.nonzero(listed)
    prices = {"open": opened, "high": high, "low": low, "close": close, "adj_close": close * dividends}
    indices = pa.array(rows.astype(np.int32))
    table = {"date": pa.array(days[columns]), "symbol": pa.DictionaryArray.from_arrays(indices, pa.array(names))}
    table |= {name: pa.array(panel[listed].astype(np.float32)) for name, panel in prices.items()}
    table["volume"] = pa.array(rng.integers(1_000, 10_000_000, len(rows)))
    return pa.table(table)


def write_universe(path: Path, n_symbols: int, years: int, seed: int = 0) -> int:
    """Write the table, a block of symbols at a time, and return the number of rows."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2004-01-02", periods=years * SESSIONS_A_YEAR).to_numpy().astype("datetime64[D]")
    names = [*(f"S{n:05d}" for n in range(n_symbols - 1)), "SPY"]
    # A third of the symbols is listed late, a tenth is delisted early; SPY is always there.
    starts = np.where(rng.random(n_symbols) < 1 / 3, rng.integers(0, len(days) // 2, n_symbols), 0)
    stops = np.where(rng.random(n_symbols) < 0.1, rng.integers(len(days) // 2, len(days), n_symbols), len(days) - 1)
    ends = np.column_stack([starts, stops])
    ends[-1] = (0, len(days) - 1)
    n_rows, writer = 0, None
    for first in range(0, n_symbols, BLOCK):
        block = make_block(rng, names[first : first + BLOCK], days, ends[first : first + BLOCK])
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block)
        n_rows += len(block)
    if writer is not None:
        writer.close()
    return n_rows


def write_reports(path: Path, n_symbols: int, years: int, seed: int = 0) -> int:
    """Write an earnings table with a report a quarter of every symbol but SPY, and return the number of rows."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2004-01-02", periods=years * SESSIONS_A_YEAR)
    places = rng.integers(0, 63, n_symbols - 1)[:, None] + np.arange(len(days) // 63)[None] * 63
    symbols, quarters = np.nonzero(places < len(days))
    estimated = rng.uniform(0.2, 3.0, len(symbols)).round(2)
    table = {"symbol": [f"S{n:05d}" for n in symbols], "report_date": days[places[symbols, quarters]].date}
    table |= {"eps_reported": (estimated + rng.normal(0, 0.1, len(symbols))).round(2), "eps_estimated": estimated}
    pd.DataFrame({**table, "release_time": rng.choice(["pre", "post"], len(symbols))}).to_csv(path, index=False)
    return len(symbols)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--symbols", type=int, default=5300)
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reports", type=Path, help="earnings table to write beside the prices")
    arguments = parser.parse_args()
    n_rows = write_universe(arguments.path, arguments.symbols, arguments.years, arguments.seed)
    print(f"{arguments.path}: {n_rows} rows, {arguments.path.stat().st_size / 2**20:.0f} MiB")
    if arguments.reports is not None:
        n_reports = write_reports(arguments.reports, arguments.symbols, arguments.years, arguments.seed)
        print(f"{arguments.reports}: {n_reports} reports")


if __name__ == "__main__":
    main()
