"""Small markets whose truth is known, and how much of it an analyst finds on dates that it has not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.analysts import make_analyst
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.data.synthetic import PlantedModel
from alfred.data.synthetic.world import draw_autoregressive
from alfred.evaluation.forecast_metrics import compute_rank_correlations, compute_realised_returns, estimate_mean

IC = 0.1


def make_column_world(n_days: int, seed: int = 0) -> tuple[Market, np.ndarray]:
    """The planted model; its signal stands beside the prices, not in them, and becomes a field of the market.

    As `make_planted_market` draws it, without the optimum, which takes seconds; assets only.
    """
    model, rng = PlantedModel(ic=IC), np.random.default_rng(seed)
    signal, foretold = model.draw(rng, (n_days + 1,))
    signal, returns = signal[1:], foretold[:n_days]
    extras = {"signal": signal}
    for k in range(model.n_distractors):
        extras[f"distractor_{k + 1}"] = draw_autoregressive(rng, signal.shape, model.autocorrelation)
    close = 100 * np.exp(np.cumsum(np.log1p(returns), axis=0))
    symbols = [f"A{n}" for n in range(model.n_assets)]
    dates = pd.bdate_range("1990-01-01", periods=n_days)
    return Market.from_arrays(dates, symbols, close, benchmark="A0", extras=extras), signal


def make_bent_world(n_days: int, seed: int = 0) -> tuple[Market, np.ndarray]:
    """Returns that lean on how far the last five sessions went, whichever way."""
    rng = np.random.default_rng(seed)
    returns, truth = np.zeros((n_days, 10)), np.zeros((n_days, 10))
    for t in range(n_days):
        if t > 5:
            score = np.abs(returns[t - 5 : t].sum(axis=0)) / (0.015 * np.sqrt(5))
            truth[t - 1] = (score - np.sqrt(2 / np.pi)) / np.sqrt(1 - 2 / np.pi)
        returns[t] = 0.015 * (IC * truth[t - 1] + np.sqrt(1 - IC**2) * rng.standard_normal(10))
    symbols = [f"A{n}" for n in range(10)]
    close = 100 * np.exp(np.cumsum(returns, axis=0))
    return Market.from_arrays(pd.bdate_range("1990-01-01", periods=n_days), symbols, close, benchmark="A0"), truth


def measure_ic(settings: AnalystSettings, market: Market, first: int, truth: np.ndarray | None) -> tuple[float, float]:
    """Fit before row `first`, forecast a session ahead from it on; return t and share of the rank IC."""
    analyst = make_analyst(settings).fit(market.until(market.dates[first - 1]))
    rows = np.arange(first, market.n_dates - 1)
    means = np.full((len(rows), market.n_symbols), np.nan)
    for row, column, contexts in iterate_contexts(
        market, rows, length=analyst.context_length, fields=analyst.fields, min_history=analyst.min_history
    ):
        means[row - first, column] = analyst.predict(contexts).mean[:, 0]
    outcome = compute_realised_returns(market, market.dates[rows], market.symbols, 1)
    kept = [n for n, symbol in enumerate(market.symbols) if symbol.startswith("A")]
    found = compute_rank_correlations(means[:, kept], outcome[:, kept])
    found = found[np.isfinite(found)]
    value = float(found.mean())
    t = estimate_mean(found - value, value, without_skill=0.0, horizon=1).t
    if truth is None:
        return t, np.nan
    return t, value / float(np.nanmean(compute_rank_correlations(truth[rows][:, kept], outcome[:, kept])))
