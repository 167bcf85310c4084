"""The contract test: one line in a test suite proves that an analyst keeps every promise of `Analyst`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import PRICE_FIELDS, Market
from alfred.data.point_in_time.headlines import WindowHeadlines
from alfred.errors import NotFittedError, require_promise
from alfred.fresh import call_afresh
from alfred.typing import FloatArray

# What a forecast may differ by in another unit or another batch, in spreads of the forecast; beside it what rounding
# of float32 prices leaves of a log return.
TOLERANCE = 1e-3
_ROUNDING = 1e-6
_WINDOWS, _FORECAST = "windows.npz", "forecast.npz"
_UNITS = (1e-9, 1e-4, 1.0, 1e6)


def check_analyst(make: Callable[[], Analyst], market: Market) -> None:
    """Check an analyst against the contract.

    It must refuse to forecast before `fit`; return finite forecasts of the right shapes and horizons; forecast a window
    alike in any batch: alone, in part, in another order and beside windows of other prices; be fitted alike twice by
    the same seed; give the same forecasts, fit included, of symbols whose prices are a billionth, a ten-thousandth and
    a million times as large; survive `save_pretrained` and `from_pretrained` unchanged, in a fresh process as well;
    keep what it learnt to itself, so that fitting another one on other prices changes nothing; and never write to what
    it was handed. Its class must be defined at the top of a module, where other processes find it.

    Args:
        make: Builds a fresh, unfitted analyst.
        market: Enough history for `fit` in its first four fifths.

    Raises:
        ContractError: A promise is broken.
    """
    cut = market.dates[market.n_dates * 4 // 5]
    # A copy: what an analyst is handed must not be a door to what lies behind the cut.
    past = market.until(cut).copy()
    before = _copy_arrays(past)
    analyst = make()
    windows = _windows(analyst, past)
    require_promise(_refuses_unfitted(analyst, windows), "predict must raise NotFittedError before fit")
    require_promise(analyst.fit(past) is analyst, "fit must return self")
    windows = _windows(analyst, past)
    values_before, texts_before = windows.values.copy(), _pack_headlines(windows.headlines)
    forecast = analyst.predict(windows)
    texts_after = _pack_headlines(windows.headlines)
    require_promise(
        np.array_equal(values_before, windows.values, equal_nan=True)
        and all(np.array_equal(array, texts_after[name]) for name, array in texts_before.items()),
        "predict must not write to its windows",
    )
    require_promise(forecast.horizons == analyst.horizons, "the forecast must be for the analyst's horizons")
    require_promise(
        forecast.mean.shape == (len(windows), len(analyst.horizons)),
        f"the mean must have shape {(len(windows), len(analyst.horizons))}, has {forecast.mean.shape}",
    )
    require_promise(bool(np.isfinite(forecast.quantiles).all()), "the quantiles must be finite")
    require_promise(bool(np.isfinite(forecast.mean).all()), "the mean must be finite")
    other = make().fit(past)
    require_promise(_equal(forecast, other.predict(windows)), "the same seed and data must give the same forecast")
    _check_batches(analyst, windows, forecast)
    _check_units(make, past, forecast)
    # What a class or a module keeps is of the last fit, so that fit is one on other prices.
    third = make().fit(_invert_market(past))
    require_promise(_equal(forecast, analyst.predict(windows)), "fitting another analyst must not change this one")
    require_promise(_equal(forecast, third.fit(past).predict(windows)), "a second fit must start from nothing")
    with tempfile.TemporaryDirectory() as folder:
        analyst.save_pretrained(folder)
        restored = type(analyst).from_pretrained(folder)
        require_promise(restored.settings == analyst.settings, "the settings must survive saving and loading")
        require_promise(_equal(forecast, restored.predict(windows)), "the forecast must survive saving and loading")
        _check_afresh(analyst, windows, forecast, Path(folder))
    for name, array in _copy_arrays(past).items():
        require_promise(
            np.array_equal(before[name], array, equal_nan=array.dtype.kind == "f"),
            f"the market must not be written to: {name}",
        )


def _invert_market(market: Market) -> Market:
    """Return a market in which what rose fell: every price is one over itself."""

    def invert(array: FloatArray | None) -> FloatArray | None:
        return None if array is None else 1.0 / array

    return replace(
        market, open=invert(market.open), high=invert(market.low), low=invert(market.high), close=1.0 / market.close
    )


def _check_afresh(analyst: Analyst, windows: Contexts, forecast: Forecast, folder: Path) -> None:
    """Compare with what the saved analyst forecasts in a process that has seen no fit."""
    np.savez(
        folder / _WINDOWS,
        values=windows.values,
        fields=np.array(windows.fields),
        symbols=np.array(windows.symbols),
        dates=windows.dates.to_numpy(),
        timestamps=windows.timestamps,
        **_pack_headlines(windows.headlines),
    )
    call_afresh("alfred.analysts.checks:forecast_afresh", type(analyst), folder)
    with np.load(folder / _FORECAST, allow_pickle=False) as found:
        there = replace(forecast, mean=found["mean"], quantiles=found["quantiles"])
    require_promise(
        _is_alike(forecast, there),
        "a saved analyst must forecast alike in a fresh process: what it learnt belongs into `_save_weights`, not into "
        "its class or module",
    )


def forecast_afresh(owner: type[Analyst], folder: str) -> None:
    """Load a saved analyst and forecast the windows beside it; called in the fresh process."""
    place = Path(folder)
    with np.load(place / _WINDOWS, allow_pickle=False) as held:
        windows = Contexts(
            held["values"],
            tuple(held["fields"].tolist()),
            tuple(held["symbols"].tolist()),
            pd.DatetimeIndex(held["dates"]),
            held["timestamps"],
            _unpack_headlines(held, len(held["symbols"])) if "headline_texts" in held else None,
        )
    forecast = owner.from_pretrained(place).predict(windows)
    np.savez(place / _FORECAST, mean=forecast.mean, quantiles=forecast.quantiles)


def _pack_headlines(headlines: WindowHeadlines | None) -> dict[str, Any]:
    """Return arrays without objects that hold the headlines of windows."""
    if headlines is None:
        return {}
    # JSON, for arrays of text lose what is blank at the end of one.
    texts = np.frombuffer(json.dumps(headlines.texts.tolist()).encode(), dtype=np.uint8)
    return {"headline_window": headlines.window.copy(), "headline_age": headlines.age.copy(), "headline_texts": texts}


def _unpack_headlines(held: Mapping[str, npt.NDArray[Any]], n_windows: int) -> WindowHeadlines:
    texts = np.array(json.loads(held["headline_texts"].tobytes()), dtype=object)
    return WindowHeadlines(n_windows, held["headline_window"], held["headline_age"], texts)


def rescale_market(market: Market, factors: float | FloatArray) -> Market:
    """Return the same market with prices in other units; volumes stay.

    Args:
        market: The market.
        factors: What prices are multiplied by: one number, or one a symbol, `[N]`.
    """

    def scale(array: FloatArray | None) -> FloatArray | None:
        return None if array is None else (array * np.asarray(factors)).astype(array.dtype)

    closes = (market.close * np.asarray(factors)).astype(market.close.dtype)
    return replace(market, open=scale(market.open), high=scale(market.high), low=scale(market.low), close=closes)


def measure_difference(first: Forecast, second: Forecast) -> float:
    """Return the largest difference of two forecasts of the same windows, in spreads of the first.

    Of a difference in log return, one millionth is not counted: it is what rounding of float32 prices leaves.
    """
    spread = np.maximum(first.dispersion(), np.finfo(np.float64).tiny)
    apart = np.maximum(
        np.abs(first.quantiles - second.quantiles).max(axis=2, initial=0.0), np.abs(first.mean - second.mean)
    )
    return float((np.maximum(apart - _ROUNDING, 0.0) / spread).max(initial=0.0))


def _copy_arrays(market: Market) -> dict[str, npt.NDArray[np.generic]]:
    """Return copies of all that a market holds by the name of the field."""
    names = (*PRICE_FIELDS, "volume", "tradable", "cash_rate")
    arrays = {name: getattr(market, name) for name in names} | dict(market.extras)
    if market.headlines is not None:
        news = market.headlines
        arrays |= {"headlines": news.texts, "headline symbols": news.symbols, "headline dates": news.known.to_numpy()}
    return {name: array.copy() for name, array in arrays.items() if array is not None}


def _check_batches(analyst: Analyst, windows: Contexts, forecast: Forecast) -> None:
    """Forecast windows alone, in part, in reverse, and beside windows at a thousandth of their price."""
    everything = np.arange(len(windows))
    for rows in (everything[: len(windows) // 2], everything[-1:], everything[::-1]):
        part = analyst.predict(take_windows(windows, rows))
        require_promise(_is_alike(_take(forecast, rows), part), "a window must be forecast alike in any batch")
    units = np.where(np.isin(windows.fields, PRICE_FIELDS), 1e-3, 1.0).astype(windows.values.dtype)
    tiny = replace(windows, values=windows.values * units)
    both = replace(
        windows,
        values=np.concatenate([tiny.values, windows.values]),
        symbols=tiny.symbols + windows.symbols,
        dates=tiny.dates.append(windows.dates),
        timestamps=np.concatenate([tiny.timestamps, windows.timestamps]),
        headlines=None if windows.headlines is None else windows.headlines.followed_by(windows.headlines),
    )
    beside = _take(analyst.predict(both), len(windows) + everything)
    require_promise(_is_alike(forecast, beside), "a window must be forecast alike in any batch, whatever else is in it")


def _check_units(make: Callable[[], Analyst], past: Market, forecast: Forecast) -> None:
    """Fit and forecast with every symbol's prices in a unit of its own."""
    factors = np.resize(_UNITS, past.n_symbols)
    scaled = rescale_market(past, factors)
    analyst = make().fit(scaled)
    off = measure_difference(forecast, analyst.predict(_windows(analyst, scaled)))
    require_promise(
        off <= TOLERANCE,
        f"a forecast must not know the unit of prices: with symbols at {', '.join(f'{unit:g}' for unit in _UNITS)} "
        f"times their price forecasts move by {off:.2g} of their spread, allowed is {TOLERANCE:g}; divide by a price "
        "of the window, or take logarithms, before adding any constant",
    )


def take_windows(contexts: Contexts, rows: slice | Sequence[int] | npt.NDArray[np.integer]) -> Contexts:
    """Return some windows of a batch, in the order asked for."""
    chosen = np.arange(len(contexts))[rows]
    return replace(
        contexts,
        values=contexts.values[chosen],
        symbols=tuple(contexts.symbols[row] for row in chosen),
        dates=contexts.dates[chosen],
        timestamps=contexts.timestamps[chosen],
        headlines=None if contexts.headlines is None else contexts.headlines.take(chosen),
    )


def _take(forecast: Forecast, rows: npt.NDArray[np.integer]) -> Forecast:
    return replace(forecast, mean=forecast.mean[rows], quantiles=forecast.quantiles[rows])


def _is_alike(first: Forecast, second: Forecast) -> bool:
    return first.mean.shape == second.mean.shape and measure_difference(first, second) <= TOLERANCE


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
