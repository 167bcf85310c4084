from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alfred.errors import CheckpointError, DataError
from alfred.learning.fitting import (
    FittingProgress,
    FittingReport,
    compute_learning_rate,
    fit_module,
    pick_rows,
    validate,
)
from alfred.learning.settings import FittingSettings

SETTINGS = FittingSettings(steps=60, batch_size=8, learning_rate=0.02, validate_every=10, checkpoint_every=7)


def make_examples(n: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator)
    return TensorDataset(x, torch.tanh(x.sum(1, keepdim=True) / 3))


def make_module() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.2), nn.Tanh(), nn.Linear(16, 1))


def fit(
    module: nn.Module,
    settings: FittingSettings = SETTINGS,
    checkpoint: Path | None = None,
    progress: Callable[[FittingProgress], None] | None = None,
) -> FittingReport:
    return fit_module(
        module,
        lambda batch: nn.functional.mse_loss(module(batch[0]), batch[1]),
        train=make_examples(50, 1),
        validation=make_examples(20, 2),
        settings=settings,
        checkpoint=checkpoint,
        progress=progress,
    )


def weights_of(module: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach()


def test_training_lowers_the_validation_loss_and_keeps_the_best_weights() -> None:
    module = make_module()
    report = fit(module)
    assert report.best_loss < 0.8 * report.validations[0][1]
    assert report.best_step > 10
    assert report.best_loss == min(loss for _, loss in report.validations)
    assert not module.training
    examples = make_examples(20, 2)
    loss = validate(module, lambda batch: nn.functional.mse_loss(module(batch[0]), batch[1]), examples, 8)
    assert loss == pytest.approx(report.best_loss, rel=1e-6)
    with torch.no_grad():
        whole = nn.functional.mse_loss(module(examples.tensors[0]), examples.tensors[1])
    assert loss == pytest.approx(float(whole))


@pytest.mark.parametrize("killed_at", [7, 33, 59])
def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(tmp_path: Path, killed_at: int) -> None:
    whole = make_module()
    fit(whole)

    def kill(progress: FittingProgress) -> None:
        if progress.step == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(make_module(), checkpoint=tmp_path / "run.safetensors", progress=kill)
    resumed, steps = make_module(), []
    fit(resumed, checkpoint=tmp_path / "run.safetensors", progress=lambda progress: steps.append(progress.step))
    assert steps[0] == killed_at // 7 * 7 + 1
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, second, steps = make_module(), make_module(), []
    report = fit(first, checkpoint=tmp_path / "run.safetensors")
    again = fit(second, checkpoint=tmp_path / "run.safetensors", progress=lambda progress: steps.append(progress.step))
    assert steps == []
    assert again == report
    assert torch.equal(weights_of(first), weights_of(second))


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    fit(make_module())
    assert torch.equal(torch.get_rng_state(), before)


def test_patience_stops_early() -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0, "patience": 2, "steps": 500})
    module = make_module()
    # Steps this small cannot change a float32 loss, so that no validation is better than the first.
    report = fit(module, settings)
    assert report.stopped_early
    assert report.steps == 30
    assert report.best_step == 10


def test_frozen_parameters_stay() -> None:
    module = make_module()
    for parameter in module[0].parameters():
        parameter.requires_grad_(False)
    before = weights_of(module[0]), weights_of(module[3])
    fit(module)
    assert torch.equal(weights_of(module[0]), before[0])
    assert not torch.equal(weights_of(module[3]), before[1])


def test_one_cycle_is_torchs() -> None:
    settings = FittingSettings(steps=37, learning_rate=0.3, schedule="one_cycle", warmup_fraction=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=37, pct_start=0.3)
    for step in range(37):
        assert compute_learning_rate(settings, step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_warmup_stable_decay_by_hand() -> None:
    settings = FittingSettings(
        steps=10, learning_rate=1.0, schedule="warmup_stable_decay", warmup_fraction=0.2, decay_fraction=0.4
    )
    rates = [compute_learning_rate(settings, step) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert compute_learning_rate(settings.model_copy(update={"schedule": "constant"}), 9) == 1.0


def test_an_epoch_shows_each_row_once_and_epochs_differ() -> None:
    epochs = [torch.cat([pick_rows(12, 4, 3 * epoch + step, seed=5) for step in range(3)]) for epoch in range(2)]
    assert sorted(epochs[0].tolist()) == sorted(epochs[1].tolist()) == list(range(12))
    assert epochs[0].tolist() != epochs[1].tolist()
    assert len(pick_rows(3, 8, 100, seed=0)) == 3


def test_empty_validation_is_refused() -> None:
    module = make_module()
    with pytest.raises(DataError, match="50 to train on and 0 to validate on"):
        fit_module(
            module,
            lambda batch: batch[0].sum(),
            train=make_examples(50, 0),
            validation=make_examples(0, 0),
            settings=SETTINGS,
        )


def test_a_loss_that_is_not_finite_is_refused() -> None:
    module = make_module()
    examples = make_examples(10, 0)
    with pytest.raises(DataError, match="training loss at step 1 is nan; lower learning_rate"):
        fit_module(
            module,
            lambda batch: module(batch[0]).sum() * float("nan"),
            train=examples,
            validation=examples,
            settings=SETTINGS,
        )


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.safetensors"
    fit(make_module(), checkpoint=file)
    with pytest.raises(CheckpointError, match=r"written with learning_rate=0.02, but this run has learning_rate=0.5"):
        fit(make_module(), SETTINGS.model_copy(update={"learning_rate": 0.5}), checkpoint=file)
    with pytest.raises(CheckpointError, match="holds the weights of another module"):
        fit(nn.Sequential(nn.Linear(3, 1)), checkpoint=file)
    file.write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="is not a checkpoint, or is damaged"):
        fit(make_module(), checkpoint=file)
