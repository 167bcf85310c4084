"""What a training run must remember to go on exactly where it was killed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import nn

from alfred.errors import CheckpointError
from alfred.learning.checkpoints import Snapshot


@dataclass
class FittingState:
    """Where a run stands.

    Attributes:
        step: Optimiser steps done.
        best_loss: Lowest validation loss so far.
        best_step: Step of that loss.
        n_worse: Validations since then.
        validations: Step and loss of every validation.
        best: Trained weights of `best_step` by name.
    """

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    n_worse: int = 0
    validations: list[tuple[int, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)

    def record(self, loss: float, module: nn.Module) -> None:
        """Take note of a validation, and of the weights when it is the best so far."""
        self.validations.append((self.step, loss))
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.n_worse = loss, self.step, 0
            self.best = {name: tensor.detach().clone() for name, tensor in collect_trained(module).items()}
        else:
            self.n_worse += 1


def collect_trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return what training changes: parameters that are not frozen, and buffers, by name."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}


def capture(
    path: Path | str,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, object],
    state: FittingState,
) -> None:
    """Write a run into one file, whole or not at all; see `Snapshot`."""
    snapshot = Snapshot()
    snapshot.add("module", collect_trained(module))
    snapshot.add("best", state.best)
    for index, moments in optimizer.state_dict()["state"].items():
        snapshot.add(f"optimizer/{index}", moments)
    progress = {
        "step": state.step,
        "best_loss": state.best_loss if state.best else None,
        "best_step": state.best_step,
        "n_worse": state.n_worse,
        "validations": state.validations,
    }
    snapshot.facts = {"identity": dict(identity), "progress": progress}
    snapshot.write(path)


def restore(
    path: Path | str, module: nn.Module, optimizer: torch.optim.Optimizer, identity: Mapping[str, object]
) -> FittingState:
    """Read what `capture` wrote into a module and its optimiser; return where the run stood.

    Raises:
        CheckpointError: The file is damaged, or was written by a run with other settings or another module.
    """
    snapshot = Snapshot.read(path)
    written = cast("dict[str, object]", snapshot.facts.get("identity", {}))
    if differing := [key for key in identity if _plain(identity[key]) != _plain(written.get(key))]:
        key = differing[0]
        raise CheckpointError(
            f"{path} was written with {key}={written.get(key)}, but this run has {key}={identity[key]}; delete the "
            "file to start anew, or go back to the settings it was written with"
        )
    stored = snapshot.below("module")
    own = collect_trained(module)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in stored.items()}:
        raise CheckpointError(f"{path} holds the weights of another module; delete the file to start anew")
    module.load_state_dict(stored, strict=False)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in snapshot.below("optimizer").items():
        index, key = name.split("/", 1)
        moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return _read_progress(cast("dict[str, object]", snapshot.facts["progress"]), snapshot.below("best"))


def _read_progress(progress: Mapping[str, object], best: dict[str, torch.Tensor]) -> FittingState:
    loss = cast("float | None", progress["best_loss"])
    return FittingState(
        step=cast("int", progress["step"]),
        best_loss=math.inf if loss is None else loss,
        best_step=cast("int", progress["best_step"]),
        n_worse=cast("int", progress["n_worse"]),
        validations=[(int(step), float(value)) for step, value in cast("list[list[float]]", progress["validations"])],
        best=best,
    )


def _plain(value: object) -> object:
    """Return a value as JSON gives it back, so that a tuple equals the list that it was stored as."""
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
