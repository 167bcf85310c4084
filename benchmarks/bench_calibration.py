"""What calibration does: `python benchmarks/bench_calibration.py --market ../shared/market/daily [--json]`.

Analysts forecast the 22 example symbols walk-forward on the default schedule, and their forecasts are calibrated on the
way. Measured are outcomes that lie wholly within 2018 to 2023, at each horizon, before and after. The method was chosen
on these symbols and years; `--role universe --since 2006-01-01 --until 2017-12-31` measures it on others.

- coverage: per cent of outcomes inside the interval from the 5 to the 95 per cent quantile; 90 is meant. The worst and
  the best year stand beside it;
- CRPS: twice the mean pinball loss over the eleven levels, in basis points of log return (Gneiting and Raftery, 2007);
- `change_pct`: the change of CRPS in per cent, and of CRPS in units of the volatility of each symbol.

`overconfident` is the naive analyst with quantiles an eighth as wide, `erratic` one whose centre is noise and whose
width is too small by a random factor. Takes about a minute and a half of one core; `--skip-lstm` half of that.

Axes legend: T sessions, N symbols, H horizons, Q quantile levels.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from alfred.analysts.base import Analyst
from alfred.analysts.calibration.calibrator import calibrate_panel
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import CalibrationSettings, LstmSettings, MomentumSettings, NaiveSettings
from alfred.analysts.windows import hash_moves
from alfred.config import ForecastSettings
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.training.forecasting import make_blocks
from alfred.training.pieces import predict_rows

LEVELS = np.asarray(DEFAULT_LEVELS)


class Overconfident(NaiveAnalyst):
    """The naive analyst with quantiles an eighth as wide."""

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast too narrow a distribution; see the base class."""
        plain = super().predict(contexts)
        return Forecast(plain.horizons, plain.levels, plain.mean, plain.quantiles / 8)


