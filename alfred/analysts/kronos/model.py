"""The autoregressive model: the tokens so far give the next coarse token, and that one the fine token."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.kronos.config import ModelConfig
from alfred.analysts.kronos.layers import Attention, RMSNorm, initialize, make_blocks
from alfred.analysts.kronos.tokenizer import check_ids

STAMPS = ("minute", "hour", "weekday", "day", "month")
"""Parts of a time stamp, in the order of the last axis of `stamps`."""
_STAMP_ROWS = (60, 24, 7, 32, 13)
DEPENDENCY_HEADS = 4


class TokenEmbedding(nn.Module):
    """Embeds a token pair: both tables, scaled by sqrt(d), side by side through one projection."""

    def __init__(self, settings: ModelConfig) -> None:
        """Build both tables."""
        super().__init__()
        self.settings = settings
        self.emb_s1 = nn.Embedding(2**settings.s1_bits, settings.d_model)
        self.emb_s2 = nn.Embedding(2**settings.s2_bits, settings.d_model)
        self.fusion_proj = nn.Linear(2 * settings.d_model, settings.d_model)

    def forward(self, s1: torch.Tensor, s2: torch.Tensor) -> torch.Tensor:
        """Map ids `[B, T]` to `[B, T, d]`.

        Raises:
            DataError: An id lies outside its vocabulary.
        """
        check_ids(s1, self.settings.s1_bits, "s1")
        check_ids(s2, self.settings.s2_bits, "s2")
        scale = math.sqrt(self.settings.d_model)
        both = torch.cat([self.emb_s1(s1) * scale, self.emb_s2(s2) * scale], dim=-1)
        result: torch.Tensor = self.fusion_proj(both)
        return result


class _FixedEmbedding(nn.Module):
    """A table that is not trained; the released names have one more part than a trained table's."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(rows, width)
        self.emb.weight.requires_grad_(False)

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.emb(index)
        return result


class TimeEmbedding(nn.Module):
    """Sum of one row for each part of the time stamp of a bar."""

    def __init__(self, settings: ModelConfig) -> None:
        """Build the five tables."""
        super().__init__()
        make = nn.Embedding if settings.learn_te else _FixedEmbedding
        for name, rows in zip(STAMPS, _STAMP_ROWS, strict=True):
            self.add_module(f"{name}_embed", make(rows, settings.d_model))

    def forward(self, stamps: torch.Tensor) -> torch.Tensor:
        """Map stamps `[B, T, 5]` to `[B, T, d]`."""
        index = stamps.long()
        parts = [self.get_submodule(f"{name}_embed")(index[..., i]) for i, name in enumerate(STAMPS)]
        return torch.stack(parts).sum(0)

    def get_table(self, name: str) -> torch.Tensor:
        """Return the table of one part of the stamp, `[rows, d]`."""
        module = self.get_submodule(f"{name}_embed")
        table = module.emb if isinstance(module, _FixedEmbedding) else module
        return table.get_parameter("weight")


class DependencyLayer(nn.Module):
    """Attends from the chosen coarse token to the context, so that the fine token depends on it."""

    def __init__(self, settings: ModelConfig) -> None:
        """Build the layer; it has four heads whatever the model has, and no dropout."""
        super().__init__()
        self.cross_attn = Attention(settings.d_model, DEPENDENCY_HEADS, 0.0, 0.0)
        self.norm = RMSNorm(settings.d_model)

    def forward(self, query: torch.Tensor, context: torch.Tensor, *, causal: bool) -> torch.Tensor:
        """Map queries `[B, T, d]`, or `[B, 1, d]` for all positions, and context `[B, T, d]` to `[B, T, d]`."""
        # One query has one position, so that the released network rotates neither it nor any key.
        mixed = self.cross_attn(query, context, causal=causal, rotated=query.shape[1] > 1)
        result: torch.Tensor = self.norm(context + mixed)
        return result


class _Heads(nn.Module):
    def __init__(self, settings: ModelConfig) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(settings.d_model, 2**settings.s1_bits)
        self.proj_s2 = nn.Linear(settings.d_model, 2**settings.s2_bits)


