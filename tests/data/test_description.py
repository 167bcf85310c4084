from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.quality.anomalies import Series, find_split_jumps
from alfred.data.quality.summary import describe_market
from alfred.data.sessions import find_missing_sessions
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import ConfigError, DataError
from tests.conftest import make_random_market
from tests.data.tables import make_rows, write_rows


def make_table(symbols: int = 4, days: int = 200) -> pd.DataFrame:
    """A clean long table of random walks, sorted by symbol and date, on real sessions."""
    market = make_random_market(days, symbols, seed=3)
    parts = []
    for n, symbol in enumerate(market.symbols):
        part = pd.DataFrame({name: market.field(name)[:, n] for name in ("open", "high", "low", "close", "volume")})
        parts.append(part.assign(date=market.dates.strftime("%Y-%m-%d"), symbol=symbol, adj_close=part["close"]))
    return pd.concat(parts, ignore_index=True)


def describe(path: Path, **settings: object):
    return describe_market(DataSettings(path=path, **settings), calendar=None)


def found(path: Path) -> set[tuple[str, str, str]]:
    return {(item.symbol, str(item.date.date()), item.kind) for item in describe(path).problems}


def test_a_clean_table_has_no_problems(tmp_path: Path) -> None:
    description = describe(write_rows(make_table(), tmp_path / "a.csv"))
    assert description.problems == ()
    assert description.benchmark == "SPY"
    assert description.n_sessions == 200
    assert [item.coverage for item in description.symbols] == [1.0] * 4


@pytest.mark.parametrize("columns", [["open", "high", "low", "close", "adj_close", "volume"], ["close"]])
def test_planted_errors_are_reported_exactly(tmp_path: Path, columns: list[str]) -> None:
    table = make_table()[["date", "symbol", *columns]]
    dates = table["date"].unique()
    prices = [name for name in columns if name != "volume"]

    def rows(symbol: str, first: int, last: int) -> pd.Series:
        return (table["symbol"] == symbol) & table["date"].between(dates[first], dates[last])

    table.loc[rows("S0", 0, 99), prices] *= 4  # a 4:1 split that history was not adjusted for
    table.loc[rows("S1", 50, 56), prices] = table.loc[rows("S1", 50, 50), prices].to_numpy()
    planted = {("S0", dates[100], "split"), ("S1", dates[50], "stale")}
    if "high" in columns:
        swapped = rows("S2", 70, 70)
        table.loc[swapped, ["high", "low"]] = table.loc[swapped, ["low", "high"]].to_numpy()
        planted.add(("S2", dates[70], "high_below_low"))
    table = pd.concat([table, table[rows("SPY", 30, 30)]]).sort_values(["symbol", "date"])
    planted.add(("SPY", dates[30], "duplicate"))
    path = write_rows(table, tmp_path / "a.csv")
    assert found(path) == planted
    values = {item.kind: item.value for item in describe(path).problems}
    assert values["split"] == pytest.approx(0.25, rel=0.05)
    assert values["stale"] == 7
    with pytest.raises(DataError):
        load_market(DataSettings(path=path))


def test_gaps_zero_volume_and_empty_cells(tmp_path: Path) -> None:
    table = make_table()
    dates = table["date"].unique()
    first = table["symbol"] == "S0"
    table.loc[first & table["date"].between(dates[10], dates[12]), "volume"] = 0
    table.loc[first & (table["date"] == dates[20]), "open"] = np.nan
    table = table[~(first & table["date"].between(dates[40], dates[43]))]
    description = describe(write_rows(table, tmp_path / "a.csv"))
    assert [(item.kind, str(item.date.date())) for item in description.problems] == [
        ("zero_volume", dates[10]),
        ("missing_value", dates[20]),
        ("gap", dates[40]),
    ]
    assert [item.value for item in description.problems][::2] == [3.0, 4.0]
    assert description.symbols[0].coverage == pytest.approx(196 / 200)
    plain = json.loads(json.dumps(description.to_dict(), allow_nan=False))
    assert plain["problems"][1] == {"symbol": "S0", "date": dates[20], "kind": "missing_value", "value": None}
    assert set(plain) == {"benchmark", "symbols", "dates", "coverage", "problems"}


def test_an_event_is_no_split(tmp_path: Path) -> None:
    """Prices halve on news: the volume says so."""
    table = make_table()
    dates = table["date"].unique()
    after = (table["symbol"] == "S0") & (table["date"] >= dates[100])
    table.loc[after, ["open", "high", "low", "close", "adj_close"]] /= 2
    assert ("S0", dates[100], "split") in found(write_rows(table, tmp_path / "a.csv"))
    table.loc[(table["symbol"] == "S0") & (table["date"] == dates[100]), "volume"] *= 20
    assert found(write_rows(table, tmp_path / "a.csv")) == set()