class Erratic(NaiveAnalyst):
    """A centre of noise, and a width that is too small by a random factor."""

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast noise, drawn by the window; see the base class."""
        plain = super().predict(contexts)
        moves = np.diff(np.log(contexts.field("close").astype(np.float64)), axis=1)
        seeds = [int.from_bytes(hash_moves(row, 0, digest_size=8).digest(), "little") for row in moves]
        noise = np.stack([np.random.default_rng(seed).standard_normal((2, len(plain.horizons))) for seed in seeds])
        centre = 0.7 * plain.dispersion() * noise[:, 0]
        width = 0.15 * np.exp(0.7 * noise[:, 1])
        return Forecast(plain.horizons, plain.levels, centre, centre[..., None] + width[..., None] * plain.quantiles)


def load_role(folder: Path, role: str) -> Market:
    """Return the market of the symbols with a role, and the benchmark."""
    roles = pd.read_csv(folder / "symbols.csv").set_index("symbol")["role"]
    market = load_market(DataSettings(path=folder))
    return market.select(
        [symbol for symbol in market.symbols if roles.get(symbol) == role or symbol == market.benchmark]
    )


def forecast(market: Market, analyst: Analyst) -> tuple[np.ndarray, np.ndarray]:
    """Return mean `[T, N, H]` and quantiles `[T, N, H, Q]` of a walk on the default schedule, as they were forecast."""
    values = np.full((market.n_dates, market.n_symbols, len(analyst.horizons), 1 + len(LEVELS)), np.nan, np.float32)
    for block in make_blocks(market.n_dates, ForecastSettings()):
        analyst.fit(market.until(market.dates[block.fit_row]).copy())
        piece = predict_rows(analyst, market.until(market.dates[block.rows[-1]]), block.rows)
        if piece is not None:
            values[block.rows] = piece.values
    return values[..., 0], values[..., 1:]


def score(quantiles: np.ndarray, outcome: np.ndarray, unit: np.ndarray, years: np.ndarray) -> dict[str, float]:
    """Return coverage and CRPS of quantiles `[T, N, Q]` for outcomes `[T, N]`, with units `[N]` and years `[T]`."""
    known = np.isfinite(outcome) & np.isfinite(quantiles).all(axis=2)
    inside = np.where(known, (outcome >= quantiles[..., 0]) & (outcome <= quantiles[..., -1]), np.nan)
    apart = outcome[..., None] - quantiles
    loss = 2 * np.maximum(LEVELS * apart, (LEVELS - 1) * apart).mean(axis=2)
    by_year = [100 * float(np.nanmean(inside[years == year])) for year in np.unique(years)]
    return {
        "coverage_pct": 100 * float(np.nanmean(inside)),
        "lowest_year_pct": min(by_year),
        "highest_year_pct": max(by_year),
        "crps_bp": 1e4 * float(loss[known].mean()),
        "crps_in_volatilities": float((loss / unit)[known].mean()),
        "n_outcomes": int(known.sum()),
    }


def measure(
    market: Market, name: str, analyst: Analyst, settings: CalibrationSettings, since: str, until: str
) -> list[dict[str, Any]]:
    """Measure one analyst at each horizon on outcomes between two dates."""
    began = time.perf_counter()
    mean, raw = forecast(market, analyst)
    forecast_s = time.perf_counter() - began
    log_close = np.log(np.where(market.tradable, market.close, np.nan).astype(np.float64))
    began = time.perf_counter()
    _, calibrated = calibrate_panel(settings, analyst.horizons, DEFAULT_LEVELS, mean, raw, log_close)
    calibrate_s = time.perf_counter() - began
    judged = np.asarray((market.dates >= since) & (market.dates <= until))
    last = market.until(until)
    rows = []
    for place, horizon in enumerate(analyst.horizons):
        outcome = compute_realised_returns(last, market.dates[judged], market.symbols, horizon)
        unit, years = np.nanstd(outcome, axis=0), np.asarray(market.dates[judged].year)
        before, after = (score(item[judged, :, place], outcome, unit, years) for item in (raw, calibrated))
        change = {key: 100 * (after[key] / before[key] - 1) for key in ("crps_bp", "crps_in_volatilities")}
        rows.append(
            {
                "analyst": name,
                "horizon": horizon,
                "before": before,
                "after": after,
                "change_pct": change,
                "forecast_s": forecast_s,
                "calibrate_s": calibrate_s,
            }
        )
    return rows


def main() -> None:
    """Print a table as it comes, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, default=Path("../shared/market/daily"), help="folder of prices")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and nothing else")
    parser.add_argument("--skip-lstm", action="store_true", help="leave out the analyst that is trained")
    parser.add_argument("--settings", default="{}", help="calibration settings as JSON, to try others")
    parser.add_argument("--role", default="requested", help="role of the symbols in symbols.csv")
    parser.add_argument("--since", default="2018-01-01", help="first date of a forecast that counts")
    parser.add_argument("--until", default="2023-12-31", help="last date of an outcome that counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = CalibrationSettings.model_validate_json(options.settings)
    market = load_role(options.market, options.role)
    analysts: dict[str, Analyst] = {
        "naive": make_analyst(NaiveSettings()),
        "momentum": make_analyst(MomentumSettings()),
        "overconfident": Overconfident(NaiveSettings()),
        "erratic": Erratic(NaiveSettings()),
    }
    if not options.skip_lstm:
        analysts["lstm"] = make_analyst(LstmSettings())
    results = []
    if not options.json:
        print("| analyst | horizon | coverage before % | after % (by year) | CRPS before bp | after bp | change % |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, analyst in analysts.items():
        for row in measure(market, name, analyst, settings, options.since, options.until):
            results.append(row)
            before, after, change = row["before"], row["after"], row["change_pct"]
            if not options.json:
                print(
                    f"| {name} | {row['horizon']} | {before['coverage_pct']:.1f} | {after['coverage_pct']:.1f} "
                    f"({after['lowest_year_pct']:.0f} to {after['highest_year_pct']:.0f}) | {before['crps_bp']:.1f} | "
                    f"{after['crps_bp']:.1f} | {change['crps_bp']:+.1f} |",
                    flush=True,
                )
    if options.json:
        print(json.dumps({"settings": settings.model_dump(mode="json"), "rows": results}, indent=2))


if __name__ == "__main__":
    main()
