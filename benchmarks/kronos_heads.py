"""Both heads of Kronos beside each other: on a planted signal, and on daily prices against naive persistence.

    OMP_NUM_THREADS=1 python -m benchmarks.kronos_heads planted
    OMP_NUM_THREADS=1 python -m benchmarks.kronos_heads market --folder ../shared/market/daily

`planted`: returns that lean on their predecessor by 0.1, which is the attainable information coefficient; the share
that is found is the correlation of the forecasts with the true means. `market`: a tiny model from scratch, trained to
the end of 2017 and judged on every fifth session of 2018 to 2023, uncalibrated.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.analysts.kronos.analyst import KronosAnalyst
from alfred.analysts.kronos.settings import KronosSettings, ReturnHeadSettings
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.forecasts.skill_table import compare_forecasts
from tests.analysts.planted import make_autoregressive_market

COEFFICIENT, N_FIT, N_JUDGED = 0.1, 2000, 500
LAST_TRAINED, FIRST_JUDGED, LAST_JUDGED = "2017-12-31", "2018-01-01", "2023-12-31"


def list_settings(horizons: tuple[int, ...], names: list[str]) -> dict[str, KronosSettings]:
    """Return the settings that stand in the table, by name."""
    direct = ReturnHeadSettings(tokens_first=False)
    found = {
        "tokens": KronosSettings(horizons=horizons),
        "tokens 64 samples": KronosSettings(horizons=horizons, samples=64),
        "return": KronosSettings(horizons=horizons, head="return"),
        "return direct": KronosSettings(horizons=horizons, head="return", return_head=direct),
        "return without moves": KronosSettings(
            horizons=horizons, head="return", return_head=ReturnHeadSettings(moves=0)
        ),
    }
    for loss in ("pinball", "huber"):
        head = ReturnHeadSettings(loss=loss)
        found[f"return {loss}"] = KronosSettings(horizons=horizons, head="return", return_head=head)
    return {name: settings for name, settings in found.items() if not names or name in names}


def record(analyst: Analyst, market: Market, rows: np.ndarray) -> tuple[ForecastRecord, float]:
    """Return the forecasts of some rows, and windows a second."""
    shape = (len(rows), market.n_symbols, len(analyst.horizons))
    mean, quantiles = np.full(shape, np.nan), np.full((*shape, len(DEFAULT_LEVELS)), np.nan)
    n, seconds = 0, 0.0
    for row, column, windows in iterate_contexts(market, rows, length=analyst.context_length, fields=analyst.fields):
        start = time.perf_counter()
        forecast = analyst.predict(windows)
        seconds += time.perf_counter() - start
        n += len(windows)
        place = np.searchsorted(rows, row)
        mean[place, column], quantiles[place, column] = forecast.mean, forecast.quantiles
    dates = market.dates[rows]
    found = ForecastRecord(dates, market.symbols, analyst.horizons, DEFAULT_LEVELS, mean, quantiles, dates.to_numpy())
    return found, n / seconds


def run_planted(names: list[str], seed: int) -> None:
    market, returns, means = make_autoregressive_market(COEFFICIENT, n_dates=N_FIT + N_JUDGED, n_symbols=20, seed=seed)
    rows = np.arange(N_FIT, market.n_dates - 1)
    for name, settings in list_settings((1,), names).items():
        start = time.perf_counter()
        analyst = KronosAnalyst(settings).fit(market.until(market.dates[N_FIT - 1]))
        fitted = time.perf_counter() - start
        found, speed = record(analyst, market, rows)
        share = np.corrcoef(found.mean[..., 0].ravel(), means[rows].ravel())[0, 1]
        coefficient = np.corrcoef(found.mean[..., 0].ravel(), returns[rows + 1].ravel())[0, 1]
        print(
            f"{name:20s} share of the attainable IC {share:.2f}, IC {coefficient:.3f}, fit {fitted:.0f} s, "
            f"{speed:.0f} windows a second",
            flush=True,
        )


def run_market(folder: Path, names: list[str], every: int) -> None:
    table = pd.read_csv(folder / "symbols.csv")
    symbols = tuple(table.loc[table["role"] == "requested", "symbol"])
    market = load_market(DataSettings(path=folder, symbols=symbols, benchmark="SPY"))
    rows = np.flatnonzero((market.dates >= FIRST_JUDGED) & (market.dates <= LAST_JUDGED))[::every]
    naive = NaiveAnalyst(NaiveSettings(context_length=64)).fit(market)
    records = {"naive": record(naive, market, rows)[0]}
    for name, settings in list_settings((1, 5, 20), names).items():
        start = time.perf_counter()
        analyst = KronosAnalyst(settings).fit(market.until(pd.Timestamp(LAST_TRAINED)))
        fitted = time.perf_counter() - start
        records[name], speed = record(analyst, market, rows)
        print(f"{name}: fit {fitted:.0f} s, {speed:.0f} windows a second", flush=True)
    found = compare_forecasts(records, market)
    columns = ["analyst", "horizon", "n", "mae_pct", "skill_pct", "skill_low", "skill_high", "rank_ic", "rank_ic_t"]
    columns = [column for column in [*columns, "crps", "coverage_90"] if column in found]
    print(found.loc[found["symbol"] == "all", columns].round(3).to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["planted", "market"])
    parser.add_argument("--folder", type=Path, help="prices.csv.gz and symbols.csv")
    parser.add_argument("--only", action="append", default=[], help="a row of the table; all when left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=5, help="sessions from one forecast to the next")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="  %(message)s")
    if options.task == "planted":
        run_planted(options.only, options.seed)
    else:
        run_market(options.folder, options.only, options.every)


if __name__ == "__main__":
    main()
