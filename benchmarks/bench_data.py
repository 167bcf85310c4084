"""How long the data room takes, and how much memory: loading a universe, and features against a plain loop.

    python benchmarks/bench_data.py [--symbols 500 1000 2000 5000 5300] [--years 20] [--json]

Each load runs in a process of its own, whose peak resident memory is read from the operating system; the file was
just written, so that it lies in the page cache. The tables are made on the fly by make_universe.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from make_universe import write_universe

from alfred.data.features.catalogue import compute_features
from alfred.data.market import Market
from alfred.data.settings import DataSettings, FeatureSettings
from alfred.data.sources import load_market

LOAD = """
import json, resource, sys, time
from alfred.data.sources import DataSettings, load_market
import pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, cpu_start = time.perf_counter(), time.process_time()
market = load_market(DataSettings(path=sys.argv[1], dtype="float32"))
seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
panels = sum(p.nbytes for p in (market.open, market.high, market.low, market.close, market.volume, market.tradable))
print(json.dumps({"symbols": market.n_symbols, "dates": market.n_dates, "seconds": seconds, "cpu_seconds": cpu_seconds,
                  "peak_mib": peak / 1024, "imports_mib": before / 1024, "market_mib": panels / 2**20}))
"""


def measure_load(n_symbols: int, years: int) -> dict[str, float]:
    """Make a universe, load it in a fresh process, and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "universe.parquet"
        n_rows = write_universe(path, n_symbols, years)
        size = path.stat().st_size / 2**20
        done = subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=True)
    return {"rows": n_rows, "file_mib": size, **json.loads(done.stdout)}


def compute_plainly(market: Market) -> dict[str, pd.DataFrame]:
    """The momentum family as a loop over symbols with pandas, one Series at a time."""
    result = {}
    for n, symbol in enumerate(market.symbols):
        close, volume = pd.Series(market.close[:, n]), pd.Series(market.field("volume")[:, n])
        result[symbol] = pd.DataFrame(
            {
                "momentum_12_1": close.shift(21) / close.shift(252) - 1,
                "momentum_6_1": close.shift(21) / close.shift(126) - 1,
                "momentum_3_1": close.shift(21) / close.shift(63) - 1,
                "momentum_1": close / close.shift(21) - 1,
                "roc_20": close / close.shift(20) - 1,
                "roc_60": close / close.shift(60) - 1,
                "distance_200": close / close.rolling(200, min_periods=100).mean() - 1,
                "volume_trend": volume.rolling(20, min_periods=10).mean() / volume.rolling(60, min_periods=30).mean()
                - 1,
                "volatility_20": np.log(close).diff().rolling(20, min_periods=10).std() * np.sqrt(252),
            }
        )
    return result


def measure_features(n_symbols: int, years: int) -> dict[str, float]:
    """Return CPU seconds of both ways on one market, after checking that they agree."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "universe.parquet"
        write_universe(path, n_symbols, years)
        market = load_market(DataSettings(path=path))
    start = time.process_time()
    plain = compute_plainly(market)
    plain_seconds = time.process_time() - start
    names = tuple(plain[market.symbols[0]])
    start = time.process_time()
    values = compute_features(market, FeatureSettings(names=names, normalise="none")).values
    seconds = time.process_time() - start
    for n, symbol in enumerate(market.symbols):
        traded = market.tradable[:, n]
        expected = plain[symbol].to_numpy()[traded]
        np.testing.assert_allclose(values[traded, n], expected, rtol=2e-3, atol=1e-5)
    start = time.process_time()
    compute_features(market, FeatureSettings(names=("technical",), normalise="none"))
    technical = time.process_time() - start
    return {
        "symbols": market.n_symbols,
        "dates": market.n_dates,
        "plain_loop_cpu_seconds": plain_seconds,
        "vectorised_cpu_seconds": seconds,
        "times_faster": plain_seconds / seconds,
        "technical_cpu_seconds": technical,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, nargs="+", default=[500, 1000, 2000, 5000, 5300])
    parser.add_argument("--feature-symbols", type=int, default=1000)
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.parse_args()
    result = {
        "load": [measure_load(n_symbols, arguments.years) for n_symbols in arguments.symbols],
        # The loop pays for each symbol, so that the gain is largest where histories are short.
        "features": [measure_features(arguments.feature_symbols, years) for years in (2, arguments.years)],
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(pd.DataFrame(result["load"]).round(2).to_string(index=False))
    print(pd.DataFrame(result["features"]).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
