"""Which signals move an agent's weights: on a planted market the answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alfred.agents.settings import DirectSettings
from alfred.cli import app
from alfred.config import TrainingSettings, parse_experiment
from alfred.data.settings import SplitSettings
from alfred.data.splits import make_folds
from alfred.data.synthetic import make_planted_market
from alfred.errors import ConfigError
from alfred.evaluation.backtest import backtest, make_walk
from alfred.evaluation.explanation import Explanation
from alfred.training.cross_fitting.folds import TrainedAgent, train_agents
from alfred.training.judging.explain import draw_lanes, explain, walk_lanes
from alfred.training.judging.walking import find_first_decision, make_stages
from alfred.training.prepared import Prepared
from alfred.training.progress import Silence
from alfred.training.runs import RunFolder
from tests.training.small import make_small, run_small, write_prices


def prepare(folder: Path, ic: float, seed: int, n_days: int = 2_600) -> tuple[Prepared, dict[str, list[TrainedAgent]]]:
    """A run on a planted market whose signals were not forecast but drawn."""
    world = make_planted_market(ic, n_days=n_days, seed=seed)
    direct = {"kind": "direct", "total_steps": 65_536, "validate_every": 16_384, "n_portfolios": 128, "patience": None}
    experiment = parse_experiment(
        {
            "analysts": [{"kind": "naive"}],
            "agents": [direct],
            "baselines": [],
            "seed": seed,
            "env": {"cost_bps": 5, "slippage_bps": 0, "reward": {"risk_aversion": 10}},
        }
    )
    folds = make_folds(world.market.dates, SplitSettings(n_folds=1, test_start=world.market.dates[-800].date()), 2)
    prepared = Prepared(experiment, RunFolder(folder / "run"), world.market, folds, world.signals)
    [settings] = experiment.agents
    assert isinstance(settings, DirectSettings)
    trained = train_agents(
        world.market,
        world.signals.scaled(),
        folds,
        settings,
        experiment.env,
        TrainingSettings(n_seeds=1),
        seed=seed,
        n_jobs=1,
        folder=folder,
        reporter=Silence(),
    )
    return prepared, {settings.label: trained}


def find_helpers(found: Explanation) -> list[str]:
    return [item.name for item in found.signals if item.verdict in ("helps", "hurts")]


@pytest.mark.slow
def test_the_planted_signal_is_named_and_no_other(tmp_path: Path) -> None:
    prepared, trained = prepare(tmp_path, 0.1, seed=1)
    found = explain(prepared, trained, drop=True)
    assert find_helpers(found) == ["planted.signal"]
    planted, *others = found.signals
    assert planted.verdict == "helps" and planted.ci is not None and planted.ci[0] > 0
    assert planted.weight_change > 2 * max(item.weight_change for item in others)
    assert planted.dropped_sharpe_change is not None and planted.dropped_sharpe_change > 0.2
    assert "planted.signal credibly raised its Sharpe ratio" in found.sentence
    json.dumps(found.to_json(), allow_nan=False)
    assert explain(prepared, trained, drop=True).to_json() == found.to_json()  # drawn from the seed of the run
    with pytest.raises(ConfigError, match=r"no agent is called .direkt..*Did you mean .direct."):
        explain(prepared, trained, "direkt")


@pytest.mark.slow
def test_nine_of_ten_seeds_name_the_planted_signal_and_no_other(tmp_path: Path) -> None:
    right = 0
    for seed in range(10):
        prepared, trained = prepare(tmp_path / str(seed), 0.1, seed)
        right += find_helpers(explain(prepared, trained)) == ["planted.signal"]
    assert right >= 9


@pytest.mark.slow
def test_the_first_lane_is_the_backtest_and_a_shift_is_a_shift(tmp_path: Path) -> None:
    prepared, trained = prepare(tmp_path, 0.2, seed=1, n_days=1_900)
    [settings] = prepared.experiment.agents
    stages = make_stages(settings, trained[settings.label], prepared.folds)
    span = {"start": find_first_decision(prepared), "end": prepared.folds[-1].test[1]}
    scaled = prepared.signals.scaled()
    env = make_walk(prepared.market, scaled, prepared.experiment.env, stages[0].policy, **span)
    lanes = draw_lanes(scaled.values.shape[2], env.tape.n_bars, 2, True, seed=3)
    assert len(lanes) == 1 + 5 * 3 and lanes[0] is None
    distance, excess = walk_lanes(stages, env, lanes, Silence())
    record = backtest(stages, make_walk(prepared.market, scaled, prepared.experiment.env, stages[0].policy, **span))
    np.testing.assert_allclose(
        excess[:, 0], record.excess[: len(excess)], atol=1e-6
    )  # batches round in single precision
    assert distance[0] == 0.0 and (distance[1:4] > 1e-3).all()
    # The second lane once more, with the signals themselves shifted before the walk.
    lane = lanes[1]
    assert lane is not None and lane.shift is not None
    values = scaled.values.copy()
    first = int(scaled.dates.get_loc(span["start"]))
    rows = first + (np.arange(env.tape.n_bars) + lane.shift) % env.tape.n_bars
    values[first : first + env.tape.n_bars, :, 0] = scaled.values[rows, :, 0]
    object.__setattr__(scaled, "values", values)
    again = backtest(stages, make_walk(prepared.market, scaled, prepared.experiment.env, stages[0].policy, **span))
    np.testing.assert_allclose(excess[:, 1], again.excess[: len(excess)], atol=1e-6)


def test_a_run_that_kept_its_start_says_so(tmp_path: Path) -> None:
    write_prices(tmp_path)
    prepared, _, _ = run_small(tmp_path / "runs", make_small(tmp_path / "prices.csv"))
    result = CliRunner().invoke(app, ["explain", str(prepared.run.path), "--json"])
    assert result.exit_code == 0, result.output
    raw = json.loads(result.stdout)
    assert [item["name"] for item in raw["signals"]] == list(prepared.signals.names)
    assert {item["verdict"] for item in raw["signals"]} == {"no effect"}
    assert {item["weight_change"] for item in raw["signals"]} == {0.0}
    assert raw["sentence"] == "direct did not learn: no signal moves its weights."
    page = prepared.run.report.read_text(encoding="utf-8")
    assert "did not learn: no signal moves its weights" in page
    stored = json.loads(prepared.run.explanation.read_text(encoding="utf-8"))
    assert stored["signals"] == raw["signals"]
    result = CliRunner().invoke(app, ["ablate", str(prepared.run.path), "--agent", "direct", "--json"])
    [ablated] = json.loads(result.stdout)["ablations"]
    assert ablated["sentence"].endswith("It did not learn: no signal moves its weights.")
    assert {part["verdict"] for part in ablated["parts"]} == {"no credible change"}
    result = CliRunner().invoke(app, ["explain", str(prepared.run.path), "--agent", "ppo"])
    assert result.exit_code == 2 and "no agent is called 'ppo'" in result.output
