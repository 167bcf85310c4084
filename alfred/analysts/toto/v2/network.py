"""Toto 2.0: patches and what of them was observed in, nine deciles for every step of the next patch out.

By Datadog (arXiv 2605.20119), Apache-2.0. The released networks are trained with unit scaling (Blake et al., 2023): a
constant in front of every operation. Here these constants are folded into the weights when they are loaded (see
`weights_v2`), so that a pass is plain matrix products and the residual stream is kept in other units: layer by layer
the stream of the reference is `factor` times ours, which only the epsilon of the norms has to know.

Axes legend: B batch, V variates, T steps, P steps of a patch, N patches, E channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from pydantic import ConfigDict, Field, model_validator
from torch import nn
from torch.nn import functional

from alfred.analysts.toto.attention import AttentionShape, make_causal_mask
from alfred.analysts.toto.rotary import Rotary
from alfred.analysts.toto.transformer import LayerShape, Transformer, place_space_layers
from alfred.settings import Settings

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MEDIAN = 4
UNOBSERVED = -1
_XPOS_BASE = 256.0


class Toto2Config(Settings):
    """Sizes of a Toto 2.0, under the names of its `config.json`; keys that change nothing here are ignored.

    The defaults are those of the released 4m. Sizes that are left out follow from the others as in the reference.
    """

    model_config = ConfigDict(extra="ignore")

    patch_size: int = Field(default=32, ge=1)
    d_model: int = Field(default=256, ge=2)
    d_ff: int | None = Field(default=None, ge=1)
    num_heads: int = Field(default=4, ge=1)
    num_groups: int | None = Field(default=None, ge=1)
    qk_dim: int | None = Field(default=None, ge=4)
    v_dim: int | None = Field(default=None, ge=1)
    num_layers: int = Field(default=4, ge=1)
    layer_group_size: int = Field(default=4, ge=1)
    num_variate_layers_per_group: int = Field(default=1, ge=0)
    variate_layer_first: bool = False
    num_output_patches: int = 1
    pre_norm: bool = True
    norm_eps: float = Field(default=1e-4, gt=0)
    norm_include_weight: bool = False
    attn_bias: bool = True
    mlp_bias: bool = False
    qk_norm: bool = False
    qk_norm_include_weight: bool | None = None
    per_dim_scale: bool = True
    use_xpos: bool = True
    residual_mult: float = Field(default=0.75, gt=0)
    residual_attn_ratio: float = Field(default=5.136215466577748, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_output_patches != 1 or not self.pre_norm:
            raise ValueError("only num_output_patches = 1 and pre_norm = true are known, as in every released size")
        if self.num_heads % self.groups or self.key_size % 4:
            raise ValueError(
                f"num_heads {self.num_heads} must be a multiple of num_groups {self.groups}, and qk_dim "
                f"{self.key_size} of 4"
            )
        return self

    @property
    def groups(self) -> int:
        """Key and value heads."""
        return self.num_groups or self.num_heads

    @property
    def key_size(self) -> int:
        """Channels of a query or key head."""
        return self.qk_dim or self.d_model // self.num_heads

    @property
    def value_size(self) -> int:
        """Channels of a value head."""
        return self.v_dim or self.key_size

    @property
    def qk_norm_weighted(self) -> bool:
        """Whether the norms of queries and keys have weights: as the other norms when left out."""
        return self.norm_include_weight if self.qk_norm_include_weight is None else self.qk_norm_include_weight

    @property
    def hidden(self) -> int:
        """Channels of the gated network: 8/3 of the width, rounded up to a multiple of 8."""
        return self.d_ff or (int(4 * self.d_model * 2 / 3) + 7) // 8 * 8

    def compute_taus(self) -> tuple[tuple[float, float], ...]:
        """Return the weight of each layer's attention and gated branch against the stream, `[L, 2]` (u-muP, 2024)."""
        mlp = self.residual_mult * math.sqrt(2 / (1 + self.residual_attn_ratio**2))
        attention = self.residual_attn_ratio * mlp
        taus = []
        for branch in range(2 * self.num_layers):
            share = mlp if branch % 2 else attention
            before = self.num_layers + (branch + 1) // 2 * attention**2 + branch // 2 * mlp**2
            taus.append(share / math.sqrt(before))
        return tuple(zip(taus[::2], taus[1::2], strict=True))


class ResidualMlp(nn.Module):
    """One hidden layer beside a linear way around it; the constants of the reference are in the weights."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
        """Make the three maps."""
        super().__init__()
        self.linear1 = nn.Linear(n_in, n_hidden)
        self.linear2 = nn.Linear(n_hidden, n_out)
        self.skip = nn.Linear(n_in, n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `[..., n_in]` to `[..., n_out]`."""
        out: torch.Tensor = self.linear2(functional.silu(self.linear1(x))) + self.skip(x)
        return out


