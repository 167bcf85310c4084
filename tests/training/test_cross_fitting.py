"""Trainings on blocks that are held out in turn: what is learnt from, what is judged on, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.agents.settings import DirectSettings
from alfred.data.settings import SplitSettings
from alfred.data.splits import Fold, make_folds
from alfred.data.synthetic import make_planted_market
from alfred.envs.gym.episodes import draw_windows, prepare_tape
from alfred.envs.settings import PortfolioSettings, RewardSettings
from alfred.errors import CheckpointError, DataError
from alfred.training.cross_fitting.blocks import count_steps
from alfred.training.cross_fitting.folds import TrainedAgent, train_agent
from alfred.training.cross_fitting.held_out import FILE, HeldOut, cut_blocks

ENVIRONMENT = PortfolioSettings(cost_bps=5.0, slippage_bps=0.0, reward=RewardSettings(risk_aversion=10.0))
SPLITS = SplitSettings(n_folds=1, min_train_days=300, validation_days=60)
SETTINGS = DirectSettings(
    total_steps=16_384, validate_every=4_096, n_portfolios=64, checkpoint_every=4_096, hidden=(16,), patience=None
)


def make_world(ic: float, n_days: int = 1_300) -> tuple[object, object, Fold]:
    world = make_planted_market(ic, n_days=n_days, seed=11)
    splits = SPLITS.model_copy(update={"test_start": world.market.dates[n_days - 60].date()})
    [fold] = make_folds(world.market.dates, splits, 1)
    return world.market.until(fold.validation[1]), world.signals.until(fold.validation[1]), fold


def train(folder: Path, ic: float, **changes: object) -> TrainedAgent:
    market, signals, fold = make_world(ic)
    settings = SETTINGS.model_copy(update=changes)
    return train_agent(market, signals, fold, settings, ENVIRONMENT, 0, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_blocks", [1, 2, 4])
def test_nothing_near_a_block_is_learnt_from(n_blocks: int) -> None:
    market, signals, fold = make_world(0.05)
    tape = prepare_tape(market, signals, ENVIRONMENT, start=fold.train[0], end=fold.validation[1])  # type: ignore[arg-type]
    blocks = cut_blocks(tape, fold, market.dates, n_blocks)  # type: ignore[attr-defined]
    assert len(blocks) == n_blocks
    gap = 1 + 1 + SPLITS.embargo_days  # horizon, lag, embargo
    judged = np.zeros(tape.n_bars, dtype=bool)
    for block in blocks:
        held = np.asarray((tape.dates >= block.held_out[0]) & (tape.dates <= block.held_out[1]))
        assert not (judged & held).any()
        judged |= held
        learnt = np.zeros(tape.n_bars, dtype=bool)
        for first, stop in block.spans:
            learnt[first:stop] = True
        distance = np.abs(np.flatnonzero(learnt)[:, None] - np.flatnonzero(held)).min()
        assert distance == gap + 1
        if n_blocks > 1:
            assert learnt.sum() >= tape.n_bars - held.sum() - 2 * gap
    assert judged.all() if n_blocks > 1 else judged.sum() == len(tape.dates[tape.dates >= fold.validation[0]])


def test_episodes_lie_in_the_ranges_that_may_be_learnt_from() -> None:
    market, signals, fold = make_world(0.05)
    tape = prepare_tape(market, signals, ENVIRONMENT, end=fold.validation[1])  # type: ignore[arg-type]
    object.__setattr__(tape, "spans", ((0, 100), (300, 340), (900, tape.n_bars)))
    settings = ENVIRONMENT.model_copy(update={"episode_length": 50})
    start, stop = draw_windows(tape, settings, 5_000, np.random.default_rng(0))
    inside = ((start >= 0) & (stop <= 100)) | ((start >= 900) & (stop <= tape.n_bars))
    assert inside.all() and (start < 100).any() and (start >= 900).any()
    assert start.min() == 0 and stop.max() == tape.n_bars and (stop[start < 100]).max() == 100
    assert tape.longest_span == tape.n_bars - 900


@pytest.mark.slow
def test_a_strong_signal_is_kept_and_noise_is_not(tmp_path: Path) -> None:
    learnt = train(tmp_path / "signal", 0.2)
    assert not learnt.kept.untrained and learnt.kept.gain > 3 * learnt.kept.gain_error
    assert learnt.policy.network.get_parameter("slopes").any()
    noise = train(tmp_path / "noise", 0.0)
    assert noise.kept.untrained and noise.kept.step == 0
    observation = {
        "signals": np.random.default_rng(0).normal(size=(2, 11, 5)).astype(np.float32),
        "weights": np.full((2, 12), 1 / 12, np.float32),
        "market": np.zeros((2, 6), np.float32),
        "tradable": np.ones((2, 11), np.float32),
        "holdable": np.array([[1.0] * 10 + [0.0]] * 2, np.float32),
    }
    np.testing.assert_allclose(noise.policy.predict(observation)[:, :10], 0.1, atol=1e-3)
    assert not (tmp_path / "noise" / "whole").exists()  # nothing to train on everything for


@pytest.mark.slow
def test_a_training_that_was_interrupted_goes_on_to_the_same_end(tmp_path: Path) -> None:
    market, signals, fold = make_world(0.2)
    whole = train(tmp_path / "whole", 0.2)
    told: list[int] = []

    def stop_at(limit: int) -> object:
        def progress(done: int) -> None:
            told.append(done)
            if done > limit:
                raise KeyboardInterrupt

        return progress

    for limit in (6_000, 40_000, 70_000):  # in the first block, in the third, and in the training on everything
        with pytest.raises(KeyboardInterrupt):
            train_agent(
                market,  # type: ignore[arg-type]
                signals,  # type: ignore[arg-type]
                fold,
                SETTINGS,
                ENVIRONMENT,
                0,
                tmp_path / "cut",
                progress=stop_at(limit),  # type: ignore[arg-type]
            )
    again = train(tmp_path / "cut", 0.2)
    assert again.kept == whole.kept
    for mine, other in zip(whole.policy.network.parameters(), again.policy.network.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert max(told) <= count_steps(SETTINGS)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="is damaged"):
        HeldOut.load(tmp_path)


def test_a_history_that_is_too_short_for_the_blocks_is_refused(tmp_path: Path) -> None:
    market, signals, fold = make_world(0.2, n_days=450)
    settings = SETTINGS.model_copy(update={"validation_blocks": 20})
    environment = ENVIRONMENT.model_copy(update={"rebalance_every": 5})
    with pytest.raises(DataError, match="too few for validation_blocks 20"):
        train_agent(market, signals, fold, settings, environment, 0, tmp_path)  # type: ignore[arg-type]
