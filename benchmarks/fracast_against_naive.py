"""Fracast as it is against naive persistence, on daily prices: MAE %, coverage, windows a second.

    ALFRED_MARKET_DIR=... OMP_NUM_THREADS=1 python benchmarks/fracast_against_naive.py --every 5

Forecasts are not calibrated. Fracast gives nine deciles; the interval of 90 % is read off them by carrying the normal
score on through the outer two, and is named so.
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from alfred.analysts.foundation.fracast import FracastAnalyst
from alfred.analysts.foundation.settings import FracastSettings
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.forecasts.skill_table import compare_forecasts


def load_examples(folder: Path) -> Market:
    table = pd.read_csv(folder / "symbols.csv")
    names = tuple(table.loc[table["role"] == "requested", "symbol"])
    settings = DataSettings(path=folder / "prices.csv.gz", symbols=names, benchmark="SPY", start=date(2010, 1, 1))
    return load_market(settings)


def record(analyst: FracastAnalyst, market: Market, rows: np.ndarray) -> tuple[ForecastRecord, float]:
    shape = (len(rows), market.n_symbols, len(analyst.horizons))
    mean, quantiles = np.full(shape, np.nan), np.full((*shape, len(analyst.levels_)), np.nan)
    n, seconds = 0, 0.0
    for row, column, windows in iterate_contexts(market, rows, length=analyst.context_length):
        start = time.perf_counter()
        forecast = analyst.predict(windows)
        seconds += time.perf_counter() - start
        n += len(windows)
        place = np.searchsorted(rows, row)
        mean[place, column], quantiles[place, column] = forecast.mean, forecast.quantiles
    dates = market.dates[rows]
    found = ForecastRecord(dates, market.symbols, analyst.horizons, analyst.levels_, mean, quantiles, dates.to_numpy())
    return found, n / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=5, help="sessions from one forecast to the next")
    parser.add_argument("--start", default="2018-01-01")
    parser.add_argument("--end", default="2023-12-31")
    parser.add_argument("--weights", default="fp32", choices=["fp32", "w8"])
    parser.add_argument("--scaling", default="price", choices=["price", "log_price"])
    parser.add_argument("--context", type=int, default=512)
    options = parser.parse_args()
    market = load_examples(Path(os.environ["ALFRED_MARKET_DIR"]))
    inside = np.flatnonzero((market.dates >= options.start) & (market.dates <= options.end))
    rows = inside[:: options.every]
    settings = FracastSettings(
        weights=options.weights, input_scaling=options.scaling, context_length=options.context, device="cpu"
    )
    analyst = FracastAnalyst(settings).fit(market)
    found, speed = record(analyst, market, rows)
    table = compare_forecasts({"fracast": found}, market)
    columns = ["analyst", "horizon", "n", "mae_pct", "skill_pct", "skill_low", "skill_high", "crps", "sign_accuracy"]
    print(table.loc[table["symbol"] == "all", columns].round(3).to_string(index=False))
    for position, horizon in enumerate(found.horizons):
        outcome = compute_realised_returns(market, found.dates, found.symbols, horizon)
        q = found.quantiles[:, :, position].astype(np.float64)
        step = ndtri(0.95) - ndtri(0.9)
        low = q[..., 0] - (q[..., 1] - q[..., 0]) / (ndtri(0.2) - ndtri(0.1)) * step
        high = q[..., -1] + (q[..., -1] - q[..., -2]) / (ndtri(0.9) - ndtri(0.8)) * step
        known = np.isfinite(outcome) & np.isfinite(low)
        for name, bottom, top in (("80 %", q[..., 0], q[..., -1]), ("90 % (carried on)", low, high)):
            held = (outcome >= bottom) & (outcome <= top)
            print(f"horizon {horizon}: {name} interval holds {100 * held[known].mean():.1f} %")
    print(f"{speed:.1f} windows a second")


if __name__ == "__main__":
    main()
