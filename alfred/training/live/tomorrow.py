"""The session to come: a market with blank sessions after its end, so that the last close can be decided on.

A tape ends with the last execution that anything is known of, and the decision at the last close is executed after it.
Blank sessions at the last prices make room for that decision. No observation of it reads them: signals, features and
tradability are those of the close, and so are the weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import FIELDS, Market
from alfred.data.signals import Signals
from alfred.errors import SignalError

BLANK = 3
"""Blank sessions: an episode of two bars at least, and one more where trades are at closes."""


def guess_sessions(dates: pd.DatetimeIndex, count: int = BLANK) -> pd.DatetimeIndex:
    """Return dates for the sessions after the last one; holidays are not known here.

    Args:
        dates: The sessions so far.
        count: How many.
    """
    step = pd.Series(dates[-20:]).diff().median() if len(dates) > 1 else pd.Timedelta(days=1)
    if step <= pd.Timedelta(days=1) and not (dates[-20:].day_of_week >= 5).any():
        return pd.bdate_range(dates[-1] + pd.Timedelta(days=1), periods=count).as_unit(dates.unit)
    return pd.DatetimeIndex([dates[-1] + number * step for number in range(1, count + 1)]).as_unit(dates.unit)


def extend_market(market: Market) -> Market:
    """Return a market with blank sessions at its last prices; what does not trade at the end does not trade there."""
    close = pd.DataFrame(np.asarray(market.close, dtype=np.float64)).ffill().to_numpy()[-1]
    open_ = market.tradable[-1]
    panel = np.where(open_, close, np.nan)
    changes = {
        name: np.vstack([array, np.tile(panel if name != "volume" else array[-1], (BLANK, 1)).astype(array.dtype)])
        for name in FIELDS
        if (array := getattr(market, name)) is not None
    }
    rates = market.cash_rate
    return replace(
        market,
        close=changes["close"],
        open=changes.get("open"),
        high=changes.get("high"),
        low=changes.get("low"),
        volume=changes.get("volume"),
        dates=market.dates.append(guess_sessions(market.dates)),
        tradable=np.vstack([market.tradable, np.tile(open_, (BLANK, 1))]),
        extras={name: np.vstack([array, np.tile(array[-1], (BLANK, 1))]) for name, array in market.extras.items()},
        cash_rate=None if rates is None else np.concatenate([rates, np.repeat(rates[-1:], BLANK)]),
    )


def extend_signals(signals: Signals, dates: pd.DatetimeIndex) -> Signals:
    """Return signals that say nothing on the dates after their last one.

    Args:
        signals: Of the sessions that are known.
        dates: Blank sessions.
    """
    shape = (len(dates), *signals.values.shape[1:])
    blank = replace(
        signals,
        dates=dates,
        values=np.full(shape, np.nan, dtype=np.float32),
        trained_until=np.tile(signals.trained_until[-1], (len(dates), 1)),
    )
    return append_signals(signals, blank)


def merge_signals(earlier: Signals, later: Signals, dates: pd.DatetimeIndex) -> Signals:
    """Return a row for each date: what was said before where there is one, what is said now on all others.

    Args:
        earlier: What is kept.
        later: Of the same names and symbols.
        dates: Sessions, ascending, each in one of the two.

    Raises:
        SignalError: A date is in neither.
    """
    held, made = earlier.dates.get_indexer(dates), later.dates.get_indexer(dates)
    old = held >= 0
    if (made[~old] < 0).any():
        raise SignalError(
            f"nothing forecasts {dates[~old & (made < 0)][0].date()}; make the run again with `alfred run`"
        )
    stamps = [signals.trained_until.astype("datetime64[s]") for signals in (earlier, later)]
    return replace(
        earlier,
        dates=dates,
        values=np.where(old[:, None, None], earlier.values[held], later.values[made]),
        trained_until=np.where(old[:, None], stamps[0][held], stamps[1][made]),
        knowledge_cutoffs={**earlier.knowledge_cutoffs, **later.knowledge_cutoffs},
        notes=tuple(dict.fromkeys([*earlier.notes, *later.notes])),
    )


def append_signals(earlier: Signals, later: Signals) -> Signals:
    """Return signals with the rows of others after them; what was said before stays as it was.

    Args:
        earlier: What is kept.
        later: Of the same names and symbols; only dates after the last one of `earlier` are taken.
    """
    later = later.since(earlier.dates[-1] + pd.Timedelta(days=1))
    stamps: npt.NDArray[np.datetime64] = np.concatenate(
        [earlier.trained_until.astype("datetime64[s]"), later.trained_until.astype("datetime64[s]")]
    )
    return replace(
        earlier,
        dates=earlier.dates.append(later.dates),
        values=np.concatenate([earlier.values, later.values]),
        trained_until=stamps,
        knowledge_cutoffs={**earlier.knowledge_cutoffs, **later.knowledge_cutoffs},
        notes=tuple(dict.fromkeys([*earlier.notes, *later.notes])),
    )
