"""Headlines reach exactly the windows that may know them, on any clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.analysts.checks import take_windows
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.point_in_time.headlines import HEADLINES
from alfred.data.point_in_time.news import join_news, load_headlines
from alfred.data.settings import NewsSettings
from alfred.data.sources import compute_market_checksum
from alfred.errors import DataError
from tests.analysts.small import add_headlines
from tests.conftest import make_random_market

MARKET = add_headlines(make_random_market(120))
LENGTH = 7


def list_expected(market: Market, row: int, column: int) -> list[tuple[int, str]]:
    """Return age and text of each headline of a window, by a plain loop."""
    news = market.headlines
    found = []
    for day, symbol, text in zip(news.known, news.symbols, news.texts, strict=True):
        at = market.dates.get_loc(day)
        if symbol == market.symbols[column] and row - LENGTH < at <= row:
            found.append((row - at, text))
    return found


def show(contexts, window: int) -> list[tuple[int, str]]:
    chosen = contexts.headlines.window == window
    return list(zip(contexts.headlines.age[chosen], contexts.headlines.texts[chosen], strict=True))


def test_windows_hold_their_own_headlines_and_no_later_ones() -> None:
    rows = np.array([3, 60, 60, 119, 0])
    columns = np.array([1, 0, 3, 2, 2])
    contexts = make_contexts(MARKET, rows, columns, length=LENGTH, fields=("close", HEADLINES))
    assert contexts.fields == ("close",)
    expected = [list_expected(MARKET, row, column) for row, column in zip(rows, columns, strict=True)]
    assert [show(contexts, window) for window in range(5)] == expected
    assert sum(map(len, expected)) > 5
    order = np.array([3, 1, 1])
    taken = take_windows(contexts, order)
    assert [show(taken, place) for place in range(3)] == [expected[window] for window in order]
    both = replace(contexts.headlines.followed_by(taken.headlines))
    assert both.n_windows == 8
    assert both.texts[both.window == 5].tolist() == [text for _, text in expected[3]]


def test_a_cut_market_has_forgotten_what_came_later() -> None:
    cut = MARKET.until(MARKET.dates[60])
    assert cut.headlines.known.max() <= MARKET.dates[60]
    assert len(cut.headlines) == (MARKET.headlines.known <= MARKET.dates[60]).sum()
    assert MARKET.since(MARKET.dates[60]).headlines.known.min() >= MARKET.dates[60]
    assert set(MARKET.select(["S1"]).headlines.symbols) == {"S1", "SPY"}
    assert not np.shares_memory(cut.copy().headlines.texts, MARKET.headlines.texts)


def test_another_future_has_other_headlines() -> None:
    date = MARKET.dates[60]
    other = scramble_after(MARKET, date, 0)
    past, future = MARKET.headlines.until(date), MARKET.headlines.since(MARKET.dates[61])
    assert other.headlines.until(date).texts.tolist() == past.texts.tolist()
    changed = other.headlines.since(MARKET.dates[61])
    assert len(changed) < 0.7 * len(future)
    assert not set(changed.texts) & set(future.texts)


def test_the_checksum_knows_the_headlines() -> None:
    news = MARKET.headlines
    texts = news.texts.copy()
    texts[3] = "something else"
    changed = replace(MARKET, headlines=replace(news, texts=texts))
    sums = {compute_market_checksum(market) for market in (MARKET, changed, replace(MARKET, headlines=None))}
    assert len(sums) == 3


def test_a_market_without_headlines_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"has no headlines; name a file of them: data\.news\.path"):
        make_contexts(make_random_market(20), np.array([9]), np.array([0]), length=3, fields=("close", HEADLINES))


def test_headlines_of_no_session_are_refused() -> None:
    news = MARKET.headlines
    late = replace(MARKET, headlines=replace(news, known=news.known + pd.Timedelta(days=2)))
    with pytest.raises(DataError, match="which is no session of the market"):
        late.validate()
    turned = replace(MARKET, headlines=replace(news, known=news.known[::-1]))
    with pytest.raises(DataError, match="not in the order in which they became known"):
        turned.validate()


# Fridays and Mondays around the ends of summer time in New York (2020-03-08, 2020-11-01) and in London (2020-03-29).
DATES = pd.DatetimeIndex(["2020-03-06", "2020-03-09", "2020-03-27", "2020-03-30", "2020-10-30", "2020-11-02"])


@pytest.mark.parametrize(
    ("zone", "day", "time", "known"),
    [
        (None, "2020-03-06", "15:59", "2020-03-06"),
        (None, "2020-03-06", "16:00", "2020-03-09"),
        ("UTC", "2020-03-06", "20:59", "2020-03-06"),  # winter: New York closes at 21:00
        ("UTC", "2020-03-06", "21:00", "2020-03-09"),
        ("UTC", "2020-03-09", "19:59", "2020-03-09"),  # summer: at 20:00
        ("UTC", "2020-03-09", "20:00", "2020-03-27"),
        ("Europe/London", "2020-03-27", "19:59", "2020-03-27"),  # summer there, not yet in London
        ("Europe/London", "2020-03-27", "20:00", "2020-03-30"),
        ("Europe/London", "2020-03-30", "20:59", "2020-03-30"),
        ("Asia/Tokyo", "2020-03-07", "05:59", "2020-03-06"),  # Saturday there, Friday's session still open
        ("Asia/Tokyo", "2020-03-07", "06:00", "2020-03-09"),
        ("UTC", "2020-11-02", "20:59", "2020-11-02"),
        ("America/New_York", "2020-03-08", "02:30", "2020-03-09"),  # an hour that no clock showed
        ("America/New_York", "2020-11-01", "01:30", "2020-11-02"),  # one that it showed twice
        ("UTC", "2020-03-06", "", "2020-03-09"),
        ("Pacific/Kiritimati", "2020-03-06", "", "2020-03-06"),  # the day was over there before New York opened
    ],
)
def test_stamps_of_any_zone(tmp_path: Path, zone, day, time, known) -> None:
    path = tmp_path / "news.csv"
    path.write_text(f"date,time,symbol,headline\n{day},{time},SPY,told\n")
    close = np.full((len(DATES), 1), 10.0)
    market = Market(dates=DATES, symbols=("SPY",), close=close, tradable=close > 0, benchmark="SPY")
    headlines = load_headlines(market, NewsSettings(path=path, time_zone=zone))
    assert headlines.known.tolist() == [pd.Timestamp(known)]


@pytest.mark.parametrize(
    ("dates", "day", "time", "kept"),
    [
        (DATES, "2019-06-03", "10:00", False),
        (DATES, "2020-03-05", "15:59", False),  # Thursday's session knew it
        (DATES, "2020-03-05", "16:00", True),
        (DATES, "2020-03-04", "", False),
        (DATES, "2020-03-05", "", True),
        (pd.bdate_range("2019-11-29", periods=40)[1:], "2019-11-29", "12:59", False),  # an early close
        (pd.bdate_range("2019-11-29", periods=40)[1:], "2019-11-29", "13:00", True),
        (pd.bdate_range("2019-11-29", periods=40)[1:], "2019-12-01", "09:00", True),  # a Sunday
        (pd.date_range("2020-03-09", periods=40), "2020-03-08", "15:59", False),  # every day, Sunday as well
        (pd.date_range("2020-03-09", periods=40), "2020-03-08", "16:00", True),
        (pd.date_range("2020-03-06", periods=40, freq="7D"), "2020-02-28", "15:59", False),  # weekly
        (pd.date_range("2020-03-06", periods=40, freq="7D"), "2020-03-02", "09:00", True),
    ],
)
def test_what_an_earlier_session_knew_is_no_news_of_the_first_one(tmp_path: Path, dates, day, time, kept) -> None:
    path = tmp_path / "news.csv"
    path.write_text(f"date,time,symbol,headline\n{day},{time},SPY,told\n")
    market = Market.from_arrays(dates, ["SPY"], np.full((len(dates), 1), 10.0), benchmark="SPY")
    if dates is DATES:
        market = replace(market, periods_per_year=252)
    headlines = load_headlines(market, NewsSettings(path=path))
    assert headlines.known.tolist() == [market.dates[0]] * kept


def test_a_later_start_reads_the_headlines_of_the_sessions_that_are_left(tmp_path: Path) -> None:
    whole = make_random_market(80)
    path = tmp_path / "news.csv"
    rows = [f"{day.date()},{time},S0,{time} of {day.date()}" for day in whole.dates for time in ("10:00", "18:00")]
    path.write_text("\n".join(["date,time,symbol,headline", *rows]) + "\n")
    start = whole.dates[30]
    cut, late = (
        join_news(whole, NewsSettings(path=path)).since(start),
        join_news(whole.since(start), NewsSettings(path=path)),
    )
    assert late.headlines.texts.tolist() == cut.headlines.texts.tolist()
    assert late.headlines.known.equals(cut.headlines.known)
    np.testing.assert_array_equal(late.field("news_count"), cut.field("news_count"))


def test_bad_zones_and_times_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown time zone 'UTX'"):
        NewsSettings(path=tmp_path, time_zone="UTX")
    path = tmp_path / "news.csv"
    path.write_text("date,time,symbol,headline\n2020-03-06,25:00,SPY,told\n")
    market = make_random_market(20)
    with pytest.raises(DataError, match=r"'25:00' in row 1 of column 'time' of .* is not a time"):
        load_headlines(market, NewsSettings(path=path))


def test_real_headlines_are_joined(news_dir: Path, market_dir: Path) -> None:
    from alfred.data.settings import DataSettings
    from alfred.data.sources import load_market

    market = load_market(DataSettings(path=market_dir, symbols=("A", "AAPL"), benchmark="SPY", end="2020-12-31"))
    joined = join_news(market, NewsSettings(path=news_dir / "headlines.csv.gz"))
    assert len(joined.headlines) == joined.field("news_count").sum() > 1000
    assert set(joined.headlines.symbols) == {"A", "AAPL"}
