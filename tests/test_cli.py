"""The command line as a user meets it: what it prints, what it refuses, and how."""

from __future__ import annotations

import dataclasses
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import torch
import typer
from safetensors.torch import save_file

from alfred.cli import app
from alfred.cli.options import one_line_errors
from alfred.data.files import write_atomically
from alfred.errors import StorageError
from alfred.training.locks import hold_run
from alfred.version import __version__
from tests.commands import call, refuse
from tests.conftest import make_random_market
from tests.training.small import write_market

QUICK = [
    "analysts=[{kind: naive}, {kind: momentum}]",
    "features={names: [momentum_1]}",
    "forecast.min_train_days=300",
    "forecast.cache=null",
    "splits={n_folds: 1, min_train_days: 200, validation_days: 100}",
    "agents=[{kind: ppo, total_steps: 256, n_envs: 4, n_steps: 16, validate_every: 256}]",
    "training={n_seeds: 1, n_jobs: 1}",
    "intervals.n_replicates=100",
    "baselines=[{kind: momentum}]",
]


# A second process takes longer to start than the whole of the work.
ALONE = ["training.n_jobs=1"]


def settings(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_forecast_then_train_then_evaluate(tmp_path) -> None:
    small = settings(*QUICK, "data.symbols=[AAPL]", "data.start=2013-01-01", "data.end=2016-06-30", "name=steps")
    assert json.loads(call("forecast", "--runs", tmp_path, "--json", *small).stdout)["run"] == str(tmp_path / "steps")
    assert "does not hold a finished training" in refuse("evaluate", tmp_path / "steps")
    trained = json.loads(call("train", "--runs", tmp_path, "--json", *small).stdout)
    assert trained["trained"] == {"ppo": 1}
    check_results(json.loads(call("evaluate", tmp_path / "steps", "--json").stdout))
    message = refuse("evaluate", tmp_path / "steps", "--set", "env.cost_bps=50")
    assert "--set env.cost_bps cannot change what is done already" in message
    where = "training.n_jobs, training.executor, training.address"
    assert f"only data.path, data.options, baselines, intervals, n_trials, {where} can be set here" in message
    message = refuse("report", tmp_path / "steps", "--set", "baselines=[]")
    assert "only data.path, data.options, intervals, n_trials can be set here" in message
    few = call("evaluate", tmp_path / "steps", "--json", *settings("baselines=[]", "n_trials=9"))
    assert [row["name"] for row in json.loads(few.stdout)["results"]] == ["ppo", "SP500TR", "equal weight"]
    again = call("train", "--runs", tmp_path, "--json", *small, "--set", "env.cost_bps=50")
    assert "ppo fold 0 seed 0: trained again, the environment changed" in again.stderr


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
    assert "is not a folder" in refuse("tensorboard", tmp_path / "nowhere")
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    assert "broken.parquet" in refuse("run", "--set", f"data.path={tmp_path / 'broken.parquet'}")


@pytest.mark.slow
def test_moved_prices_are_named_with_set(tmp_path) -> None:
    path = tmp_path / "prices.csv"
    write_market(path, make_random_market(760))
    assert call("run", *settings(f"data.path={path}", *QUICK), "--runs", tmp_path / "runs").exit_code == 0
    moved = path.rename(tmp_path / "moved.csv")
    run = tmp_path / "runs" / "demo"
    assert "prices.csv" in refuse("evaluate", run)
    for command in ("evaluate", "report"):
        assert call(command, run, "--json", "--set", f"data.path={moved}").exit_code == 0


def test_what_the_system_refuses_is_answered_in_one_line(tmp_path) -> None:
    path = tmp_path / "prices.csv"
    write_market(path, make_random_market(760))
    small = settings(f"data.path={path}", *QUICK)
    (tmp_path / "file").write_text("a file where a folder should be")
    assert "a file stands where a folder should be" in refuse("run", *small, "--runs", tmp_path / "file")
    assert "a file stands where a folder should be" in refuse("run", *small, "--runs", tmp_path / "file" / "deeper")
    assert "is not a folder" in refuse("trials", tmp_path / "nowhere")
    assert "there is no port 70000" in refuse("tensorboard", tmp_path, "--port", "70000")
    with socket.socket() as busy:
        busy.bind(("localhost", 0))
        busy.listen()
        assert "choose another one with --port" in refuse("tensorboard", tmp_path, "--port", busy.getsockname()[1])

    @one_line_errors
    def write() -> None:
        Path("/dev/full").write_bytes(b"x")

    if Path("/dev/full").exists():  # what a full disk answers
        with pytest.raises(typer.Exit) as caught:
            write()
        assert caught.value.exit_code == 2


def test_a_refused_write_names_its_file_whatever_library_wrote(tmp_path) -> None:
    tensors = {"a": torch.zeros(3)}
    for write in (lambda path: (path / "x").write_text("x"), lambda path: save_file(tensors, path / "x")):
        with pytest.raises(StorageError, match=r"policy cannot be written \(.*[Nn]o such file"):
            write_atomically(tmp_path / "policy", write)
        assert not list(tmp_path.iterdir())


def test_a_run_that_another_process_writes_is_left_alone(tmp_path) -> None:
    path = tmp_path / "prices.csv"
    write_market(path, make_random_market(760))
    # A thread of this process that holds the lock looks to the others like another process.
    with ThreadPoolExecutor(1) as pool:
        held = hold_run(tmp_path / "runs" / "demo")
        pool.submit(held.__enter__).result()
        for more in ([], ["--fresh"]):
            found = refuse("run", *settings(f"data.path={path}", *QUICK), "--runs", tmp_path / "runs", *more)
            assert "another process is writing to" in found
        assert not (tmp_path / "runs" / "demo").exists()
        pool.submit(held.__exit__, None, None, None).result()


HOSTILE = ("../../../evil", "/tmp/evil", "a/b", "..", "", "a\x00b", "x" * 300)


@pytest.mark.parametrize("name", HOSTILE, ids=["up", "absolute", "below", "parent", "empty", "NUL", "long"])
def test_no_name_leads_out_of_its_folder(tmp_path, name) -> None:
    path = tmp_path / "prices.csv"
    write_market(path, make_random_market(760))
    quoted = json.dumps(name)
    places = {
        "name": f"name={quoted}",
        "agents": f"agents=[{{kind: direct, name: {quoted}}}]",
        "analysts": f"analysts=[{{kind: naive, name: {quoted}}}]",
    }
    for place, override in places.items():
        if name == "" and place != "name":
            continue  # an empty name of an agent or analyst is none: its kind is its name
        message = refuse("run", *settings(f"data.path={path}", *QUICK, override), "--runs", tmp_path / "a" / "runs")
        assert place in message
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_names_that_are_only_shown_may_be_anything(tmp_path) -> None:
    """Baselines and symbols appear in tables; their files are named by number and by letters and digits alone."""
    path = tmp_path / "prices.csv"
    market = make_random_market(760)
    names = ("../../../evil", "/tmp/evil", "a/b", "SPY")
    write_market(path, dataclasses.replace(market, symbols=names))
    entries = [{"kind": "momentum", "name": name} for name in HOSTILE if name]
    overrides = [f"data.path={path}", *QUICK[:-1], f"baselines={json.dumps(entries)}"]
    result = call("run", *settings(*overrides), "--runs", tmp_path / "a" / "runs", "--json")
    assert result.exit_code == 0, result.output
    assert {row["name"] for row in json.loads(result.stdout)["results"]} >= {name for name in HOSTILE if name}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "prices.csv"]
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["runs"]
    records = [item.name for item in (tmp_path / "a" / "runs" / "demo" / "backtests").glob("*.parquet")]
    assert len(records) == 3 + len(entries)


