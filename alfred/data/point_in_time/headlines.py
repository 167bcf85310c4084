"""Headlines with the session at whose close each is known, and those that a batch of windows holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.errors import DataError

HEADLINES = "headlines"
"""Asked for among the fields of a window, it brings the texts of the window beside its numbers."""


@dataclass(frozen=True, eq=False)
class Headlines:
    """Headlines in the order in which the market learnt of them.

    Axes legend: R headlines.

    Attributes:
        known: First session at whose close each is known, `[R]`, ascending.
        symbols: The symbol of each, `[R]`.
        texts: The headline, `[R]`.
    """

    known: pd.DatetimeIndex
    symbols: npt.NDArray[np.object_]
    texts: npt.NDArray[np.object_]

    def __len__(self) -> int:
        """Return the number of headlines R."""
        return len(self.known)

    def until(self, date: pd.Timestamp | str) -> Headlines:
        """Return the headlines known at the close of `date`."""
        return self._rows(np.arange(int(self.known.searchsorted(pd.Timestamp(date), side="right"))))

    def since(self, date: pd.Timestamp | str) -> Headlines:
        """Return the headlines that became known on `date` or later."""
        return self._rows(np.arange(int(self.known.searchsorted(pd.Timestamp(date), side="left")), len(self)))

    def of(self, symbols: str | Collection[str]) -> Headlines:
        """Return the headlines of a symbol, or of several."""
        wanted = [symbols] if isinstance(symbols, str) else list(symbols)
        return self._rows(np.flatnonzero(np.isin(self.symbols.astype(str), wanted)))

    def copy(self) -> Headlines:
        """Return the same headlines in memory of their own."""
        return self._rows(np.arange(len(self)))

    def _rows(self, rows: npt.NDArray[np.integer]) -> Headlines:
        return Headlines(self.known[rows], self.symbols[rows], self.texts[rows])


@dataclass(frozen=True, eq=False)
class WindowHeadlines:
    """The headlines that lie in each window of a batch; a window is the symbol's own.

    Axes legend: M headlines of all windows together; B windows.

    Attributes:
        n_windows: B.
        window: The window of each, `[M]`, from 0 to B - 1, ascending.
        age: Sessions from the close at which each became known to the last bar of its window, `[M]`; 0 is news of
            the day.
        texts: The headline, `[M]`.
    """

    n_windows: int
    window: npt.NDArray[np.int64]
    age: npt.NDArray[np.int64]
    texts: npt.NDArray[np.object_]

    def take(self, windows: npt.NDArray[np.integer]) -> WindowHeadlines:
        """Return the headlines of some windows, in the order asked for."""
        first = np.searchsorted(self.window, windows, side="left")
        count = np.searchsorted(self.window, windows, side="right") - first
        owner, rows = _spread(first, count)
        return WindowHeadlines(len(windows), owner, self.age[rows], self.texts[rows])

    def followed_by(self, other: WindowHeadlines) -> WindowHeadlines:
        """Return the windows of two batches behind one another."""
        return WindowHeadlines(
            self.n_windows + other.n_windows,
            np.concatenate([self.window, self.n_windows + other.window]),
            np.concatenate([self.age, other.age]),
            np.concatenate([self.texts, other.texts]),
        )


def check_headlines(headlines: Headlines, dates: pd.DatetimeIndex) -> None:
    """Refuse headlines that no session of a market learnt of.

    Raises:
        DataError: They are not in order, or one became known on a day that is no session.
    """
    if not headlines.known.is_monotonic_increasing:
        raise DataError("the headlines are not in the order in which they became known; sort them")
    strange = ~headlines.known.isin(dates)
    if strange.any():
        row = int(np.argmax(strange))
        raise DataError(
            f"the headline '{headlines.texts[row]:.60}' became known on {headlines.known[row].date()}, which is no "
            "session of the market; give each the first session at whose close it is known, as `load_headlines` does"
        )


def gather_headlines(
    headlines: Headlines,
    dates: pd.DatetimeIndex,
    symbols: Sequence[str],
    rows: npt.NDArray[np.integer],
    columns: npt.NDArray[np.integer],
    length: int,
) -> WindowHeadlines:
    """Return the headlines of windows: those known at a close of the window, and none that came later.

    Args:
        headlines: Of the market.
        dates: Sessions of the market, `[T]`.
        symbols: Its symbols, `[N]`.
        rows: Row of the last bar of each window, `[B]`.
        columns: Symbol of each window, `[B]`.
        length: Bars in a window.
    """
    at = dates.searchsorted(headlines.known)
    of = pd.Index(symbols).get_indexer(pd.Index(headlines.symbols))
    order = np.lexsort((at, of))
    places = (of * len(dates) + at)[order]
    first = np.searchsorted(places, columns * len(dates) + np.maximum(rows - length + 1, 0), side="left")
    count = np.searchsorted(places, columns * len(dates) + rows, side="right") - first
    owner, found = _spread(first, count)
    chosen = order[found]
    return WindowHeadlines(len(rows), owner, (rows[owner] - at[chosen]).astype(np.int64), headlines.texts[chosen])


def scramble_headlines(headlines: Headlines, first: int, symbols: Sequence[str], rng: np.random.Generator) -> Headlines:
    """Return headlines of which those from row `first` on say something else, of another symbol, or are not there."""
    kept = np.flatnonzero((np.arange(len(headlines)) < first) | (rng.random(len(headlines)) < 0.5))
    future = kept >= first
    others, texts = headlines.symbols[kept].copy(), headlines.texts[kept].copy()
    count = int(future.sum())
    others[future] = rng.choice(np.asarray(symbols, dtype=object), count)
    verbs = rng.choice(["soars after a great beat", "collapses in a terrible loss", "reports"], count)
    texts[future] = [f"{verb} {number}" for verb, number in zip(verbs, rng.integers(0, 10**6, count), strict=True)]
    return replace(headlines, known=headlines.known[kept], symbols=others, texts=texts)


def _spread(
    first: npt.NDArray[np.integer], count: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return owner and position of every item of stretches that begin at `first` and hold `count` items each."""
    owner = np.repeat(np.arange(len(count)), count)
    position = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return owner.astype(np.int64), position.astype(np.int64)
