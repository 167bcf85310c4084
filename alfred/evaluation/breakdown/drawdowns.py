"""The worst drawdowns of a record: when they began, when they were deepest, when they were over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.evaluation.portfolio_metrics import compute_drawdowns, compute_wealth
from alfred.typing import FloatArray

WORST = 10


@dataclass(frozen=True)
class Drawdown:
    """A fall of wealth from a high until it is made good.

    Attributes:
        start: Last session at the high; None when wealth fell from the first session on.
        trough: Session of the lowest wealth.
        end: First session at which the high was reached again, or None while it was not.
        depth: Lowest wealth over the high, less one.
        fall_days: Sessions from the high to the trough.
        rise_days: Sessions from the trough to the recovery, or to the end of the record.
        reference: Return of a reference from the high to the trough.
    """

    start: str | None
    trough: str
    end: str | None
    depth: float
    fall_days: int
    rise_days: int
    reference: float


def find_drawdowns(
    returns: FloatArray, dates: pd.DatetimeIndex, reference: FloatArray, count: int = WORST
) -> list[Drawdown]:
    """Return the deepest drawdowns, the deepest first.

    Args:
        returns: Net returns, `[T]`.
        dates: Their sessions, `[T]`.
        reference: Net returns of a reference, `[T]`.
        count: How many at most.
    """
    depths, grown = compute_drawdowns(returns), compute_wealth(reference)
    edges = np.flatnonzero(np.diff((depths < 0.0).astype(np.int8), prepend=0, append=0))
    days = dates.strftime("%Y-%m-%d")
    found = []
    for first, stop in edges.reshape(-1, 2).tolist():
        trough = first + int(np.argmin(depths[first:stop]))
        recovered = stop < len(returns)
        base = grown[first - 1] if first else 1.0
        found.append(
            Drawdown(
                start=days[first - 1] if first else None,
                trough=days[trough],
                end=days[stop] if recovered else None,
                depth=float(depths[trough]),
                fall_days=trough - first + 1,
                rise_days=stop - trough - (0 if recovered else 1),
                reference=float(grown[trough] / base - 1.0) if base > 0.0 else float("nan"),
            )
        )
    return sorted(found, key=lambda item: item.depth)[:count]
