"""Runs on planted worlds, as far as an ablation needs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alfred.config import parse_experiment
from alfred.data.market import Market
from alfred.data.settings import SplitSettings
from alfred.data.signals import Signals
from alfred.data.splits import make_folds
from alfred.training.prepared import Prepared
from alfred.training.runs import RunFolder

N_USELESS = 20


def make_prepared(
    folder: Path, market: Market, signals: Signals, analysts: list[dict[str, Any]], test_days: int, **changes: Any
) -> Prepared:
    """Return a run without files: only its configuration, its market and its signals."""
    raw: dict[str, Any] = {
        "analysts": analysts,
        "forecast": {"min_train_days": 500, "refit_every_days": 400, "cache": None},
        "intervals": {"n_replicates": 400},
        "baselines": [],
    }
    experiment = parse_experiment(raw | changes)
    splits = SplitSettings(n_folds=1, test_start=market.dates[-test_days].date(), min_train_days=100)
    folds = make_folds(market.dates, splits, 5)
    return Prepared(experiment, RunFolder(folder / "run"), market, folds, signals)


def make_columns_market(strength: float, n_dates: int = 1_500, n_symbols: int = 10, seed: int = 0) -> Market:
    """Return a market with the columns `good`, which foretells the next return, and twenty that foretell nothing."""
    rng = np.random.default_rng(seed)
    columns = {f"idle{k}": rng.standard_normal((n_dates, n_symbols)) for k in range(N_USELESS)}
    good = rng.standard_normal((n_dates, n_symbols))
    returns = 0.01 * rng.standard_normal((n_dates, n_symbols))
    returns[1:] += 0.01 * strength * good[:-1]
    symbols = [*(f"S{i}" for i in range(n_symbols - 1)), "SPY"]
    import pandas as pd

    dates = pd.bdate_range("2005-01-03", periods=n_dates)
    market = Market.from_arrays(dates, symbols, 100 * np.exp(returns.cumsum(axis=0)), benchmark="SPY")
    return replace(market, extras={"good": good, **columns})


def make_empty_signals(market: Market) -> Signals:
    """Return signals that say nothing, for a run whose agents are not asked."""
    shape = (market.n_dates, market.n_symbols, 1)
    stamps = market.dates.to_numpy()
    return Signals(market.dates, market.symbols, ("a.expected_return_1",), np.zeros(shape, np.float32), stamps, (1,))
