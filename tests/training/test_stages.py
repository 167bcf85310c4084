"""What is stale: results are used again exactly while nothing that matters has changed, and a line says why not."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.agents.kept import Kept
from alfred.analysts.registry import ANALYSTS
from alfred.data import Signals
from alfred.errors import CheckpointError, ConfigError
from alfred.evaluation.backtest import Backtest
from alfred.training import pipeline
from alfred.training.cross_fitting import blocks as cross_fitting
from alfred.training.cross_fitting.choice import choose
from alfred.training.cross_fitting.held_out import HeldOut
from alfred.training.pipeline import Prepared
from alfred.training.provenance.trials import TrialLog
from tests.training.small import DIRECT, make_small, run_small, stamp, write_prices

MINE = """
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.forecast import Forecast
from {helper} import SIGN
import numpy as np

class Mine(NaiveAnalyst):
    '''Follows the last move.'''

    def predict(self, contexts):
        scale = super().predict(contexts).mean + 0.01
        move = np.log(contexts.values[:, -1, 0] / contexts.values[:, -2, 0])
        return Forecast.from_gaussian(SIGN * move[:, None] + 0 * scale, scale, self.horizons)
"""


def read_policies(prepared: Prepared) -> list[bytes]:
    return [path.read_bytes() for path in sorted(prepared.run.path.rglob("policy.safetensors"))]


def test_nothing_changed_and_nothing_is_computed(root: Path) -> None:
    before = stamp(root), stamp(root, "0*.parquet")
    shutil.rmtree(root / "runs" / ".cache")  # it is for other runs
    _, lines, _ = run_small(root / "runs", make_small(root / "prices.csv"))
    assert lines.reasons == []
    assert lines.begun == []
    assert (stamp(root), stamp(root, "0*.parquet")) == before
    assert before[0]


@pytest.mark.slow
def test_earlier_history_trains_again_and_gives_what_a_new_run_gives(root: Path) -> None:
    write_prices(root, first=0)
    experiment = make_small(root / "prices.csv")
    prepared, lines, rows = run_small(root / "runs", experiment)
    assert "direct fold 1 seed 0: trained again, the training data changed" in lines.reasons
    assert "analyst momentum: forecast again, the data changed" in lines.reasons
    assert "evaluation: made again, the data changed" in lines.reasons
    clean, _, expected = run_small(root / "elsewhere", experiment)
    assert read_policies(prepared) == read_policies(clean)
    assert [row.to_json() for row in rows] == [row.to_json() for row in expected]


def test_one_changed_price_forecasts_and_trains_again(root: Path) -> None:
    table = pd.read_csv(root / "prices.csv")
    table.loc[3, ["close", "high"]] = table.loc[3, "high"] * 1.01
    table.to_csv(root / "prices.csv", index=False)
    assert len(run_small(root / "runs", make_small(root / "prices.csv"), judge=False)[1].reasons) == 4


def test_what_only_the_report_reads_computes_nothing(root: Path) -> None:
    changes: dict[str, object] = {
        "n_trials": 7,
        "intervals": {"n_replicates": 120},
        "training": {"n_seeds": 1, "n_jobs": 2},
        "forecast": {"min_train_days": 260, "refit_every_days": 100, "cache": None},
    }
    _, lines, rows = run_small(root / "runs", make_small(root / "prices.csv", **changes))
    assert (lines.begun, lines.reasons) == ([], [])
    assert rows[0].versus_benchmark.n_trials == 8


def test_other_baselines_are_judged_without_training(root: Path) -> None:
    before = stamp(root)
    changed = make_small(root / "prices.csv", baselines=[{"kind": "momentum"}, {"kind": "trend"}])
    _, lines, rows = run_small(root / "runs", changed)
    assert lines.reasons == ["evaluation: made again, the baselines changed"]
    assert stamp(root) == before
    assert len(rows) == 5
    # Fewer baselines: no record of an earlier evaluation is left to be read as one of this.
    _, _, rows = run_small(root / "runs", make_small(root / "prices.csv"))
    assert [row.name for row in rows] == ["direct", "SPY", "equal weight"]
    assert len(pipeline.rewrite_report(pipeline.reopen(root / "runs" / "small"))) == 3


def test_only_the_agent_that_changed_is_trained_again(root: Path) -> None:
    two = [DIRECT, {**DIRECT, "name": "other"}]
    run_small(root / "runs", make_small(root / "prices.csv", agents=two), judge=False)
    before = stamp(root)
    changed = [DIRECT, {**DIRECT, "name": "other", "learning_rate": 0.002}]
    _, lines, _ = run_small(root / "runs", make_small(root / "prices.csv", agents=changed), judge=False)
    assert lines.reasons == [f"other fold {n} seed 0: trained again, its settings changed" for n in (0, 1)]
    after = stamp(root)
    assert {name for name in before if after[name] != before[name]} == {name for name in before if "other" in name}


def test_another_environment_trains_again(root: Path) -> None:
    changed = make_small(root / "prices.csv", env={"constraints": {"max_weight": 0.5}})
    _, lines, _ = run_small(root / "runs", changed, judge=False)
    assert lines.reasons == [f"direct fold {n} seed 0: trained again, the environment changed" for n in (0, 1)]


def test_more_seeds_train_only_the_new_ones(root: Path) -> None:
    before = stamp(root)
    more = make_small(root / "prices.csv", training={"n_seeds": 2, "n_jobs": 1})
    assert run_small(root / "runs", more, judge=False)[1].begun == ["direct fold 0 seed 1", "direct fold 1 seed 1"]
    assert before.items() <= stamp(root).items()


def test_a_changed_analyst_forecasts_again_and_trains_who_hears_it(root: Path) -> None:
    shorter = [{"kind": "naive", "horizons": [1], "context_length": 50}, {"kind": "momentum", "horizons": [1]}]
    _, lines, _ = run_small(root / "runs", make_small(root / "prices.csv", analysts=shorter), judge=False)
    assert lines.reasons[:2] == [
        "analyst naive: forecast again, its settings changed",
        "direct fold 0 seed 0: trained again, the signals of naive changed",
    ]
    assert "analyst momentum" not in lines.begun


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """An analyst of a user's own, in a module that imports another one."""
    # Compiled files know sources apart by whole seconds and sizes; a flipped sign within a second looks the same.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ANALYSTS, "naive", "mine_of_test:Mine")
    names = ("mine_of_test", "helper_of_test")

    def write(source: str, helper: str) -> None:
        (tmp_path / "mine_of_test.py").write_text(source.format(helper="helper_of_test"))
        (tmp_path / "helper_of_test.py").write_text(helper)
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_a_sign_flipped_in_ones_own_analyst_counts(tmp_path: Path, mine: Callable[[str, str], None]) -> None:
    mine(MINE, "SIGN = +1.0\n")
    experiment = make_small(
        write_prices(tmp_path),
        analysts=[{"kind": "naive", "horizons": [1], "name": "own"}],
        splits={"n_folds": 1, "min_train_days": 60, "validation_days": 40, "embargo_days": 0},
    )

    def run() -> tuple[np.ndarray, list[str]]:
        prepared, lines, _ = run_small(tmp_path / "runs", experiment, judge=False)
        return prepared.signals.select(["own.expected_return_1"]).values, lines.reasons

    first, _ = run()
    mine("# a comment\n" + MINE.replace("Follows the last move.", "Other words."), "SIGN = +1.0  # the same\n")
    assert run()[1] == []
    reasons = [
        "analyst own: forecast again, its code changed",
        "direct fold 0 seed 0: trained again, the signals of own changed",
    ]
    flipped = MINE.replace("SIGN *", "-SIGN *")
    for source, helper, sign in ((flipped, "SIGN = +1.0\n", -1), (flipped, "SIGN = -1.0\n", 1)):
        mine(source, helper)
        values, said = run()
        assert said == reasons
        np.testing.assert_array_equal(values, sign * first)


