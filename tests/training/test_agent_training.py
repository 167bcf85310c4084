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
from alfred.training.cross_fitting.folds import TrainedAgent, load_trained, train_agents
from alfred.training.progress import Silence
from alfred.training.tensorboard import compute_utility
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
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[TrainedAgent], Path]:
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


def test_the_curves_that_a_portfolio_person_wants(trained: tuple[list[TrainedAgent], Path]) -> None:
    folder = trained[1] / "fold0" / "seed5"
    events, block = EventAccumulator(str(folder)).Reload(), EventAccumulator(str(folder / "block0")).Reload()
    scalars = {*events.Tags()["scalars"], *block.Tags()["scalars"]}
    images = set(block.Tags()["images"])
    wanted = {"sharpe", "wealth", "wealth_ew", "wealth_equal_weight", "wealth_over_ew", "turnover_a_year"}
    assert {f"validation/{name}" for name in wanted} <= scalars
    assert {"chosen/wealth", "chosen/wealth_ew", "chosen/turnover", "chosen/cost_bps", "train/reward"} <= scalars
    assert any(tag.startswith("signals/noise.signal_1") for tag in scalars)
    assert {"validation/wealth_picture", "validation/weights_picture"} <= images
    assert "hparam/validation_sharpe" in scalars
    sessions = [event.step for event in events.Scalars("chosen/wealth")]
    assert sessions == list(range(len(sessions)))
    assert len(sessions) >= 58


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
    same = [
        np.array_equal(first.policy.predict(observation), second.policy.predict(observation))
        for first, second in zip(trained[0], again, strict=True)
    ]
    assert same[:2] == [True, True]
    # The second fold trains on some of what was scrambled: the test can fail.
    assert not all(same[2:])


def test_utility_is_its_formula() -> None:
    class Record:
        net = np.array([0.01, -0.02, 0.005])
        periods_per_year = 52

    expected = 5_200 * np.mean([np.log(1 + r) - 5 * r**2 for r in Record.net])
    assert compute_utility(Record, 10.0) == pytest.approx(expected)  # type: ignore[arg-type]
    assert pd.Timestamp(FOLDS[0].test[0]) > pd.Timestamp(FOLDS[0].validation[1])
