"""Training of the tokenizer and the model, from scratch or from released weights."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from alfred.analysts.kronos.checkpoint import KronosPair
from alfred.analysts.kronos.config import LoraSettings
from alfred.analysts.kronos.model import KronosModel, compute_token_loss
from alfred.analysts.kronos.settings import KronosBaseSettings
from alfred.analysts.kronos.tokenizer import KronosTokenizer
from alfred.analysts.kronos.windows import WindowExamples, split_windows
from alfred.data.market import Market
from alfred.errors import import_extra
from alfred.learning.fitting import fit_module
from alfred.learning.settings import FittingSettings

Batch = tuple[torch.Tensor, torch.Tensor]
Loss = Callable[[Batch], torch.Tensor]
logger = logging.getLogger(__name__)
_LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "w1", "w2", "w3")


def train_tokens(pair: KronosPair, market: Market, settings: KronosBaseSettings) -> None:
    """Train the tokenizer, where the settings ask for it, then the model on its tokens.

    With a return head the model is left to it when it comes from a checkpoint, or when `tokens_first` is off.

    Raises:
        DataError: The history is too short to train on.
    """
    s = settings
    method: Literal["full", "lora"] = "lora" if s.checkpoint is not None and s.fine_tune == "lora" else "full"
    plan: list[tuple[nn.Module, Loss, FittingSettings, str]] = []
    if s.checkpoint is None or s.fine_tune_tokenizer:
        plan.append((pair.tokenizer, make_tokenizer_loss(pair.tokenizer), s.tokenizer_fitting, "tokenizer"))
    if s.own_return_head is None or (s.checkpoint is None and s.own_return_head.tokens_first):
        loss = make_model_loss(pair.model, pair.tokenizer, sampled_s1=s.sampled_s1)
        plan.append((pair.model, loss, s.model_fitting, "model"))
    if not plan:
        return
    train, validation = split_windows(
        market,
        history=s.context_length,
        horizon=max(s.horizons),
        validation_fraction=s.validation_fraction,
        max_validation=s.max_validation,
    )
    for network, loss, fitting, name in plan:
        with adapt(network, method, s.lora, s.seed):
            report = fit_module(
                network,
                loss,
                train=train,
                validation=validation,
                settings=fitting,
                seed=s.seed,
                checkpoint=find_checkpoint(s, name, train),
            )
        logger.info("%s: loss %.4f at step %d of %d", name, report.best_loss, report.best_step, report.steps)


def find_checkpoint(settings: KronosBaseSettings, network: str, train: WindowExamples) -> Path | None:
    """Return the checkpoint of a training: its name holds what is trained and the data that it is trained on."""
    if settings.training_folder is None:
        return None
    content = hashlib.sha256(settings.model_dump_json().encode())
    content.update(train.values.tobytes())
    return Path(settings.training_folder) / f"{network}-{content.hexdigest()[:16]}.safetensors"


def make_tokenizer_loss(tokenizer: KronosTokenizer) -> Loss:
    """Return the loss by which `fit_module` trains a tokenizer to reconstruct windows."""
    device = tokenizer.embed.weight.device
    return lambda batch: tokenizer.compute_loss(batch[0].to(device))


def make_model_loss(model: KronosModel, tokenizer: KronosTokenizer, *, sampled_s1: bool = False) -> Loss:
    """Return the loss by which `fit_module` trains a model on the tokens of windows.

    Args:
        model: What is trained.
        tokenizer: Makes the tokens; it is put into eval mode and stays as it is.
        sampled_s1: Let the fine token depend on a coarse token drawn from the model, as the released fine-tuning
            does, instead of on the true one.
    """
    tokenizer.eval()
    device = tokenizer.embed.weight.device

    def compute_loss(batch: Batch) -> torch.Tensor:
        x, stamps = (part.to(device) for part in batch)
        with torch.no_grad():
            s1, s2 = tokenizer.encode(x)
        return compute_window_loss(model, s1, s2, stamps, sampled_s1=sampled_s1)

    return compute_loss


def compute_window_loss(
    model: KronosModel, s1: torch.Tensor, s2: torch.Tensor, stamps: torch.Tensor, *, sampled_s1: bool = False
) -> torch.Tensor:
    """Return the mean cross-entropy of every next token of windows, `[B, T]`, in nats.

    The dependency layer is causal in validation as well: as released it is not in eval mode, and a validation loss
    then sees the future (github.com/shiyu-coder/Kronos/issues/199).
    """
    targets = s1[:, 1:], s2[:, 1:]
    logits_s1, context = model.decode_s1(s1[:, :-1], s2[:, :-1], stamps[:, :-1])
    chosen = targets[0]
    if sampled_s1:
        drawn = torch.multinomial(torch.softmax(logits_s1.detach(), dim=-1).flatten(0, 1), 1)
        chosen = drawn.view_as(chosen)
    logits_s2 = model.decode_s2(context, chosen, causal=True)
    return compute_token_loss((logits_s1, logits_s2), targets)[0]


@contextmanager
def adapt(module: nn.Module, method: Literal["full", "lora"], settings: LoraSettings, seed: int) -> Iterator[None]:
    """Let training inside the `with` change all weights, or low-rank adapters only, which are merged at its end.

    Args:
        module: A tokenizer or a model.
        method: `full` or `lora`.
        settings: The adapters.
        seed: Seed of the adapters' first weights.

    Raises:
        MissingExtraError: `lora` without peft.
    """
    if method == "full":
        yield
        return
    peft = import_extra("peft", "lora")
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=list(_LORA_TARGETS)
    )
    trained = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapters = peft.LoraModel(module, config, "default")
    yield
    adapters.merge_and_unload()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(trained[name])
