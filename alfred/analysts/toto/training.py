"""Training of a Toto: from scratch, all weights of a released one, or low-rank adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from alfred.analysts.toto.objectives import compute_loss
from alfred.analysts.toto.settings import TotoSettings
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v2.network import Toto2
from alfred.analysts.toto.windows import WindowExamples
from alfred.errors import import_extra
from alfred.learning.fitting import FittingReport, fit_module

_ADAPTED = r"layers\.\d+\.(attention\.(query|key|value|out)|up|down)"


def train_network(
    network: Toto1 | Toto2,
    settings: TotoSettings,
    train: WindowExamples,
    validation: WindowExamples,
) -> FittingReport:
    """Train a network in place and leave it in eval mode with its best weights.

    In training every patch of a window is asked for the next; in validation only the last one is, since the earlier
    ones may lie in dates that were trained on.

    Args:
        network: The network.
        settings: How to train, and what (`fine_tune`).
        train: Windows to learn from.
        validation: Windows to choose the best step by.

    Raises:
        DataError: The loss is not finite.
        MissingExtraError: Adapters were asked for without peft.
    """
    trained = _add_adapters(network, settings) if settings.fine_tune == "lora" else network

    def compute_batch_loss(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return compute_loss(
            network,
            *batch,
            loss=settings.own_loss,
            huber_delta=settings.huber_delta,
            n_targets=None if trained.training else network.config.patch_size,
            n_forecast=1,
        )

    report = fit_module(
        trained,
        compute_batch_loss,
        train=train,
        validation=validation,
        settings=settings.own_fitting,
        seed=settings.seed,
    )
    if trained is not network:
        # Merging writes the adapters into the matrices of the network itself: forecasts cost nothing extra.
        cast("Callable[[], nn.Module]", trained.merge_and_unload)()
        network.requires_grad_(True)
    return report


def _add_adapters(network: Toto1 | Toto2, settings: TotoSettings) -> nn.Module:
    """Freeze the transformer and add low-rank adapters (Hu et al., 2021) to every linear map of its layers.

    What is returned is trained; embedding and heads are not in it and stay as they are.
    """
    peft = import_extra("peft", "lora")
    config = peft.LoraConfig(r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=_ADAPTED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return cast("nn.Module", peft.get_peft_model(network.transformer, config))
