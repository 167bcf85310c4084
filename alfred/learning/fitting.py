"""One training loop for every analyst that learns with torch.

The caller brings a module, a loss, and two sets of examples; the loop brings the optimiser, the schedule, validation,
early stopping, checkpoints and an exact resume. Examples are anything with a length that can be indexed by a tensor of
row numbers, such as `torch.utils.data.TensorDataset`:

>>> import torch
>>> from torch.utils.data import TensorDataset
>>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
>>> line = torch.nn.Linear(1, 1)
>>> report = fit_module(
...     line,
...     lambda batch: torch.nn.functional.mse_loss(line(batch[0]), batch[1]),
...     train=TensorDataset(x[::2], 3 * x[::2]),
...     validation=TensorDataset(x[1::2], 3 * x[1::2]),
...     settings=FittingSettings(steps=200, batch_size=16, learning_rate=0.1, validate_every=50),
... )
>>> report.best_loss < 1e-3
True

The examples hold the past only: split them by date before, with the last part as validation. All chance (order of the
examples, dropout, sampling inside the loss through torch's global generator) is a function of the seed and the step,
so a run that is killed and resumed from `checkpoint` ends with the same weights, bit for bit, as one that was not;
the caller's own random state is left as it was.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from alfred.errors import DataError
from alfred.learning.fitting_state import FittingState, capture, restore
from alfred.learning.settings import FittingSettings
from alfred.learning.watch import TrainingCurves, begin_training

logger = logging.getLogger(__name__)

Batch = TypeVar("Batch", covariant=True)
_SEED_STRIDE = 1_000_003  # a prime, so that neighbouring seeds and steps do not meet
_VALIDATION_STEP = -1
_DIGESTED = 64  # examples that tell one training from another
# Shape of the one-cycle schedule: first and last rate as fractions of the peak, as in Smith and Topin (2018) and torch.
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = 1 / 25e4


class Examples(Protocol[Batch]):
    """Examples that can be picked by row number."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def __getitem__(self, rows: torch.Tensor, /) -> Batch:
        """Return the batch of some rows, int64 `[B]`."""
        ...


@dataclass(frozen=True)
class FittingProgress:
    """What the progress callback is given after each step.

    Attributes:
        step: Steps done, from 1.
        steps: Steps asked for.
        loss: Training loss of this step.
        validation_loss: Mean loss over all validation examples, on steps that validated.
        learning_rate: Learning rate of this step.
        gradient_norm: 2-norm of the gradient before it was scaled down.
    """

    step: int
    steps: int
    loss: float
    validation_loss: float | None
    learning_rate: float
    gradient_norm: float


@dataclass(frozen=True)
class FittingReport:
    """How training went. The module holds the weights of `best_step`.

    Attributes:
        steps: Steps done.
        best_step: Step with the lowest validation loss.
        best_loss: That loss.
        validations: Step and loss of every validation.
        stopped_early: Whether patience ran out.
    """

    steps: int
    best_step: int
    best_loss: float
    validations: tuple[tuple[int, float], ...]
    stopped_early: bool


def fit_module(
    module: nn.Module,
    compute_loss: Callable[[Batch], torch.Tensor],
    *,
    train: Examples[Batch],
    validation: Examples[Batch],
    settings: FittingSettings,
    seed: int = 0,
    checkpoint: Path | str | None = None,
    progress: Callable[[FittingProgress], None] | None = None,
) -> FittingReport:
    """Train a module in place and leave it in eval mode with its best weights on the validation examples.

    Args:
        module: What is trained; parameters with `requires_grad` False stay as they are.
        compute_loss: Mean loss of a batch, a scalar; it calls the module itself and moves the batch to its device.
        train: Examples to learn from.
        validation: Examples to choose the best step by; later in time than `train`.
        settings: How to train.
        seed: Seed of the order of the examples and of all chance inside the loss.
        checkpoint: File to write checkpoints to; when it exists, training goes on from it. When left out, the one that
            `watch_training` gives, if any.
        progress: Called after each step.

    Raises:
        DataError: There is nothing to train or to validate on, or the loss is not finite.
        CheckpointError: The checkpoint is damaged or belongs to another module or other settings.
    """
    if not len(train) or not len(validation):
        raise DataError(
            f"training needs examples on both sides, but there are {len(train)} to train on and {len(validation)} to "
            "validate on; give a longer history, shorter windows or another validation share"
        )
    optimizer = _make_optimizer(module, settings)
    curves_folder, own_checkpoint = begin_training()
    checkpoint = own_checkpoint if checkpoint is None else checkpoint
    state = FittingState()
    identity = {**settings.model_dump(mode="json"), "seed": seed}
    identity |= {name: _digest(examples) for name, examples in (("train", train), ("validation", validation))}
    # How often checkpoints are written changes no weight; everything else does.
    identity.pop("checkpoint_every")
    if checkpoint is not None and Path(checkpoint).exists():
        state = restore(checkpoint, module, optimizer, identity)
        logger.info("resuming training at step %d from %s", state.step, checkpoint)
    compute_loss = _use_precision(compute_loss, module, settings)
    curves = TrainingCurves(curves_folder, module, settings.steps, state.step)
    with _fork_random_state(module), closing(curves):
        while state.step < settings.steps and not _is_out_of_patience(state, settings):
            rate = compute_learning_rate(settings, state.step)
            curves.arm(state.step)
            loss, norm = _take_step(module, compute_loss, optimizer, train, settings, state.step, seed, rate)
            curves.write_step(state.step, loss, rate, norm, min(1.0, settings.max_gradient_norm / max(norm, 1e-12)))
            state.step += 1
            validation_loss = None
            if state.step % settings.validate_every == 0 or state.step == settings.steps:
                validation_loss = validate(module, compute_loss, validation, settings.batch_size, seed)
                state.record(validation_loss, module)
                curves.write_validation(state.step, validation_loss)
            finished = state.step == settings.steps or _is_out_of_patience(state, settings)
            if checkpoint is not None and (state.step % settings.checkpoint_every == 0 or finished):
                curves.flush()
                capture(checkpoint, module, optimizer, identity, state)
            if progress is not None:
                progress(FittingProgress(state.step, settings.steps, loss, validation_loss, rate, norm))
    module.load_state_dict(state.best, strict=False)
    module.eval()
    return FittingReport(
        steps=state.step,
        best_step=state.best_step,
        best_loss=state.best_loss,
        validations=tuple(state.validations),
        stopped_early=state.step < settings.steps,
    )


