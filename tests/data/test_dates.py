"""A bar is dated by the session it belongs to, whatever the stamp looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from alfred.data.market import Market
from alfred.data.quality.summary import describe_market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import DataError
from tests.data.tables import make_rows, write_rows

CASES = Path(__file__).parent / "cases"


def load(path: Path, **settings: object) -> Market:
    return load_market(DataSettings(path=path, **settings))


def stamp_rows(stamps: pd.DatetimeIndex | pd.Series | list[object], symbols: tuple[str, ...] = ("AAA", "SPY")):
    rows = make_rows(symbols, days=len(stamps))
    rows["date"] = list(stamps) * len(symbols)
    return rows


def make_market(dates: object) -> Market:
    close = np.linspace(10.0, 11.0, len(dates))[:, None]  # type: ignore[arg-type]
    return Market.from_arrays(dates, ["SPY"], close, benchmark="SPY")  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- epochs


@pytest.mark.parametrize("name", ["epoch_seconds", "epoch_milliseconds"])
def test_epochs_of_exchanges(name: str) -> None:
    market = load(CASES / f"{name}.csv")
    assert market.n_dates == 15
    assert str(market.dates[0].date()) == "2020-08-20"
    assert str(market.dates[-1].date()) == "2020-09-10"


DAYS = pd.bdate_range("2020-01-06", periods=5)
SECONDS = (DAYS.as_unit("s").to_numpy().astype(np.int64)).tolist()
NUMBERS = {
    "seconds": SECONDS,
    "milliseconds": [value * 1_000 for value in SECONDS],
    "microseconds": [value * 1_000_000 for value in SECONDS],
    "nanoseconds": [value * 1_000_000_000 for value in SECONDS],
    "seconds of the open": [value + 14 * 3600 + 1800 for value in SECONDS],
    "floats": [float(value) for value in SECONDS],
    "mixed units": [value * (1_000 if row < 2 else 1_000_000) for row, value in enumerate(SECONDS)],
    "YYYYMMDD": [int(day.strftime("%Y%m%d")) for day in DAYS],
    "YYYYMMDD floats": [float(day.strftime("%Y%m%d")) for day in DAYS],
}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_are_read_by_their_size(tmp_path: Path, case: str, ending: str) -> None:
    market = load(write_rows(stamp_rows(NUMBERS[case]), tmp_path / f"a.{ending}"))
    assert [str(day.date()) for day in market.dates] == [str(day.date()) for day in DAYS]


def test_epochs_before_1970(tmp_path: Path) -> None:
    days = pd.bdate_range("1966-01-03", "1973-12-31")
    market = load(write_rows(stamp_rows(days.as_unit("s").to_numpy().astype(np.int64).tolist()), tmp_path / "a.csv"))
    assert market.dates.equals(days.as_unit("s"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5], [18267, 18268, 18269, 18270, 18271], [20201341] * 5, [1e25] * 5])
def test_other_numbers_are_no_dates(tmp_path: Path, numbers: list[float], ending: str) -> None:
    with pytest.raises(DataError, match=r"write (it|dates) as YYYY-MM-DD"):
        load(write_rows(stamp_rows(numbers), tmp_path / f"a.{ending}"))


# ------------------------------------------------------------------------------------------------------------ zones


def test_berlin_midnights_written_as_utc_are_refused_with_their_zone() -> None:
    with pytest.raises(DataError, match=r"'KO'.*Sundays.*2023-08-06.*Europe/Berlin.*data\.time_zone=Europe/Berlin"):
        load(CASES / "utc_midnights.csv")
    market = load(CASES / "utc_midnights.csv", time_zone="Europe/Berlin")
    assert market.n_dates == 15
    assert market.tradable.all()
    assert str(market.dates[0].date()) == "2023-08-07"
    assert set(market.dates.day_of_week) == {0, 1, 2, 3, 4}
    raw = pd.read_csv(CASES / "utc_midnights.csv")
    # The close of Monday 2023-08-07 is that of the first row of each.
    assert market.volume[0, 0] * market.close[0, 0] == pytest.approx(raw["volume"][0] * raw["close"][0])
    assert "Europe/Berlin" in " ".join(market.notes)


def test_new_york_midnights_written_as_utc_are_right_already() -> None:
    market = load(CASES / "utc_midnights.csv", symbols=("SPY",))
    assert str(market.dates[0].date()) == "2023-08-07"
    assert str(market.dates[-1].date()) == "2023-08-25"


ZONES = ["Europe/Berlin", "Europe/London", "Europe/Istanbul", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo"]


@pytest.mark.parametrize("zone", [*ZONES, "Australia/Sydney"])
@pytest.mark.parametrize("kind", ["text", "stamp", "epoch", "naive", "date"])
def test_midnights_of_the_east_in_any_form(tmp_path: Path, zone: str, kind: str) -> None:
    """London shifts in summer only, so that its table has Sundays and Fridays."""
    days = pd.bdate_range("2021-01-04", "2021-12-31")
    utc = days.tz_localize(zone).tz_convert("UTC")
    forms = {
        "text": [str(stamp) for stamp in utc],
        "stamp": utc,
        "epoch": utc.as_unit("s").tz_localize(None).to_numpy().astype(np.int64).tolist(),
        "naive": utc.tz_localize(None),
        "date": [str(stamp.date()) for stamp in utc],
    }
    path = write_rows(stamp_rows(forms[kind]), tmp_path / "a.parquet")
    named = "a zone east" if kind == "date" else zone
    with pytest.raises(DataError, match=f"Sundays.*{named}"):
        load(path)
    if kind != "date":
        assert load(path, time_zone=zone).dates.equals(days.as_unit("s"))
    kinds = {(item.symbol, item.kind) for item in describe_market(DataSettings(path=path), calendar=None).problems}
    assert {("AAA", "shifted"), ("SPY", "shifted")} <= kinds


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo"])
def test_a_market_from_such_an_index_is_refused(zone: str) -> None:
    utc = pd.bdate_range("2021-01-04", "2021-12-31", tz=zone).tz_convert("UTC")
    with pytest.raises(DataError, match=f"Sundays.*{zone}"):
        make_market(utc)
    with pytest.raises(DataError, match="Sundays"):
        make_market(utc.tz_localize(None))


def test_days_that_are_late_are_refused_too(tmp_path: Path) -> None:
    days = pd.bdate_range("2021-01-04", periods=60) + pd.Timedelta(days=1)
    with pytest.raises(DataError, match="Saturdays and not on Mondays"):
        load(write_rows(stamp_rows(days), tmp_path / "a.parquet"))


def test_coins_at_ten_in_the_evening_need_a_zone(tmp_path: Path) -> None:
    utc = pd.date_range("2021-01-04 22:00", periods=60, tz="UTC")
    path = write_rows(stamp_rows(utc), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"22:00 UTC.*data\.time_zone="):
        load(path)
    assert str(load(path, time_zone="Europe/Berlin").dates[0].date()) == "2021-01-04"  # 23:00, of that day in winter
    assert str(load(path, time_zone="Asia/Tokyo").dates[0].date()) == "2021-01-05"
    assert str(load(path, time_zone="UTC").dates[0].date()) == "2021-01-04"


@pytest.mark.parametrize("clock", ["00:00", "23:59:59"])
def test_coins_by_the_utc_day_are_taken(tmp_path: Path, clock: str) -> None:
    utc = pd.date_range(f"2021-01-04 {clock}", periods=60, tz="UTC")
    market = load(write_rows(stamp_rows(utc), tmp_path / "a.parquet"))
    assert str(market.dates[0].date()) == "2021-01-04"
    assert market.periods_per_year == 365


def test_exchanges_that_open_on_sundays_say_so(tmp_path: Path) -> None:
    days = pd.date_range("2021-01-03", periods=140)
    days = days[~days.day_of_week.isin([4, 5])]
    path = write_rows(stamp_rows([str(day.date()) for day in days]), tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"data\.sunday_sessions=true"):
        load(path)
    market = load(path, sunday_sessions=True)
    assert (market.n_dates, market.periods_per_year) == (100, 252)


@pytest.mark.parametrize("kind", ["currencies", "weekly", "monthly", "coins"])
def test_sundays_that_are_no_shift(tmp_path: Path, kind: str) -> None:
    days = pd.date_range("2021-01-03", periods=200)
    tables = {
        "currencies": days[days.day_of_week != 5],
        "weekly": pd.date_range("2021-01-03", periods=60, freq="W-SUN"),
        "monthly": pd.date_range("2021-01-03", periods=20, freq="ME"),
        "coins": days,
    }
    spy = pd.bdate_range("2021-01-04", periods=140) if kind == "currencies" else tables[kind]
    rows = pd.concat([stamp_rows(tables[kind], ("AAA",)), stamp_rows(spy, ("SPY",))])
    assert load(write_rows(rows, tmp_path / "a.parquet")).n_dates == len(spy)


def test_an_unknown_zone() -> None:
    with pytest.raises(ValidationError, match=r"unknown time zone 'Europe/Berln'.*Did you mean 'Europe/Berlin'"):
        DataSettings(path="x.csv", time_zone="Europe/Berln")


# ----------------------------------------------------------------------------------------------------- times of day


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_close_of_four_belongs_to_its_session(tmp_path: Path, ending: str) -> None:
    stamps = DAYS + pd.Timedelta(hours=16)
    market = load(write_rows(stamp_rows(stamps), tmp_path / f"a.{ending}"))
    assert market.until("2020-01-08").n_dates == 3
    assert market.until(pd.Timestamp("2020-01-08 16:00")).n_dates == 3
    assert market.since("2020-01-08 16:00").n_dates == 3


@pytest.mark.parametrize("zone", [None, "America/New_York", "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("hour", [0, 16])
def test_a_market_from_stamps_is_one_of_sessions(zone: str | None, hour: int) -> None:
    index = pd.bdate_range("2020-01-06", periods=20, tz=zone) + pd.Timedelta(hours=hour)
    market = make_market(index)
    assert market.dates.tz is None
    assert market.dates.equals(pd.bdate_range("2020-01-06", periods=20).as_unit(market.dates.unit))
    for date in ("2020-01-08", pd.Timestamp("2020-01-08", tz=zone), index[2]):
        assert market.until(date).n_dates == 3
        assert market.since(date).n_dates == 18


def test_several_bars_of_one_day_are_refused(tmp_path: Path) -> None:
    stamps = sorted([*(DAYS + pd.Timedelta(hours=10)), *(DAYS + pd.Timedelta(hours=16))])
    for zone in (None, "America/New_York"):
        with pytest.raises(DataError, match=r"several bars on 2020-01-06.*intraday"):
            make_market(pd.DatetimeIndex(stamps).tz_localize(zone))
    path = write_rows(stamp_rows(pd.DatetimeIndex(stamps)), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"'AAA' on 2020-01-06 .* several bars of one day.*one bar a session"):
        load(path)
    assert {item.kind for item in describe_market(DataSettings(path=path), calendar=None).problems} == {"intraday"}


@pytest.mark.parametrize("bad", [["2020-01-06", "soon"], ["2020-01-06", None], [pd.Timestamp("2020-01-06"), 3.5j]])
def test_an_index_that_is_none(bad: list[object]) -> None:
    with pytest.raises(DataError, match="date"):
        make_market(bad)


def test_a_date_that_is_none() -> None:
    market = make_market(DAYS)
    for cut in (market.until, market.since):
        with pytest.raises(DataError, match="'soon' is not a date"):
            cut("soon")


def test_texts_that_only_begin_like_a_date(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'2020-01-06x' in column 'date'"):
        load(write_rows(stamp_rows(["2020-01-06x", *DAYS[1:].astype(str)]), tmp_path / "a.csv"))
