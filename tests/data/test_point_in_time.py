"""Nothing is known before it was published, on tables small enough to read and on the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.features.catalogue import compute_features
from alfred.data.features.rollup import make_quarterly_table
from alfred.data.market import Market
from alfred.data.point_in_time.fundamentals import REPORT_AGE, join_fundamentals, read_reports
from alfred.data.point_in_time.macro import join_macro
from alfred.data.point_in_time.news import join_news, load_headlines
from alfred.data.settings import DataSettings, FeatureSettings, FundamentalsSettings, MacroSettings, NewsSettings
from alfred.data.sources import load_market
from alfred.errors import DataError

# Monday to Friday of two weeks; New York was open on all of them, and closed early on none.
DATES = pd.bdate_range("2020-03-02", periods=10)


def make_market() -> Market:
    close = np.full((10, 2), 10.0) + np.arange(10)[:, None]
    return Market.from_arrays(DATES, ["AAA", "SPY"], close, benchmark="SPY", volume=close)


def join(tmp_path: Path, text: str, **settings: object) -> Market:
    (tmp_path / "reports.csv").write_text(text)
    return join_fundamentals(make_market(), FundamentalsSettings(path=tmp_path, **settings))


EARNINGS = "symbol,report_date,fiscal_period_end,eps_reported,eps_estimated,release_time,source\n"


@pytest.mark.parametrize(
    ("day", "release", "known"),
    [
        ("2020-03-04", "pre", "2020-03-04"),
        ("2020-03-04", "post", "2020-03-05"),
        ("2020-03-04", "", "2020-03-05"),
        ("2020-03-06", "post", "2020-03-09"),
        ("2020-03-07", "", "2020-03-09"),
        ("2020-03-07", "pre", "2020-03-09"),
    ],
)
def test_a_report_is_known_from_its_release(tmp_path: Path, day: str, release: str, known: str) -> None:
    market = join(tmp_path, EARNINGS + f"AAA,{day},2020-01-31,1.1,1.0,{release},x\n")
    values = pd.Series(market.field("eps_surprise_pct")[:, 0], DATES)
    assert values.first_valid_index() == pd.Timestamp(known)
    np.testing.assert_allclose(values.dropna(), 10.0)
    assert market.field(REPORT_AGE)[known == DATES, 0] == 0
    assert np.isnan(market.field("eps_reported")[:, 1]).all()


def test_later_reports_replace_and_deltas_compare_like_with_like(tmp_path: Path) -> None:
    rows = [
        "AAA,2020-03-02,2019-10-31,1.0,1.0,pre,x",
        "AAA,2020-03-04,2020-01-31,1.5,1.0,pre,x",
        "AAA,2020-03-05,2019-07-31,9.0,9.0,pre,x",  # late news of an older period
        "AAA,2020-03-09,2020-02-29,3.0,0.005,pre,y",  # another source, another share basis, no percentage
    ]
    market = join(tmp_path, EARNINGS + "\n".join(rows) + "\n")
    assert market.field("eps_reported")[:, 0].tolist() == [1.0, 1.0] + [1.5] * 3 + [3.0] * 5
    delta = market.field("eps_reported_delta")[:, 0]
    assert np.isnan(delta[:2]).all()
    assert set(delta[2:]) == {0.5}
    assert market.field("eps_surprise_pct")[-1, 0] == 50.0
    assert np.flatnonzero(market.field(REPORT_AGE)[:, 0] == 0).tolist() == [0, 2, 5]


@pytest.mark.parametrize("period", ["2020-01-31", ""])
def test_a_report_that_comes_twice_is_one_and_a_correction_is_no_new_one(tmp_path: Path, period: str) -> None:
    rows = [
        "AAA,2020-01-02,2019-10-31,1.0,1.0,pre,x",
        "AAA,2020-03-04,2020-01-31,1.5,1.0,pre,x",
        f"AAA,2020-03-05,{period},1.5,1.0,pre,x",  # the same one a day later
        f"AAA,2020-03-10,{period},1.75,1.0,Pre,x",  # corrected
    ]
    market = join(tmp_path, EARNINGS + "\n".join(rows) + "\n")
    assert np.flatnonzero(market.field(REPORT_AGE)[:, 0] == 0).tolist() == [2]
    assert market.field("eps_reported")[:, 0].tolist() == [1.0] * 2 + [1.5] * 4 + [1.75] * 4
    assert market.field("eps_reported_delta")[2:, 0].tolist() == [0.5] * 4 + [0.75] * 4


def test_a_report_from_before_the_market_is_known_and_of_no_age(tmp_path: Path) -> None:
    market = join(tmp_path, EARNINGS + "AAA,2020-02-20,2020-01-31,1.1,1.0,pre,x\n")
    assert (market.field("eps_reported")[:, 0] == 1.1).all()
    assert np.isnan(market.field(REPORT_AGE)).all()
    assert make_quarterly_table(market).empty


def test_filings_count_from_the_day_after_and_years_without_a_date_from_their_lag(tmp_path: Path) -> None:
    header = "symbol,fiscal_period_end,report_date,form,revenue,operating_income,net_income\n"
    market = join(tmp_path, header + "AAA,2019-12-31,2020-03-04,10-Q,200,50,20\n")
    assert pd.Series(market.field("net_margin")[:, 0], DATES).dropna().index[0] == DATES[3]
    assert market.field("operating_margin")[-1, 0] == 0.25
    assert np.isnan(market.field("gross_margin")).all()
    assert not market.notes
    annual = "symbol,fiscal_period_end,revenue,gross_profit,operating_income,net_income,eps_reported\n"
    market = join(tmp_path, annual + "AAA,2019-12-31,200,80,,20,1\nSPY,2019-12-31,0,1,1,1,1\n", annual_lag_days=65)
    # 2019-12-31 and 65 days is 2020-03-05, known from the session after.
    assert pd.Series(market.field("gross_margin")[:, 0], DATES).dropna().index[0] == DATES[4]
    assert np.isnan(market.field("operating_margin")).all()
    assert np.isnan(market.field("gross_margin")[:, 1]).all()
    assert "no report date" in market.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EARNINGS + "AAA,soon,,1,1,,x\n", "'soon' in row 1 of column 'report_date' .* is not a date"),
        (EARNINGS + "AAA,2020-03-04,,1,many,,x\n", "'many' in row 1 of column 'eps_estimated' .* is not a number"),
        (EARNINGS + "ZZZ,2020-03-04,,1,1,,x\n", r"none of the symbols with reports \(ZZZ, ...\) is in the market"),
        (
            EARNINGS + "AAA,2020-03-04,2020-01-31,1,1,,x\nAAA,2020-03-31,2020-03-31,1,1,,x\n",
            "row 2 of .*: AAA reports on 2020-03-31 on a period that ends 2020-03-31",
        ),
        (
            "symbol,fiscal_period_end,report_date,form,revenue\nAAA,2105-12-31,2020-03-04,10-Q,200\n",
            "AAA reports on 2020-03-04 on a period that ends 2105-12-31",
        ),
        (
            "symbol,report_date,eps_reported,eps_estimated\n"
            + "".join(f"AAA,{day.date()},1,1\n" for day in pd.date_range("2018-01-01", periods=8, freq="QE")),
            "100% of the report_date of .* are the last day of a month",
        ),
        (
            "symbol,fiscal_period_end,report_date,form,revenue,net_income\nAAA,2019-12-31,2020-03-04,10-Q,200,20000\n",
            "net_income in .* is 100 times revenue in the median: they are in different units",
        ),
        ("symbol,price\nAAA,1\n", "is not a table of reports: it has symbol, price"),
        ("name,price\nAAA,1\n", "has no column 'symbol'"),
    ],
)
def test_bad_reports_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        join(tmp_path, text)


def test_extra_fields_are_stored_as_the_prices_are(tmp_path: Path) -> None:
    market = make_market()
    narrow = Market.from_arrays(DATES, market.symbols, market.close.astype(np.float32), benchmark="SPY")
    (tmp_path / "reports.csv").write_text(EARNINGS + "AAA,2020-03-04,,1.1,1.0,pre,x\n")
    joined = join_fundamentals(narrow, FundamentalsSettings(path=tmp_path / "reports.csv"))
    (tmp_path / "macro.csv").write_text("date,vix\n2020-03-04,30\n")
    joined = join_macro(joined, MacroSettings(path=tmp_path / "macro.csv"))
    assert {panel.dtype for panel in joined.extras.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["close", "volume", "market_level", "sector_level", "headlines", "news_count"])
def test_a_series_with_the_name_of_a_field_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "macro.csv"
    path.write_text(f"date,{name}\n2020-03-04,5\n")
    with pytest.raises(DataError, match=f"column '{name}' of .* has the name of a field of the market; rename it"):
        join_macro(make_market(), MacroSettings(path=path))


@pytest.mark.parametrize("name", ["market_level", "sector_level"])
def test_an_extra_field_does_not_stand_in_place_of_an_index(name: str) -> None:
    market = make_market()
    with pytest.raises(DataError, match=f"extra field '{name}' .* a name that is none of .*market_level"):
        Market.from_arrays(DATES, market.symbols, market.close, benchmark="SPY", extras={name: market.close})


@pytest.mark.parametrize("lag", range(8))
@pytest.mark.parametrize("freq", ["B", "D", "7D"])
def test_macro_values_of_a_later_start_are_those_of_the_whole_market(tmp_path: Path, lag: int, freq: str) -> None:
    # No holiday lies between 2020-02-18 and the Friday before Easter.
    dates = pd.date_range("2020-02-18" if freq == "B" else "2020-01-03", "2020-04-09", freq=freq)
    close = np.full((len(dates), 1), 10.0)
    whole = Market.from_arrays(dates, ["SPY"], close, benchmark="SPY")
    path = tmp_path / "macro.csv"
    days = pd.date_range("2016-01-01", "2020-04-09", freq="B")
    path.write_text("date,vix\n" + "".join(f"{day.date()},{number}\n" for number, day in enumerate(days)))
    start = dates[-4] if freq == "7D" else dates[15]
    settings = MacroSettings(path=path, lag_days=lag)
    joined = join_macro(whole, settings).since(start).field("vix")
    late = join_macro(whole.since(start), settings).field("vix")
    assert np.isfinite(late).all()
    np.testing.assert_array_equal(late, joined)


def test_macro_values_wait_for_their_publication(tmp_path: Path) -> None:
    path = tmp_path / "macro.csv"
    # The first row is before the market, the third a Saturday.
    path.write_text("date,vix,wti\n2020-02-28,40,\n2020-03-04,30,-37\n2020-03-07,20,\n")
    vix = join_macro(make_market(), MacroSettings(path=path)).field("vix")
    assert vix[:, 0].tolist() == [40.0] * 3 + [30.0] * 2 + [20.0] * 5
    np.testing.assert_array_equal(vix[:, 0], vix[:, 1])
    same_day = join_macro(make_market(), MacroSettings(path=path, lag_days=0))
    assert same_day.field("vix")[:, 0].tolist() == [40.0] * 2 + [30.0] * 3 + [20.0] * 5
    assert same_day.field("wti")[:, 0].tolist()[2:] == [-37.0] * 8
    with pytest.raises(DataError, match=r"2020-03-04 stands more than once"):
        path.write_text("date,vix\n2020-03-04,1\n2020-03-04,2\n")
        join_macro(make_market(), MacroSettings(path=path))


def test_headlines_wait_for_the_next_close(tmp_path: Path) -> None:
    path = tmp_path / "news.csv"
    rows = {
        "2020-03-04,15:59,AAA,in time": 2,
        "2020-03-04,16:00,AAA,at the close": 3,
        "2020-03-04,,AAA,without a time": 3,
        "2020-03-07,23:00,AAA,on a Saturday": 5,
        "2020-03-13,17:00,AAA,after the last close": None,
        "2020-03-04,10:00,ZZZ,of a stranger": None,
    }
    path.write_text("date,time,symbol,headline\n" + "\n".join(rows) + "\n")
    headlines = load_headlines(make_market(), NewsSettings(path=path))
    found = dict(zip(headlines.texts, headlines.known, strict=True))
    assert found == {text.split(",")[3]: DATES[row] for text, row in rows.items() if row is not None}
    assert len(headlines.until("2020-03-05")) == 3
    assert len(headlines.of("SPY")) == 0
    counts = join_news(make_market(), NewsSettings(path=path)).field("news_count")
    assert counts[:, 0].tolist() == [0, 0, 1, 2, 0, 1, 0, 0, 0, 0]
    path.write_text("date,time,symbol,headline\n2020-03-04,noon,AAA,x\n")
    with pytest.raises(DataError, match=r"'noon' in row 1 of column 'time' of .* write it as hh:mm"):
        load_headlines(make_market(), NewsSettings(path=path))


def test_an_early_close_is_a_close(tmp_path: Path) -> None:
    # New York closed at 13:00 on 2019-11-29, the day after Thanksgiving.
    dates = pd.DatetimeIndex(["2019-11-27", "2019-11-29", "2019-12-02"])
    market = Market.from_arrays(dates, ["AAA"], np.ones((3, 1)), benchmark="AAA")
    path = tmp_path / "news.csv"
    path.write_text("date,time,symbol,headline\n2019-11-29,12:59,AAA,before\n2019-11-29,13:00,AAA,after\n")
    assert load_headlines(market, NewsSettings(path=path)).known.tolist() == [dates[1], dates[2]]


def test_real_reports_are_those_of_their_table(market_dir: Path, fundamentals_dir: Path) -> None:
    market = load_market(DataSettings(path=market_dir, fundamentals={"path": fundamentals_dir}))
    day = market.dates.get_indexer(["2016-01-26", "2016-01-27"])
    # Apple reported 3.28 a share (0.82 after the split of 2020) after the close of 2016-01-26.
    assert market.field("eps_reported")[day, market.index_of("AAPL")].tolist() == [0.49, 0.82]
    reports = read_reports(FundamentalsSettings(path=fundamentals_dir))
    stated = pd.read_csv(fundamentals_dir / "earnings_surprises.csv.gz")
    ours = reports[reports["eps_reported"].notna()].sort_values(["symbol", "known"])
    theirs = stated.sort_values(["symbol", "report_date"])
    assert len(ours) == len(theirs) == 2296
    difference = ours["eps_surprise_pct"].to_numpy() - theirs["surprise_pct"].to_numpy()
    # The table rounds its figures; a few of its percentages come from unrounded ones.
    assert np.nanmedian(np.abs(difference)) < 0.01
    assert np.nanquantile(np.abs(difference), 0.99) < 1.0


def test_reports_still_to_come_change_nothing(market_dir: Path, fundamentals_dir: Path, tmp_path: Path) -> None:
    """The join of all reports, cut at a date, is the join of the reports published by then."""
    market = load_market(DataSettings(path=market_dir, start="2012-01-01", end="2017-12-31"))
    whole = join_fundamentals(market, FundamentalsSettings(path=fundamentals_dir))
    for date in ("2014-05-15", "2016-01-26"):
        for name in ("earnings_surprises", "sec_reports_2015_2017"):
            table = pd.read_csv(fundamentals_dir / f"{name}.csv.gz", dtype=str, keep_default_na=False)
            table[table["report_date"] <= date].to_csv(tmp_path / f"{name}.csv", index=False)
        cut = join_fundamentals(market, FundamentalsSettings(path=tmp_path))
        for field, panel in cut.extras.items():
            if "margin" not in field:  # the years without a date were left out above
                np.testing.assert_array_equal(panel[market.dates <= date], whole.field(field)[market.dates <= date])


def test_the_quarterly_table_and_features(market_dir: Path, fundamentals_dir: Path, macro_dir: Path) -> None:
    market = load_market(
        DataSettings(
            path=market_dir,
            fundamentals={"path": fundamentals_dir},
            macro={"path": macro_dir / "macro_daily.csv.gz"},
        )
    )
    table = make_quarterly_table(market)
    assert len(table) == 2296
    row = table[(table["symbol"] == "AAPL") & (table["date"] == "2016-01-27")].iloc[0]
    t, n = market.dates.get_loc("2016-01-27"), market.index_of("AAPL")
    close = market.close[:, n]
    assert row["price_distance_30"] == pytest.approx(close[t] / close[t - 29 : t + 1].mean() - 1)
    assert row["magnitude"] == pytest.approx((close[t + 63] / close[t] - 1) * 100)
    assert row["direction"] == float(row["magnitude"] > 0)
    spy = market.close[:, market.index_of("SPY")]
    assert row["benchmark_return"] == pytest.approx(spy[t] / spy[t - 63] - 1)
    assert row["vix"] == market.field("vix")[t, n]
    signals = compute_features(market, FeatureSettings(names=("quarterly",), normalise="zscore"))
    assert np.isfinite(signals.values[t, n]).mean() > 0.9
    with pytest.raises(DataError, match=r"'eps_reported' needs eps_reported.*set data\.fundamentals"):
        compute_features(make_market(), FeatureSettings(names=("eps_reported",)))
    with pytest.raises(DataError, match="this market has no reports"):
        make_quarterly_table(make_market())
