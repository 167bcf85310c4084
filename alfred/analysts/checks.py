"""The contract test: one line in a test suite proves that an analyst keeps every promise of `Analyst`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import Market
from alfred.errors import AlfredError, NotFittedError


class ContractError(AlfredError):
    """An analyst breaks a promise of the contract; the text says which."""


def check_analyst(make: Callable[[], Analyst], market: Market) -> None:
    """Check an analyst against the contract.

    It must refuse to forecast before `fit`; return finite forecasts of the right shapes and horizons; forecast a window
    alike in any batch; be fitted alike twice by the same seed; survive `save_pretrained` and
    `from_pretrained` unchanged; and never write to what it was handed.

    Args:
        make: Builds a fresh, unfitted analyst.
        market: Enough history for `fit` in its first four fifths.

    Raises:
        ContractError: A promise is broken.
    """
    cut = market.dates[market.n_dates * 4 // 5]
    past = market.until(cut)
    closes_before = market.close.copy()
    analyst = make()
    windows = _windows(analyst, past)
    _require(_refuses_unfitted(analyst, windows), "predict must raise NotFittedError before fit")
    _require(analyst.fit(past) is analyst, "fit must return self")
    windows = _windows(analyst, past)
    forecast = analyst.predict(windows)
    _require(forecast.horizons == analyst.horizons, "the forecast must be for the analyst's horizons")
    _require(
        forecast.mean.shape == (len(windows), len(analyst.horizons)),
        f"the mean must have shape {(len(windows), len(analyst.horizons))}, has {forecast.mean.shape}",
    )
    _require(bool(np.isfinite(forecast.quantiles).all()), "the quantiles must be finite")
    _require(bool(np.isfinite(forecast.mean).all()), "the mean must be finite")
    again = make().fit(past).predict(windows)
    _require(_equal(forecast, again), "the same seed and data must give the same forecast")
    half = take_windows(windows, slice(0, len(windows) // 2))
    part = analyst.predict(half)
    close = np.allclose(part.quantiles, forecast.quantiles[: len(half)], rtol=1e-4, atol=1e-6)
    _require(bool(close), "a window must be forecast alike in any batch")
    with tempfile.TemporaryDirectory() as folder:
        analyst.save_pretrained(folder)
        restored = type(analyst).from_pretrained(folder)
        _require(restored.settings == analyst.settings, "the settings must survive saving and loading")
        _require(_equal(forecast, restored.predict(windows)), "the forecast must survive saving and loading")
    _require(np.array_equal(closes_before, market.close, equal_nan=True), "the market must not be written to")


def take_windows(contexts: Contexts, rows: slice) -> Contexts:
    """Return some windows of a batch."""
    return replace(
        contexts,
        values=contexts.values[rows],
        symbols=contexts.symbols[rows],
        dates=contexts.dates[rows],
        timestamps=contexts.timestamps[rows],
    )


def _windows(analyst: Analyst, market: Market) -> Contexts:
    """Return the windows of all symbols on a few of the last dates."""
    rows = np.repeat(np.arange(market.n_dates - 3, market.n_dates), market.n_symbols)
    columns = np.tile(np.arange(market.n_symbols), 3)
    keep = market.tradable[rows, columns]
    return make_contexts(market, rows[keep], columns[keep], length=analyst.context_length, fields=analyst.fields)


def _refuses_unfitted(analyst: Analyst, windows: Contexts) -> bool:
    try:
        analyst.predict(windows)
    except NotFittedError:
        return True
    return analyst.is_fitted  # a pretrained analyst may be ready from the start


def _equal(first: Forecast, second: Forecast) -> bool:
    return bool(np.array_equal(first.quantiles, second.quantiles) and np.array_equal(first.mean, second.mean))


def _require(condition: bool, promise: str) -> None:
    if not condition:
        raise ContractError(promise)