def test_data_commands(tmp_path) -> None:
    found = json.loads(call("data", "uncorrelated", "--start", "AAPL", "-n", "4", "--json").stdout)
    assert found["symbols"][0] == "AAPL"
    assert len(set(found["symbols"])) == 4
    assert "Did you mean 'AAPL'" in refuse("data", "uncorrelated", "--start", "AAPLE")
    assert "is not a date" in refuse("data", "uncorrelated", "--start", "AAPL", "--until", "soon")
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


@pytest.mark.slow
def test_analysts_are_compared_with_persistence(tmp_path) -> None:
    few = settings(*ALONE, "data.symbols=[AAPL, JPM]", "data.start=2016-01-01", "analysts=[{kind: momentum}]")
    table = json.loads(call("analysts", "baseline", "--horizon", "20", "--json", *few).stdout)
    assert next(row["symbol"] for row in table) == "SP500TR"  # the index moves least
    errors = [row["naive_mae_pct"] for row in table]
    assert errors == sorted(errors)
    tracker = tmp_path / "improvements.json"
    words = ("analysts", "compare", "--tracker", tracker, "--runs", tmp_path, "--pictures", tmp_path / "drawn")
    found = json.loads(call(*words, "--json", *few).stdout)
    assert [row["analyst"] for row in found["table"] if row["symbol"] == "all"] == ["naive"] * 3 + ["momentum"] * 3
    assert {"AAPL", "JPM", "SP500TR"} >= set(found["best_so_far"]["momentum"]) != set()
    assert all(Path(path).is_file() for path in found["pictures"])
    shown = call(*words, "--symbols", *few).stdout
    assert "momentum AAPL" in shown and "20 sessions ahead" in shown
    again = json.loads(call(*words, "--json", *few).stdout)
    assert again["best_so_far"] == {"momentum": []}  # the same run again is no improvement
    assert again["table"] == found["table"]
    assert tracker.is_file()
    assert "it must lie inside" in refuse(*words, "--since", "1999-01-01", *few)
    assert "Did you mean 'momentum'" in refuse(*words, "--only", "momentun", *few)


