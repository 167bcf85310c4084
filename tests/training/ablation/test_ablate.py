"""Ablation: on planted worlds the answer is known, and what adds nothing is told so."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from alfred.agents.settings import DirectSettings
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import LstmSettings
from alfred.analysts.tabular.settings import RidgeSettings
from alfred.cli import app
from alfred.config import TrainingSettings
from alfred.data.contexts import make_contexts
from alfred.data.synthetic import PlantedModel, make_planted_market
from alfred.evaluation.ablation import Ablated, Ablation, note_short
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.settings import IntervalSettings
from alfred.training.ablation.agents import ablate_agent, measure_change
from alfred.training.ablation.analysts import ablate_analyst, drop, permute
from alfred.training.ablation.blend import ablate_blend
from alfred.training.ablation.scores import Outcomes, Taken, judge_taken, read_outcomes, score
from alfred.training.cross_fitting.folds import train_agents
from alfred.training.progress import Silence
from tests.analysts.planted import make_autoregressive_market
from tests.training.ablation.worlds import N_USELESS, make_columns_market, make_empty_signals, make_prepared
from tests.training.blending.worlds import make_forecasts
from tests.training.small import make_small, run_small, write_prices

RIDGE = {
    "kind": "ridge",
    "horizons": [1],
    "context_length": 24,
    "columns": ["good", *(f"idle{k}" for k in range(N_USELESS))],
}


def find(found: Ablation | None, verdict: str) -> list[str]:
    assert found is not None
    return [item.name for item in found.parts if item.verdict == verdict]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_useful_column_of_a_ridge_is_found_and_twenty_useless_ones_are_nothing(tmp_path: Path, seed: int) -> None:
    market = make_columns_market(0.15, seed=seed)
    prepared = make_prepared(tmp_path, market, make_empty_signals(market), [RIDGE], 600)
    found = ablate_analyst(prepared, prepared.experiment.analysts[0])
    assert find(found, "helps") == ["good"]
    assert found is not None and len([item for item in found.parts if item.name.startswith("idle")]) == N_USELESS
    idle = [item for item in found.parts if item.name.startswith("idle")]
    assert {item.verdict for item in idle} == {"no credible change"}
    assert "good credibly helps" in found.sentence and "without a credible change" in found.sentence
    [good] = [item for item in found.parts if item.name == "good"]
    measures = {(item.way, item.measure) for item in good.changes}
    assert measures == {(way, measure) for way in ("dropped", "permuted") for measure in ("loss", "balanced accuracy")}
    json.dumps(found.to_json(), allow_nan=False)


def test_nothing_helps_where_nothing_foretells(tmp_path: Path) -> None:
    market = make_columns_market(0.0, seed=3)
    prepared = make_prepared(tmp_path, market, make_empty_signals(market), [RIDGE], 600)
    found = ablate_analyst(prepared, prepared.experiment.analysts[0])
    assert find(found, "helps") == []


def test_a_network_owes_its_forecast_to_its_closes_and_nothing_to_the_volume(tmp_path: Path) -> None:
    market, returns, _ = make_autoregressive_market(0.4)
    volume = np.random.default_rng(1).uniform(1e5, 1e6, returns.shape)
    market = dataclasses.replace(market, volume=volume)
    lstm = {"kind": "lstm", "horizons": [1], "context_length": 9, "fields": ["close", "volume"], "hidden_size": 8}
    lstm["fitting"] = {"steps": 150, "batch_size": 256, "validate_every": 50, "learning_rate": 0.01}
    prepared = make_prepared(tmp_path, market, make_empty_signals(market), [lstm], 500)
    found = ablate_analyst(prepared, prepared.experiment.analysts[0], draws=2)
    assert "close" in find(found, "helps")
    assert "volume" in find(found, "no credible change")


def test_an_analyst_without_inputs_has_nothing_to_take_away(tmp_path: Path) -> None:
    market = make_columns_market(0.1)
    analysts = [{"kind": "naive"}, {"kind": "momentum"}]
    prepared = make_prepared(tmp_path, market, make_empty_signals(market), analysts, 400)
    assert [ablate_analyst(prepared, settings) for settings in prepared.experiment.analysts] == [None, None]


@pytest.mark.slow
def test_the_useful_analyst_of_a_blend_is_found_and_twenty_useless_ones_are_nothing(tmp_path: Path) -> None:
    market, forecasts = make_forecasts(2_600, 5, ic=0.1)
    analysts = [{"kind": "naive", "name": f"a{k}", "horizons": [2]} for k in range(N_USELESS + 1)]
    prepared = make_prepared(tmp_path, market, forecasts, analysts, 1_300, blend={})
    found = ablate_blend(prepared)
    assert find(found, "helps") == ["a0"]
    assert len(find(found, "no credible change")) >= N_USELESS - 1
    assert ablate_blend(make_prepared(tmp_path, market, forecasts, analysts, 1_300, blend=None)) is None


@pytest.mark.slow
def test_the_useful_signal_of_an_agent_is_found_and_twenty_useless_ones_are_nothing(tmp_path: Path) -> None:
    world = make_planted_market(n_days=4_000, seed=2, model=PlantedModel(ic=0.1, n_distractors=N_USELESS))
    direct = {"kind": "direct", "total_steps": 65_536, "validate_every": 16_384, "n_portfolios": 128, "patience": None}
    prepared = make_prepared(
        tmp_path,
        world.market,
        world.signals,
        [{"kind": "naive"}],
        1_200,
        agents=[direct],
        env={"cost_bps": 5, "slippage_bps": 0, "reward": {"risk_aversion": 10}},
    )
    [settings] = prepared.experiment.agents
    assert isinstance(settings, DirectSettings)
    trained = train_agents(
        world.market,
        world.signals.scaled(),
        prepared.folds,
        settings,
        prepared.experiment.env,
        TrainingSettings(n_seeds=1),
        seed=0,
        n_jobs=1,
        folder=tmp_path,
        reporter=Silence(),
    )
    found = ablate_agent(prepared, {"direct": trained})
    assert find(found, "helps") == ["planted.signal"]
    assert len(find(found, "no credible change")) >= N_USELESS - 1


def test_a_change_of_sharpe_is_the_difference_and_its_influence_the_derivative() -> None:
    rng = np.random.default_rng(0)
    truth, without = rng.normal(0.001, 0.01, 500), rng.normal(0.0, 0.01, (500, 3))
    value, influence, spread = measure_change(truth, without, 252)
    sharpes = [compute_sharpe(without[:, place], 252) for place in range(3)]
    assert value == pytest.approx(compute_sharpe(truth, 252) - np.mean(sharpes))
    assert spread == pytest.approx(np.std(sharpes, ddof=1) * np.sqrt(4 / 3))
    # A session counted a little more moves the change by its influence.
    weight = np.full(500, 1 / 500)
    weight[7] += 1e-6
    weight /= weight.sum()

    def weigh(series: np.ndarray) -> float:
        mean = weight @ series
        return float(mean / np.sqrt(weight @ (series - mean) ** 2) * np.sqrt(252))

    moved = weigh(truth) - np.mean([weigh(without[:, place]) for place in range(3)])
    start = truth.mean() / truth.std() - np.mean(without.mean(axis=0) / without.std(axis=0))
    assert (moved - start * np.sqrt(252)) / 1e-6 == pytest.approx(influence[7], rel=1e-3)


def test_loss_and_accuracy_are_those_of_a_plain_loop() -> None:
    market = make_columns_market(0.2, n_dates=120)
    dates = market.dates[40:80]
    outcomes = read_outcomes(market, dates, (1, 5))
    mean = np.random.default_rng(0).normal(0, 0.01, outcomes.returns.shape)
    mean[3, 2] = np.nan
    found = score(mean, outcomes)
    hits, rejections, rises, loss, count = 0, 0, 0, 0.0, 0
    logs = np.log(market.close)
    for row in range(40):
        for column in range(market.n_symbols):
            forecast, outcome = mean[row, column, 1], logs[45 + row, column] - logs[40 + row, column]
            if np.isfinite(forecast):
                hits += int(forecast > 0 and outcome > 0)
                rejections += int(forecast <= 0 and outcome <= 0)
                rises += int(outcome > 0)
                loss += (outcome - forecast) ** 2 / outcomes.unit[row, column, 1] ** 2
                count += 1
    assert found.count[:, 1].sum() == count and found.hits[:, 1].sum() == hits
    assert found.rises[:, 1].sum() == rises and found.rejections[:, 1].sum() == rejections
    assert found.loss[:, 1].sum() == pytest.approx(loss)
    [judged] = judge_taken(
        found, [Taken("all", "dropped", [score(0.0 * mean, outcomes)])], outcomes, IntervalSettings()
    )
    [change] = [item for item in judged.changes if (item.measure, item.horizon) == ("balanced accuracy", 5)]
    assert change.value == pytest.approx((hits / rises + rejections / (count - rises)) / 2 - 0.5)


def make_outcomes(rng: np.random.Generator, n_dates: int, horizons: tuple[int, ...]) -> Outcomes:
    returns = rng.normal(0.0, 0.01, (n_dates, 10, len(horizons)))
    return Outcomes(horizons, returns, np.full(returns.shape, 0.01))


def test_an_input_that_says_the_same_every_day_is_nothing() -> None:
    rng, verdicts = np.random.default_rng(8), []
    for _ in range(20):
        outcomes = make_outcomes(rng, 500, (1,))
        noise = rng.normal(0.0, 1e-5, outcomes.returns.shape)
        # The constant tips four calls in five to a rise.
        taken = [Taken("constant", "dropped", [score(noise, outcomes)])]
        [found] = judge_taken(score(noise + 1e-5, outcomes), taken, outcomes, IntervalSettings(n_replicates=400))
        verdicts.append(found.verdict)
    # One in twenty is expected.
    assert sum(verdict != "no credible change" for verdict in verdicts) <= 3


def test_a_short_test_judges_the_horizons_that_it_can_and_says_which_it_cannot() -> None:
    outcomes = make_outcomes(np.random.default_rng(0), 300, (1, 5, 20))
    taken = [Taken("oracle", "dropped", [score(0.0 * outcomes.returns, outcomes)])]
    said = 0.9 * outcomes.returns + np.random.default_rng(1).normal(0.0, 0.005, outcomes.returns.shape)
    parts = judge_taken(score(said, outcomes), taken, outcomes, IntervalSettings())
    verdicts = {change.horizon: change.verdict for change in parts[0].changes}
    assert verdicts == {1: "helps", 5: "helps", 20: "too short to say"}
    found = Ablation("ridge", "analyst", parts, note_short(parts))
    assert "oracle credibly helps" in found.sentence and "too short to say what horizon 20" in found.sentence
    raw: Any = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert raw["parts"][0]["changes"][-1]["p"] is None
    [near] = [item for item in parts if item.name == "oracle"]
    far = Ablated("oracle", tuple(change for change in near.changes if change.horizon == 20))
    assert far.verdict == "too short to say"
    assert "1 of 1 too short to say" in Ablation("ridge", "analyst", [far]).sentence


def test_inputs_are_taken_away_and_come_back() -> None:
    market = make_columns_market(0.2, n_dates=400)
    rows, columns = np.full(10, 390), np.arange(10)
    for settings in (
        RidgeSettings(horizons=(1,), context_length=24, columns=("good", "idle0")),
        LstmSettings(horizons=(1,), context_length=9, fitting=LstmSettings().fitting.model_copy(update={"steps": 20})),
    ):
        analyst = make_analyst(settings).fit(market)
        contexts = make_contexts(market, rows, columns, length=settings.context_length, fields=analyst.fields)
        name = analyst.inputs[-1]  # type: ignore[attr-defined]
        before = analyst.predict(contexts).mean
        alter = permute(analyst, name, np.random.default_rng(0))  # type: ignore[arg-type]
        assert alter is not None
        with analyst.altering(alter):  # type: ignore[attr-defined]
            assert not np.array_equal(analyst.predict(contexts).mean, before)
        gone = drop(analyst, name)  # type: ignore[arg-type]
        assert gone is not None
        with analyst.altering(gone):  # type: ignore[attr-defined]
            inputs = analyst.read_inputs(contexts)  # type: ignore[attr-defined]
            assert np.isfinite(inputs[..., -1]).all() == (analyst.missing == 0.0)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(analyst.predict(contexts).mean, before)
        assert drop(analyst, "unknown") is None  # type: ignore[arg-type]


def test_the_command_says_what_it_found_and_what_is_wrong_on_one_line(tmp_path: Path) -> None:
    write_prices(tmp_path)
    analysts = [{"kind": "naive", "horizons": [1]}, {"kind": "ridge", "horizons": [1], "context_length": 24}]
    changes = {"analysts": analysts, "blend": {"min_days": 40}, "observe": "blend"}
    experiment = make_small(tmp_path / "prices.csv", **changes)
    prepared, _, _ = run_small(tmp_path / "runs", experiment)
    path = str(prepared.run.path)
    result = CliRunner().invoke(app, ["ablate", path, "--json"])
    assert result.exit_code == 0, result.output
    raw = json.loads(result.stdout)
    assert [(item["subject"], item["kind"]) for item in raw["ablations"]] == [
        ("direct", "agent"),
        ("blend", "blend"),
        ("ridge", "analyst"),
    ]
    assert raw["without_inputs"] == ["naive"]
    assert [part["name"] for part in raw["ablations"][0]["parts"]] == list(prepared.observed.names)
    ways = [(item["way"], item["measure"]) for part in raw["ablations"][0]["parts"] for item in part["changes"]]
    assert set(ways) <= {("dropped", "sharpe"), ("permuted", "sharpe")}
    assert json.loads(prepared.run.ablation.read_text(encoding="utf-8")) == raw
    # What a later call does not ask about stays.
    name = raw["ablations"][-1]["subject"]
    assert CliRunner().invoke(app, ["ablate", path, "--analyst", name]).exit_code == 0
    kept = json.loads(prepared.run.ablation.read_text(encoding="utf-8"))
    assert {item["subject"] for item in kept["ablations"]} == {item["subject"] for item in raw["ablations"]}
    table = CliRunner().invoke(app, ["ablate", path, "--analyst", "ridge"])
    assert table.exit_code == 0 and "return_1" in table.output and "no credible change" in table.output
    for more, message in (
        (["--agent", "ppo"], "no agent is called 'ppo'; the run has direct"),
        (["--analyst", "rigde"], "no analyst is called 'rigde'"),
    ):
        result = CliRunner().invoke(app, ["ablate", path, *more])
        assert result.exit_code == 2 and message in result.output and result.output.count("\n") <= 2
    result = CliRunner().invoke(app, ["ablate", str(tmp_path)])
    assert result.exit_code == 2 and "holds no run" in result.output


def test_a_run_without_trained_agents_can_still_be_asked_for_its_analysts(tmp_path: Path) -> None:
    from alfred.training import pipeline

    write_prices(tmp_path)
    analysts = [{"kind": "ridge", "horizons": [1], "context_length": 24}]
    prepared = pipeline.forecast(make_small(tmp_path / "prices.csv", analysts=analysts), tmp_path / "runs")
    result = CliRunner().invoke(app, ["ablate", str(prepared.run.path)])
    assert result.exit_code == 2 and "error:" in result.output
    result = CliRunner().invoke(app, ["ablate", str(prepared.run.path), "--analyst", "ridge", "--json"])
    assert result.exit_code == 0, result.output
    assert [item["subject"] for item in json.loads(result.stdout)["ablations"]] == ["ridge"]