def test_without_a_benchmark_the_common_dates_are_the_sessions(tmp_path: Path) -> None:
    rows = make_rows(("AAA", "BBB", "CCC"))
    rows = rows[~((rows["symbol"] == "BBB") & (rows["date"] == "2020-01-08"))]
    description = describe(write_rows(rows, tmp_path / "a.csv"))
    assert description.benchmark is None
    assert description.n_sessions == 5
    assert [(item.symbol, item.kind) for item in description.problems] == [("BBB", "gap")]
    with pytest.raises(DataError, match="unknown benchmark 'QQQ'"):
        describe(tmp_path / "a.csv", benchmark="QQQ")


def test_a_narrowed_description(tmp_path: Path) -> None:
    path = write_rows(make_table(), tmp_path / "a.csv")
    description = describe(path, symbols=("S1",), start="2010-02-01", end="2010-02-26")
    assert [item.symbol for item in description.symbols] == ["S1"]
    assert str(description.first.date()) == "2010-02-01"
    with pytest.raises(DataError, match="no row of the chosen symbols and dates"):
        describe(path, start="2030-01-01")


def test_missing_sessions_of_an_exchange() -> None:
    # New York was closed on 2001-09-11 to 14 and on Good Friday; the weekday range has those days too many.
    weekdays = pd.bdate_range("2001-09-03", "2001-09-28")
    assert len(find_missing_sessions(weekdays)) == 0
    assert find_missing_sessions(weekdays.delete(12)).tolist() == [weekdays[12]]
    with pytest.raises(ConfigError, match=r"unknown calendar 'XNYSE'.*Did you mean 'XNYS'"):
        find_missing_sessions(weekdays, "XNYSE")


@pytest.mark.parametrize("slip", ["0001-01-01", "9999-12-31"])
def test_a_year_that_cannot_be_is_described(tmp_path: Path, slip: str) -> None:
    rows = make_rows(("SPY",))
    rows.loc[0 if slip < "2" else 4, "date"] = slip
    description = describe_market(DataSettings(path=write_rows(rows, tmp_path / "a.csv")))
    assert slip in {str(description.first.date()), str(description.last.date())}
    assert "missing_session" in {item.kind for item in description.problems}


def test_the_real_table_has_the_four_flaws_that_its_readme_names(market_dir: Path) -> None:
    description = describe_market(DataSettings(path=market_dir))
    assert len(description.symbols) == 84
    kinds = [(item.symbol, item.kind) for item in description.problems]
    assert kinds == [("ACAD", "zero_volume")] * 3 + [("AMD", "zero_volume")]


def test_splits_planted_in_real_prices_are_found_and_nothing_else(market_dir: Path) -> None:
    market = load_market(DataSettings(path=market_dir))
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        n = int(rng.integers(market.n_symbols))
        rows = np.flatnonzero(market.tradable[:, n])
        day = int(rng.integers(30, len(rows)))
        values = {name: market.field(name)[rows, n] for name in ("open", "high", "low", "close", "volume")}
        ratio = rng.choice([1.5, 2, 3, 4, 5, 7, 10, 20, 1 / 2, 1 / 3, 1 / 8, 1 / 10, 1 / 20])
        for name in ("open", "high", "low", "close"):
            values[name][:day] *= ratio
        jumps = find_split_jumps(Series(market.symbols[n], market.dates[rows], values, values["close"]))
        assert set(jumps) <= {day}
        found += len(jumps)
    # What is missed lies on days whose own move or trading would hide a real split as well.
    assert found >= 190


def test_the_embedded_table_can_be_described() -> None:
    description = describe_market(DataSettings(start="2010-01-01"), calendar=None)
    assert len(description.symbols) == 21
    assert description.benchmark == "SP500TR"


def test_weekly_bars_lack_no_session_of_the_exchange() -> None:
    description = describe_market(DataSettings(path=Path(__file__).parent / "cases" / "weekly.csv.gz"))
    assert description.periods_per_year == 52
    assert "missing_session" not in {item.kind for item in description.problems}


def test_a_daily_table_with_a_hole_still_lacks_sessions(tmp_path: Path) -> None:
    table = make_table()
    dates = table["date"].unique()
    path = write_rows(table[~table["date"].isin(dates[100:140])], tmp_path / "a.csv")
    kinds = [item.kind for item in describe_market(DataSettings(path=path)).problems]
    assert "irregular" in kinds
    assert kinds.count("missing_session") >= 38
