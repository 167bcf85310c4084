"""Toto 1.0: patches in, a mixture of Student-t distributions for every step of the next patch out.

Written from the papers and the released config; by Datadog (Cohen et al., 2025, arXiv 2505.14766), Apache-2.0.
Axes legend: B batch, V variates, T steps, P steps of a patch, N patches, E channels, K components.
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import ConfigDict, Field, model_validator
from torch import nn

from alfred.analysts.toto.attention import AttentionShape
from alfred.analysts.toto.mixture import Mixture
from alfred.analysts.toto.rotary import Rotary
from alfred.analysts.toto.scaler import split_patches
from alfred.analysts.toto.transformer import LayerShape, Transformer, place_space_layers
from alfred.settings import Settings

NORM_EPS = 1e-8
_XPOS_BASE = 512.0


class Toto1Config(Settings):
    """Sizes of a Toto 1.0, under the names of its `config.json`; keys that change nothing here are ignored.

    Attributes:
        patch_size: Steps of a patch, P.
        stride: Steps between two patches; only patches side by side are known.
        embed_dim: Channels of a token, E.
        num_layers: Layers.
        num_heads: Attention heads.
        mlp_hidden_dim: Channels of the gated network.
        dropout: Share dropped in training.
        spacewise_every_n_layers: One layer in so many attends across variates; -1 for none.
        spacewise_first: Whether it is the first of them rather than the last.
        k_components: Components of the mixture, K.
        stabilize_with_global: Whether the causal scale is held near that of the whole history.
        scale_factor_exponent: How near, in powers of ten.
    """

    model_config = ConfigDict(extra="ignore")

    patch_size: int = Field(default=64, ge=1)
    stride: int = Field(default=64, ge=1)
    embed_dim: int = Field(default=768, ge=2)
    num_layers: int = Field(default=12, ge=1)
    num_heads: int = Field(default=12, ge=1)
    mlp_hidden_dim: int = Field(default=3072, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    spacewise_every_n_layers: int = 12
    spacewise_first: bool = False
    k_components: int = Field(default=24, ge=1)
    stabilize_with_global: bool = True
    scale_factor_exponent: float = Field(default=10.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _read_released_names(cls, raw: dict[str, object]) -> dict[str, object]:
        """Take the components out of `output_distribution_kwargs`, and refuse scalers and heads of another kind."""
        values = dict(raw)
        for key, known in (
            ("scaler_cls", "CausalPatchStdMeanScaler"),
            ("output_distribution_classes", "MixtureOfStudentTsOutput"),
        ):
            if known not in str(values.get(key, known)):
                raise ValueError(f"{key} is {values[key]}, but only {known} is known")
        kwargs = values.get("output_distribution_kwargs") or {}
        if isinstance(kwargs, dict) and "k_components" in kwargs:
            values["k_components"] = kwargs["k_components"]
        return values

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.stride != self.patch_size:
            raise ValueError(f"stride {self.stride} must equal patch_size {self.patch_size}")
        if self.embed_dim % (2 * self.num_heads):
            raise ValueError(f"embed_dim {self.embed_dim} must be a multiple of twice num_heads {self.num_heads}")
        return self


class Toto1(nn.Module):
    """The network of Toto 1.0, from scaled patches to mixtures in scaled units."""

    def __init__(self, config: Toto1Config) -> None:
        """Make the network with fresh weights."""
        super().__init__()
        self.config = config
        width, size = config.embed_dim, config.embed_dim // config.num_heads
        attention = AttentionShape(
            width=width,
            n_heads=config.num_heads,
            n_groups=config.num_heads,
            key_size=size,
            value_size=size,
            bias=True,
            logit_scale=size**-0.5,
            dropout=config.dropout,
        )
        self.embed = nn.Linear(config.patch_size, width)
        self.transformer = Transformer(
            LayerShape(attention, hidden=config.mlp_hidden_dim, mlp_bias=True, norm_weight=True),
            place_space_layers(config.num_layers, config.spacewise_every_n_layers, 1, config.spacewise_first),
            Rotary(size=size, rotated=size, xpos_base=_XPOS_BASE, layout="halves"),
            [(NORM_EPS, NORM_EPS)] * config.num_layers,
        )
        self.unembed = nn.Linear(width, config.patch_size * width)
        self.head = nn.Linear(width, 4 * config.k_components)

    def read(self, scaled: torch.Tensor, same_group: torch.Tensor | None = None) -> torch.Tensor:
        """Return the hidden state of every patch, `[B, V, N, E]`.

        Args:
            scaled: Series in scaled units, whole patches, `[B, V, T]`.
            same_group: True where two variates may see each other, `[B, 1, 1, V, V]`; all when None.
        """
        tokens = self.embed(split_patches(scaled, self.config.patch_size))
        hidden, _ = self.transformer.read(tokens, centre=(tokens.shape[-2] - 1) // 2, same_group=same_group)
        return hidden

    def forward(self, scaled: torch.Tensor, same_group: torch.Tensor | None = None) -> Mixture:
        """Return what follows each patch, in units of that patch: step s of patch i speaks of step s of patch i + 1.

        Args:
            scaled: Series in scaled units, whole patches, `[B, V, T]`.
            same_group: As in `read`.

        Returns:
            A mixture for every step, `[B, V, T, K]`.
        """
        hidden = self.unembed(self.read(scaled, same_group))
        steps = torch.unflatten(hidden, -1, (self.config.patch_size, -1)).flatten(-3, -2)
        return Mixture.from_outputs(self.head(steps))


def find_same_group(ids: torch.Tensor) -> torch.Tensor | None:
    """Return which variates may see each other, `[B, 1, 1, V, V]`, or None when all of them may.

    Args:
        ids: Group of each variate, `[B, V]`.
    """
    if bool((ids == ids[:, :1]).all()):
        return None
    return (ids[:, :, None] == ids[:, None, :])[:, None, None]
