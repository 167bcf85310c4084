"""What TensorBoard is shown: short names, nothing that is gone, and the columns of the hparams tab."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from optuna import create_study
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from alfred.learning.events import EventFile, read_events, read_scalars
from alfred.training.search.curves import write_trial
from alfred.training.tensorboard import links
from alfred.training.tensorboard.links import LinkFarm

CONFIG = {
    "agents": [{"kind": "ppo", "name": None}, {"kind": "direct", "name": "second"}],
    "analysts": [{"kind": "lstm", "name": None}],
    "seed": 5,
    "training": {"n_seeds": 2},
    "splits": {"n_folds": 1},
}
WRITTEN = {
    "summary": "plan",
    "agents/ppo/fold0": "seeds",
    "agents/ppo/fold0/seed5": "result",
    "agents/ppo/fold0/seed5/block0": "training",
    "agents/second/fold0/seed6/block1": "training",
    "forecasts/lstm/curves/2014-12-30/0": "training",
    "forecasts/lstm/curves/2015-12-30/0": "training",
    "forecasts/lstm/curves/2015-12-30/1": "training",
    # Not named by the configuration any more.
    "agents/ppo/fold0/seed7": "result",
    "agents/ppo/fold1/seed5": "result",
    "agents/gone/fold0/seed5": "result",
    "forecasts/gone/curves/2014-12-30/0": "training",
}
SHOWN = {
    "demo",
    "demo/ppo/f0",
    "demo/ppo/f0s5",
    "demo/second/f0s6/block1",
    "demo/lstm/2014-12-30",
    "demo/lstm/2015-12-30/0",
    "demo/lstm/2015-12-30/1",
}


def write(folder: Path, kind: str, value: float = 1.0) -> None:
    with EventFile(folder, kind) as events:
        events.add_scalars({"tag": value})


def list_names(farm: LinkFarm) -> set[str]:
    return {str(path.parent.relative_to(farm.place)) for path in farm.place.rglob("*") if path.is_symlink()}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    for place, kind in WRITTEN.items():
        write(root / "demo" / place, kind)
    (root / "demo" / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    write(root / "tuning" / "mine" / "tensorboard" / "ppo" / "trial-3", "trial")
    return root


def test_names_are_short_and_only_of_what_the_configuration_names(runs: Path) -> None:
    with LinkFarm(runs) as farm:
        assert list_names(farm) == {*SHOWN, "tuning/mine/ppo/trial-3"}
        events = EventAccumulator(str(farm.place / "demo/ppo/f0s5")).Reload()
        assert [event.value for event in events.Scalars("tag")] == [1.0]
    assert not farm.place.exists()
    with LinkFarm(runs / "demo") as farm:
        assert list_names(farm) == SHOWN
    with LinkFarm(runs, inner=True) as farm:
        assert "demo/ppo/f0s5/block0" in list_names(farm)


def test_what_begins_later_is_shown_and_what_is_deleted_is_not(runs: Path) -> None:
    with LinkFarm(runs) as farm:
        write(runs / "demo/agents/second/fold0/seed6", "result")
        for path in (runs / "demo/agents/ppo/fold0/seed5").glob("events.*"):
            path.unlink()
        farm.refresh()
        assert list_names(farm) == {
            *SHOWN - {"demo/ppo/f0s5", "demo/second/f0s6/block1"},
            "demo/ppo/f0s5/block0",
            "demo/second/f0s6",
            "tuning/mine/ppo/trial-3",
        }


def test_the_columns_are_what_differs_between_lines(runs: Path) -> None:
    for seed, rate in ((5, 0.1), (6, 0.2)):
        with EventFile(runs / f"demo/agents/ppo/fold0/seed{seed}", "line") as events:
            told = {"run": "demo", "agent": "ppo", "kind": "ppo", "fold": 0, "seed": seed}
            events.add_line({**told, "rate": rate, "gamma": 0.5})
            events.add_scalars({"4_result/test_sharpe": 1.0})
    with EventFile(runs / "demo/agents/second/fold0/seed5", "line") as events:  # gamma differs with the kind alone
        events.add_line({"run": "demo", "agent": "second", "kind": "direct", "fold": 0, "seed": 5, "gamma": 0.9})
    with LinkFarm(runs) as farm:
        (columns,) = farm.place.rglob("*.columns")
        events = EventAccumulator(str(columns)).Reload()
        content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert sorted(item.name for item in found.hparam_infos) == ["agent", "fold", "rate", "run", "seed"]
    assert {"4_result/chosen_step", "4_result/test_sharpe", "tag"} <= {item.name.tag for item in found.metric_infos}


def test_a_file_that_is_replaced_while_it_is_looked_at_is_passed_over(runs: Path, monkeypatch) -> None:
    def race(path: Path):
        path.unlink(missing_ok=True)
        yield from read_events(path)

    monkeypatch.setattr(links, "read_events", race)
    with LinkFarm(runs) as farm:
        assert farm.place != runs
    assert list(read_events(runs / "gone")) == []


def test_a_repeated_training_replaces_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "result", 7.0)
    for values in ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)):
        with EventFile(tmp_path) as events:
            for step, value in enumerate(values, start=1):
                events.add_scalars({"loss": value, "none": np.nan}, step)
    assert read_scalars(tmp_path) == {"loss": {1: 4.0, 2: 5.0, 3: 6.0}}
    with EventFile(tmp_path) as events:
        events.resume(1)
        events.add_scalars({"loss": 5.0}, 2)
    assert [(e.step, e.value) for e in EventAccumulator(str(tmp_path)).Reload().Scalars("loss")] == [(1, 4), (2, 5)]
    assert read_scalars(tmp_path, "result") == {"tag": {0: 7.0}}


def test_a_trial_of_a_search_is_a_line(tmp_path: Path) -> None:
    study = create_study(study_name="mine@1")
    space = {"rate": FloatDistribution(0.0, 1.0)}
    trial = create_trial(value=0.3, params={"rate": 0.5}, distributions=space, intermediate_values={1: 0.2})
    study.add_trial(trial)
    for _ in range(2):  # a trial that is told twice has one line
        write_trial(tmp_path, study, study.trials[0])
    events = EventAccumulator(str(tmp_path / "mine" / "trial-0")).Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    line = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert line.hparams["rate"].number_value == 0.5
    found = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found == {"search/value": [pytest.approx(0.3)], "search/step_1": [pytest.approx(0.2)]}


def test_no_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with EventFile(None) as events:
        events.add_scalars({"loss": 1.0}, 1)
        events.add_histogram("weights", np.ones(3), 1)
        events.add_text("told", "text")
        events.add_line({"seed": 1})
    assert not events.is_on
    assert not list(tmp_path.rglob("*"))