class KronosModel(nn.Module):
    """Decoder-only transformer over token pairs (Shi et al., 2025, arXiv 2508.02739).

    Axes: B batch, T bars, V1 and V2 vocabulary sizes, d width. The time stamp at a position is that of the bar that is
    read there; the network is not told the time of the bar that it forecasts.

    Attributes:
        settings: Its sizes.
    """

    def __init__(self, settings: ModelConfig, generator: torch.Generator | None = None) -> None:
        """Build the network with fresh weights.

        Args:
            settings: Sizes.
            generator: Source of the fresh weights; seeded with 0 when left out.
        """
        super().__init__()
        self.settings = s = settings
        self.embedding = TokenEmbedding(s)
        self.time_emb = TimeEmbedding(s)
        self.token_drop = nn.Dropout(s.token_dropout_p)
        self.transformer = make_blocks(s, s.n_layers)
        self.norm = RMSNorm(s.d_model)
        self.dep_layer = DependencyLayer(s)
        self.head = _Heads(s)
        initialize(self, s.d_model, generator or torch.Generator().manual_seed(0))

    def decode_s1(
        self, s1: torch.Tensor, s2: torch.Tensor, stamps: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits of the next coarse token, `[B, T, V1]`, and the context, `[B, T, d]`.

        Args:
            s1: Coarse ids, `[B, T]`.
            s2: Fine ids, `[B, T]`.
            stamps: Time stamps of the bars, `[B, T, 5]`, or None to leave time out.

        Raises:
            DataError: An id lies outside its vocabulary.
        """
        context = self.read(s1, s2, stamps)
        return self.head.proj_s1(context), context

    def read(self, s1: torch.Tensor, s2: torch.Tensor, stamps: torch.Tensor | None = None) -> torch.Tensor:
        """Return what both heads read, `[B, T, d]`; for the arguments see `decode_s1`."""
        hidden = self.embedding(s1, s2)
        if stamps is not None:
            hidden = hidden + self.time_emb(stamps)
        hidden = self.token_drop(hidden)
        for block in self.transformer:
            hidden = block(hidden)
        context: torch.Tensor = self.norm(hidden)
        return context

    def decode_s2(self, context: torch.Tensor, s1: torch.Tensor, *, causal: bool) -> torch.Tensor:
        """Return logits of the fine token, `[B, T, V2]`.

        Args:
            context: What `decode_s1` returned, `[B, T, d]`.
            s1: The coarse token that was chosen, `[B, T]` for each position or `[B, 1]` for the last.
            causal: Whether a position may look at itself and earlier ones only. With one query it must be False.
        """
        mixed = self.dep_layer(self.embedding.emb_s1(s1), context, causal=causal)
        result: torch.Tensor = self.head.proj_s2(mixed)
        return result

    def forward(
        self,
        s1: torch.Tensor,
        s2: torch.Tensor,
        stamps: torch.Tensor | None,
        s1_targets: torch.Tensor,
        *,
        causal: bool | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of both tokens with the true coarse tokens given.

        Args:
            s1: Coarse ids, `[B, T]`.
            s2: Fine ids, `[B, T]`.
            stamps: Time stamps, `[B, T, 5]`, or None.
            s1_targets: Coarse ids that the fine tokens depend on, those one bar later, `[B, T]`.
            causal: Whether the dependency layer is causal. Left out, it is in train mode only, as released; in eval
                mode it then sees later bars, so that a validation loss has to ask for True.
        """
        logits_s1, context = self.decode_s1(s1, s2, stamps)
        return logits_s1, self.decode_s2(context, s1_targets, causal=self.training if causal is None else causal)


def compute_token_loss(
    logits: tuple[torch.Tensor, torch.Tensor], targets: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the mean of both cross-entropies, that of the coarse and that of the fine tokens, in nats.

    Args:
        logits: Logits of both tokens, `[B, T, V1]` and `[B, T, V2]`.
        targets: The true ids, `[B, T]` each.
    """
    losses = [functional.cross_entropy(x.flatten(0, 1), y.flatten()) for x, y in zip(logits, targets, strict=True)]
    return (losses[0] + losses[1]) / 2, losses[0], losses[1]
