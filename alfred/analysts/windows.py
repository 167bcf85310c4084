"""Windows and labels that several analysts share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.typing import FloatArray

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
