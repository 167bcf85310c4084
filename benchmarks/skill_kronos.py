"""The skill of the Kronos ensemble, trained from scratch, against naive persistence and 20-day volatility.

A small pair is trained on everything before the last 1,000 sessions and then forecasts them all, for the 22 symbols of
the product's own list in `shared/market/daily`. The median error is set against persistence (a forecast of no change),
the whole distribution against a normal with no drift and the volatility of the last 20 sessions, by the continuous
ranked probability score (CRPS) of a normal with the forecast's mean and dispersion; lower is better. Finished pieces
are kept in `--cache`, so that a run that was killed goes on.

    python benchmarks/skill_kronos.py ../shared/market/daily
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import ndtr

from alfred.analysts.kronos.settings import KronosBaseSettings, KronosEnsembleSettings, KronosSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.evaluation.forecast_metrics import compute_realised_returns, compute_signal_skill
from alfred.training.forecasting import forecast_walk_forward

VOLATILITY_DAYS = 20
Array = npt.NDArray[np.float64]


def compute_crps(mean: Array, scale: Array, outcome: Array) -> Array:
    """Return the CRPS of a normal (Gneiting and Raftery, 2007, equation 21)."""
    # Paths that all agree have no spread; their score is the absolute error, which a tiny one gives.
    scale = np.maximum(scale, 1e-12)
    z = (outcome - mean) / scale
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))


def judge(signals: Signals, market: Market) -> pd.DataFrame:
    daily = market.log_returns()
    squares = pd.DataFrame(daily**2).rolling(VOLATILITY_DAYS).mean().to_numpy()
    volatility = np.sqrt(squares[market.dates.get_indexer(signals.dates)])
    skill = compute_signal_skill(signals, market).set_index("signal")
    rows = []
    for horizon in sorted(set(signals.horizons)):
        name = f"{signals.analysts[0]}.%s_{horizon}"
        mean, scale = (
            signals.values[:, :, signals.names.index(name % quantity)].astype(np.float64)
            for quantity in ("expected_return", "dispersion")
        )
        outcome = compute_realised_returns(market, signals.dates, signals.symbols, horizon)
        spread = volatility * np.sqrt(horizon)
        known = np.isfinite(mean) & np.isfinite(outcome) & (spread > 0)
        m, s, y, v = mean[known], scale[known], outcome[known], spread[known]
        correlation = skill.loc[name % "expected_return"]
        rows.append(
            {
                "horizon": horizon,
                "n": len(y),
                "mae": np.abs(m - y).mean(),
                "mae_persistence": np.abs(y).mean(),
                "crps": compute_crps(m, s, y).mean(),
                "crps_vol20": compute_crps(np.zeros_like(y), v, y).mean(),
                "inside_90": (np.abs(y - m) <= 1.645 * s).mean(),
                "inside_90_vol20": (np.abs(y) <= 1.645 * v).mean(),
                "rank_ic": correlation["value"],
                "rank_ic_t": correlation["t"],
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="prices.csv.gz and symbols.csv")
    parser.add_argument("--cache", type=Path, default=None, help="folder of finished pieces")
    parser.add_argument("--dates", type=int, default=1000, help="sessions to forecast")
    parser.add_argument("--single", action="store_true", help="one temperature of 1 instead of the ensemble")
    parser.add_argument("--not-anchored", action="store_true", help="measure returns from the true last close")
    args = parser.parse_args()
    torch.set_num_threads(1)
    roles = pd.read_csv(args.folder / "symbols.csv")
    symbols = tuple(roles.loc[roles["role"] == "requested", "symbol"])
    market = load_market(DataSettings(path=args.folder, symbols=symbols, benchmark="SPY"))
    anchored = not args.not_anchored
    settings: KronosBaseSettings = KronosEnsembleSettings(anchored=anchored)
    if args.single:
        settings = KronosSettings(samples=10, anchored=anchored)
    first = market.n_dates - args.dates - 1
    schedule = ForecastSettings(min_train_days=first + 1, refit_every_days=market.n_dates, cache=args.cache)
    wall, processor = time.perf_counter(), time.process_time()

    def report(done: int) -> None:
        print(f"  {done} sessions after {time.perf_counter() - wall:.0f} s", flush=True)

    signals = forecast_walk_forward(market, settings, schedule, report)
    print(
        f"{settings.label}: {len(market.symbols)} symbols, {len(signals.dates)} sessions from "
        f"{signals.dates[0].date()}, {time.perf_counter() - wall:.0f} s of wall time, "
        f"{time.process_time() - processor:.0f} s of processor time"
    )
    print(judge(signals, market).round(5).to_string(index=False))


if __name__ == "__main__":
    main()
