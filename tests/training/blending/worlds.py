"""Planted markets whose signals stand for the forecasts of analysts."""

from __future__ import annotations

import numpy as np

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.synthetic import PlantedModel, make_planted_market

HORIZON = 2  # the planted signal foretells the second session ahead


def make_forecasts(
    n_days: int, seed: int, *, ic: float = 0.05, n_useless: int = 20, size: float = 0.001
) -> tuple[Market, Signals]:
    """Return a market and forecasts of it: `a0` is useful, `a1`, ... look like it and foretell nothing."""
    world = make_planted_market(n_days=n_days, seed=seed, model=PlantedModel(ic=ic, n_distractors=n_useless))
    n_signals = world.signals.n_signals
    names = tuple(f"a{number}.expected_return_{HORIZON}" for number in range(n_signals))
    values = (world.signals.values * size).astype(np.float32)
    dates = world.market.dates
    horizons = (HORIZON,) * n_signals
    return world.market, Signals(dates, world.market.symbols, names, values, dates.to_numpy(), horizons)
