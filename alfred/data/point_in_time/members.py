"""Dated membership: an index is what it was on the day, not what it is today."""

from __future__ import annotations

import numpy as np

from alfred.data.market import Market
from alfred.typing import BoolArray

MEMBER = "member"
"""Field of the market that is 1 where a symbol belongs to the universe of the day and 0 where it does not."""


def find_members(market: Market) -> BoolArray:
    """Return whether each symbol belongs to the universe on each session, `[T, N]`; all do where nothing says it."""
    if MEMBER not in market.extras:
        return np.ones(market.close.shape, dtype=bool)
    members: BoolArray = market.extras[MEMBER] > 0
    return members
