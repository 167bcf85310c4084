"""The command line as a user meets it: what it prints, what it refuses, and how."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from alfred.cli import app

QUICK = [
    "analysts=[{kind: naive}, {kind: momentum}]",
    "features={names: [momentum_1]}",
    "forecast.min_train_days=300",
    "forecast.cache=null",
    "splits={n_folds: 1, min_train_days: 200, validation_days: 100}",
    "agents=[{kind: ppo, total_steps: 256, n_envs: 4, n_steps: 16, validate_every: 256}]",
    "training={n_seeds: 1, n_jobs: 1}",
    "intervals.n_replicates=100",
]


def call(*words: str) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def settings(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def refuse(*words: str) -> str:
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def check_results(found: dict[str, object]) -> None:
    assert Path(str(found["report"])).is_file()
    rows = found["results"]
    assert isinstance(rows, list)
    for row in rows:
        assert {"name", "sharpe", "sharpe_ci", "cagr", "max_drawdown", "turnover"} <= set(row)
        assert row["sharpe_ci"][0] <= row["sharpe"] <= row["sharpe_ci"][1]
        assert row["max_drawdown"] <= 0 <= row["turnover"]
        low, high = row["sharpe_minus_benchmark_ci"]
        assert low <= row["sharpe_minus_benchmark"] <= high


def test_demo_evaluate_and_report_agree(tmp_path) -> None:
    small = settings(*QUICK, "data.symbols=[AAPL, JPM]", "data.start=2013-01-01", "data.end=2016-12-31")
    result = call("demo", "--runs", tmp_path, "--json", *small)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    check_results(found)
    assert [row["name"] for row in found["results"]][:3] == ["ppo", "SP500TR", "equal weight"]
    assert "tested from" in result.stderr
    assert [line.split("s  ")[1] for line in result.stderr.splitlines() if " s  " in line][:2] == [
        "analyst naive",
        "analyst momentum",
    ]
    for command in ("evaluate", "report"):
        again = call(command, found["run"], "--json")
        assert json.loads(again.stdout) == found
    table = call("report", found["run"])
    assert "equal weight" in table.stdout
    assert "survivors" in table.stdout
    assert "SP500TR" in table.stdout


def test_the_same_job_runs_on_files(market_dir, tmp_path) -> None:
    path = market_dir / "prices.csv.gz"
    small = settings(
        *QUICK, f"data.path={path}", "data.symbols=[AAPL, JPM, KO]", "data.start=2016-01-01", "data.end=2019-12-31"
    )
    result = call("run", "configs/reference.yaml", "--runs", tmp_path, "--json", *small)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    check_results(found)
    assert "SPY" in [row["name"] for row in found["results"]]


def test_forecast_then_train_then_evaluate(tmp_path) -> None:
    small = settings(*QUICK, "data.symbols=[AAPL]", "data.start=2013-01-01", "data.end=2016-06-30", "name=steps")
    assert json.loads(call("forecast", "--runs", tmp_path, "--json", *small).stdout)["run"] == str(tmp_path / "steps")
    assert "does not hold a finished training" in refuse("evaluate", tmp_path / "steps")
    trained = json.loads(call("train", "--runs", tmp_path, "--json", *small).stdout)
    assert trained["trained"] == {"ppo": 1}
    check_results(json.loads(call("evaluate", tmp_path / "steps", "--json").stdout))
    message = refuse("train", "--runs", tmp_path, *small, "--set", "env.cost_bps=50")
    assert "env.cost_bps: 5.0 there, 50.0 here" in message
    assert "--fresh" in message
    assert call("train", "--runs", tmp_path, "--fresh", *small, "--set", "env.cost_bps=50").exit_code == 0


def write_prices(folder: Path, change=None) -> Path:
    dates = pd.bdate_range("2020-01-01", periods=30)
    table = pd.concat(
        pd.DataFrame(
            {"date": dates, "symbol": symbol, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100}
        )
        for symbol in ("AAA", "SPY")
    )
    table["date"] = table["date"].dt.strftime("%Y-%m-%d")
    path = folder / "prices.csv"
    (table if change is None else change(table.reset_index(drop=True))).to_csv(path, index=False)
    return path


def change_cell(column, value, row=3):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="close"), ["close"]),
        (lambda table: pd.concat([table, table.iloc[[3]]]), ["AAA", "2020-01-06"]),
        (lambda table: table.iloc[[0, 2, 1, *range(3, 60)]], ["AAA", "2020-01-0"]),
        (change_cell("close", -1.0), ["AAA", "2020-01-06", "-1"]),
        (change_cell("high", 1.0), ["AAA", "2020-01-06", "1"]),
        (change_cell("close", None), ["AAA", "2020-01-06"]),
        (change_cell("close", "ten"), ["ten"]),
        (lambda table: table[table["symbol"] != "SPY"], ["SPY"]),
    ],
    ids=["column", "duplicate", "unsorted", "negative", "high below low", "NaN", "text", "no benchmark"],
)
def test_bad_prices_are_answered_in_one_line(tmp_path, change, words) -> None:
    path = write_prices(tmp_path, change)
    message = refuse("run", "--runs", tmp_path / "runs", "--set", f"data.path={path}")
    assert "prices.csv" in message
    for word in words:
        assert word in message
    assert not (tmp_path / "runs").exists()


def test_other_bad_input_is_answered_in_one_line(tmp_path) -> None:
    path = write_prices(tmp_path)
    assert "too short" in refuse("run", "--set", f"data.path={path}")
    assert "nowhere.csv" in refuse("run", "--set", f"data.path={tmp_path / 'nowhere.csv'}")
    assert "Did you mean 'SPY'" in refuse("run", "--set", f"data.path={path}", "--set", "data.benchmark=SPX")
    assert "Did you mean 'cost_bps'" in refuse("run", "--set", "env.cost_bp=1")
    assert "nowhere.yaml" in refuse("run", "nowhere.yaml")
    assert "holds no run" in refuse("evaluate", tmp_path)
    assert "is no folder" in refuse("tensorboard", tmp_path / "nowhere")
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    assert "broken.parquet" in refuse("run", "--set", f"data.path={tmp_path / 'broken.parquet'}")


def test_data_commands(tmp_path) -> None:
    found = json.loads(call("data", "uncorrelated", "--start", "AAPL", "-n", "4", "--json").stdout)
    assert found["symbols"][0] == "AAPL"
    assert len(set(found["symbols"])) == 4
    assert "Did you mean 'AAPL'" in refuse("data", "uncorrelated", "--start", "AAPLE")
    assert "is no date" in refuse("data", "uncorrelated", "--start", "AAPL", "--until", "soon")
    ranked = json.loads(call("data", "correlations", "--json").stdout)
    assert ranked[0]["adjusted_p_value"] >= ranked[0]["p_value"]
    path = write_prices(tmp_path, change_cell("high", 1.0))
    described = json.loads(call("data", "describe", "--json", "--set", f"data.path={path}").stdout)
    assert described["symbols"] == ["AAA", "SPY"]
    assert {"symbol", "date", "kind", "value"} == set(described["problems"][0])
    assert any(p["symbol"] == "AAA" and p["date"] == "2020-01-06" for p in described["problems"])


def test_help_teaches() -> None:
    top = call("--help")
    assert "alfred demo" in top.stdout
    for command in ("demo", "run", "data", "forecast", "train", "evaluate", "report", "tensorboard"):
        assert command in top.stdout
        assert call(command, "--help").exit_code == 0


def test_analysts_are_compared_with_persistence(tmp_path) -> None:
    few = settings("data.symbols=[AAPL, JPM]", "data.start=2010-01-01", "analysts=[{kind: momentum}]")
    table = json.loads(call("analysts", "baseline", "--horizon", "20", "--json", *few).stdout)
    assert next(row["symbol"] for row in table) == "SP500TR"  # the index moves least
    errors = [row["naive_mae_pct"] for row in table]
    assert errors == sorted(errors)
    tracker = tmp_path / "improvements.json"
    words = ("analysts", "compare", "--horizon", "20", "--tracker", tracker, "--json")
    found = json.loads(call(*words, *few).stdout)
    assert found[0]["analyst"] == "momentum"
    assert set(found[0]["best_so_far"]) == {"AAPL", "JPM", "SP500TR"}
    assert json.loads(call(*words, *few).stdout)[0]["best_so_far"] == []  # the same run again is no improvement
    assert tracker.is_file()
    assert "it must lie inside" in refuse(*words, "--since", "1999-01-01", *few)
