"""Actions: how the numbers of a policy become target weights."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alfred.envs.settings import ActionSettings
from alfred.errors import DataError
from alfred.jit import jit
from alfred.typing import Float

# A weight below one part in a million is dust: no one could trade it, and dropping it makes the corners exact.
_DUST = 1e-6


def compute_weights(
    actions: npt.NDArray[np.floating],
    settings: ActionSettings,
    holdable: npt.NDArray[np.floating] | None = None,
) -> Float:
    """Turn actions into target weights, cash last.

    Args:
        actions: Values in [-1, 1], `[P, N+1]`; values outside are clipped.
        settings: Which map.
        holdable: One where an asset may be held and zero where it gets no weight, `[N]` or `[P, N]`; everything may be
            held when left out.

    Returns:
        Weights that sum to one, `[P, N+1]`.

    Raises:
        DataError: An action is NaN, or the actions do not have two axes.
    """
    clipped = np.array(actions, dtype=np.float64)
    if clipped.ndim != 2:
        raise DataError(
            f"actions have shape {clipped.shape}: they need a row for each portfolio and a column for each "
            "asset, cash last"
        )
    if settings.mode == "softmax":
        # The exponent is bounded by `logit_scale`, so the usual subtraction of the largest score is not needed.
        _bound(clipped, settings.logit_scale, 0.0)
        np.exp(clipped, out=clipped)
    else:
        _bound(clipped, 1.0, 1.0 if settings.mode == "simplex" else 0.0)
    if holdable is not None:
        clipped[:, :-1] *= holdable
    if settings.mode != "long_short":
        damaged = _share_out(clipped, _DUST if settings.mode == "softmax" else 0.0)
    else:
        damaged = _lever(clipped, settings.max_leverage)
    if damaged >= 0:
        raise DataError(
            f"the action of portfolio {damaged} holds NaN: it must be numbers in [-1, 1]; a policy that emits NaN has "
            "diverged, so lower its learning rate or look for NaN in its inputs"
        )
    return clipped


@jit
def _bound(values: Float, scale: float, shift: float) -> None:
    """Clip numbers to [-1, 1], in place, then scale and shift them; NaN stays NaN."""
    n_portfolios, width = values.shape
    for p in range(n_portfolios):
        for i in range(width):
            value = values[p, i]
            if value < -1.0:
                value = -1.0
            elif value > 1.0:
                value = 1.0
            values[p, i] = scale * value + shift


@jit
def _share_out(shares: Float, dust: float) -> int:
    """Scale rows that are not negative to sum to one, in place, and return the first row with NaN, or -1.

    What is below `dust` of its row's sum is dropped; a row without anything becomes cash.
    """
    n_portfolios, width = shares.shape
    for p in range(n_portfolios):
        least = dust * shares[p].sum()
        total = 0.0
        for i in range(width):
            if shares[p, i] < least:
                shares[p, i] = 0.0
            total += shares[p, i]
        if math.isnan(total):
            return p
        if total > 0.0:
            for i in range(width):
                shares[p, i] /= total
        else:
            shares[p, width - 1] = 1.0
    return -1


@jit
def _lever(shares: Float, max_leverage: float) -> int:
    """Turn shares of the leverage into weights with the rest in cash, in place; return the first NaN row, or -1."""
    n_portfolios, width = shares.shape
    for p in range(n_portfolios):
        size = 0.0
        for i in range(width - 1):
            size += abs(shares[p, i])
        if math.isnan(size):
            return p
        rest = 1.0
        for i in range(width - 1):
            shares[p, i] *= max_leverage / max(size, 1.0)
            rest -= shares[p, i]
        shares[p, width - 1] = rest
    return -1


def encode_weights(weights: Float, settings: ActionSettings | None = None) -> Float:
    """Return the action that stands for some weights.

    Args:
        weights: Target weights, cash last, summing to one, `[..., N+1]`.
        settings: Which map; `simplex` when left out. `softmax` reaches a weight of zero with a
            `logit_scale` of 7 or more.

    Returns:
        Values in [-1, 1] from which `compute_weights` makes these weights again, `[..., N+1]`.
    """
    values = np.asarray(weights, dtype=np.float64)
    if settings is None or settings.mode == "simplex":
        return 2.0 * values - 1.0
    if settings.mode == "long_short":
        return np.clip(values / settings.max_leverage, -1.0, 1.0)
    with np.errstate(divide="ignore"):
        logits = np.log(values / values.max(axis=-1, keepdims=True))
    return np.asarray(np.maximum(1.0 + logits / settings.logit_scale, -1.0))
