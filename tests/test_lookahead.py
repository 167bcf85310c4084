"""The future is unreachable: scramble everything after t, and nothing up to t may change by a single bit.

One helper compares a whole pipeline on the true market and on one with another future; planted leaks show that it can
fail. Dates are probed in the warm-up, in the middle of a month and just before a refit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alfred.analysts.registry import ANALYSTS
from alfred.config import ForecastSettings
from alfred.data import Market, Signals
from alfred.data.delisting import Delisting
from alfred.data.features.catalogue import compute_features
from alfred.data.perturbation import scramble_after
from alfred.data.settings import FeatureSettings
from alfred.envs import PortfolioEnv, PortfolioSettings, encode_weights
from alfred.envs.settings import ActionSettings
from alfred.training.forecasting import forecast_walk_forward
from tests.analysts.small import list_kinds, make_small_settings, prepare_market
from tests.conftest import make_random_market

MARKET = make_random_market(420, late_listing=True)
PROBES = (5, 150, 309, 380)
SCHEDULE = ForecastSettings(min_train_days=290, refit_every_days=60, cache=None)
Table = dict[pd.Timestamp, np.ndarray]


def find_leak(compute: Callable[[Market], Table], market: Market = MARKET, probes: tuple[int, ...] = PROBES) -> str:
    """Return the first date at which another future changes something, or an empty string."""
    true = compute(market)
    for probe in probes:
        date = market.dates[probe]
        for seed in (0, 1):
            other = compute(scramble_after(market, date, seed))
            for when, values in true.items():
                if when <= date and values.tobytes() != other[when].tobytes():
                    return f"{when.date()} changed with the future after {date.date()}"
    return ""


def by_date(signals: Signals) -> Table:
    return dict(zip(signals.dates, signals.values, strict=True))


def forecast_with(kind: str) -> Callable[[Market], Table]:
    settings = make_small_settings(kind)
    return lambda market: by_date(forecast_walk_forward(market, settings, SCHEDULE))


@pytest.mark.parametrize("normalise", ["none", "rank", "zscore"])
@pytest.mark.parametrize("family", ["technical", "momentum", "classic", "risk", "costs"])
def test_features(family, normalise) -> None:
    settings = FeatureSettings(names=(family,), normalise=normalise)
    assert find_leak(lambda market: by_date(compute_features(market, settings))) == ""


@pytest.mark.parametrize("kind", list_kinds("kronos", "toto", "fracast", "extractor", "hermite"))
def test_walk_forward_signals_of_every_analyst(kind) -> None:
    # The late probes lie inside the first and the second block of forecasts; scrambles after them change the refits.
    assert find_leak(forecast_with(kind), prepare_market(kind, MARKET), probes=(309, 380)) == ""


def test_scaled_signals() -> None:
    settings = FeatureSettings(names=("momentum",), normalise="none")
    assert find_leak(lambda market: by_date(compute_features(market, settings).scaled())) == ""


def halt_for_good(market: Market, column: int, row: int) -> Market:
    """Return the market in which a symbol never trades again from a row on."""
    tradable = market.tradable.copy()
    tradable[row:, column] = False
    panels = {name: np.where(tradable, market.field(name), np.nan) for name in ("open", "high", "low", "close")}
    return replace(market, tradable=tradable, **panels)


@pytest.mark.parametrize(
    "market",
    [MARKET, halt_for_good(MARKET, 1, 306), halt_for_good(MARKET, 1, 381)],
    ids=["as it is", "a halt before", "a halt after"],
)
@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_observations(execution, market) -> None:
    """What an agent sees at the close of t, with its weights, does not depend on what comes after t."""
    rates = np.full(market.n_dates, 0.03)
    gone = {"S2": Delisting(market.dates[380], 0.5)}
    market = replace(market, cash_rate=rates, delistings=gone)
    settings = PortfolioSettings(execution=execution, lookback=10, action=ActionSettings(mode="simplex"))
    features = FeatureSettings(names=("momentum_1", "roc_20"))
    actions = np.random.default_rng(3).dirichlet(np.ones(MARKET.n_symbols + 1), size=MARKET.n_dates)

    def observe(market: Market) -> Table:
        env = PortfolioEnv(market, compute_features(market, features), settings)
        seen, (observation, _), done = {}, env.reset(seed=0), False
        lag = env.tape.lag
        first = market.dates.get_loc(env.tape.dates[0]) - lag
        step = 0
        while not done:
            flat = np.concatenate([observation[key].ravel() for key in sorted(observation)])
            seen[market.dates[first + step]] = flat
            observation, _, terminated, truncated, _ = env.step(encode_weights(actions[step]))
            done, step = terminated or truncated, step + 1
        return seen

    assert find_leak(observe, market) == ""


def shift_back(table: Table) -> Table:
    dates = sorted(table)
    return {date: table[later] for date, later in itertools.pairwise(dates)}


def scale_by_everything(market: Market) -> Table:
    signals = compute_features(market, FeatureSettings(names=("momentum_1",), normalise="none"))
    spread = np.nanstd(signals.values)
    return {date: values / spread for date, values in by_date(signals).items()}


def fill_backwards(market: Market) -> Table:
    values = pd.DataFrame(market.log_returns()).rolling(20).mean().bfill().to_numpy()
    return dict(zip(market.dates, values, strict=True))


def centre(market: Market) -> Table:
    values = pd.DataFrame(market.close).rolling(5, center=True).mean().to_numpy()
    return dict(zip(market.dates, values, strict=True))


def forecast_with_one_fit(market: Market) -> Table:
    """An analyst fitted once on everything: the commonest leak of all."""
    settings = ANALYSTS.load_settings("momentum")(kind="momentum")
    analyst = ANALYSTS.load("momentum")(settings).fit(market)
    return dict.fromkeys(market.dates, analyst.coefficients_)


@pytest.mark.parametrize(
    "leak",
    [
        lambda market: shift_back(forecast_with("naive")(market)),
        scale_by_everything,
        fill_backwards,
        centre,
        forecast_with_one_fit,
    ],
    ids=["tomorrow's row", "full-sample scale", "filled backwards", "centred window", "one fit on everything"],
)
def test_planted_leaks_are_caught(leak) -> None:
    assert "changed with the future" in find_leak(leak)
