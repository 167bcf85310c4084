"""What other tools write is read as what it is: the same returns, whatever file they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.evaluation.portfolio_metrics import compute_sharpe
from tests.evaluation.outside.files import call, judge, make_returns, write_spy

RETURNS = make_returns()
Writer = Callable[[Path], None]


def _wealth() -> pd.Series:
    days = RETURNS.index.insert(0, RETURNS.index[0] - pd.Timedelta(days=1))
    return pd.Series(1e4 * np.cumprod(np.concatenate([[1.0], 1.0 + RETURNS.to_numpy()])), index=days)


def _write_zipline(path: Path) -> None:
    wealth = _wealth()
    stamps = (wealth.index + pd.Timedelta(hours=21)).tz_localize("UTC")
    frame = {"portfolio_value": wealth.to_numpy(), "returns": wealth.pct_change().to_numpy(), "pnl": 1.0}
    pd.DataFrame(frame, index=stamps).to_csv(path)


def _write_freqtrade(path: Path) -> None:
    # Its wallets come as feather with these columns; a day's balance is stamped at midnight UTC.
    wealth = _wealth()
    frame = {"date": wealth.index.tz_localize("UTC"), "currency": "USDT", "total_quote": wealth.to_numpy()}
    pd.DataFrame(frame).to_csv(path, index=False)


def _write_german(path: Path) -> None:
    wealth = _wealth()
    rows = [f"{day.date()};{value:.10f}".replace(".", ",") for day, value in wealth.items()]
    path.write_text("\ufeffdate;Wert\n" + "\n".join(rows), encoding="utf-8")


def _write_percent(path: Path) -> None:
    rows = [f"{day.date()},{value * 100:.12f}%" for day, value in RETURNS.items()]
    path.write_text("date,return\n" + "\n".join(rows), encoding="utf-8")


EXPORTS: dict[str, tuple[str, Writer]] = {
    "finrl": (
        "wealth in column 'account_value'",
        lambda path: (
            _wealth()
            .rename("account_value")
            .rename_axis("date")
            .reset_index()
            .assign(daily_drawdown=0.0)
            .reset_index()
            .to_csv(path)
        ),
    ),
    "backtesting.py": (
        "wealth in column 'Equity'",
        lambda path: pd.DataFrame({"Equity": _wealth(), "DrawdownPct": 0.0, "DrawdownDuration": ""}).to_csv(path),
    ),
    "vectorbt value": ("wealth in column '0'", lambda path: _wealth().rename(0).rename_axis("Date").to_csv(path)),
    "vectorbt returns": ("returns in column 'group'", lambda path: RETURNS.rename("group").to_csv(path)),
    "zipline": ("returns in column 'returns'", _write_zipline),
    "freqtrade": ("wealth in column 'total_quote'", _write_freqtrade),
    # quantstats calls the returns of a price series after its column.
    "quantstats": ("returns in column 'Close'", lambda path: RETURNS.rename("Close").rename_axis("Date").to_csv(path)),
    "semicolons and decimal commas": ("wealth in column 'Wert'", _write_german),
    "percent signs": ("returns in column 'return'", _write_percent),
}


@pytest.mark.parametrize("tool", EXPORTS)
def test_an_export_is_read_as_what_it_is(tool: str, tmp_path: Path) -> None:
    told, write = EXPORTS[tool]
    write(tmp_path / "mine.csv")
    found = judge(tmp_path, tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path))
    assert found["detected"]["strategy"].startswith(told)
    row = found["results"][0]
    assert row["n_days"] == len(RETURNS)
    assert row["sharpe"] == pytest.approx(compute_sharpe(RETURNS.to_numpy()), abs=1e-6)
    # The close with dividends, not the one without.
    assert "'Adj Close'" in found["detected"]["benchmark"]
    assert found["results"][1]["sharpe"] == pytest.approx(compute_sharpe(make_returns(99).to_numpy()), abs=1e-9)


@pytest.mark.parametrize("frame", [RETURNS.to_frame("returns"), RETURNS.rename_axis("when").reset_index(name="ret")])
def test_parquet(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame = frame.rename(columns={"when": "date"})
    frame.to_parquet(tmp_path / "mine.parquet")
    found = judge(tmp_path, tmp_path / "mine.parquet", "--benchmark", write_spy(tmp_path))
    assert found["results"][0]["sharpe"] == pytest.approx(compute_sharpe(RETURNS.to_numpy()))


def test_kind_and_column_override_what_was_found(tmp_path: Path) -> None:
    pd.DataFrame({"equity": _wealth(), "other": _wealth().iloc[::-1].to_numpy()}).to_csv(tmp_path / "mine.csv")
    spy = write_spy(tmp_path)
    plain = judge(tmp_path, tmp_path / "mine.csv", "--benchmark", spy)
    other = judge(tmp_path, tmp_path / "mine.csv", "--benchmark", spy, "--column", "other")
    assert "column 'equity'" in plain["detected"]["strategy"]
    assert "wealth in column 'other'" in other["detected"]["strategy"]
    assert other["results"][0]["sharpe"] < 0 < plain["results"][0]["sharpe"]


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("Return [%]", RETURNS * 10, ()),
        ("return_pct", RETURNS * 10, ()),
        ("returns", RETURNS.map(lambda value: f"{value * 10:.12f}%"), ()),
        ("returns", RETURNS.map(lambda value: f"{value * 10:.12f}%"), ("--percent",)),
        ("log_return", np.log1p(RETURNS * 0.1), ()),
        ("Daily Log Returns", np.log1p(RETURNS * 0.1), ()),
        ("Log Return [%]", 100 * np.log1p(RETURNS * 0.1), ()),
        ("logistic", RETURNS * 0.1, ()),
    ],
)
def test_a_name_says_the_unit_and_it_is_converted_once(column: str, values: pd.Series, words: tuple, tmp_path) -> None:
    """A tenth of a strategy, too quiet for its size alone to tell per cent."""
    values.rename(column).rename_axis("date").to_csv(tmp_path / "mine.csv")
    found = judge(tmp_path, tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path), *words)
    assert found["results"][0]["volatility"] == pytest.approx(0.1 * RETURNS.std() * np.sqrt(252), rel=1e-9)
    growth = (1 + 0.1 * RETURNS).prod() ** (252 / len(RETURNS)) - 1
    assert found["results"][0]["cagr"] == pytest.approx(growth, rel=1e-9)


def test_a_benchmark_in_logs_is_what_it_is_in_prices(tmp_path: Path) -> None:
    RETURNS.rename("returns").rename_axis("date").to_csv(tmp_path / "mine.csv")
    np.log1p(make_returns(99)).rename("log_ret").rename_axis("date").to_csv(tmp_path / "index.csv")
    found = [
        judge(tmp_path, tmp_path / "mine.csv", "--benchmark", path)
        for path in (write_spy(tmp_path), tmp_path / "index.csv")
    ]
    prices, logs = (item["results"][0]["sharpe_minus_benchmark"] for item in found)
    assert logs == pytest.approx(prices, rel=1e-9)


def test_payments_and_dates_that_are_off_are_said(tmp_path: Path) -> None:
    spy, returns = write_spy(tmp_path), 0.9 * make_returns(99) + 0.1 * RETURNS
    wealth = 100 * (1 + returns).cumprod() + np.arange(len(returns)) // 60 * 10.0
    for name, series in {"mine": wealth, "late": returns.shift(1, fill_value=0.0), "plain": returns}.items():
        label = "equity" if name == "mine" else "returns"
        series.rename(label).rename_axis("date").to_csv(tmp_path / f"{name}.csv")
    found = {name: judge(tmp_path, tmp_path / f"{name}.csv", "--benchmark", spy) for name in ("mine", "late", "plain")}
    notes = {name: " ".join(item["notes"]) for name, item in found.items()}
    row = found["mine"]["results"][0]
    assert "'equity' rises 9 times by more than 6 times what is usual, by about 9.22" in row["warnings"][-1]
    assert "looks like deposits" in row["warnings"][-1]
    assert row["headline"].endswith("too good to be true") and row["headline_tone"] == "red"
    assert "its wealth must hold none" in notes["mine"]
    assert "goes along with SPY of the session before" in notes["late"]
    assert not any(word in notes["plain"] for word in ("deposits", "goes along", "paid"))
    assert not found["plain"]["results"][0]["warnings"]


def test_semicolons_within_a_compressed_file(tmp_path: Path) -> None:
    RETURNS.rename("returns").rename_axis("date").to_csv(tmp_path / "mine.csv.gz", sep=";", decimal=",")
    found = judge(tmp_path, tmp_path / "mine.csv.gz", "--benchmark", write_spy(tmp_path))
    assert found["results"][0]["volatility"] == pytest.approx(RETURNS.std() * np.sqrt(252))


def test_percent_are_divided(tmp_path: Path) -> None:
    (RETURNS * 100).rename("returns").to_csv(tmp_path / "mine.csv")
    found = judge(tmp_path, tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path), "--percent")
    assert found["results"][0]["volatility"] == pytest.approx(RETURNS.std() * np.sqrt(252))


def test_the_page_says_what_is_not_known(tmp_path: Path) -> None:
    RETURNS.rename("returns").to_csv(tmp_path / "mine.csv")
    result = call(tmp_path / "mine.csv", "--benchmark", write_spy(tmp_path), "--out", tmp_path / "page")
    assert result.exit_code == 0
    assert "strategy: returns in column 'returns'" in result.output
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "not known from returns" in page
    assert "cannot be told from returns: give a table of weights" in page
    assert 'id="plot-weights"' not in page
    assert "computed elsewhere" in page
    assert (tmp_path / "page" / "results.json").is_file()


def test_weights_say_that_cash_earns_nothing_where_nobody_says_otherwise(tmp_path: Path) -> None:
    spy = pd.read_csv(write_spy(tmp_path))
    prices = pd.concat([spy.assign(symbol=name) for name in ("AAA", "BBB", "SPY")])
    prices.to_csv(tmp_path / "prices.csv", index=False)
    pd.DataFrame({"date": spy["Date"], "AAA": 0.5, "BBB": 0.3}).to_csv(tmp_path / "mine.csv", index=False)
    words = (tmp_path / "mine.csv", "--prices", tmp_path / "prices.csv", "--out", tmp_path / "out")
    assert "Cash is taken to earn nothing" in " ".join(call(*words).output.split())
    assert "Cash is taken to earn nothing" not in " ".join(call(*words, "--cash-rate", "2").output.split())


def test_trials_are_paid_for(tmp_path: Path) -> None:
    make_returns(3, mean=2e-3).rename("returns").to_csv(tmp_path / "mine.csv")
    spy = write_spy(tmp_path)
    one, many = (
        judge(tmp_path, tmp_path / "mine.csv", "--benchmark", spy, "--trials", count)["results"][0]
        for count in (1, 1000)
    )
    assert one["benchmark_verdict"] == "beats"
    assert many["benchmark_verdict"] == "cannot tell"
    assert many["n_trials"] == 1000
    assert many["benchmark_deflated"] < one["benchmark_deflated"]


def test_cash_is_taken_off(tmp_path: Path) -> None:
    RETURNS.rename("returns").to_csv(tmp_path / "mine.csv")
    (tmp_path / "rates.csv").write_text("date,rate\n2017-01-01,5\n", encoding="utf-8")
    spy = write_spy(tmp_path)
    found = [
        judge(tmp_path, tmp_path / "mine.csv", "--benchmark", spy, *words)
        for words in ((), ("--cash-rate", "5"), ("--cash-rate", tmp_path / "rates.csv"))
    ]
    expected = compute_sharpe(RETURNS.to_numpy() - (1.05 ** (1 / 252) - 1))
    assert [item["results"][0]["sharpe"] for item in found[1:]] == pytest.approx([expected, expected])
    assert found[0]["results"][0]["sharpe"] > expected
    assert any("Cash is taken to earn nothing" in note for note in found[0]["notes"])
    assert not any("Cash is taken to earn nothing" in note for note in found[1]["notes"])
