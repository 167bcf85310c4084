"""Portfolios as points of the simplex: projecting, moving, sharing out among those that take part.

Axes legend: P portfolios, U symbols of the universe.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.typing import Float

Mask = npt.NDArray[np.bool_]

# Relatives this close to each other (sum of squared deviations) are equal but for rounding, and say nothing.
_STILL = 1e-20


def project(points: Float, members: Mask) -> Float:
    """Return the nearest portfolios of the members that are not negative and sum to one, `[P, U]`.

    Duchi, Shalev-Shwartz, Singer and Chandra (2008). A row without members is zero.

    Args:
        points: `[P, U]`.
        members: Which symbols may have a weight, `[P, U]`.
    """
    highest = np.max(points, axis=1, keepdims=True, initial=-np.inf, where=members)
    # Adding the same to all changes nothing, and what lies one or more below the highest gets nothing.
    shifted = np.where(members, points - np.where(np.isfinite(highest), highest, 0.0), -2.0)
    ordered = -np.sort(-shifted, axis=1)
    excess = np.cumsum(ordered, axis=1) - 1.0
    count = np.arange(1, points.shape[1] + 1)
    last = np.count_nonzero(ordered * count > excess, axis=1) - 1
    level = np.take_along_axis(excess, last[:, None], axis=1) / (last[:, None] + 1)
    return np.where(members, np.maximum(shifted - level, 0.0), 0.0)


def step_towards(wanted: Float, relatives: Float, gap: Float, members: Mask) -> Float:
    """Move along the relatives, `[P, U]`, until the portfolios earn `gap` more, `[P]`, and back onto the simplex."""
    mean = np.mean(relatives, axis=1, keepdims=True, where=members | ~members.any(axis=1, keepdims=True))
    deviation = np.where(members, relatives - mean, 0.0)
    size = np.square(deviation).sum(axis=1)
    length = np.divide(gap, size, out=np.zeros_like(gap), where=size > _STILL)
    return project(wanted + length[:, None] * deviation, members)


def share_out(shares: Float, members: Mask) -> Float:
    """Return the shares of the members scaled to sum to one, `[P, U]`; equal ones where they have none."""
    kept = np.where(members, shares, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    equal = members / np.maximum(members.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.divide(kept, total, out=equal, where=total > 0.0))


def admit(wanted: Float, newcomers: Mask, live: Mask) -> Float:
    """Let newcomers in at an equal share of what is live, `[P, U]`."""
    shares = newcomers / np.maximum(live.sum(axis=1, keepdims=True), 1)
    return np.asarray(wanted * (1.0 - shares.sum(axis=1, keepdims=True)) + shares)
