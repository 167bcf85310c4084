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

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.toto.attention import AttentionShape, make_causal_mask
from alfred.analysts.toto.config import Toto2Config
from alfred.analysts.toto.rotary import Rotary
from alfred.analysts.toto.transformer import LayerShape, Transformer, place_space_layers

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MEDIAN = 4
UNOBSERVED = -1
_XPOS_BASE = 256.0


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

    def forward(
        self,
        scaled: torch.Tensor,
        observed: torch.Tensor,
        ids: torch.Tensor | None = None,
        n_forecast: int | None = None,
    ) -> torch.Tensor:
        """Return what follows each patch, `[B, n_forecast, N, P, 9]`, in arcsinh of the units of that patch.

        Args:
            scaled: Series in scaled units, whole patches, `[B, V, N, P]`.
            observed: True where observed, `[B, V, N, P]`.
            ids: Group of each variate, `[B, V]`; one group when None.
            n_forecast: Leading variates that are forecast; all when None.
        """
        groups = label_patches(observed.any(-1), ids)
        tokens = self.embed_patches(scaled, observed)
        hidden, _ = self.transformer.read(
            tokens, centre=scaled.shape[-2] // 2, same_group=find_variate_mask(groups), visible=find_time_mask(groups)
        )
        return self.read_out(hidden[:, :n_forecast])


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