def test_an_analyst_is_trained_listed_shown_and_used(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = settings(*ALONE, "data.symbols=[AAPL]", "data.start=2010-01-01", "analysts=[{kind: momentum, horizons: [5]}]")
    assert "no trained analyst in analysts" in call("analysts", "list").stdout
    assert "momentum" in call("analysts", "train", "--until", "2015-06-30", *few).stdout
    [card] = json.loads(call("analysts", "list", "--json").stdout)
    assert card["trained_until"] == "2015-06-30"
    shown = call("analysts", "show", "momentum").stdout
    assert "2010-01-04 to 2015-06-30" in shown and "as it was" in shown
    assert "another market" in refuse("analysts", "train", *few)
    assert "Did you mean 'momentum'" in refuse("analysts", "show", "momentun")
    own = "analysts=[{kind: saved, name: old, path: analysts/momentum}]"
    saved = settings(*ALONE, "data.symbols=[AAPL]", "data.start=2010-01-01", own)
    found = json.loads(call("analysts", "compare", "--json", *saved).stdout)
    assert any("until 2015-06-30" in note for note in found["notes"])
    lost = settings("analysts=[{kind: saved, path: nowhere}]")
    assert "is not the folder of a trained analyst" in refuse("analysts", "compare", *lost)


def test_what_a_wanted_r2_means(tmp_path) -> None:
    few = settings("data.symbols=[AAPL, JPM]", "data.start=2010-01-01")
    found = json.loads(call("analysts", "target", "--r2", "0.8", "--horizon", "5", "--json", *few).stdout)
    assert found["mse"] == pytest.approx(0.2 * found["variance"])
    assert "must be a number below 1" in refuse("analysts", "target", "--r2", "1.5", *few)


def test_each_command_is_listed_once_and_the_first_steps_first() -> None:
    names = [item.name or item.callback.__name__ for item in app.registered_commands]
    assert names[:3] == ["demo", "run", "forecast"]
    assert len(names) == len(set(names))


def test_it_tells_its_version() -> None:
    assert call("--version").stdout.strip() == f"alfred {__version__}"