def validate(
    module: nn.Module,
    compute_loss: Callable[[Batch], torch.Tensor],
    examples: Examples[Batch],
    batch_size: int,
    seed: int = 0,
) -> float:
    """Return the mean loss over all examples, with the module in eval mode and the same chance at every call.

    Raises:
        DataError: The loss is not finite.
    """
    module.eval()
    torch.manual_seed(_mix(seed, _VALIDATION_STEP))
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(examples), batch_size):
            rows = torch.arange(start, min(start + batch_size, len(examples)))
            total += float(compute_loss(examples[rows])) * len(rows)
    return _require_finite(total / len(examples), "validation loss")


def compute_learning_rate(settings: FittingSettings, step: int) -> float:
    """Return the learning rate of one step, counted from 0."""
    peak, steps = settings.learning_rate, settings.steps
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "one_cycle":
        top = max(settings.warmup_fraction * steps - 1, 0.0)
        if step <= top:
            return _cosine(peak * _ONE_CYCLE_START, peak, step / top if top else 1.0)
        return _cosine(peak, peak * _ONE_CYCLE_END, (step - top) / (steps - 1 - top))
    rise = max(math.ceil(settings.warmup_fraction * steps), 1)
    fall = max(math.ceil(settings.decay_fraction * steps), 1)
    return peak * min(1.0, (step + 1) / rise, (steps - step) / fall)


def _cosine(first: float, last: float, position: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * position)) / 2


def _take_step(
    module: nn.Module,
    compute_loss: Callable[[Batch], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    train: Examples[Batch],
    settings: FittingSettings,
    step: int,
    seed: int,
    rate: float,
) -> tuple[float, float]:
    """Take one optimiser step; return the loss and the norm of the gradient."""
    module.train()
    rows = pick_rows(len(train), settings.batch_size, step, seed)
    torch.manual_seed(_mix(seed, step))
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss = compute_loss(train[rows])
    value = _require_finite(float(loss.detach()), f"training loss at step {step + 1}")
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for p in module.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm)
    optimizer.step()
    return value, float(norm)


def pick_rows(n_examples: int, batch_size: int, step: int, seed: int) -> torch.Tensor:
    """Return the rows of one step, int64 `[B]`: epochs are shuffled anew, and the last rows of an epoch are left out.

    The rows follow from the step alone, so that a resumed run needs no memory of what it drew before. With fewer
    examples than `batch_size` every step sees all of them.
    """
    per_epoch = max(n_examples // batch_size, 1)
    epoch, position = divmod(step, per_epoch)
    return _shuffle(n_examples, _mix(seed, epoch))[position * batch_size : (position + 1) * batch_size]


@lru_cache(maxsize=1)
def _shuffle(n_examples: int, seed: int) -> torch.Tensor:
    """Return the order of an epoch, kept from step to step."""
    return torch.randperm(n_examples, generator=torch.Generator().manual_seed(seed))


def _digest(examples: Examples[Batch]) -> str:
    """Return the number of examples and a digest of some spread over all of them: other data are another training."""
    rows = torch.from_numpy(np.unique(np.linspace(0, len(examples) - 1, _DIGESTED).astype(np.int64)))
    digest = hashlib.sha256()
    batch: Any = examples[rows]
    for part in batch if isinstance(batch, tuple | list) else (batch,):
        digest.update(part.detach().cpu().contiguous().numpy().tobytes())
    return f"{len(examples)} examples {digest.hexdigest()[:16]}"


def _use_precision(
    compute_loss: Callable[[Batch], torch.Tensor], module: nn.Module, settings: FittingSettings
) -> Callable[[Batch], torch.Tensor]:
    """Return the loss, computed in bfloat16 where that is safe when the settings ask for it; weights stay float32.

    bfloat16 has the range of float32, so that gradients need no scaling.
    """
    if settings.precision == "float32":
        return compute_loss
    device = next(module.parameters()).device.type

    def compute(batch: Batch) -> torch.Tensor:  # type: ignore[misc]  # a callable may take what it is given
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = compute_loss(batch)
        return loss.float()

    return compute


def _make_optimizer(module: nn.Module, settings: FittingSettings) -> torch.optim.AdamW:
    trained = [p for p in module.parameters() if p.requires_grad]
    if not trained:
        raise DataError("every parameter of the module is frozen, so there is nothing to train")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=settings.learning_rate, betas=settings.betas)


def _is_out_of_patience(state: FittingState, settings: FittingSettings) -> bool:
    return settings.patience is not None and state.n_worse >= settings.patience


def _require_finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise DataError(f"the {what} is {value}; lower learning_rate, or look for extreme values in the data")
    return value


def _mix(seed: int, step: int) -> int:
    return (seed * _SEED_STRIDE + step) % 2**63


@contextmanager
def _fork_random_state(module: nn.Module) -> Iterator[None]:
    """Let the loop seed torch's global generators (dropout knows no other), then put them back as they were."""
    devices = sorted({p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        yield
