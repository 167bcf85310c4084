"""Windows and labels that several analysts share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts, iterate_contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.typing import FloatArray

CLIP = 8.0
"""Moves beyond eight times the window's volatility carry no more than their sign and size class."""

_LEAST_MOVE = 1e-5


def compute_window_returns(contexts: Contexts) -> FloatArray:
    """Return the daily log returns inside each window, `[B, C-1]` float64; zero beside missing bars."""
    close = contexts.field("close").astype(np.float64)
    return np.nan_to_num(np.diff(np.log(close), axis=1), nan=0.0)


def compute_window_volatility(contexts: Contexts) -> FloatArray:
    """Return the root mean square of the daily log returns in each window, `[B]`, at least one basis point."""
    returns = compute_window_returns(contexts)
    return np.asarray(np.maximum(np.sqrt(np.mean(returns**2, axis=1)), 1e-4))


def scale_by_horizon(volatility: FloatArray, horizons: Sequence[int]) -> FloatArray:
    """Scale daily volatility `[B]` to horizons by the square root of time, `[B, H]`."""
    return volatility[:, None] * np.sqrt(np.asarray(horizons, dtype=np.float64))


def compute_forward_returns(market: Market, horizons: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return log(close_{t+h} / close_t), `[T, N, H]`: the labels that a cut market still contains, NaN for the rest."""
    with np.errstate(invalid="ignore"):
        logs = np.log(np.where(market.tradable, market.close, np.nan).astype(np.float64))
    labels = np.full((*logs.shape, len(horizons)), np.nan)
    for position, horizon in enumerate(horizons):
        if horizon < len(logs):
            labels[:-horizon, :, position] = logs[horizon:] - logs[:-horizon]
    return labels


class LabelledWindows(NamedTuple):
    """Windows whose outcomes a market still contains.

    Axes legend: B windows, H horizons.

    Attributes:
        contexts: All windows of a batch; `known` says which have every outcome.
        known: `[B]`.
        labels: Forward log returns of the known ones over `scales`, clipped to 8 either way, `[., H]`.
        scales: Volatility of the known windows over each horizon, `[., H]`.
        rows: Row of the market at which each known one ends, `[.]`.
    """

    contexts: Contexts
    known: npt.NDArray[np.bool_]
    labels: FloatArray
    scales: FloatArray
    rows: npt.NDArray[np.integer]


def iterate_labelled(
    market: Market, settings: AnalystSettings, fields: Sequence[str] = ("close",)
) -> Iterator[LabelledWindows]:
    """Yield all windows of a market with what came after them, in batches ordered by date.

    Args:
        market: Everything that may be known: an outcome beyond its end does not exist.
        settings: Horizons, context length, and the name for messages.
        fields: Fields of a window.

    Raises:
        DataError: The history is too short to train and validate on.
    """
    longest, length = max(settings.horizons), settings.context_length
    forward = compute_forward_returns(market, settings.horizons)
    usable = np.arange(length - 1, market.n_dates - longest)
    found = False
    if len(usable) >= 2 * longest + length:
        for row, column, contexts in iterate_contexts(market, usable, length=length, fields=fields):
            found = True
            scales = scale_by_horizon(compute_window_volatility(contexts), settings.horizons)
            labels = forward[row, column] / scales
            known = np.isfinite(labels).all(axis=1)
            yield LabelledWindows(contexts, known, np.clip(labels[known], -CLIP, CLIP), scales[known], row[known])
    if not found:
        raise DataError(
            f"analyst '{settings.label}' has too short a history until {market.dates[-1].date()}: {market.n_dates} "
            f"sessions for windows of {length} and horizons up to {longest}, needed are "
            f"{2 * length + 3 * longest - 1}; start later, or shorten context_length or horizons"
        )


def hash_moves(moves: npt.NDArray[np.floating], seed: int, *, digest_size: int) -> hashlib.blake2b:
    """Return a hash of a window that knows only which way it moved from bar to bar, and a seed.

    Chance that is drawn by it is the same in any batch, and in any unit and precision of the prices. A move of less
    than 1e-5 counts as none: between two equal prices that were adjusted apart its sign is a matter of rounding.

    Args:
        moves: Relative changes from each bar to the next, `[C-1, ...]`.
        seed: The seed.
        digest_size: Bytes of the digest.
    """
    signs = np.where(np.abs(moves) < _LEAST_MOVE, 0, np.sign(moves)).astype(np.int8)
    return hashlib.blake2b(signs.tobytes(), digest_size=digest_size, key=str(seed).encode())
