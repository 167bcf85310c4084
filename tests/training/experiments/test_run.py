"""A phase as a user meets it: the table, what goes on after a kill, what is refused and how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from alfred.cli import app
from alfred.training.experiments import walk
from alfred.training.provenance.trials import TrialLog
from tests.conftest import make_random_market
from tests.training.small import write_market

MINE = """
holdout_days: 60
max_train_days: 400
quick: {test_days: 130, refit_every_days: 65}
robustness: {test_days: 130, refit_every_days: 65}
grid: {top_n: [1, 2], stop_loss_pct: [none, 5]}
experiments:
- {name: mine, based_on: stop-loss, changes: {stop_loss_pct: 3, top_n: 2}, about: a tighter stop}
"""
FEW = ("--only", "mine", "--only", "inversion", "--only", "pure-momentum")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("experiments")
    write_market(path / "prices.csv", make_random_market(850, n_symbols=6, seed=4))
    (path / "mine.yaml").write_text(MINE, encoding="utf-8")
    return path


def call(folder: Path, *words: object) -> Result:
    common = [
        "--set",
        f"data.path={folder / 'prices.csv'}",
        "--file",
        folder / "mine.yaml",
        "--set",
        "training.n_jobs=1",
    ]
    more = [*common, "--set", "intervals.n_replicates=100", "--runs", folder / "runs"]
    command = ["experiments", "run", *words, *more]
    return CliRunner().invoke(app, [str(word) for word in command], catch_exceptions=False)


def refuse(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    return read_refusal(result)


def read_refusal(result: Result) -> str:
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("error: ")
    return lines[-1]


@pytest.fixture(scope="module")
def table(folder) -> dict:
    result = call(folder, *FEW, "--json")
    assert result.exit_code == 0, result.output
    found: dict = json.loads(result.stdout)
    return found


def test_the_table_holds_every_experiment_and_both_baselines(folder, table) -> None:
    names = ["baseline", "inversion", "pure-momentum", "mine", "SPY", "equal weight"]
    assert [row["name"] for row in table["results"]] == names
    for row in table["results"][:-2]:
        assert row["decision"] in ("keep", "reject", "cannot tell")
        assert row["reason"].endswith(".")
        low, high = row["equal_weight_ci"]
        assert low <= row["sharpe_minus_equal_weight"] <= high
        assert row["n_trials"] == 4
        assert row["max_drawdown"] <= 0 <= row["turnover"]
    equal = table["results"][-1]
    for row in table["results"]:
        assert row["return_minus_equal_weight"] == pytest.approx(row["total_return"] - equal["total_return"])
    csv = pd.read_csv(Path(table["folder"]) / "results.csv")
    assert list(csv["name"]) == names
    assert csv["total_return"].tolist() == pytest.approx([row["total_return"] for row in table["results"]])
    assert {"equal_weight_ci_low", "equal_weight_ci_high"} <= set(csv.columns)


def test_each_experiment_is_a_trial_once(folder, table) -> None:
    def count() -> int:
        found = TrialLog(folder / "runs").read()
        return len({item.choice for item in found if item.run == "experiments/quick"})

    assert count() == 4
    assert call(folder, *FEW, "--json").exit_code == 0
    assert count() == 4


def test_finished_experiments_are_read_again_and_a_missing_one_is_walked(folder, table, monkeypatch) -> None:
    walked = []

    def watch(name, *rest):
        walked.append(name)
        return original(name, *rest)

    original = walk.walk_strategy
    monkeypatch.setattr(walk, "walk_strategy", watch)
    again = json.loads(call(folder, *FEW, "--json").stdout)
    assert walked == []
    assert again == table
    # As after a kill: one record is gone, another has lost what says that it is whole.
    place = Path(table["folder"])
    shutil.rmtree(place / "mine")
    (place / "inversion" / "stage.json").unlink()
    result = call(folder, *FEW, "--json")
    assert walked == ["inversion", "mine"]
    assert "inversion: walked again" in result.stderr
    assert json.loads(result.stdout) == table


def test_other_costs_are_another_result(folder, table, monkeypatch) -> None:
    result = call(folder, *FEW, "--json", "--set", "env.cost_bps=50")
    assert "baseline: walked again, the environment changed" in result.stderr
    dearer = json.loads(result.stdout)
    assert dearer["results"][0]["cost"] > 3 * table["results"][0]["cost"]
    assert dearer["results"][0]["n_trials"] == 8
    call(folder, *FEW)  # for the tests that follow


def test_the_table_is_shown_without_computing(folder, table) -> None:
    shown = CliRunner().invoke(app, ["experiments", "show", "--json", "--runs", str(folder / "runs")])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["results"][0]["name"] == "baseline"
    plain = CliRunner().invoke(app, ["experiments", "show", "--runs", str(folder / "runs")])
    assert "mine: " in plain.stdout
    assert all(words in plain.stdout for words in ("weeks", "won"))
    assert "run `alfred experiments run --phase full`" in refuse(
        "experiments", "show", "--phase", "full", "--runs", folder / "runs"
    )


def test_the_holdout_is_looked_at_once(folder) -> None:
    first = call(folder, "--phase", "holdout", *FEW)
    assert first.exit_code == 0, first.output
    assert "This is the first look at the holdout segment." in first.stdout
    assert "a second look is no holdout any more" in read_refusal(call(folder, "--phase", "holdout", *FEW))
    assert "a second look" in read_refusal(call(folder, "--phase", "holdout", "--only", "stop-loss", "--fresh"))
    # What the first look found is still there.
    kept = CliRunner().invoke(app, ["experiments", "show", "--phase", "holdout", "--runs", str(folder / "runs")])
    assert kept.exit_code == 0 and "first look" in kept.stdout
    again = call(folder, "--phase", "holdout", *FEW, "--again")
    assert again.exit_code == 0
    assert "This is look number 2" in again.stdout
    looks = json.loads((folder / "runs" / "experiments" / "holdout-looks.json").read_text())
    assert [(item["again"], item["finished"]) for item in looks] == [(False, True), (True, True)]
    shown = CliRunner().invoke(app, ["experiments", "show", "--phase", "holdout", "--runs", str(folder / "runs")])
    assert shown.exit_code == 0


def test_the_neighbourhood_is_walked_and_every_neighbour_is_a_trial(folder) -> None:
    result = call(folder, "--phase", "robustness", "--only", "mine", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(item["name"], item["against"]) for item in found["robustness"]] == [
        (name, against) for name in ("baseline", "mine") for against in ("SPY", "equal weight")
    ]
    # One to two symbols and two stops; the baseline adds ten symbols, mine a stop of 3 %.
    assert [item["n_cells"] for item in found["robustness"]] == [5, 5, 5, 5]
    rows = {row["name"]: row for row in found["results"]}
    for item in found["robustness"]:
        reference = rows[item["against"]]["sharpe"]
        assert item["difference"] == pytest.approx(rows[item["name"]]["sharpe"] - reference)
        assert item["lowest"] <= item["difference"] <= item["highest"]
    trials = {item.choice for item in TrialLog(folder / "runs").read() if item.run == "experiments/robustness"}
    # Six cells each, of which four are the same strategy.
    assert len(trials) == 8
    assert json.loads(call(folder, "--phase", "robustness", "--only", "mine", "--json").stdout) == found


def test_the_list_shows_experiments_of_ones_own(folder) -> None:
    result = CliRunner().invoke(app, ["experiments", "list", "--json", "--file", str(folder / "mine.yaml")])
    found = json.loads(result.stdout)
    assert len(found) == 9
    assert found[-1]["strategy"]["stop_loss_pct"] == 3.0
    assert CliRunner().invoke(app, ["experiments", "list"]).exit_code == 0


def test_a_bad_file_ends_with_one_line_and_code_2(tmp_path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("- {name: a, changes: {top_m: 3}}", encoding="utf-8")
    for command in ("run", "list"):
        line = refuse("experiments", command, "--file", path)
        assert "unknown key 'top_m'" in line
        assert "Did you mean 'top_n'" in line
    assert "cannot read the experiments" in refuse("experiments", "run", "--file", tmp_path / "none.yaml")


def test_what_does_not_go_together_is_refused(folder, tmp_path) -> None:
    assert "Did you mean 'quick'" in refuse("experiments", "run", "--phase", "quik")
    assert "--again goes with --phase holdout" in refuse("experiments", "run", "--again")
    assert "there is no experiment 'minne'" in refuse("experiments", "run", "--only", "minne")
    path = tmp_path / "spy.yaml"
    path.write_text(MINE.replace("name: mine", "name: SPY"), encoding="utf-8")
    words = ["--set", f"data.path={folder / 'prices.csv'}", "--runs", tmp_path]
    assert "cannot be called 'SPY'" in refuse("experiments", "run", "--file", path, *words)
    risky = ["--set", "env.risk.stop_loss_pct=5"]
    assert "env.risk is set" in refuse("experiments", "run", "--file", folder / "mine.yaml", *words, *risky)
