"""The search from end to end: what it finds, what it writes, that it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from alfred.agents.strategies.signals import KellySettings
from alfred.cli import app
from alfred.config import BlendSettings, load_experiment
from alfred.errors import CheckpointError
from alfred.training.search.two_stage import objectives
from alfred.training.search.two_stage.result import (
    TwoStageResult,
    tabulate_best,
    tabulate_convergence,
    tabulate_importance,
    tabulate_models,
    tabulate_strategies,
    write_csv,
)
from alfred.training.search.two_stage.run import make_best_experiment, search_models
from alfred.training.search.two_stage.strategy import NAME
from tests.conftest import make_random_market
from tests.search.two_stage.cases import make_experiment, make_market, make_settings
from tests.training.small import DIRECT, run_small, write_market


def search(folder: Path, **changes: Any) -> TwoStageResult:
    return search_models(make_market(), make_experiment(), make_settings(**changes), folder, fresh=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TwoStageResult]:
    folder = tmp_path_factory.mktemp("search") / "one"
    return folder, search(folder)


def test_what_a_search_writes(found: tuple[Path, TwoStageResult]) -> None:
    folder, result = found
    assert json.loads((folder / "report.json").read_text()) == json.loads(json.dumps(result.to_json()))
    assert len(result.models) == 4 and len(result.strategies) == 2
    assert result.diagnostics.n_trials == {"first": 4, "second": 8}
    assert result.verdict.n_trials == 12
    assert result.winner == result.strategies[0]
    worth = [min(item.value, item.plateau) for item in result.strategies]
    assert worth == sorted(worth, reverse=True)
    assert {row["trial"] for row in tabulate_models(result)} == {0, 1, 2, 3}
    assert len(tabulate_strategies(result)) == 2
    assert (folder / "top10.csv").read_text() == write_csv(tabulate_best(result))
    convergence = tabulate_convergence(result)
    first = [row["best"] for row in convergence if row["study"] == "first"]
    assert first == sorted(first) and first[-1] == max(item.score for item in result.models)
    assert tabulate_importance(result) == []  # four trials say nothing


def test_the_best_configuration_is_one_that_run_takes(found: tuple[Path, TwoStageResult]) -> None:
    folder, result = found
    best = load_experiment(folder / "best.yaml")
    assert len(best.analysts) == 1
    model = best.analysts[0]
    assert model.model_copy(update={"refit_every_days": None}) == result.winner.candidate.read_settings()
    strategy = best.baselines[-1]
    assert isinstance(strategy, KellySettings)
    assert strategy == KellySettings.model_validate(dict(result.winner.strategy))
    assert (strategy.label, strategy.signal) == (NAME, "tuned.probability_up_1")
    assert best.n_trials == 12
    assert load_experiment(folder / "best.yaml").to_yaml() == (folder / "best.yaml").read_text()


def test_a_finished_search_is_read_again(found: tuple[Path, TwoStageResult], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result = found

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a finished trial was computed again")

    monkeypatch.setattr(objectives, "forecast_fold", refuse)
    monkeypatch.setattr(objectives, "walk", refuse)
    # The journal says that no trial ran; the verdict is not a second look.
    assert search(folder).to_json() == result.to_json()
    assert len(json.loads((folder.parent / "locked.json").read_text())) == 1


def test_what_speaks_of_other_analysts_is_left_out(found: tuple[Path, TwoStageResult]) -> None:
    experiment = make_experiment().model_copy(update={"blend": BlendSettings(), "observe": ("blend",)})
    best = make_best_experiment(experiment, found[1].winner, n_trials=3, refit_every_days=20)
    assert best.blend is None and best.observe is None


def test_a_search_that_was_cut_off_ends_like_one_that_was_not(
    found: tuple[Path, TwoStageResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, n_scored = objectives.FoldEvaluator.score, 0

    def die(self: objectives.FoldEvaluator, *args: Any) -> Any:
        nonlocal n_scored
        n_scored += 1
        if n_scored > 5:  # in the middle of the third trial
            raise KeyboardInterrupt
        return true(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(objectives.FoldEvaluator, "score", die)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "one")
    result = search(tmp_path / "one")
    assert n_scored == 6
    assert [item.settings for item in result.models] == [item.settings for item in found[1].models]
    assert result.winner.strategy == found[1].winner.strategy
    assert result.verdict.comparisons == found[1].verdict.comparisons


def test_more_trials_go_on_and_another_winner_is_another_look(
    found: tuple[Path, TwoStageResult], tmp_path: Path
) -> None:
    first = search(tmp_path / "one", n_strategy_trials=2)
    second = search(tmp_path / "one", n_strategy_trials=4)
    assert second.diagnostics.n_trials["second"] == 8
    assert second.winner.strategy == found[1].winner.strategy
    if second.verdict.winner != first.verdict.winner:
        assert second.verdict.looks == 2
        assert any("looked at 2 times" in text for text in second.warnings)


def test_other_data_under_the_same_name_are_refused(found: tuple[Path, TwoStageResult]) -> None:
    with pytest.raises(CheckpointError, match="the data"):
        search_models(make_market(seed=1), make_experiment(), make_settings(), found[0])


def test_a_winner_on_the_end_of_its_range_is_warned_of(tmp_path: Path) -> None:
    # The signal of the day is worth most on the day: the best number of sessions between trades is the least.
    settings = make_settings(n_model_trials=1, top_k=1, n_strategy_trials=20, choose="peak", n_strategy_folds=4)
    result = search_models(make_market(0.3), make_experiment(), settings, tmp_path / "one")
    batch = result.winner.params["batch"]
    edges = {edge.name for edge in result.edges}
    assert ("batch" in edges) == (batch in (1, 21))
    assert batch == 1
    assert any(
        text.startswith("The best batch is 1, on the lower end of its range 1 to 21") for text in result.warnings
    )


def test_a_default_that_wins_is_named(tmp_path: Path) -> None:
    result = search(tmp_path / "one", n_model_trials=1, n_strategy_trials=1)
    assert result.warnings[0].startswith("The winner is the default configuration")
    assert [item.baseline for item in result.verdict.comparisons] == ["equal weight"]


@pytest.mark.parametrize("objective", ["hybrid", "pareto"])
def test_one_stage_searches(tmp_path: Path, objective: str) -> None:
    result = search(tmp_path / "one", objective=objective, n_model_trials=5)
    assert result.objective == objective
    assert result.diagnostics.n_trials == {"first": 5}
    assert result.verdict.n_trials == 5
    assert load_experiment(tmp_path / "one" / "best.yaml").baselines[-1].label == NAME
    if objective == "hybrid":
        assert result.front == ()
        return
    points = np.array([[row["AUC"], row["value"]] for row in result.front], dtype=float)
    for one in points:  # no point of the front is worse in both than another one
        assert not ((points >= one).all(axis=1) & (points > one).any(axis=1)).any()
    assert result.winner.trial in {row["trial"] for row in result.front}


def test_no_trade_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KellySettings, "size", lambda _self, signal, _held, _momentum: np.zeros_like(signal))
    result = search(tmp_path / "one")
    assert not result.winner.traded
    assert result.diagnostics.traded_share == {"first": 0.0, "second": 0.0}
    assert "No strategy traded: every one found stays in cash." in result.warnings
    assert all(np.isfinite(item.value) for item in result.strategies)


@pytest.mark.parametrize("seed", [3])
def test_the_best_forecaster_need_not_trade_best(tmp_path: Path, seed: int) -> None:
    settings = make_settings(
        n_model_trials=6, n_strategy_trials=6, top_k=3, n_model_folds=3, n_strategy_folds=3, prune=True, seed=seed
    )
    result = search_models(make_market(0.1, 1500, seed), make_experiment(), settings, tmp_path / "one")
    assert result.winner.candidate.number != result.models[0].number
    first = next(item for item in result.strategies if item.candidate.number == result.models[0].number)
    assert min(result.winner.value, result.winner.plateau) > min(first.value, first.plateau)


def test_the_command(tmp_path: Path) -> None:
    write_market(tmp_path / "prices.csv", make_random_market(900))
    (tmp_path / "small.yaml").write_text(
        json.dumps(
            {
                "data": {"path": str(tmp_path / "prices.csv")},
                "analysts": [{"kind": "naive", "horizons": [1]}],
                "forecast": {"min_train_days": 260},
                "splits": {"n_folds": 2, "min_train_days": 300, "validation_days": 40},
                "intervals": {"n_replicates": 200},
            }
        )
    )
    options = ["--families", "ridge", "--horizon", "1", "--trials", "2", "--strategy-trials", "2", "--top", "1"]
    options += ["--search", "n_model_folds=2", "--search", "n_strategy_folds=2", "--workers", "1"]
    command = ["tune", "models", str(tmp_path / "small.yaml"), "--folder", str(tmp_path / "out"), *options]
    runner = CliRunner()
    done = runner.invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["verdict"]["n_trials"] == 4
    assert shown["segments"]["locked"][1] < "2013"
    table = runner.invoke(app, command)
    assert table.exit_code == 0, table.output
    assert "run it: alfred run" in table.stdout.replace("\n", " ")
    for wrong, text in [("top_q=3", "Did you mean 'top_k'?"), ("model_share=0.9", "below 1")]:
        refused = runner.invoke(app, [*command, "--search", wrong])
        assert refused.exit_code == 2
        assert text in refused.output.replace("\n", " ")


@pytest.mark.slow
def test_run_takes_the_best_configuration_unchanged(tmp_path: Path) -> None:
    from alfred.training.search.two_stage.segments import load_searched

    write_market(tmp_path / "prices.csv", make_random_market(900))
    experiment = make_experiment(
        name="small",
        data={"path": str(tmp_path / "prices.csv")},
        env={},
        analysts=[{"kind": "naive", "horizons": [1]}],
        forecast={"min_train_days": 260, "refit_every_days": 200},
        splits={"n_folds": 2, "min_train_days": 300, "validation_days": 40, "embargo_days": 0},
        agents=[DIRECT],
        training={"n_seeds": 1, "n_jobs": 1},
    )
    settings = make_settings(fixed={}, n_model_trials=2, n_strategy_trials=2, top_k=1)
    search_models(load_searched(experiment), experiment, settings, tmp_path / "search")
    _, _, rows = run_small(tmp_path / "runs", load_experiment(tmp_path / "search" / "best.yaml"))
    assert NAME in {row.name for row in rows}
