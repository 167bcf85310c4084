"""Pieces of a walk: the forecasts of some rows as the analyst makes them, asked for, checked and kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.analysts.base import Analyst
from alfred.analysts.checks import take_windows
from alfred.analysts.forecast import Forecast
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts, iterate_contexts
from alfred.data.market import Market
from alfred.errors import ContractError, OwnCodeError, SignalError, name_own_code
from alfred.training.provenance.cache import Grid, Shelf

ALONE = "forecast each window from itself alone"
"""Begins what is said of an analyst whose forecasts follow their batch."""

_COMPONENTS = "-components"  # ends the name of their file

_SHARE = 0.25  # of the windows may answer differently alone: a sampled token flips now and then
_FEW = 8  # windows that say too little: one flip among them is a large share


@dataclass(frozen=True, eq=False)
class Piece:
    """Forecasts of some rows as the analyst made them.

    Axes legend: R rows, N symbols, H horizons, Q quantile levels.

    Attributes:
        levels: Quantile levels, `[Q]`.
        values: The mean and then the quantiles, `[R, N, H, 1 + Q]`; NaN where there is no forecast.
        components: What the analyst makes of each window, `[R, N, D]`; D is 0 for those that offer none.
    """

    levels: tuple[float, ...]
    values: Grid
    components: Grid


def read_piece(shelf: Shelf, name: str, n_rows: int, n_symbols: int, settings: AnalystSettings) -> Piece | None:
    """Return a piece from the cache, or None when it, or the levels of its quantiles, are not there."""
    levels = shelf.read_levels()
    if levels is None:
        return None
    values = shelf.read(name, (n_rows, n_symbols, len(settings.horizons), 1 + len(levels)))
    components: Grid | None = np.empty((n_rows, n_symbols, 0), dtype=np.float32)
    if settings.own_components:
        components = shelf.read(f"{name}{_COMPONENTS}", (n_rows, n_symbols, settings.own_components))
    return None if values is None or components is None else Piece(levels, values, components)


def write_piece(shelf: Shelf, name: str, piece: Piece) -> None:
    """Keep a piece in the cache."""
    # The levels go first: no piece is without them.
    if shelf.read_levels() != piece.levels:
        shelf.write_levels(piece.levels)
    if piece.components.shape[2]:
        shelf.write(f"{name}{_COMPONENTS}", piece.components)
    shelf.write(name, piece.values)


def predict_rows(analyst: Analyst, window: Market, rows: npt.NDArray[np.int64]) -> Piece | None:
    """Return the forecasts of some rows, or None when no symbol has enough history.

    Raises:
        SignalError: The analyst returns something else than forecasts of its windows and horizons, of no window a
            number, or other quantile levels from one batch to the next.
    """
    piece = _ask_rows(analyst, window, rows)
    if piece is not None and analyst.settings.offers_forecast and not np.isfinite(piece.values).any():
        raise SignalError(
            f"'{analyst.settings.label}' forecasts no number (NaN or infinite everywhere) from "
            f"{window.dates[rows[0]].date()} to {window.dates[rows[-1]].date()}; correct its predict"
        )
    return piece


def _ask_rows(analyst: Analyst, window: Market, rows: npt.NDArray[np.int64]) -> Piece | None:
    piece: Piece | None = None
    for row, column, contexts in iterate_contexts(
        window, rows, length=analyst.context_length, fields=analyst.fields, min_history=analyst.min_history
    ):
        forecast = _ask(analyst, contexts)
        levels = tuple(float(level) for level in forecast.levels)
        if piece is None:
            shape = (len(rows), window.n_symbols, len(analyst.horizons), 1 + len(levels))
            components = np.full((*shape[:2], analyst.settings.own_components), np.nan, dtype=np.float32)
            piece = Piece(levels, np.full(shape, np.nan, dtype=np.float32), components)
        if levels != piece.levels:
            raise SignalError(
                f"'{analyst.settings.label}' forecasts the quantiles {piece.levels} of one batch and {levels} of the "
                "next; an analyst must keep to its levels"
            )
        values = np.concatenate([forecast.mean[..., None], forecast.quantiles], axis=2)
        place = np.searchsorted(rows, row)
        piece.values[place, column] = values
        if piece.components.shape[2]:
            piece.components[place, column] = analyst.reduce(contexts)
    return piece


def _ask(analyst: Analyst, contexts: Contexts) -> Forecast:
    """Return the forecast of some windows.

    Raises:
        SignalError: It is none, or of other windows or horizons.
    """
    try:
        with name_own_code(analyst, f"analyst '{analyst.settings.label}'", "predict"):
            forecast: object = analyst.predict(contexts)
    except OwnCodeError as error:
        raise _name_window(analyst, contexts, error) from error.__cause__
    label, shape = analyst.settings.label, (len(contexts), len(analyst.horizons))
    if not isinstance(forecast, Forecast):
        raise SignalError(f"predict of '{label}' must return a Forecast, got {type(forecast).__name__}")
    if forecast.mean.shape != shape:
        raise SignalError(
            f"predict of '{label}' returned means of shape {forecast.mean.shape}: {shape[0]} windows and {shape[1]} "
            f"horizon(s) need {shape}"
        )
    return forecast


def _name_window(analyst: Analyst, contexts: Contexts, error: OwnCodeError) -> OwnCodeError:
    """Return an error of `predict` with the first window that fails alone, found by halves; else with all dates."""
    found = contexts
    while len(found) > 1:
        middle = len(found) // 2
        halves = (take_windows(found, slice(None, middle)), take_windows(found, slice(middle, None)))
        failing = [half for half in halves if _fails(analyst, half)]
        if not failing:
            break
        found = failing[0]
    first, last = found.dates.min().date(), found.dates.max().date()
    whole = len(set(found.symbols)) > 1 or first != last
    place = f"{len(found)} windows from {first} to {last}" if whole else f"{found.symbols[0]} on {last}"
    return OwnCodeError(error.text.replace("failed in predict", f"failed in predict of {place}", 1), error.trace)


def _fails(analyst: Analyst, contexts: Contexts) -> bool:
    try:
        analyst.predict(contexts)
    except Exception:
        return True
    return False


def fit_analyst(settings: AnalystSettings, past: Market) -> Analyst:
    """Build an analyst and fit it.

    Raises:
        OwnCodeError: A user's own analyst raised an exception.
    """
    analyst = make_analyst(settings)
    with name_own_code(analyst, f"analyst '{settings.label}'", "fit", f" at the refit of {past.dates[-1].date()}"):
        fitted: object = analyst.fit(past)
    if not isinstance(fitted, Analyst):
        raise ContractError(
            f"fit of analyst '{settings.label}' must return the analyst (`return self`), got {type(fitted).__name__}"
        )
    return fitted


def check_alone(analyst: Analyst, window: Market, rows: npt.NDArray[np.int64], piece: Piece) -> None:
    """Raise when the first windows of a piece are answered differently without the later ones.

    A batch holds windows of many dates. An analyst that looks up the next window, or scales by the mean of the batch,
    reads the future there. A date with few windows that fails is followed by the next one, for chance may have done it.

    Raises:
        SignalError: More than a quarter of the windows differ.
    """
    whole = _flatten(piece)
    answered = np.flatnonzero(np.isfinite(whole).any(axis=(1, 2)))
    # Nothing in the batch is later than the last date.
    asked = answered[answered < len(rows) - 1]
    spread = np.ma.masked_invalid(whole.astype(np.float64)).std(axis=(0, 1)).filled(0.0)
    checked = differing = 0
    for position in asked:
        row = rows[position : position + 1]
        again = _ask_rows(analyst, window.until(window.dates[row[0]]), row)
        together = whole[position]
        alone = np.full_like(together, np.nan) if again is None else _flatten(again)[0]
        same = np.isclose(alone, together, rtol=0.0, atol=1e-3 * spread + 1e-6, equal_nan=True).all(axis=1)
        checked += int((np.isfinite(alone) | np.isfinite(together)).any(axis=1).sum())
        differing += int((~same).sum())
        if differing <= _SHARE * checked:
            return
        if checked >= _FEW:
            break
    if checked:
        date = window.dates[rows[asked[0]]].date()
        raise SignalError(
            f"{ALONE}: '{analyst.settings.label}' answers differently when {date} is "
            f"asked alone, so that later windows of the batch reach it (or its random draws follow the batch)"
        )


def _flatten(piece: Piece) -> Grid:
    """Return all that a piece says of a window side by side, `[R, N, H (1 + Q) + D]`."""
    flat = piece.values.reshape(*piece.values.shape[:2], -1)
    return np.concatenate([flat, piece.components], axis=2)
