"""Toto 1.0: patches in, a mixture of Student-t distributions for every step of the next patch out.

Written from the papers and the released config; by Datadog (Cohen et al., 2025, arXiv 2505.14766), Apache-2.0.
Axes legend: B batch, V variates, T steps, P steps of a patch, N patches, E channels, K components.
"""

from __future__ import annotations

import torch
from torch import nn

from alfred.analysts.toto.attention import AttentionShape
from alfred.analysts.toto.config import Toto1Config
from alfred.analysts.toto.mixture import Mixture
from alfred.analysts.toto.rotary import Rotary
from alfred.analysts.toto.scaler import split_patches
from alfred.analysts.toto.transformer import LayerShape, Transformer, place_space_layers

NORM_EPS = 1e-8
_XPOS_BASE = 512.0


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

    def forward(
        self, scaled: torch.Tensor, same_group: torch.Tensor | None = None, n_forecast: int | None = None
    ) -> Mixture:
        """Return what follows each patch, in units of that patch: step s of patch i speaks of step s of patch i + 1.

        Args:
            scaled: Series in scaled units, whole patches, `[B, V, T]`.
            same_group: As in `read`.
            n_forecast: Leading variates that are forecast; all when None.

        Returns:
            A mixture for every step, `[B, n_forecast, T, K]`.
        """
        hidden = self.unembed(self.read(scaled, same_group)[:, :n_forecast])
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
