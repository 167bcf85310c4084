"""What knows the truth although its tables were changed: it reads something that the audit did not change."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.training.audit.layers import Layer, Leak
from alfred.typing import FloatArray

_FEWEST_ROWS = 60  # after a date
_SHARE = 0.9
_ERRORS = 6.0  # standard errors of skill; some hundred columns are looked at, on two sessions each


def find_unmoved(true: Layer, other: Layer, date: pd.Timestamp) -> list[Leak]:
    """Return the columns that are the same after a date although every table is another one there.

    Whoever computed them reads something that the audit did not change: a file of its own, or a memory of the truth.
    Columns without differences between symbols are left out, for a calendar is the same in all worlds.

    Args:
        true: From the true world.
        other: From the world that is random after `date`.
        date: Last date that is the same in both.
    """
    if true.symbols != other.symbols or true.names != other.names or not true.dates.equals(other.dates):
        return []
    rows = np.flatnonzero(true.dates > date)
    if len(rows) < _FEWEST_ROWS:
        return []
    # What a column said at the date it may honestly go on saying, in any world: a report stands until the next.
    before = true.values[max(rows[0] - 1, 0)].astype(np.float64)
    mine, theirs = true.values[rows].astype(np.float64), other.values[rows].astype(np.float64)
    found = []
    for column, name in enumerate(true.names):
        first, second = mine[:, :, column], theirs[:, :, column]
        known = np.isfinite(first) & np.isfinite(second)
        varied = np.nanmax(np.where(known, first, -np.inf), axis=1) > np.nanmin(np.where(known, first, np.inf), axis=1)
        moved = known & (first != before[:, column])
        if varied.mean() < _SHARE or moved.sum() < _FEWEST_ROWS:
            continue
        if (first == second)[moved].mean() > _SHARE:
            place = np.argwhere(moved)[0]
            day = str(true.dates[rows][place[0]].date())
            found.append(Leak(true.stage, name, true.symbols[place[1]], day, "outside"))
    return found


def find_foreknowledge(market: Market, other: Layer, date: pd.Timestamp) -> list[Leak]:
    """Return the columns of a world that is random after a date that still foretell what truly came after it.

    Nothing in that world knows the true returns after the date, so that whoever knows them reads something else. That
    is seen however much honest computation is mixed in, while the skill is large enough to be seen at all.

    Args:
        market: The true market.
        other: From the world that is random after `date`.
        date: Last date that is the same in both.
    """
    rows = np.flatnonzero((other.dates > date) & other.dates.isin(market.dates))
    places = [place for place, symbol in enumerate(other.symbols) if symbol in market.symbols]
    if len(rows) < _FEWEST_ROWS or not places:
        return []
    close = market.close[:, [market.symbols.index(other.symbols[place]) for place in places]].astype(np.float64)
    moves = np.full((len(close) + 1, len(places)), np.nan)
    moves[1:-1] = close[1:] / close[:-1] - 1.0
    found = []
    for column, name in enumerate(other.names):
        values = other.values[rows][:, places, column].astype(np.float64)
        # The move of the session itself, and of the one after it.
        outcomes = [moves[market.dates.get_indexer(other.dates[rows]) + ahead] for ahead in (0, 1)]
        if any(abs(measure_dependence(values, outcome)) > _ERRORS for outcome in outcomes):
            found.append(Leak(other.stage, name, "", str(other.dates[rows[0]].date()), "outside"))
    return found


def measure_dependence(values: FloatArray, outcomes: FloatArray) -> float:
    """Return how surely values go with outcomes: the mean by date of their standardised products, in standard errors.

    Args:
        values: `[T, N]`.
        outcomes: `[T, N]`.
    """
    known = np.isfinite(values) & np.isfinite(outcomes)
    # A symbol that is hardly known, or never changes, says nothing.
    steady = (known.sum(axis=0) >= _FEWEST_ROWS) & (np.ptp(np.where(known, values, 0.0), axis=0) > 0.0)
    if not steady.any():
        return 0.0
    known, products = known[:, steady], np.ones((len(values), int(steady.sum())))
    for array in (values[:, steady], outcomes[:, steady]):
        kept = np.where(known, array, np.nan)
        spread = np.nanstd(kept, axis=0)
        products *= (kept - np.nanmean(kept, axis=0)) / np.where(spread > 0.0, spread, np.inf)
    by_date = np.nanmean(products[known.any(axis=1)], axis=1)
    error = float(by_date.std(ddof=1)) / np.sqrt(len(by_date))
    return float(by_date.mean()) / error if error > 0.0 else 0.0
