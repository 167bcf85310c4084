"""What a policy did as a function of the signals that it saw.

The map shows decisions that were made: mean weights where signals stood so on a date, and no answers to made-up
questions. Everything is compared with the other assets of the same date.

Axes legend: D decisions, N symbols, K signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.signals import Signals
from alfred.evaluation.breakdown.book import Book
from alfred.evaluation.forecast_metrics import compute_rank_correlations
from alfred.typing import FloatArray

N_BINS = 5
_MOST_DECISIONS = 1000  # more would change the third digit
_FEWEST = 20  # decisions, and pairs in a cell
_MOVED = 1e-4  # of the weight of one asset
_ALIKE = 0.95  # of two signals that say the same


@dataclass(frozen=True)
class PolicyMap:
    """Weights by the two signals that they followed most.

    Attributes:
        followed: Signals and the mean rank correlation of weights with each, the strongest first.
        n_decisions: Decisions behind it.
        rows: The strongest signal.
        columns: The next one that says something else; empty when there is none.
        active: Mean weight less that of an equal share, by fifths of both signals among the assets of a date, lowest
            first, `[N_BINS][N_BINS]` (one column without a second signal); NaN where hardly anything was.
        counts: Pairs of a decision and an asset in each cell.
    """

    followed: tuple[tuple[str, float], ...]
    n_decisions: int
    rows: str
    columns: str
    active: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def largest(self) -> float:
        """The largest mean in the map, as a share of wealth."""
        return float(np.nanmax(np.abs(np.append(self.active, 0.0))))


def map_policy(book: Book, signals: Signals, decided_at: pd.DatetimeIndex) -> PolicyMap | None:
    """Return what the weights followed, or None where they followed nothing.

    Args:
        book: The strategy.
        signals: What it saw, at least on these dates.
        decided_at: Date of the close at which each bar was decided, `[E]`.
    """
    rows = np.flatnonzero(book.decided)
    if len(rows) > _MOST_DECISIONS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_DECISIONS).round().astype(int)]
    known = signals.dates.get_indexer(decided_at[rows])
    rows, known = rows[known >= 0], known[known >= 0]
    if len(rows) < _FEWEST or signals.symbols != book.record.symbols:
        return None
    values = signals.values[known].astype(np.float64)
    held = book.after[rows][:, :-1]
    could = np.isfinite(values).any(axis=-1) & (np.abs(book.after[:, :-1]).max(axis=0) > 0.0)
    count = np.maximum(could.sum(axis=1, keepdims=True), 1)
    active = np.where(could, held - np.where(could, held, 0.0).sum(axis=1, keepdims=True) / count, np.nan)
    if not could.any() or np.nanmax(np.abs(active)) < _MOVED:
        return None
    strengths = [_average(compute_rank_correlations(values[..., k], active)) for k in range(values.shape[-1])]
    order = [k for k in np.argsort(-np.abs(np.nan_to_num(strengths)), kind="stable") if np.isfinite(strengths[k])]
    if not order:
        return None
    followed = tuple((signals.names[k], strengths[k]) for k in order)
    first = order[0]
    second = next((k for k in order[1:] if _differs(values[..., first], values[..., k])), None)
    chosen = [first] if second is None else [first, second]
    fifths = [_cut(np.where(could, values[..., k], np.nan)) for k in chosen]
    means, counts = _fill(active, fifths)
    return PolicyMap(
        followed=followed,
        n_decisions=len(rows),
        rows=signals.names[first],
        columns="" if second is None else signals.names[second],
        active=tuple(map(tuple, means.tolist())),
        counts=tuple(map(tuple, counts.tolist())),
    )


def _average(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) >= _FEWEST else float("nan")


def _differs(one: FloatArray, other: FloatArray) -> bool:
    return abs(_average(compute_rank_correlations(one, other))) < _ALIKE


def _cut(values: FloatArray) -> npt.NDArray[np.int64]:
    """Return the fifth of each value among those of its date, -1 where there is none."""
    share = pd.DataFrame(values).rank(axis=1, pct=True, method="average").to_numpy()
    fifths = np.minimum(np.ceil(np.nan_to_num(share, nan=0.0) * N_BINS - 1e-9).astype(np.int64) - 1, N_BINS - 1)
    return np.where(np.isfinite(values), fifths, -1)


def _fill(active: FloatArray, fifths: Sequence[npt.NDArray[np.int64]]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the mean of each cell and how much is in it."""
    width = N_BINS if len(fifths) == 2 else 1
    column = fifths[1] if len(fifths) == 2 else np.where(fifths[0] >= 0, 0, -1)
    inside = np.isfinite(active) & (fifths[0] >= 0) & (column >= 0)
    cell = (fifths[0] * width + column)[inside]
    counts = np.bincount(cell, minlength=N_BINS * width)
    sums = np.bincount(cell, weights=active[inside], minlength=N_BINS * width)
    means = np.where(counts >= _FEWEST, sums / np.maximum(counts, 1), np.nan)
    return means.reshape(N_BINS, width), counts.reshape(N_BINS, width)
