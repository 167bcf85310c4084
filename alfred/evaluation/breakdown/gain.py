"""Where the return beyond a reference came from: selection, timing, cash and costs, asset by asset.

Definitions and the proof that the parts add up stand in `docs/statistics.md`.

Axes legend: T marks, N symbols, L parts of a session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfred.evaluation.breakdown.book import Book
from alfred.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class Parts:
    """A gain in per cent a year; the four parts add up to `total`.

    Attributes:
        label: A calendar year, or `all`.
        total: Mean net return less that of the reference.
        selection: From mean weights that differ from the reference's.
        timing: From weights that differed when it mattered.
        cash: From holding more or less cash than the reference, and what cash earned.
        costs: Costs and fees of the reference less the own.
    """

    label: str
    total: float
    selection: float
    timing: float
    cash: float
    costs: float


@dataclass(frozen=True)
class AssetPart:
    """What one asset added to a gain, in per cent a year.

    Attributes:
        symbol: The asset.
        active: Mean weight less the reference's, both of the invested part.
        selection: Its share of the selection.
        timing: Its share of the timing.
        without: The whole gain without both.
    """

    symbol: str
    active: float
    selection: float
    timing: float
    without: float

    @property
    def total(self) -> float:
        """Selection and timing."""
        return self.selection + self.timing


@dataclass(frozen=True)
class Gain:
    """A gain beyond one reference.

    Attributes:
        reference: Its name.
        whole: Of the whole record.
        years: By calendar year, of the sessions of that year; each is per cent a year, too.
        assets: What each asset added, the largest first.
    """

    reference: str
    whole: Parts
    years: tuple[Parts, ...]
    assets: tuple[AssetPart, ...]


def split_gain(own: Book, reference: Book) -> Gain:
    """Split the mean net return of a book beyond another one's.

    Args:
        own: The strategy.
        reference: On the same bars.
    """
    record = own.record
    active, relative, cash = _measure(own, reference)
    costs = reference.record.costs - record.costs
    total = record.net - reference.record.net
    mean = active.mean(axis=(0, 1))
    selection = np.asarray((mean * relative).sum(axis=0))
    timing = np.asarray(((active - mean) * relative).sum(axis=0))
    unit = 100.0 * record.periods_per_year

    def sum_up(label: str, inside: BoolArray) -> Parts:
        parts = [series[inside].sum() for series in (total, selection, timing, cash, costs)]
        return Parts(label, *(unit * float(part) / int(inside.sum()) for part in parts))

    whole = sum_up("all", np.ones(len(total), dtype=bool))
    years = record.dates.year.to_numpy()
    n_marks = len(total)
    chosen, timed = (unit * part.sum(axis=0) / n_marks for part in (selection, timing))
    assets = [
        AssetPart(symbol, float(mean[i]), float(chosen[i]), float(timed[i]), whole.total - float(chosen[i] + timed[i]))
        for i, symbol in enumerate(record.symbols)
    ]
    return Gain(
        reference=reference.record.name,
        whole=whole,
        years=tuple(sum_up(str(year), years == year) for year in np.unique(years)),
        assets=tuple(sorted(assets, key=lambda item: -item.total)),
    )


def _measure(own: Book, reference: Book) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return active amounts and relative returns of the assets, both `[L, T, N]`, and what cash made, `[T]`."""
    held, other, returns = own.amounts[..., :-1], reference.amounts[..., :-1], own.returns[..., :-1]
    invested, base = held.sum(axis=-1, keepdims=True), other.sum(axis=-1, keepdims=True)
    shares = np.divide(other, base, out=np.zeros_like(other), where=np.abs(base) > 0.0)
    level = (shares * returns).sum(axis=-1, keepdims=True)
    active = held - invested * shares
    interest = (own.amounts[..., -1] - reference.amounts[..., -1]) * own.returns[..., -1]
    cash = ((invested - base) * level)[..., 0] + interest
    return active, returns - level, np.asarray(cash.sum(axis=0))
