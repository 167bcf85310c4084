"""What ridge and trees find: `python benchmarks/bench_tabular.py [--market ../shared/market/daily] [--only NAME]`.

Four worlds, each learnt from its first part and judged once on what follows, at the default settings:

- column: the planted market (`make_planted_market`, information coefficient 0.1). Its signal stands beside the prices
  and not in them, so it is handed to the analysts as a column, with its four distractors.
- prices: each return leans on the symbol's own ten-session return, with a correlation of 0.1.
- bent: the same on the size of that return, whatever its sign. A line sees of it what recent volatility shows.
- noise: returns without memory. Nothing may be found.

With `--market`, the requested symbols as well: learnt until the end of 2017, judged on 2018 to 2023 against naive
persistence. The share is the rank IC of the analyst over that of the truth on the same dates.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.analysts import Analyst, make_analyst
from alfred.analysts.settings import AnalystSettings, LstmSettings, NaiveSettings
from alfred.analysts.tabular.settings import RidgeSettings, TreesSettings
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.data.synthetic import PlantedModel, make_noise_market, make_planted_market
from alfred.evaluation.forecast_metrics import compute_rank_correlations, compute_realised_returns, estimate_mean
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.forecasts.skill_table import compare_forecasts

IC = 0.1
N_DAYS, CUT = 6000, 4000


def make_column_world(seed: int) -> tuple[Market, npt.NDArray[np.floating], tuple[str, ...]]:
    """Return the planted market with its signals as columns, the truth `[T, N]`, and the columns."""
    market, signals, _ = make_planted_market(model=PlantedModel(ic=IC), n_days=N_DAYS, execution_lag=0, seed=seed)
    extras = {name: signals.values[:, :, k] for k, name in enumerate(signals.names)}
    return replace(market, extras=extras), signals.values[:, :, 0], signals.names


def make_price_world(seed: int, *, bent: bool) -> tuple[Market, npt.NDArray[np.floating], tuple[str, ...]]:
    """Return a market whose returns lean on the return over ten sessions, and what they lean on `[T, N]`."""
    rng = np.random.default_rng(seed)
    bars, volatility, n_symbols = 10, 0.015, 10
    returns = np.zeros((N_DAYS, n_symbols))
    truth = np.zeros_like(returns)
    for t in range(N_DAYS):
        if t >= bars:
            score = returns[t - bars : t].sum(axis=0) / (volatility * np.sqrt(bars))
            # |z| of a standard normal has mean sqrt(2 / pi) and variance 1 - 2 / pi.
            truth[t - 1] = (np.abs(score) - np.sqrt(2 / np.pi)) / np.sqrt(1 - 2 / np.pi) if bent else score
        lean = truth[t - 1] if t else 0.0
        returns[t] = volatility * (IC * lean + np.sqrt(1 - IC**2) * rng.standard_normal(n_symbols))
    dates = pd.bdate_range("1990-01-01", periods=N_DAYS)
    symbols = [f"A{n}" for n in range(n_symbols)]
    market = Market.from_arrays(dates, symbols, 100 * np.exp(np.cumsum(returns, axis=0)), benchmark="A0")
    return market, truth, ()


def make_noise_world(seed: int) -> tuple[Market, npt.NDArray[np.floating], tuple[str, ...]]:
    """Return returns without memory."""
    market = make_noise_market(n_days=N_DAYS, seed=seed).market
    return market, np.full(market.close.shape, np.nan), ()


WORLDS = {
    "column": make_column_world,
    "prices": lambda seed: make_price_world(seed, bent=False),
    "bent": lambda seed: make_price_world(seed, bent=True),
    "noise": make_noise_world,
}


def forecast(analyst: Analyst, market: Market, rows: npt.NDArray[np.integer]) -> ForecastRecord:
    """Return the forecasts of some rows by an analyst that was fitted before them."""
    horizons, levels = analyst.horizons, (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    shape = (len(rows), market.n_symbols, len(horizons))
    mean, quantiles = np.full(shape, np.nan), np.full((*shape, len(levels)), np.nan)
    for row, column, contexts in iterate_contexts(
        market, rows, length=analyst.context_length, fields=analyst.fields, min_history=analyst.min_history
    ):
        found = analyst.predict(contexts)
        place = np.searchsorted(rows, row)
        mean[place, column], quantiles[place, column] = found.mean, found.quantiles
    trained = np.full(len(rows), market.dates[rows[0] - 1].to_datetime64())
    return ForecastRecord(market.dates[rows], market.symbols, horizons, levels, mean, quantiles, trained)


def measure_world(name: str, settings: AnalystSettings, seed: int) -> str:
    """Return one row of the table: rank IC, its t, that of the truth, the share."""
    market, truth, columns = WORLDS[name](seed)
    changes: dict[str, object] = {"horizons": (1,)}
    if columns:
        changes["columns"] = columns
    analyst = make_analyst(settings.model_copy(update=changes))
    began = time.perf_counter()
    analyst.fit(market.until(market.dates[CUT - 1]))
    fit_s = time.perf_counter() - began
    rows = np.arange(CUT, N_DAYS - 1)
    record = forecast(analyst, market, rows)
    outcome = compute_realised_returns(market, market.dates[rows], market.symbols, 1)
    # The benchmark is the mean of the others.
    kept = [n for n, symbol in enumerate(market.symbols) if symbol.startswith("A")]
    found = compute_rank_correlations(record.mean[:, kept, 0], outcome[:, kept])
    found = found[np.isfinite(found)]
    value = float(found.mean()) if len(found) else 0.0
    t = estimate_mean(found - value, value, without_skill=0.0, horizon=1).t if len(found) else 0.0
    ranked = compute_rank_correlations(truth[rows][:, kept], outcome[:, kept])
    best = float(ranked[np.isfinite(ranked)].mean()) if name != "noise" else 0.0
    share = f"{value / best:.0%}" if best else "-"
    return f"| {name} | {seed} | {settings.label} | {value:.4f} | {t:.1f} | {best:.4f} | {share} | {fit_s:.1f} |"


def load_role(folder: Path, role: str) -> Market:
    """Return the market of the symbols that `symbols.csv` gives this role, SPY the benchmark."""
    table = pd.read_csv(folder / "symbols.csv")
    names = [symbol for symbol in table.loc[table.role == role, "symbol"] if symbol != "SPY"]
    return load_market(DataSettings(path=folder)).select([*names, "SPY"])


def measure_market(folder: Path, analysts: list[AnalystSettings]) -> pd.DataFrame:
    """Return the rows `all` of the table of skill, 2018 to 2023."""
    market = load_role(folder, "requested")
    past = market.until("2017-12-31")
    rows = np.flatnonzero(market.dates >= "2018-01-01")
    records = {}
    for settings in [NaiveSettings(), *analysts]:
        began = time.perf_counter()
        analyst = make_analyst(settings).fit(past)
        fitted = time.perf_counter()
        records[settings.label] = forecast(analyst, market, rows)
        print(
            f"{settings.label}: fit {fitted - began:.0f} s, forecast {time.perf_counter() - fitted:.0f} s", flush=True
        )
        print("  " + " ".join(analyst.notes), getattr(analyst, "penalties_", ""), getattr(analyst, "spread_", ""))
    table = compare_forecasts(records, market)
    return table[table.symbol == "all"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, default=None, help="folder of prices")
    parser.add_argument("--only", choices=("none", *WORLDS), default=None, help="one world, or none of them")
    parser.add_argument("--seeds", type=int, default=3, help="draws of each world")
    parser.add_argument("--lstm", action="store_true", help="measure the LSTM as well")
    options = parser.parse_args()
    analysts: list[AnalystSettings] = [RidgeSettings(), TreesSettings()]
    if options.only != "none":
        print("| world | seed | analyst | rank IC | t | that of the truth | share | fit s |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name in [options.only] if options.only else WORLDS:
            for settings in [*analysts, *([LstmSettings()] if options.lstm and name != "column" else [])]:
                for seed in range(options.seeds):
                    print(measure_world(name, settings, seed), flush=True)
    if options.market is not None:
        if options.lstm:
            analysts.append(LstmSettings())
        columns = ["analyst", "horizon", "n", "mae_pct", "skill_pct", "skill_low", "skill_high", "rank_ic", "rank_ic_t"]
        print(measure_market(options.market, analysts)[[*columns, "r2_zero", "coverage_90"]].to_string(index=False))


if __name__ == "__main__":
    main()
