"""How learners in torch are fitted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alfred.settings import Settings

Device = Literal["auto", "cpu", "cuda"]
"""Where torch computes: `auto` is a GPU where there is one."""


class FittingSettings(Settings):
    """How a module is trained.

    Attributes:
        steps: Optimiser steps.
        batch_size: Examples in a step, B.
        learning_rate: Highest learning rate of the schedule.
        weight_decay: Decoupled decay (AdamW) of matrices; biases, norms and other vectors are not decayed.
        betas: Decay of AdamW's first and second moment.
        schedule: `constant`; `one_cycle` (cosine up from 1/25 of the rate and down to almost nothing; Smith and
            Topin, 2018); `warmup_stable_decay` (linear up, constant, linear down to zero; Hu et al., 2024).
        warmup_fraction: Part of the steps in which the rate rises.
        decay_fraction: Part of the steps in which `warmup_stable_decay` falls.
        max_gradient_norm: Gradients are scaled down to this 2-norm.
        validate_every: Steps between two validations; there is always one after the last step.
        patience: Validations without a better loss until training stops, or None to use every step.
        checkpoint_every: Steps between two checkpoints, when a checkpoint is asked for.
        precision: `bfloat16` computes the loss in mixed precision: faster on a GPU that has it.
    """

    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    schedule: Literal["constant", "one_cycle", "warmup_stable_decay"] = "one_cycle"
    warmup_fraction: float = Field(default=0.1, gt=0, lt=1)
    decay_fraction: float = Field(default=0.3, gt=0, le=1)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    validate_every: int = Field(default=100, ge=1)
    patience: int | None = Field(default=None, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