def test_fresh_computes_everything(root: Path) -> None:
    # A piece of the cache that is whole but wrong, as a bug of an earlier version might have left it.
    for path in (root / "runs" / ".cache").rglob("*.npy"):
        np.save(path, np.full_like(np.load(path), 7.0))
    experiment = make_small(root / "prices.csv")
    truth = Signals.load(root / "runs" / "small" / "signals.parquet")
    prepared, lines, _ = run_small(root / "runs", experiment, fresh=True, judge=False)
    np.testing.assert_array_equal(prepared.signals.values, truth.values)
    assert set(lines.begun) >= {"analyst naive", "analyst momentum", "direct fold 0 seed 0"}


def test_evaluate_refuses_agents_of_other_signals(root: Path) -> None:
    shorter = [{"kind": "naive", "horizons": [1], "context_length": 50}, {"kind": "momentum", "horizons": [1]}]
    pipeline.forecast(make_small(root / "prices.csv", analysts=shorter), root / "runs")
    reopened = pipeline.reopen(root / "runs" / "small")
    with pytest.raises(CheckpointError, match="was trained on something else: the signals of naive changed"):
        pipeline.load_trainings(reopened)


def test_damaged_results_are_made_again(root: Path) -> None:
    truth = read_policies(pipeline.reopen(root / "runs" / "small"))
    folder = root / "runs" / "small"
    (folder / "agents" / "direct" / "fold0" / "seed0" / "policy.safetensors").write_bytes(b"half")
    (folder / "forecasts" / "naive" / "signals.parquet").write_bytes(b"half")
    (folder / "agents" / "direct" / "fold1" / "seed0" / "stage.json").unlink()
    prepared, lines, _ = run_small(root / "runs", make_small(root / "prices.csv"))
    assert lines.reasons == [
        "analyst naive: forecast again, its signals are damaged",
        "direct fold 0 seed 0: trained again, its files are damaged",
        "direct fold 1 seed 0: trained again, nothing says what it was made from",
    ]
    assert read_policies(prepared) == truth
    record = next((folder / "backtests").glob("01-*.parquet"))
    before = Backtest.load(record).net
    record.write_bytes(b"half")
    assert run_small(root / "runs", make_small(root / "prices.csv"))[1].reasons == [
        "evaluation: made again, its records are damaged"
    ]
    np.testing.assert_array_equal(Backtest.load(record).net, before)


