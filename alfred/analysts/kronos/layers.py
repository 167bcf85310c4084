"""The blocks that tokenizer and model are made of."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.kronos.config import NetworkConfig

_ROTARY_BASE = 10_000.0
NORM_EPSILON = 1e-5


class RMSNorm(nn.Module):
    """Root mean square norm (Zhang and Sennrich, 2019), computed in float32 whatever the input is."""

    def __init__(self, width: int) -> None:
        """Start at unit weights."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis."""
        return normalize_rms(x, self.weight)


def normalize_rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Divide by the root mean square of the last axis, then multiply by `weight`."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + NORM_EPSILON)).type_as(x) * weight


@lru_cache(maxsize=256)  # a training asks for the same few at every step, and forecasts for one a bar
def make_rotary(start: int, stop: int, head_dim: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines of the rotary position embedding (Su et al., 2021) for positions `[start, stop)`.

    Returns:
        Two tensors `[stop - start, head_dim]`, not to be written to; frequencies stand twice, for the half-split
        rotation.
    """
    # What is made in inference mode cannot be trained with later.
    with torch.inference_mode(mode=False), torch.no_grad():
        rates = _ROTARY_BASE ** (-torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim)
        angles = torch.arange(start, stop, dtype=torch.float32, device=device)[:, None] * rates
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotate queries or keys, `[..., T, head_dim]`."""
    first, second = x.chunk(2, dim=-1)
    return x * rotary[0].to(x.dtype) + torch.cat([-second, first], dim=-1) * rotary[1].to(x.dtype)


class Attention(nn.Module):
    """Scaled dot-product attention with several heads, biases, and rotary positions."""

    def __init__(self, width: int, n_heads: int, attention_dropout: float, residual_dropout: float) -> None:
        """Build four square projections."""
        super().__init__()
        self.n_heads = n_heads
        self.attention_dropout = attention_dropout
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(residual_dropout)

    def forward(self, query: torch.Tensor, source: torch.Tensor, *, causal: bool, rotated: bool = True) -> torch.Tensor:
        """Attend from `query`, `[B, Tq, d]`, to `source`, `[B, Tk, d]`.

        Args:
            query: Where the queries come from.
            source: Where keys and values come from.
            causal: Whether a position may look at itself and earlier ones only.
            rotated: Whether positions `0..T-1` rotate queries and keys.
        """
        q, k, v = self._split(self.q_proj(query)), self._split(self.k_proj(source)), self._split(self.v_proj(source))
        if rotated:
            q = rotate(q, make_rotary(0, q.shape[2], q.shape[3], q.device))
            k = rotate(k, make_rotary(0, k.shape[2], k.shape[3], k.device))
        dropout = self.attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout)
        result: torch.Tensor = self.dropout(self.out_proj(mixed.transpose(1, 2).flatten(2)))
        return result

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """Gated feed-forward layer, W2(silu(W1 x) * W3 x), without biases (Shazeer, 2020)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        """Build the three projections."""
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[..., d]` to `[..., d]`."""
        result: torch.Tensor = self.dropout(self.w2(functional.silu(self.w1(x)) * self.w3(x)))
        return result


class Block(nn.Module):
    """Causal transformer block with norms before attention and feed-forward layer."""

    def __init__(
        self,
        width: int,
        n_heads: int,
        hidden: int,
        *,
        feed_forward_dropout: float,
        attention_dropout: float,
        residual_dropout: float,
    ) -> None:
        """Build both halves."""
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.self_attn = Attention(width, n_heads, attention_dropout, residual_dropout)
        self.norm2 = RMSNorm(width)
        self.ffn = FeedForward(width, hidden, feed_forward_dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[B, T, d]` to `[B, T, d]`; a position sees itself and earlier ones."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed, causal=True)
        result: torch.Tensor = x + self.ffn(self.norm2(x))
        return result


def make_blocks(config: NetworkConfig, n_blocks: int) -> nn.ModuleList:
    """Build blocks of the sizes and dropouts of a tokenizer or a model."""
    return nn.ModuleList(
        [
            Block(
                config.d_model,
                config.n_heads,
                config.ff_dim,
                feed_forward_dropout=config.ffn_dropout_p,
                attention_dropout=config.attn_dropout_p,
                residual_dropout=config.resid_dropout_p,
            )
            for _ in range(n_blocks)
        ]
    )


def initialize(module: nn.Module, width: int, generator: torch.Generator) -> None:
    """Draw the weights for training from scratch: Xavier normal matrices, zero biases, small embeddings."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=width**-0.5, generator=generator)
