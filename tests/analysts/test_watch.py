"""Curves and checkpoints of a training deep inside a fit, without its knowing of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import TensorDataset

from alfred.analysts.settings import LstmSettings
from alfred.config import ForecastSettings
from alfred.errors import CheckpointError
from alfred.learning.fitting import FittingReport, fit_module
from alfred.learning.settings import FittingSettings
from alfred.learning.watch import watch_training
from alfred.training.forecasting import forecast_walk_forward
from tests.conftest import make_random_market

SETTINGS = FittingSettings(steps=40, batch_size=8, learning_rate=0.02, validate_every=10, checkpoint_every=7)


class Killed(BaseException):
    pass


def make_module() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.2), nn.Tanh(), nn.Linear(16, 1))


def fit(module: nn.Module, settings: FittingSettings = SETTINGS, kill_at: int | None = None) -> FittingReport:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(60, 3, generator=generator)
    examples = TensorDataset(x, torch.tanh(x.sum(1, keepdim=True)))
    taken = 0

    def compute_loss(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        nonlocal taken
        taken += module.training
        if kill_at is not None and taken > kill_at:
            raise Killed
        return nn.functional.mse_loss(module(batch[0]), batch[1])

    return fit_module(module, compute_loss, train=examples, validation=examples, settings=settings)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_curves_hold_what_happened(tmp_path: Path) -> None:
    module = make_module()
    with watch_training(curves=tmp_path, checkpoints=None) as watch:
        report = fit(module)
        fit(make_module())
    assert watch.n_begun == 2 and sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    curves = read(tmp_path / "0")
    assert [(s, pytest.approx(v, rel=1e-5)) for s, v in report.validations] == curves["6_analyst_loss/validation"]
    assert [step for step, _ in curves["6_analyst_loss/train"]] == list(range(1, 41))
    # The parts together have the norm of the whole, before it is scaled down.
    for row, (_, whole) in enumerate(curves["7_analyst_fit/gradient_norm"]):
        parts = [curves[f"8_analyst_gradients/{name}"][row][1] for name in ("0", "3")]
        assert math.hypot(*parts) == pytest.approx(whole, rel=1e-4)
    assert all(0 < value <= 1 / 0.8 for _, value in curves["9_analyst_activations/2"])  # behind a tanh
    assert not module[0]._forward_hooks  # nothing is left behind


def test_weights_do_not_know_who_watches(tmp_path: Path) -> None:
    alone, watched = make_module(), make_module()
    fit(alone)
    with watch_training(curves=tmp_path / "curves", checkpoints=tmp_path / "points"):
        fit(watched)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name])


def test_a_killed_training_goes_on_and_ends_alike(tmp_path: Path) -> None:
    alone, resumed = make_module(), make_module()
    points, whole, curves = tmp_path / "points", tmp_path / "whole", tmp_path / "curves"
    with watch_training(curves=whole, checkpoints=None):
        fit(alone)
    with watch_training(curves=curves, checkpoints=points), pytest.raises(Killed):
        fit(resumed, kill_at=25)
    resumed = make_module()
    with watch_training(curves=curves, checkpoints=points) as watch:
        fit(resumed, kill_at=40 - 21)  # checkpoints are seven steps apart: no more than this is left to do
    for name, value in alone.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert read(curves / "0") == read(whole / "0")  # no point is doubled, and none is lost
    watch.forget()
    assert not points.exists()


def test_mixed_precision_trains_and_stays_near(tmp_path: Path) -> None:
    full, mixed = make_module(), make_module()
    exact = fit(full)
    report = fit(mixed, SETTINGS.model_copy(update={"precision": "bfloat16"}))
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    assert report.best_loss == pytest.approx(exact.best_loss, rel=0.1)
    assert report.best_loss != exact.best_loss  # else nothing was computed in less


def test_a_refit_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = make_random_market(260, 3)
    brief = FittingSettings(steps=20, batch_size=32, validate_every=5, checkpoint_every=5)
    settings = LstmSettings(context_length=8, horizons=(1,), fitting=brief)
    schedule = ForecastSettings(min_train_days=150, refit_every_days=200, cache=tmp_path / "cache")
    expected = forecast_walk_forward(market, settings, schedule.model_copy(update={"cache": None}))
    taken = []
    from alfred.learning import fitting

    step = fitting._take_step

    def kill(*args: object) -> tuple[float, float]:
        taken.append(args[5])
        if len(taken) == 13:
            raise Killed
        return step(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "_take_step", kill)
    with pytest.raises(Killed):
        forecast_walk_forward(market, settings, schedule)
    found = forecast_walk_forward(market, settings, schedule, curves=tmp_path / "curves")
    assert taken[12:14] == [12, 10]  # from the checkpoint after ten steps
    np.testing.assert_array_equal(found.values, expected.values)
    assert not list((tmp_path / "cache").glob("*/training"))
    until = str(market.dates[149].date())
    assert "6_analyst_loss/train" in read(tmp_path / "curves" / until / "0")


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    point = tmp_path / "run.safetensors"

    def fit_on(seed: int) -> FittingReport:
        module = make_module()
        x = torch.randn(60, 3, generator=torch.Generator().manual_seed(seed))
        examples = TensorDataset(x, torch.tanh(x.sum(1, keepdim=True)))
        return fit_module(
            module,
            lambda batch: nn.functional.mse_loss(module(batch[0]), batch[1]),
            train=examples,
            validation=examples,
            settings=SETTINGS,
            checkpoint=point,
        )

    assert fit_on(1) == fit_on(1)
    with pytest.raises(CheckpointError, match="was written with train=60 examples"):
        fit_on(2)
