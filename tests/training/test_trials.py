"""The log of trials: nobody types it, nothing is lost from it, nothing counts twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest
from alfred.training import pipeline
from alfred.training.provenance.stages import hash_choice
from alfred.training.provenance.trials import DataIdentity, TrialLog, count_trials, select_trials
from tests.conftest import make_random_market
from tests.training.small import DIRECT, make_small, run_small, write_prices

MARKET = make_random_market(300)
HERE = DataIdentity.from_market(MARKET)


def record(start: int = 100, stop: int = 200, seed: int = 0) -> Backtest:
    net = np.random.default_rng(seed).normal(5e-4, 0.01, stop - start)
    zeros, n = np.zeros(len(net)), MARKET.n_symbols
    weights = np.tile(np.eye(1, n + 1), (len(net), 1))
    cash = np.full(len(net), 1e-4)
    return Backtest("ppo", MARKET.dates[start:stop], MARKET.symbols, weights, net, zeros, net, zeros, zeros, cash)


def add(log: TrialLog, config: str, run: str = "a", **where: int) -> None:
    log.add(record(**where), MARKET, config, run)


def count(log: TrialLog, start: int = 100, stop: int = 200, identity: DataIdentity = HERE) -> int:
    return count_trials(log, identity, MARKET.dates[start], MARKET.dates[stop - 1])


def test_a_choice_counts_once_and_across_runs(tmp_path: Path) -> None:
    log = TrialLog(tmp_path)
    assert count(log) == 0
    add(log, "one")
    add(log, "one")
    assert len(log.path.read_text().splitlines()) == 1
    add(log, "one", run="b")
    add(log, "one", run="b", seed=3)  # the same choice on other last digits
    assert count(log) == 1
    add(log, "two", run="b")
    assert count(log) == 2


def test_overlapping_tests_and_the_same_data_count(tmp_path: Path) -> None:
    log = TrialLog(tmp_path)
    add(log, "one")
    assert count(log, 199, 250) == 1
    assert count(log, 200, 250) == 0
    assert count(log, 20, 101) == 1
    # Half of the smaller universe is enough; another benchmark is another question.
    assert count(log, identity=DataIdentity("SPY", ("S0", "S1", "X", "Y"))) == 1
    assert count(log, identity=DataIdentity("SPY", ("S0", "X", "Y"))) == 0
    assert count(log, identity=DataIdentity("QQQ", HERE.symbols)) == 0


def test_the_sharpe_is_in_excess_of_cash_and_the_returns_are_kept(tmp_path: Path) -> None:
    log = TrialLog(tmp_path)
    trial = log.add(record(), MARKET, "one", "a")
    excess = record().net - 1e-4
    assert trial.sharpe == pytest.approx(np.sqrt(252) * excess.mean() / excess.std(ddof=1))
    kept = log.read_returns(log.read()[0])
    np.testing.assert_array_equal(kept.to_numpy(), excess)
    assert list(kept.index) == list(record().dates)


def test_returns_that_are_damaged_or_lie_elsewhere_are_one_line(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "runs")
    log.add(record(), MARKET, "one", "a")
    (trial,) = log.read()
    path = log.root / trial.returns
    shutil.copyfile(path, tmp_path / path.name)
    for place in (f"../{path.name}", str(tmp_path / path.name), f".trials/../../{path.name}"):
        with pytest.raises(CheckpointError, match="names another place"):
            log.read_returns(replace(trial, returns=place))
    for content in (b"", b"PK\x03\x04", path.read_bytes()[:-100], b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8'"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="does not hold the returns"):
            log.read_returns(trial)


def test_a_torn_line_is_skipped_and_harms_no_other(tmp_path: Path) -> None:
    log = TrialLog(tmp_path)
    add(log, "one")
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + whole[: len(whole) // 2])  # killed in the middle of a write
    assert count(log) == 1
    add(log, "two")
    assert count(log) == 2
    assert [trial.config for trial in select_trials(log.read(), HERE, *MARKET.dates[[100, 199]])] == ["one", "two"]


def test_a_trial_that_no_room_is_left_for_is_not_lost_in_silence(tmp_path: Path) -> None:
    log = TrialLog(tmp_path)
    add(log, "before")
    with log.path.open("ab") as file:
        file.write(b"\n" * 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 40, hard))  # the system writes 40 bytes of it
    try:
        with pytest.raises(OSError, match="No space left"):
            add(log, "torn")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    add(log, "after")
    assert [trial.config for trial in log.read()] == ["before", "after"]


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "garbage"},
        {"start": "NaT"},
        {"end": 20200101},
        {"config": [1]},
        {"time": 7},
        {"symbols": "AB"},
        {"symbols": [1]},
        {"sharpe": "1"},
        {"sharpe": float("nan")},
        {"periods_per_year": "252"},
    ],
)
def test_a_line_of_wrong_types_is_skipped(tmp_path: Path, changes: dict[str, Any]) -> None:
    log = TrialLog(tmp_path)
    add(log, "one")
    whole = json.loads(log.path.read_text())
    with log.path.open("a") as file:
        for raw in ({**whole, "config": "two", **changes}, None, [1], 3):
            file.write(json.dumps(raw) + "\n")
    assert [trial.config for trial in log.read()] == ["one"]
    assert count(log) == 1
    add(log, "three")
    assert count(log) == 2


def test_other_bars_are_another_trial_and_old_lines_are_read(tmp_path: Path) -> None:
    log = TrialLog(tmp_path)
    add(log, "one")
    log.add(replace(record(), periods_per_year=52), MARKET, "one", "a")
    assert [trial.periods_per_year for trial in log.read()] == [252, 52]
    assert count(log) == 2
    old = json.loads(log.path.read_text().splitlines()[0])
    del old["periods_per_year"]
    log.path.write_text(json.dumps({**old, "config": "old"}) + "\n")
    assert [trial.periods_per_year for trial in log.read()] == [None]
    assert count(log) == 1


def test_cash_rates_count_by_what_their_file_holds(tmp_path: Path) -> None:
    def choose(name: str, rate: float) -> str:
        path = tmp_path / name
        path.write_text(f"date,rate\n2000-01-03,{rate}\n")
        experiment = make_small(tmp_path / "prices.csv", env={"cash_rate_pct": str(path)})
        return hash_choice(experiment, experiment.agents[0])

    first = choose("rates.csv", 2.0)
    assert choose("moved.csv", 2.0) == first
    assert choose("rates.csv", 3.0) != first


def append_many(root: Path, name: str) -> None:
    for number in range(20):
        add(TrialLog(root), f"{name}{number}", run=name)


def test_two_runs_may_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=append_many, args=(tmp_path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert count(TrialLog(tmp_path)) == 40


@pytest.mark.slow
def test_a_run_enters_its_agents_and_pays_for_those_of_others(tmp_path: Path) -> None:
    prices = write_prices(tmp_path)
    one_fold = {"n_folds": 1, "min_train_days": 60, "validation_days": 40, "embargo_days": 0}
    trained = {"n_seeds": 2, "n_jobs": 1}
    first = make_small(prices, splits=one_fold, training=trained)
    _, _, rows = run_small(tmp_path / "runs", first)
    assert rows[0].versus_benchmark.n_trials == 1  # two seeds are one agent, and baselines are not chosen
    second = make_small(
        prices, name="second", splits=one_fold, training=trained, n_trials=4, agents=[{**DIRECT, "learning_rate": 2e-3}]
    )
    _, _, rows = run_small(tmp_path / "runs", second)
    assert rows[0].versus_benchmark.n_trials == 6
    _, _, rows = run_small(tmp_path / "runs", first)
    assert rows[0].versus_benchmark.n_trials == 2
    found = json.loads(CliRunner().invoke(app, ["trials", str(tmp_path / "runs"), "--json"]).stdout)
    assert [(item["run"], item["strategy"]) for item in found] == [("small", "direct"), ("second", "direct")]
    assert pd.Timestamp(found[0]["start"]) < pd.Timestamp(found[0]["end"])
    shown = CliRunner().invoke(app, ["trials", str(tmp_path / "runs")])
    assert "Trials (2 different)" in shown.stdout


@pytest.mark.slow
def test_a_run_by_another_path_has_the_same_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_fold = {"n_folds": 1, "min_train_days": 60, "validation_days": 40, "embargo_days": 0}
    prepared, _, _ = run_small(tmp_path / "runs", make_small(write_prices(tmp_path), splits=one_fold))
    place = prepared.run.path
    (tmp_path / "link").symlink_to(place, target_is_directory=True)
    monkeypatch.chdir(place)
    for path in (".", os.path.relpath(place), str(tmp_path / "link")):
        reopened = pipeline.reopen(path)
        rows = pipeline.evaluate(reopened, pipeline.load_trainings(reopened))
        assert rows[0].versus_benchmark.n_trials == 1
    assert [path.parent for path in tmp_path.rglob("trials.jsonl")] == [tmp_path / "runs"]
    assert [trial.run for trial in TrialLog(tmp_path / "runs").read()] == ["small"]