class Toto2(nn.Module):
    """The network of Toto 2.0, from scaled values and flags to deciles in scaled units."""

    def __init__(self, config: Toto2Config, taus: Sequence[Sequence[float]] | None = None) -> None:
        """Make the network.

        Args:
            config: Its sizes.
            taus: As stored in the weights, `[L, 2]`; computed from the config when None.
        """
        super().__init__()
        self.config = config
        self.taus = config.compute_taus() if taus is None else tuple((pair[0], pair[1]) for pair in taus)
        factors = compute_stream_factors(self.taus)
        eps = [config.norm_eps / factor**2 for factor in factors]
        attention = AttentionShape(
            width=config.d_model,
            n_heads=config.num_heads,
            n_groups=config.groups,
            key_size=config.key_size,
            value_size=config.value_size,
            bias=config.attn_bias,
            logit_scale=1 / config.key_size,
            norm_eps=config.norm_eps if config.qk_norm else None,
        )
        rotated = config.key_size // 2
        self.embed = ResidualMlp(2 * config.patch_size, 4 * config.d_model, config.d_model)
        self.transformer = Transformer(
            LayerShape(attention, config.hidden, mlp_bias=config.mlp_bias, norm_weight=config.norm_include_weight),
            place_space_layers(
                config.num_layers,
                config.layer_group_size,
                config.num_variate_layers_per_group,
                config.variate_layer_first,
            ),
            Rotary(config.key_size, rotated, _XPOS_BASE if config.use_xpos else None, layout="pairs"),
            list(zip(eps[:-1:2], eps[1::2], strict=True)),
        )
        self.norm = nn.RMSNorm(config.d_model, eps=eps[-1], elementwise_affine=config.norm_include_weight)
        self.head = ResidualMlp(config.d_model, 4 * config.d_model, len(DECILES) * config.patch_size)

    def embed_patches(self, scaled: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
        """Return the token of each patch, `[..., N, P] -> [..., N, E]`.

        Args:
            scaled: `(x - loc) / scale`; the network reads its arcsinh, and 0 where nothing was observed.
            observed: True where a value was observed.
        """
        values = torch.where(observed, scaled.arcsinh(), torch.zeros_like(scaled))
        tokens: torch.Tensor = self.embed(torch.cat((values, (~observed).to(values)), dim=-1))
        return tokens

    def read_out(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the deciles of the next patch, `[..., E] -> [..., P, 9]`, in arcsinh of scaled units, unsorted."""
        return torch.unflatten(self.head(self.norm(hidden)), -1, (self.config.patch_size, len(DECILES)))

    def forward(self, scaled: torch.Tensor, observed: torch.Tensor, ids: torch.Tensor | None = None) -> torch.Tensor:
        """Return what follows each patch, `[B, V, N, P, 9]`, in arcsinh of the units of that patch.

        Args:
            scaled: Series in scaled units, whole patches, `[B, V, N, P]`.
            observed: True where observed, `[B, V, N, P]`.
            ids: Group of each variate, `[B, V]`; one group when None.
        """
        groups = label_patches(observed.any(-1), ids)
        tokens = self.embed_patches(scaled, observed)
        hidden, _ = self.transformer.read(
            tokens, centre=scaled.shape[-2] // 2, same_group=find_variate_mask(groups), visible=find_time_mask(groups)
        )
        return self.read_out(hidden)


def compute_stream_factors(taus: Sequence[Sequence[float]]) -> list[float]:
    """Return the factor of the reference's residual stream over ours before each branch and at the end, `[2 L + 1]`."""
    factors = [1.0]
    for tau in (tau for pair in taus for tau in pair):
        factors.append(factors[-1] / math.sqrt(1 + tau**2))
    return factors


def label_patches(seen: torch.Tensor, ids: torch.Tensor | None) -> torch.Tensor:
    """Return the group of each patch, `[B, V, N]`: that of its variate, or -1 where nothing was observed.

    Args:
        seen: Whether anything of a patch was observed, `[B, V, N]`.
        ids: Group of each variate, `[B, V]`; one group when None.
    """
    own = torch.zeros_like(seen, dtype=torch.long) if ids is None else ids[..., None].expand_as(seen)
    return torch.where(seen, own, UNOBSERVED)


def find_time_mask(groups: torch.Tensor) -> torch.Tensor | None:
    """Return what each patch may see of its past, `[B, V, N, N]`, or None for all of it.

    Observed patches do not see unobserved ones, nor the other way round.
    """
    if bool((groups == groups[..., :1]).all()):
        return None
    return (groups[..., :, None] == groups[..., None, :]) & make_causal_mask(groups.shape[-1], groups.device)


def find_variate_mask(groups: torch.Tensor) -> torch.Tensor | None:
    """Return which variates see each other at each patch, `[B, N, 1, V, V]`, or None when all of them do."""
    if bool((groups == groups[:, :1]).all()):
        return None
    by_patch = groups.transpose(1, 2)
    return (by_patch[..., :, None] == by_patch[..., None, :])[:, :, None]
