"""Tiny Totos trained from scratch with and without covariates, beside naive persistence, on daily prices.

The 22 symbols with the role requested, trained on prices until 2017 and judged on 2018 to 2023 every fifth session,
so that the outcomes of no two dates overlap. The error is `100 |forecast - close| / last close`, the mean of the
symbols; the rank IC is Spearman's between the expected returns of a date and what followed, its t that of the mean over
the dates. Each line is the mean over the seeds, with the lowest and highest IC. It takes some minutes of one core.

    python benchmarks/toto_covariates.py --market ../shared/market/daily
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from alfred.analysts.base import Analyst
from alfred.analysts.baseline import compare_with_naive
from alfred.analysts.toto.analyst import TotoAnalyst
from alfred.analysts.toto.settings import TotoSettings, TotoSize
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.learning.settings import FittingSettings

HORIZONS, UNTIL, SINCE, EVERY_DAYS = (1, 5), "2017-12-31", "2018-01-01", 5
FITTING = FittingSettings(steps=300, batch_size=64, learning_rate=3e-3, schedule="warmup_stable_decay")
COVARIATES = ((), ("volume",), ("market_level", "sector_level"), ("volume", "market_level", "sector_level"))
FEWEST = 5  # symbols on a date for a rank to mean anything


def compute_rank_ics(analyst: Analyst, market: Market, horizon: int) -> np.ndarray:
    """Return the rank IC of each date at one horizon, `[D]`."""
    position = analyst.horizons.index(horizon)
    first = int(market.dates.searchsorted(pd.Timestamp(SINCE)))
    rows = np.arange(first, market.n_dates - horizon, EVERY_DAYS)
    logs = np.log(np.where(market.tradable, market.close, np.nan))
    pieces = []
    for row, column, contexts in iterate_contexts(market, rows, length=analyst.context_length, fields=analyst.fields):
        followed = logs[row + horizon, column] - logs[row, column]
        expected = analyst.predict(contexts).mean[:, position]
        pieces.append(pd.DataFrame({"row": row, "expected": expected, "followed": followed}))
    ics = []
    for _, day in pd.concat(pieces).dropna().groupby("row"):
        if len(day) >= FEWEST:
            ics.append(np.corrcoef(rankdata(day["expected"]), rankdata(day["followed"]))[0, 1])
    return np.asarray(ics)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder with prices and symbols.csv")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each configuration")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    roles = pd.read_csv(arguments.market / "symbols.csv").set_index("symbol")["role"]
    market = load_market(DataSettings(path=arguments.market))
    market = market.select([symbol for symbol in market.symbols if roles.get(symbol) == "requested"])
    past = market.until(UNTIL)
    print("| version | covariates | sessions | naive MAE % | MAE % | better on | rank IC | lowest, highest | t |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    start = time.process_time()
    for version in ("1.0", "2.0"):
        for covariates in COVARIATES:
            settings = TotoSettings.model_validate(
                {
                    "version": version,
                    "horizons": HORIZONS,
                    "context_length": 64,
                    "covariates": covariates,
                    "size": TotoSize(patch_size=16),
                    "fitting": FITTING,
                }
            )
            fitted = [
                TotoAnalyst(settings.model_copy(update={"seed": seed})).fit(past) for seed in range(arguments.seeds)
            ]
            for horizon in HORIZONS:
                errors = [
                    compare_with_naive(analyst, market, horizon, since=SINCE, every_days=EVERY_DAYS)
                    for analyst in fitted
                ]
                ics = np.stack([compute_rank_ics(analyst, market, horizon) for analyst in fitted])
                daily = ics.mean(axis=0)
                t = daily.mean() / (daily.std(ddof=1) / np.sqrt(len(daily)))
                means = ics.mean(axis=1)
                print(
                    f"| {version} | {', '.join(covariates) or 'none'} | {horizon} "
                    f"| {errors[0].table['naive_mae_pct'].mean():.3f} "
                    f"| {np.mean([error.table['mae_pct'].mean() for error in errors]):.3f} "
                    f"| {np.mean([error.n_better for error in errors]):.1f} of {len(errors[0].table)} "
                    f"| {daily.mean():+.4f} | {means.min():+.4f}, {means.max():+.4f} | {t:+.1f} |",
                    flush=True,
                )
    print(f"{time.process_time() - start:.0f} CPU seconds")


if __name__ == "__main__":
    main()