@pytest.mark.slow
def test_a_half_finished_training_on_other_data_is_not_gone_on_with(root: Path) -> None:
    place = root / "runs" / "small" / "agents" / "direct" / "fold1" / "seed0"
    (place / "scores.json").unlink()  # as a kill leaves it
    (place / "checkpoints").mkdir()
    (place / "checkpoints" / "000000000128.safetensors").write_bytes(b"of the old data")
    write_prices(root, first=0)
    prepared, _, _ = run_small(root / "runs", make_small(root / "prices.csv"), judge=False)
    clean, _, _ = run_small(root / "elsewhere", make_small(root / "prices.csv"), judge=False)
    assert read_policies(prepared) == read_policies(clean)


def test_a_run_on_another_market_is_not_overwritten(root: Path) -> None:
    table = pd.read_csv(root / "prices.csv")
    table["symbol"] = table["symbol"].map(lambda name: name if name == "SPY" else f"X{name}")
    table.to_csv(root / "other.csv", index=False)
    with pytest.raises(ConfigError, match=r"holds a run on another market \(S0, S1, S2 against SPY there, XS0"):
        run_small(root / "runs", make_small(root / "other.csv"))
    assert json.loads((root / "runs" / "small" / "manifest.json").read_text())["universe"] == ["S0", "S1", "S2"]


@pytest.mark.slow
def test_another_order_of_agents_is_judged_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_last(record: HeldOut, periods: int) -> Kept:
        return replace(choose(record, periods), step=record.steps[-1])

    # Two agents that kept their start would be one.
    monkeypatch.setattr(cross_fitting, "choose", keep_last)
    a, b = {**DIRECT, "name": "a"}, {**DIRECT, "name": "b", "learning_rate": 0.002}
    run_small(root / "runs", make_small(root / "prices.csv", agents=[a, b]))
    before = {trial.config: trial.returns for trial in TrialLog(root / "runs").read() if trial.strategy != "direct"}
    _, lines, rows = run_small(root / "runs", make_small(root / "prices.csv", agents=[b, a]))
    assert lines.reasons == ["evaluation: made again, the trained agents changed"]
    assert [row.name for row in rows] == ["b", "a", "SPY", "equal weight"]
    after = {trial.config: trial.returns for trial in TrialLog(root / "runs").read() if trial.strategy != "direct"}
    assert after == before
    assert len(set(before.values())) == 2


def test_another_order_of_baselines_is_judged_again(root: Path) -> None:
    kinds = [{"kind": "momentum"}, {"kind": "trend"}]
    _, _, first = run_small(root / "runs", make_small(root / "prices.csv", baselines=kinds))
    _, lines, rows = run_small(root / "runs", make_small(root / "prices.csv", baselines=kinds[::-1]))
    assert lines.reasons == ["evaluation: made again, the baselines changed"]
    assert [row.name for row in rows[3:]] == [row.name for row in first[3:]][::-1]


def test_records_are_exactly_those_of_the_run(root: Path) -> None:
    experiment, folder = make_small(root / "prices.csv"), root / "runs" / "small" / "backtests"
    names = sorted(path.name for path in folder.glob("*.parquet"))
    trials = len(TrialLog(root / "runs").read())

    def remove() -> None:
        (folder / "00-direct.parquet").unlink()

    def remove_seed() -> None:
        next((folder / "seeds").glob("*.parquet")).unlink()

    def stray() -> None:
        shutil.copy(folder / "00-direct.parquet", folder / "00-direct copy.parquet")

    def swap() -> None:
        shutil.copy(folder / names[1], folder / names[0])

    for change in (remove, remove_seed, stray, swap):
        change()
        with pytest.raises(CheckpointError, match=r"run `alfred evaluate .*small`"):
            pipeline.rewrite_report(pipeline.reopen(root / "runs" / "small"))
        _, lines, rows = run_small(root / "runs", experiment)
        assert lines.reasons == ["evaluation: made again, its records are damaged"], change
        assert [row.name for row in rows] == ["direct", "SPY", "equal weight"]
        assert sorted(path.name for path in folder.glob("*.parquet")) == names
    assert len(TrialLog(root / "runs").read()) == trials
