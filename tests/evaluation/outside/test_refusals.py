"""What cannot be judged is refused on one line that names the date, the value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.outside.files import call, make_returns, refuse, write_spy

RETURNS = make_returns()
WEALTH = 100 * (1 + RETURNS).cumprod()


def _write(path: Path, series: pd.Series, name: str) -> None:
    series.rename(name).rename_axis("date").to_csv(path)


def _replace(series: pd.Series, row: int, value: float) -> pd.Series:
    changed = series.copy()
    changed.iloc[row] = value
    return changed


def _stamp_midnights_in_berlin(series: pd.Series) -> pd.Series:
    return series.set_axis(series.index.tz_localize("Europe/Berlin").tz_convert("UTC"))


CASES: dict[str, tuple[pd.Series, str, str]] = {
    "a day twice": (pd.concat([RETURNS.iloc[:50], RETURNS.iloc[49:]]), "returns", "2 rows of 2018-03-12"),
    "a gap": (RETURNS.drop(RETURNS.index[100]), "returns", "no row on Tue 2018-05-22, sessions that SPY has"),
    "a long gap": (RETURNS.drop(RETURNS.index[100:180]), "returns", "and 77 more"),
    "an empty return": (_replace(RETURNS, 7, np.nan), "returns", "empty on 2018-01-11"),
    "per cent": (RETURNS * 100, "returns", "pass --percent"),
    "a deposit": (
        pd.concat([WEALTH.iloc[:300], WEALTH.iloc[300:] * 5]),
        "equity",
        "looks like a deposit or another unit",
    ),
    "fractions by the name of per cent": (RETURNS, "return_pct", "pass --percent if they are"),
    "small per cent": ((RETURNS * 100).clip(-0.9, 0.9), "returns", "look like per cent"),
    "wealth below zero": (_replace(WEALTH, 30, -5.0), "equity", "is -5 on 2018-02-13: wealth must be a positive"),
    "no wealth left": (_replace(WEALTH, 30, 0.0), "equity", "is 0 on 2018-02-13"),
    "an empty wealth": (_replace(WEALTH, 30, np.nan), "equity", "is empty on 2018-02-13"),
    "another time": (RETURNS.set_axis(RETURNS.index - pd.Timedelta(days=3650)), "returns", "share no session"),
    "newest first": (RETURNS.iloc[::-1], "returns", "newest first; sort"),
    "unsorted": (pd.concat([RETURNS.iloc[300:], RETURNS.iloc[:300]]), "returns", "2018-01-02 stands after 2020-04-20"),
    "another zone": (_stamp_midnights_in_berlin(RETURNS), "returns", "--time-zone Europe/Berlin"),
    "intraday": (
        RETURNS.set_axis(pd.date_range("2018-01-02", periods=len(RETURNS), freq="h")),
        "returns",
        "24 rows of",
    ),
    "weekends": (
        RETURNS.set_axis(pd.date_range("2018-01-02", periods=len(RETURNS))),
        "returns",
        "SPY has no row on Sat 2018-01-06",
    ),
    "too few": (RETURNS.iloc[:10], "returns", "share 10 sessions"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_series_that_cannot_be_judged(case: str, tmp_path: Path) -> None:
    series, name, told = CASES[case]
    _write(tmp_path / "mine.csv", series, name)
    line = refuse(tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path), "--out", tmp_path / "out")
    assert told in line
    assert not (tmp_path / "out").exists()


def test_a_table_of_prices_is_no_strategy(tmp_path: Path) -> None:
    rows = [(day, name, 100.0 + n) for n, day in enumerate(RETURNS.index.date) for name in ("AAA", "BBB")]
    pd.DataFrame(rows, columns=["date", "tic", "close"]).to_csv(tmp_path / "mine.csv", index=False)
    for words in ((tmp_path / "mine.csv",), (write_spy(tmp_path), "--benchmark", tmp_path / "mine.csv")):
        line = refuse(*words)
        assert "mine.csv has rows of AAA, BBB in column 'tic'" in line and "keep the rows of one" in line
        assert "duplicates" not in line


def test_the_zone_that_is_named_helps(tmp_path: Path) -> None:
    _write(tmp_path / "mine.csv", _stamp_midnights_in_berlin(RETURNS), "returns")
    words = ("--benchmark", write_spy(tmp_path), "--time-zone", "Europe/Berlin", "--out", tmp_path / "out")
    assert call(tmp_path / "mine.csv", *words).exit_code == 0
    _write(tmp_path / "index.csv", _stamp_midnights_in_berlin(make_returns(99)), "returns")
    assert call(tmp_path / "mine.csv", *words, "--benchmark", tmp_path / "index.csv").exit_code == 0


def test_a_yearly_rate_of_cash_is_not_what_a_session_earned(tmp_path: Path) -> None:
    spy = write_spy(tmp_path)
    for rate, told in ((0.02, "2.00% a session, 504% a year"), (0.01, "252% a year")):
        RETURNS.rename("returns").rename_axis("date").to_frame().assign(rf=rate).to_csv(tmp_path / "mine.csv")
        line = refuse(tmp_path / "mine.csv", "--benchmark", spy)
        assert told in line and "divide a yearly rate by 252" in line
    out = ("--cash-rate", "2", "--out", tmp_path / "out")
    assert call(tmp_path / "mine.csv", "--benchmark", spy, *out).exit_code == 0


Maker = Callable[[Path], object]
FILES: dict[str, tuple[Maker, str]] = {
    "no file": (lambda path: None, "there is no file"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "no rows": (lambda path: path.write_text("date,returns\n"), "has no rows"),
    "nothing": (lambda path: path.write_text(""), "cannot be read"),
    "no dates": (lambda path: path.write_text("a,returns\nx,0.1\n"), "has no column of dates; it has a, returns"),
    "no date": (lambda path: path.write_text("date,returns\n31/12/2020,0.1\n"), "'31/12/2020' in column 'date'"),
    "no numbers": (lambda path: path.write_text("date,note\n2020-01-02,abc\n"), "no column of numbers"),
    "no number": (lambda path: path.write_text("date,returns\n2020-01-02,abc\n"), "'abc' on 2020-01-02"),
    "which one": (
        lambda path: path.write_text("date,a,b\n2020-01-02,3,9\n2020-01-03,4,7\n"),
        "2 columns that may be meant (a, b)",
    ),
    "either": (
        lambda path: path.write_text("date,a\n2020-01-02,0.1\n2020-01-03,0.9\n"),
        "say --kind returns or --kind wealth",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read(case: str, tmp_path: Path) -> None:
    make, told = FILES[case]
    make(tmp_path / "mine.csv")
    assert told in refuse(tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path))


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    _write(tmp_path / "mine.csv", RETURNS, "returns")
    spy = write_spy(tmp_path)
    mine = (tmp_path / "mine.csv", "--benchmark", spy)
    assert "--cost-bps is for weights" in refuse(*mine, "--cost-bps", 5)
    assert "no column 'retunrs'" in refuse(*mine, "--column", "retunrs")
    assert "Did you mean 'returns'?" in refuse(*mine, "--column", "retunrs")
    assert "both called 'SPY'" in refuse(*mine, "--name", "SPY")
    assert "unknown time zone" in refuse(*mine, "--time-zone", "Berlin")
    assert "neither per cent a year nor a CSV" in refuse(*mine, "--cash-rate", "much")
    assert "between -100 and 100" in refuse(*mine, "--cash-rate", "1e9")
    _write(tmp_path / "wealth.csv", WEALTH, "equity")
    assert "--percent is for returns" in refuse(tmp_path / "wealth.csv", "--benchmark", spy, "--percent")
    late = tmp_path / "late.csv"
    _write(late, RETURNS.set_axis(pd.bdate_range("2023-06-01", periods=len(RETURNS))), "returns")
    assert "give a benchmark with --benchmark" in refuse(late)


def test_what_is_cut_is_told(tmp_path: Path) -> None:
    _write(tmp_path / "mine.csv", RETURNS, "returns")
    result = call(tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path, 500), "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert "100 session(s) of mine are left out" in result.stdout
