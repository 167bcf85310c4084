"""Headlines, known at the first close after they were stamped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.asof import find_first_session
from alfred.data.point_in_time.headlines import Headlines
from alfred.data.prices.parsing import parse_days, read_csv_text
from alfred.data.sessions import find_close_times
from alfred.data.settings import NewsSettings
from alfred.errors import DataError


def load_headlines(market: Market, settings: NewsSettings) -> Headlines:
    """Read headlines and find the session at whose close each is known.

    A headline stamped before the close of a session is known at it; one stamped at the close or later, or without a
    time, from the next session on. Headlines of other symbols, and those after the last session, are left out.

    Args:
        market: The market that they are read for.
        settings: Which headlines.

    Raises:
        DataError: The file cannot be read, or a date or time is none.
    """
    path = settings.path
    table = read_csv_text(path, ("date", "time", "symbol", "headline"))
    days = parse_days(table["date"], "date", path)
    clock = pd.to_timedelta(table["time"].replace("", "00:00") + ":00", errors="coerce")
    bad = (clock.isna() | ((table["time"] != "") & ~table["time"].str.fullmatch(r"\d\d:\d\d"))).to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"'{table['time'].iloc[row]}' in row {row + 1} of column 'time' of {path} is not a time; write it as hh:mm"
        )
    closes = find_close_times(market.dates, settings.calendar)
    own = np.minimum(market.dates.searchsorted(days, side="left"), market.n_dates - 1)
    # On a day without a session the next close decides, which is later than any stamp of the day.
    early = (days + pd.TimedeltaIndex(clock) < closes[own]) & (table["time"] != "").to_numpy()
    rows = find_first_session(market.dates, days, same_day=np.asarray(early))
    kept = (rows < market.n_dates) & table["symbol"].isin(market.symbols).to_numpy()
    order = np.flatnonzero(kept)[np.argsort(rows[kept], kind="stable")]
    return Headlines(
        known=market.dates[rows[order]],
        symbols=table["symbol"].to_numpy(dtype=object)[order],
        texts=table["headline"].to_numpy(dtype=object)[order],
    )


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
