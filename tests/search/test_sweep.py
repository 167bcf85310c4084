"""A grid of runs: named by their values, judged together, resumed, and no worse for one that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alfred.cli import app
from alfred.config import Experiment, load_experiment
from alfred.errors import ConfigError
from alfred.training import pipeline
from alfred.training.provenance.trials import TrialLog
from alfred.training.search.sweep import count_trainings, make_points, parse_axis, run_sweep, tabulate_sweep
from tests.training.small import Lines, make_small, write_prices


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(
        make_small(write_prices(tmp_path), splits={"n_folds": 1, "min_train_days": 60, "validation_days": 40}).to_yaml()
    )
    return path


def load_points(config: Path, *grid: str) -> list:
    return make_points([parse_axis(text) for text in grid], lambda told: load_experiment(config, told))


def test_points_are_all_combinations_under_names_that_do_not_move(config: Path) -> None:
    points = load_points(config, "env.cost_bps=0,5", "agents.0.noise=0,0.5")
    assert [(p.experiment.env.cost_bps, p.experiment.agents[0].noise) for p in points] == [
        (0, 0),
        (0, 0.5),
        (5, 0),
        (5, 0.5),
    ]
    more = load_points(config, "env.cost_bps=5,0,7", "agents.0.noise=0.5")
    assert {p.experiment.name for p in points[1::2]} < {p.experiment.name for p in more}
    assert count_trainings(points) == 4


@pytest.mark.parametrize(
    ("grid", "text"),
    [
        (["env.cost_bps"], "write it as --grid"),
        (["env.cost_bps=["], "not YAML"),
        (["env.cost_bps=0", "env.cost_bps=1"], "stands twice"),
        (["name=a,b"], "named by it"),
        (["env.cost_bp=0,1"], "Did you mean 'cost_bps'"),
        (["seed=" + ",".join(map(str, range(40))), "env.cost_bps=" + ",".join(map(str, range(40)))], "more than 1000"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_before_anything_runs(config: Path, grid: list[str], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace("[", r"\[")):
        load_points(config, *grid)


def test_values_in_brackets_may_hold_commas(config: Path) -> None:
    points = load_points(config, "agents.0.hidden=[4],[8,8]")
    assert [p.experiment.agents[0].hidden for p in points] == [(4,), (8, 8)]


def test_every_verdict_pays_for_every_point_and_a_failure_costs_one(config: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    # A horizon of this length leaves no history for the first fold.
    points = load_points(config, "env.rebalance_every=1,2,400")
    swept = run_sweep(points, root, reporter=Lines())
    table = tabulate_sweep(swept)
    assert table["error"].str.len().gt(0).tolist() == [False, False, True]
    assert "too short" in table["error"].iloc[2]
    assert table["n_trials"].iloc[:2].tolist() == [2, 2]
    assert len(TrialLog(root).read()) == 2
    # The page of the first run was written before the second was tried, and says so no more.
    first = json.loads((root / points[0].experiment.name / "results.json").read_text())
    assert first[0]["n_trials"] == 2
    lines = Lines()
    again = tabulate_sweep(run_sweep(points[:2], root, reporter=lines))
    assert any("made before" in line for line in lines.said)
    assert again["sharpe"].tolist() == table["sharpe"].iloc[:2].tolist()


def test_whatever_a_library_does_wrong_costs_one_point(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all = pipeline.run_all

    def fail_once(experiment: Experiment, *told: object, **named: object) -> object:
        if experiment.env.cost_bps == 1:
            raise MemoryError("no room")
        return run_all(experiment, *told, **named)

    monkeypatch.setattr(pipeline, "run_all", fail_once)
    table = tabulate_sweep(run_sweep(load_points(config, "env.cost_bps=1,2"), tmp_path / "runs", reporter=Lines()))
    assert table["error"].tolist() == ["MemoryError: no room", ""]


def test_the_command(config: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    told = ["sweep", str(config), "--runs", str(tmp_path / "runs"), "--json"]
    found = runner.invoke(app, [*told, "--grid", "env.cost_bps=0,10"])
    assert found.exit_code == 0, found.output
    result = json.loads(found.stdout)
    assert [row["env.cost_bps"] for row in result["results"]] == ["0", "10"]
    assert Path(result["table"]).read_text().startswith("env.cost_bps,run,agent,sharpe")
    assert (
        yaml.safe_load((tmp_path / "runs" / result["results"][1]["run"] / "config.yaml").read_text())["env"]["cost_bps"]
        == 10
    )
    for wrong in ([], ["--grid", "env.cost=1"], ["--grid", f"seed={','.join(map(str, range(300)))}"]):
        refused = runner.invoke(app, [*told, *wrong])
        assert refused.exit_code == 2 and "Traceback" not in refused.output
