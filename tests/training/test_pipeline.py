"""The main job at a small size, on the real embedded prices."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from alfred.config import parse_experiment
from alfred.data import Signals
from alfred.errors import CheckpointError, ConfigError, DataError
from alfred.evaluation.backtest import Backtest
from alfred.training import pipeline
from alfred.training.judging import judge
from alfred.training.judging.findings import FINDINGS_FILE
from alfred.training.runs import load_run

SMALL = {
    "name": "small",
    "data": {"symbols": ["AAPL", "JPM", "KO"], "start": "2012-01-01", "end": "2016-12-31"},
    "analysts": [{"kind": "naive"}, {"kind": "momentum"}],
    "features": {"names": ["momentum_1"]},
    "forecast": {"min_train_days": 300, "refit_every_days": 252},
    "splits": {"n_folds": 2, "min_train_days": 200, "validation_days": 100},
    "agents": [
        {"kind": "ppo", "total_steps": 512, "n_envs": 8, "n_steps": 16, "validate_every": 256, "validation_blocks": 2}
    ],
    "training": {"n_seeds": 2},
    "baselines": [{"kind": "mix", "hold": True}, {"kind": "momentum"}],
    "intervals": {"n_replicates": 200},
}


def run_small(root, n_jobs=1, **changes):
    raw = {**SMALL, "forecast": {**SMALL["forecast"], "cache": str(root / "cache")}, **changes}
    raw["training"] = {**raw["training"], "n_jobs": n_jobs}
    experiment = parse_experiment(raw)
    prepared = pipeline.forecast(experiment, root)
    return prepared, pipeline.evaluate(prepared, pipeline.train(prepared))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return run_small(tmp_path_factory.mktemp("runs"))


def test_everything_is_written(small) -> None:
    prepared, rows = small
    folder = prepared.run.path
    assert [row.name for row in rows][:3] == ["ppo", "SP500TR", "equal weight"]
    assert json.loads(prepared.run.results.read_text())[0]["sharpe"] == rows[0].to_json()["sharpe"]
    manifest = json.loads(prepared.run.manifest.read_text())
    assert manifest["seeds"] == [0, 1]
    assert len(manifest["data_checksum"]) == 64
    assert "fold 0  train" in manifest["folds"][0]
    assert Signals.load(prepared.run.signals).names == prepared.signals.names
    assert "<html" in prepared.run.report.read_text(encoding="utf-8")
    assert load_run(folder)[1] == prepared.experiment
    assert not list(folder.rglob("*.part"))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".zip")]


def test_records_cover_the_test_range_and_close(small) -> None:
    prepared, _ = small
    market, folds = prepared.market, prepared.folds
    inside = (market.dates >= folds[0].test[0]) & (market.dates <= folds[-1].test[1])
    for path in sorted(prepared.run.backtests.rglob("*.parquet")):
        record = Backtest.load(path)
        assert list(record.dates) == list(market.dates[inside])
        np.testing.assert_allclose(record.net, record.gross - record.costs, atol=1e-15)
        np.testing.assert_allclose(record.weights.sum(axis=1), 1.0, atol=1e-12)


def test_the_curves_hold_what_a_portfolio_person_wants(small) -> None:
    prepared, _ = small
    folder = prepared.run.agent("ppo") / "fold0" / "seed0" / "block0"
    tags = set(EventAccumulator(str(folder)).Reload().Tags()["scalars"])
    wanted = {"wealth_over_benchmark", "wealth_over_equal_weight", "max_drawdown", "turnover_a_year", "cost_bps_a_year"}
    assert {f"1_validation/{name}" for name in wanted} <= tags
    assert {"2_train/noise", "2_train/reward"} <= tags
    assert not [tag for tag in tags if "sp500" in tag.casefold()]


def test_the_run_shows_its_plan_and_its_verdict(small) -> None:
    prepared, rows = small
    events = EventAccumulator(str(prepared.run.summary)).Reload()
    texts = {
        tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
        if tag.endswith("text_summary")
    }
    assert prepared.experiment.to_yaml() in texts["3_configuration/text_summary"]
    first = prepared.folds[0].test[0].date()
    assert f"{first} to " in texts["2_folds/text_summary"]
    assert rows[0].headline.text in texts["1_verdict/text_summary"]
    scalars = {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}
    assert scalars["4_result/sharpe_beyond_benchmark"] == pytest.approx(rows[0].sharpe_minus_benchmark, rel=1e-5)
    signals = [tag for tag in scalars if tag.startswith("3_signals/blend")]
    assert [event.step for event in events.Scalars(signals[0])] == [0, 1]
    (config,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(config.tensor_proto.string_val[0])
    charts = {chart.title: chart for category in layout.category for chart in category.chart}
    (margin,) = [chart.margin.series[0] for chart in charts.values() if chart.margin.series]
    band = EventAccumulator(str(prepared.run.agent("ppo") / "fold0")).Reload()
    assert {margin.value, margin.lower, margin.upper} == set(band.Tags()["scalars"])
    drawn = {expression for chart in charts.values() for expression in chart.multiline.tag}
    written = {
        tag
        for path in prepared.run.path.rglob("*.training")
        for tag in EventAccumulator(str(path)).Reload().Tags()["scalars"]
    }
    for expression in drawn - {"^6_analyst_loss/train$", "^6_analyst_loss/validation$"}:  # nothing is trained here
        assert any(re.match(expression, tag) for tag in written), expression


def test_a_training_is_a_line_of_the_hparams_tab(small) -> None:
    prepared, _ = small
    for fold in prepared.folds:
        folder = prepared.run.agent("ppo") / f"fold{fold.index}" / "seed1"
        events = EventAccumulator(str(folder)).Reload()
        line = read_line(events)
        assert line["run"] == "small"
        assert (line["agent"], line["fold"], line["seed"], line["env.reward.kind"]) == ("ppo", fold.index, 1, "excess")
        scalars = {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}
        assert "4_result/chosen_step" in scalars
        (path,) = prepared.run.seed_backtests.glob("*ppo-seed-1.parquet")
        record = Backtest.load(path)
        inside = (record.dates >= fold.test[0]) & (record.dates <= fold.test[1])
        sharpe = np.mean(record.excess[inside]) / np.std(record.excess[inside], ddof=1) * np.sqrt(252)
        assert scalars["4_result/test_sharpe"] == pytest.approx(sharpe, rel=1e-4)
        turnover = record.turnover[inside].mean() * 252
        assert scalars["4_result/test_turnover_a_year"] == pytest.approx(turnover, rel=1e-5)


def read_line(events) -> dict[str, object]:
    """Return the settings of the line that a run has in the hparams tab."""
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()}


@pytest.mark.slow
def test_the_same_seed_gives_identical_weights_on_any_number_of_cores(small, tmp_path) -> None:
    prepared, rows = small
    again, rows_again = run_small(tmp_path, n_jobs=2)
    for path in prepared.run.path.rglob("policy.safetensors"):
        twin = again.run.path / path.relative_to(prepared.run.path)
        assert twin.read_bytes() == path.read_bytes()
    assert [row.to_json() for row in rows_again] == [row.to_json() for row in rows]
    for path in prepared.run.backtests.rglob("*.parquet"):
        one, two = Backtest.load(path), Backtest.load(again.run.path / path.relative_to(prepared.run.path))
        assert one.net.tobytes() == two.net.tobytes()
        assert one.weights.tobytes() == two.weights.tobytes()


def test_judging_and_reporting_again_give_the_same(small) -> None:
    prepared, rows = small
    reopened = pipeline.reopen(prepared.run.path)
    expected = [row.to_json() for row in rows]
    assert [row.to_json() for row in pipeline.evaluate(reopened, pipeline.load_trainings(reopened))] == expected
    assert [row.to_json() for row in pipeline.rewrite_report(reopened)] == expected


def test_a_page_is_drawn_again_from_what_was_found(small, tmp_path, monkeypatch) -> None:
    prepared, _ = small
    shutil.copytree(prepared.run.path, tmp_path / "copy")
    reopened = pipeline.reopen(tmp_path / "copy")
    rows = pipeline.rewrite_report(reopened)
    page = (tmp_path / "copy" / "report.html").read_bytes()
    assert b"Where the gain came from" in page and b"Other costs, later execution" in page
    computed = []
    compute = judge.compute_numbers
    monkeypatch.setattr(judge, "compute_numbers", lambda report: computed.append(1) or compute(report))
    again = pipeline.rewrite_report(reopened)
    assert not computed and (tmp_path / "copy" / "report.html").read_bytes() == page
    assert [row.to_json() for row in again] == [row.to_json() for row in rows]
    # Other intervals, damage and another record are each found out.
    wider = pipeline.reopen(tmp_path / "copy", ["intervals.level=0.98", "intervals.n_replicates=250"])
    assert pipeline.rewrite_report(wider)[0].sharpe_ci != rows[0].sharpe_ci and len(computed) == 1
    found = tmp_path / "copy" / "backtests" / FINDINGS_FILE
    for damage in ("", "[]", found.read_text(encoding="utf-8")[:-40]):
        found.write_text(damage, encoding="utf-8")
        pipeline.rewrite_report(wider)
    assert len(computed) == 4
    path = min((tmp_path / "copy" / "backtests").glob("*.parquet"))
    record = Backtest.load(path)
    replace(record, net=record.net + 1e-6, gross=record.gross + 1e-6).save(path)
    assert pipeline.rewrite_report(wider)[0].cagr != rows[0].cagr and len(computed) == 5


def test_a_finished_training_is_not_repeated(small) -> None:
    prepared, _ = small
    path = prepared.run.agent("ppo") / "fold0" / "seed0" / "policy.safetensors"
    before = path.stat().st_mtime_ns
    pipeline.train(prepared)
    assert path.stat().st_mtime_ns == before


def test_what_is_missing_or_changed_is_named(small, tmp_path) -> None:
    prepared, _ = small
    copy = tmp_path / "copy"
    shutil.copytree(prepared.run.path, copy)
    shutil.rmtree(copy / "backtests")  # the log of trials stays behind: the agents count all the same
    reopened = pipeline.reopen(copy)
    with pytest.raises(CheckpointError, match="was not evaluated yet"):
        pipeline.rewrite_report(reopened)
    (copy / "agents" / "ppo" / "fold1" / "seed1" / "scores.json").unlink()
    with pytest.raises(CheckpointError, match=r"fold1/seed1 does not hold a finished training"):
        pipeline.load_trainings(reopened)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "data_checksum": "0" * 64}))
    with pytest.raises(DataError, match="have changed since it was made"):
        pipeline.reopen(copy)
    with pytest.raises(ConfigError, match="holds no run"):
        pipeline.reopen(tmp_path)


def test_too_short_a_history_is_found_before_any_work(tmp_path) -> None:
    with pytest.raises(DataError, match="the history is too short for 2 fold"):
        run_small(tmp_path, splits={"n_folds": 2, "min_train_days": 900})
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("name", ["equal weight", "SP500TR", "12-1 momentum"])
def test_an_agent_with_the_name_of_a_baseline_is_refused_before_anything_is_computed(tmp_path, name) -> None:
    agents = [{**SMALL["agents"][0], "name": name}]
    with pytest.raises(ConfigError, match=f"agent '{name}' has the name of a strategy"):
        pipeline.forecast(parse_experiment({**SMALL, "agents": agents}), tmp_path)
    assert not list(tmp_path.iterdir())
