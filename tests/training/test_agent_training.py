"""Training over folds and seeds: cut markets, curves, finished trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alfred.config import TrainingSettings
from alfred.data.settings import SplitSettings
from alfred.data.signals import Signals
from alfred.data.splits import make_folds
from alfred.data.synthetic import make_noise_market
from alfred.envs.settings import PortfolioSettings
from alfred.errors import CheckpointError
from alfred.learning.events import read_scalars
from alfred.training.cross_fitting.blocks import read_pooled
from alfred.training.cross_fitting.folds import TrainedAgent, load_trained, train_agents
from alfred.training.cross_fitting.held_out import HeldOut
from alfred.training.cross_fitting.utility import compute_utility
from alfred.training.progress import Silence
from alfred.training.tensorboard.layout import BEYOND_START, SEEDS
from tests.agents.tasks import make_observation, make_tiny

WORLD = make_noise_market(n_assets=4, n_days=700, n_signals=5, seed=3)
FOLDS = make_folds(WORLD.market.dates, SplitSettings(n_folds=2, validation_days=60, min_train_days=200), 1)


def train(folder: Path, signals: Signals = WORLD.signals) -> list[TrainedAgent]:
    return train_agents(
        WORLD.market,
        signals,
        FOLDS,
        make_tiny("direct", total_steps=2_048, log_every=1, validation_blocks=2),
        PortfolioSettings(execution="next_close"),
        TrainingSettings(n_seeds=2),
        seed=5,
        n_jobs=1,
        folder=folder,
        reporter=Silence(),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: None) -> tuple[list[TrainedAgent], Path]:
    folder = tmp_path_factory.mktemp("trained")
    return train(folder), folder


def test_every_fold_and_seed_is_trained(trained: tuple[list[TrainedAgent], Path]) -> None:
    assert [(item.fold, item.seed) for item in trained[0]] == [(0, 5), (0, 6), (1, 5), (1, 6)]
    assert all(np.isfinite([item.train_sharpe, item.validation_sharpe]).all() for item in trained[0])


def test_a_finished_training_is_read_and_not_made_again(trained: tuple[list[TrainedAgent], Path]) -> None:
    again = train(trained[1])
    observation = make_observation(5)
    for first, second in zip(trained[0], again, strict=True):
        np.testing.assert_array_equal(first.policy.predict(observation), second.policy.predict(observation))
        assert first.validation_sharpe == second.validation_sharpe
    with pytest.raises(CheckpointError, match="does not hold a finished training"):
        load_trained(trained[1] / "nowhere", 0, 5)


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"histograms": 0}).Reload()  # all of them


def list_points(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_a_block_shows_what_its_checkpoints_earned(trained: tuple[list[TrainedAgent], Path]) -> None:
    folder = trained[1] / "fold0" / "seed5" / "block0"
    events, record = read(folder), HeldOut.load(folder)
    assert record is not None
    points = list_points(events, "1_validation/utility_pct_a_year")
    assert points == [(s, pytest.approx(v, rel=1e-5)) for s, v in zip(record.steps, record.utility, strict=True)]
    beyond = [value - record.utility[0] for value in record.utility]
    points = list_points(events, "1_validation/beyond_start_pct_a_year")
    assert [value for _, value in points] == pytest.approx(beyond, abs=1e-4)
    # Training and validation are paid in the same unit: the start stands still at equal weights, and earns its costs.
    reward = list_points(events, "1_validation/reward")
    assert abs(reward[0][1]) < 0.02
    assert reward[-1][1] - reward[0][1] == pytest.approx(beyond[-1] / 252, abs=1e-6)
    assert len(events.Scalars("2_train/reward")) == len(events.Scalars("2_train/turnover")) > 0
    assert {"5_distributions/weights", "5_distributions/actions"} == set(events.Tags()["histograms"])
    weights = events.Histograms("5_distributions/weights")[0].histogram_value
    assert weights.num == 5 * len(record.net[0])
    assert weights.max < 0.3  # equal weights of five assets, and their drift
    assert weights.sum == pytest.approx(len(record.net[0]), rel=0.03)  # less the sessions before the first trade


def test_a_training_shows_what_it_kept(trained: tuple[list[TrainedAgent], Path]) -> None:
    agents, folder = trained
    item = agents[1]
    place = folder / "fold0" / "seed6"
    events, pooled = read(place), read_pooled(place, make_tiny("direct", validation_blocks=2))
    assert pooled is not None
    points = list_points(events, "1_validation/utility_pct_a_year")
    assert points == [(s, pytest.approx(v, rel=1e-5)) for s, v in zip(pooled.steps, pooled.utility, strict=True)]
    found = {name: events.Scalars(f"4_result/{name}")[0].value for name in ("chosen_step", "gain_pct_a_year")}
    assert found == {"chosen_step": item.kept.step, "gain_pct_a_year": pytest.approx(item.kept.gain, rel=1e-5)}
    assert set(events.Tags()["images"]) == {"1_wealth", "2_weights"}
    last = read(place / "block1").Histograms("5_distributions/weights")
    assert events.Histograms("5_distributions/weights")[-1].histogram_value == last[-1].histogram_value
    text = events.Tensors("training/text_summary")[0].tensor_proto.string_val[0].decode()
    told = "kept the start: did not learn" if item.kept.untrained else f"step {item.kept.step:,} of 2,048 was chosen"
    assert f"**{told}; validation, " in text
    # Beside them stand the means of what the trainings on blocks wrote; nothing is written session by session.
    blocks = [read_scalars(place / f"block{number}")["2_train/reward"] for number in range(2)]
    means = {step: np.mean([block[step] for block in blocks]) for step in blocks[0]}
    assert dict(list_points(events, "2_train/reward")) == pytest.approx(means, rel=1e-5)
    assert max(len(events.Scalars(tag)) for tag in events.Tags()["scalars"]) == len(means)
    assert sum(path.stat().st_size for path in place.rglob("events.*")) < 200_000


def test_the_seeds_of_a_fold_are_a_band(trained: tuple[list[TrainedAgent], Path]) -> None:
    band = read(trained[1] / "fold1")
    curves = np.array(
        [
            [value for _, value in list_points(read(trained[1] / "fold1" / f"seed{seed}"), BEYOND_START)]
            for seed in (5, 6)
        ]
    )
    expected = {"mean": curves.mean(axis=0), "low": curves.min(axis=0), "high": curves.max(axis=0)}
    for end, values in expected.items():
        assert [value for _, value in list_points(band, f"{SEEDS}_{end}")] == pytest.approx(list(values), abs=1e-5)


@pytest.mark.slow
def test_what_comes_after_validation_cannot_change_a_training(
    trained: tuple[list[TrainedAgent], Path], tmp_path: Path
) -> None:
    scrambled = WORLD.signals.values.copy()
    late = WORLD.signals.dates > FOLDS[0].validation[1]
    scrambled[late] = np.random.default_rng(0).normal(size=scrambled[late].shape)
    signals = WORLD.signals
    changed = Signals(signals.dates, signals.symbols, signals.names, scrambled, signals.trained_until, signals.horizons)
    again = train(tmp_path, changed)
    observation = make_observation(5)
    for first, second in zip(trained[0][:2], again[:2], strict=True):
        np.testing.assert_array_equal(first.policy.predict(observation), second.policy.predict(observation))
    assert read_curves(trained[1] / "fold0") == read_curves(tmp_path / "fold0")
    # The second fold trains on some of what was scrambled: the test can fail.
    assert read_curves(trained[1] / "fold1") != read_curves(tmp_path / "fold1")


def read_curves(fold: Path) -> list[list[float]]:
    """Return what the checkpoints of every block of a fold earned, kept or not."""
    records = [HeldOut.load(place) for place in sorted(fold.glob("seed*/block*"))]
    assert len(records) == 4
    return [record.utility for record in records if record is not None]


def test_utility_is_its_formula() -> None:
    class Record:
        net = np.array([0.01, -0.02, 0.005])
        periods_per_year = 52

    expected = 5_200 * np.mean([np.log(1 + r) - 5 * r**2 for r in Record.net])
    assert compute_utility(Record, 10.0) == pytest.approx(expected)  # type: ignore[arg-type]
    assert pd.Timestamp(FOLDS[0].test[0]) > pd.Timestamp(FOLDS[0].validation[1])
