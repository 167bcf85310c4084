"""Actions: how the numbers of a policy become target weights."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from alfred.envs.ledger import Float
from alfred.settings import Settings

# A weight below one part in a million is dust: no one could trade it, and dropping it makes the corners exact.
_DUST = 1e-6


class ActionSettings(Settings):
    """How actions in [-1, 1] become weights.

    Attributes:
        mode: `softmax` reads the action as scores; `simplex` reads it as weights, `2 w - 1`.
        logit_scale: A score of 1 becomes this logit. Ten reaches all weight on one of thousands of assets; with a
            scale of 1 no weight of 30 assets can exceed 20 %.
    """

    mode: Literal["softmax", "simplex"] = "softmax"
    logit_scale: float = Field(default=10.0, gt=0)


def compute_weights(actions: npt.NDArray[np.floating], settings: ActionSettings) -> Float:
    """Turn actions into target weights, cash last.

    Args:
        actions: Values in [-1, 1], `[P, N+1]`; values outside are clipped.
        settings: Which map.

    Returns:
        Weights that sum to one, `[P, N+1]`.
    """
    clipped = np.clip(np.asarray(actions, dtype=np.float64), -1.0, 1.0)
    if settings.mode == "simplex":
        raw = (clipped + 1.0) / 2.0
        empty = raw.sum(axis=1) <= 0.0
        raw[empty, -1] = 1.0  # no weight anywhere means cash
    else:
        logits = clipped * settings.logit_scale
        raw = np.exp(logits - logits.max(axis=1, keepdims=True))
        raw /= raw.sum(axis=1, keepdims=True)
        raw[raw < _DUST] = 0.0
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def encode_weights(weights: Float) -> Float:
    """Return the `simplex` action of some weights, `[..., N+1] -> [..., N+1]`."""
    return 2.0 * np.asarray(weights, dtype=np.float64) - 1.0
