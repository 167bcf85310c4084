"""Headlines, known at the first close after they were stamped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.asof import find_first_session
from alfred.data.point_in_time.headlines import Headlines
from alfred.data.prices.parsing import parse_days, read_csv_text
from alfred.data.sessions import find_close_before, find_close_times, find_time_zone
from alfred.data.settings import NewsSettings
from alfred.errors import DataError


def load_headlines(market: Market, settings: NewsSettings) -> Headlines:
    """Read headlines and find the session at whose close each is known.

    A headline stamped before the close of a session is known at it; one stamped at the close or later, or without a
    time, from the next session on. Headlines of other symbols, those after the last session, and those that an earlier
    session than the first already knew, are left out.

    Args:
        market: The market that they are read for.
        settings: Which headlines.

    Raises:
        DataError: The file cannot be read, or a date or time is none.
    """
    path = settings.path
    table = read_csv_text(path, ("date", "time", "symbol", "headline"))
    stamps = read_stamps(table, market.dates, settings)
    days = stamps.normalize()
    closes = find_close_times(market.dates, settings.calendar)
    own = np.minimum(market.dates.searchsorted(days, side="left"), market.n_dates - 1)
    # On a day without a session the next close decides, which is later than any stamp of the day.
    early = stamps < closes[own]
    rows = find_first_session(market.dates, days, same_day=np.asarray(early))
    # What came before the close of the session preceding the first one was news then, not on the first one.
    fresh = np.asarray(stamps >= find_close_before(market.dates, settings.calendar, market.periods_per_year))
    kept = fresh & (rows < market.n_dates) & table["symbol"].isin(market.symbols).to_numpy()
    order = np.flatnonzero(kept)[np.argsort(rows[kept], kind="stable")]
    return Headlines(
        known=market.dates[rows[order]],
        symbols=table["symbol"].to_numpy(dtype=object)[order],
        texts=table["headline"].to_numpy(dtype=object)[order],
    )


def read_stamps(table: pd.DataFrame, dates: pd.DatetimeIndex, settings: NewsSettings) -> pd.DatetimeIndex:
    """Return when each headline was out, on the exchange's own clock, `[R]`.

    A headline without a time counts from the end of its day. Summer time is the zone's own; of an hour that its clock
    shows twice the later one is taken.

    Args:
        table: Texts in the columns `date` and `time`.
        dates: Sessions of the market.
        settings: Zone of the stamps, and the exchange.

    Raises:
        DataError: A date or time is none.
    """
    days = parse_days(table["date"], "date", settings.path)
    untimed = (table["time"] == "").to_numpy()
    clock = pd.to_timedelta(table["time"].where(~untimed, "24:00") + ":00", errors="coerce")
    bad = clock.isna().to_numpy() | (
        ~untimed & ~table["time"].str.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d").to_numpy(dtype=bool)
    )
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"'{table['time'].iloc[row]}' in row {row + 1} of column 'time' of {settings.path} is not a time; write it "
            "as hh:mm"
        )
    stamps = pd.DatetimeIndex(days + pd.TimedeltaIndex(clock))
    if settings.time_zone is None:
        return stamps
    later = np.zeros(len(stamps), dtype=bool)  # not summer time any more
    aware = stamps.tz_localize(settings.time_zone, ambiguous=later, nonexistent="shift_forward")
    return aware.tz_convert(find_time_zone(dates, settings.calendar)).tz_localize(None)


def join_news(market: Market, settings: NewsSettings) -> Market:
    """Return the market with its headlines, and as an extra field `news_count`, those since the close before.

    Args:
        market: The market.
        settings: Which headlines.

    Raises:
        DataError: As `load_headlines`.
    """
    headlines = load_headlines(market, settings)
    counts = np.zeros_like(market.close)
    columns = pd.Index(market.symbols).get_indexer(pd.Index(headlines.symbols))
    np.add.at(counts, (market.dates.searchsorted(headlines.known), columns), 1.0)
    joined = replace(market, headlines=headlines, extras={**market.extras, "news_count": counts})
    joined.validate()
    return joined
