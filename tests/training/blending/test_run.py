"""The blend as a stage of a run: kept, judged, seen by the agents, and audited in fresh processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.config import BlendSettings, Experiment, parse_experiment
from alfred.data.signals import SignalSpec
from alfred.errors import CheckpointError, ConfigError
from alfred.training import pipeline
from alfred.training.audit.run import audit
from alfred.training.blending.walk import can_blend
from alfred.training.prepared import find_observed
from alfred.training.provenance.stages import hash_choice
from tests.training.small import make_small, run_small, write_prices

BLENDED: dict[str, Any] = {
    "features": {"names": ["risk", "momentum_1"]},
    "blend": {"min_days": 40, "refit_every_days": 20},
    "observe": ["blend", "feature.volatility_5", "feature.correlation_60"],
}


def test_a_run_keeps_judges_and_shows_the_blend(tmp_path: Path) -> None:
    experiment = make_small(write_prices(tmp_path), **BLENDED)
    prepared, lines, rows = run_small(tmp_path / "runs", experiment)
    assert rows
    assert prepared.observed.names == (
        "blend.expected_return_1",
        "blend.dispersion_1",
        "feature.volatility_5",
        "feature.correlation_60",
    )
    results = json.loads(prepared.run.results.read_text(encoding="utf-8"))
    page = prepared.run.report.read_text(encoding="utf-8")
    assert "blend.expected_return_1" in page and results
    # A second run reads everything.
    _, lines, _ = run_small(tmp_path / "runs", experiment)
    assert lines.reasons == [] and not any("direct" in name for name in lines.begun)
    # The stages after it stand on what is there.
    reopened = pipeline.reopen(prepared.run.path)
    assert reopened.observed.names == prepared.observed.names
    assert pipeline.load_trainings(reopened)
    result = CliRunner().invoke(app, ["explain", str(prepared.run.path), "--json"])
    assert [item["name"] for item in json.loads(result.stdout)["signals"]] == list(prepared.observed.names)


def test_other_settings_make_it_again_and_nothing_before_it(tmp_path: Path) -> None:
    experiment = make_small(write_prices(tmp_path), **BLENDED)
    prepared, _, _ = run_small(tmp_path / "runs", experiment, judge=False)
    changed = make_small(tmp_path / "prices.csv", **(BLENDED | {"blend": {"min_days": 41, "refit_every_days": 20}}))
    _, lines, _ = run_small(tmp_path / "runs", changed, judge=False)
    assert [line for line in lines.reasons if not line.startswith("direct")] == [
        "blend: combined again, its settings changed"
    ]
    (prepared.run.forecasts / "blend" / "stage.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"the blend in .* was made from something else"):
        pipeline.reopen(prepared.run.path)


def test_an_analyst_that_forecasts_anew_makes_it_again(tmp_path: Path) -> None:
    experiment = make_small(write_prices(tmp_path), **BLENDED)
    run_small(tmp_path / "runs", experiment, judge=False)
    analysts = [{"kind": "naive", "horizons": [1]}, {"kind": "momentum", "horizons": [1], "refit_every_days": 90}]
    changed = make_small(tmp_path / "prices.csv", **BLENDED, analysts=analysts)
    _, lines, _ = run_small(tmp_path / "runs", changed, judge=False)
    assert "blend: combined again, the signals of momentum changed" in lines.reasons


def test_observing_the_blend_alone_needs_one(tmp_path: Path) -> None:
    prices = write_prices(tmp_path)
    with pytest.raises(ConfigError, match=r"observe names 'blend', and no signal is called so \(there is no blend"):
        run_small(tmp_path / "runs", make_small(prices, observe="blend"))
    with pytest.raises(ConfigError, match=r"observe names 'blnd'.*Did you mean 'blend'"):
        run_small(tmp_path / "runs", make_small(prices, blend={}, observe=["blnd"]))
    with pytest.raises(ConfigError, match=r"blend: it is called 'naive' as an analyst"):
        make_small(prices, blend={"name": "naive"})
    with pytest.raises(ConfigError, match=r"observe: it names nothing"):
        make_small(prices, observe=[])


def test_agents_see_blend_and_features_by_default_and_everything_where_there_is_no_blend() -> None:
    names = ["momentum.expected_return_1", "blend.expected_return_1", "feature.volatility_60"]
    assert Experiment().blend == BlendSettings()
    assert find_observed(names, Experiment()) == names[1:]
    assert find_observed(names, parse_experiment({"observe": "all"})) == names
    assert find_observed(names, parse_experiment({"observe": ["momentum"]})) == names[:1]
    assert find_observed(names, parse_experiment({"blend": None})) == names
    # Nobody forecasts a return: nothing is blended, and all is seen.
    assert find_observed(["news.sentiment_1", "feature.volatility_60"], Experiment()) == [
        "news.sentiment_1",
        "feature.volatility_60",
    ]


def test_a_blend_under_another_name_is_the_blend_and_unknown_names_stand_beside_no_all() -> None:
    names = ["momentum.expected_return_1", "mix.expected_return_1", "feature.volatility_60"]
    for observe in ("blend", "mix"):
        told = parse_experiment({"blend": {"name": "mix"}, "observe": [observe]})
        assert find_observed(names, told) == names[1:2]
    with pytest.raises(ConfigError, match=r"observe names 'blend', .*there is no blend"):
        find_observed(names, parse_experiment({"blend": None, "observe": ["blend"]}))
    with pytest.raises(ConfigError, match="observe names 'nothing'"):
        find_observed(names, parse_experiment({"observe": ["all", "nothing"]}))
    # An analyst that is called so is meant.
    others = ["blend.expected_return_1", "mix.expected_return_1"]
    assert find_observed(others, parse_experiment({"blend": {"name": "mix"}, "observe": ["blend"]})) == others[:1]


def test_without_a_forecast_of_returns_there_is_no_blend() -> None:
    assert can_blend([SignalSpec("momentum", "expected_return", 5)])
    assert not can_blend([SignalSpec("momentum", "dispersion", 5), SignalSpec("news", "sentiment", 1)])


def test_a_configuration_comes_back_as_it_was(tmp_path: Path) -> None:
    import yaml

    experiment = make_small(write_prices(tmp_path), **BLENDED)
    assert parse_experiment(yaml.safe_load(experiment.to_yaml())) == experiment


def test_a_trial_without_a_blend_keeps_its_identity_and_one_with_it_has_its_own(tmp_path: Path) -> None:
    prices = write_prices(tmp_path)
    plain, blended = make_small(prices), make_small(prices, blend={})
    seen = make_small(prices, blend={}, observe="blend")
    hashes = {hash_choice(item, item.agents[0]) for item in (plain, blended, seen)}
    assert len(hashes) == 3


@pytest.mark.slow
def test_the_audit_finds_nothing_in_fresh_processes(tmp_path: Path) -> None:
    """Every stage in a process of its own on tables that are random after a date: none of them changes before it."""
    experiment = make_small(write_prices(tmp_path, first=0), **BLENDED)
    found = audit(experiment, n_jobs=2)
    assert "forecasts of blend" in found.stages
    assert found.clean, found.leaks
