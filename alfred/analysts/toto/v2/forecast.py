"""Forecasts of Toto 2.0: nine deciles for every step, in one pass or block by block.

There are no sampled paths: each step has its marginal deciles, and nothing says how steps hang together.
Axes legend: B batch, V variates, T steps, P steps of a patch, N patches of the context, H horizon, E channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from alfred.analysts.toto.scaler import (
    accumulate_moments,
    backfill_short_starts,
    compute_scale_v2,
    pad_left,
    split_patches,
)
from alfred.analysts.toto.transformer import Cache
from alfred.analysts.toto.v2.network import (
    DECILES,
    MEDIAN,
    Toto2,
    find_time_mask,
    find_variate_mask,
    label_patches,
)
from alfred.errors import ConfigError

FALLBACK_FIRST = 8
CAP_SCALES = 1e4


@dataclass(frozen=True)
class Guards:
    """Two guards against forecasts that explode on a short or intermittent history (issue 101 of the reference).

    Attributes:
        fallback_first: Patches with fewer observations so far use the scale of the first so many; None for off.
        cap_scales: Deciles stay within so many scales of the lowest and highest context value; None for off.
    """

    fallback_first: int | None = FALLBACK_FIRST
    cap_scales: float | None = CAP_SCALES


NO_GUARDS = Guards(fallback_first=None, cap_scales=None)


class Toto2Forecaster:
    """Forecasts with a network whose weights stay as they are.

    Attributes:
        levels: Quantile levels that forecasts are read off at.
    """

    levels = DECILES

    def __init__(self, network: Toto2) -> None:
        """Take the network in eval mode."""
        self.network = network.eval()
        self.patch_size = network.config.patch_size

    @torch.inference_mode()
    def predict_deciles(
        self,
        series: torch.Tensor,
        horizon: int,
        mask: torch.Tensor | None = None,
        ids: torch.Tensor | None = None,
        *,
        block_size: int | None = None,
        guards: Guards = Guards(),
        reference_groups: bool = False,
    ) -> torch.Tensor:
        """Return the deciles 0.1 to 0.9 of every step, `[B, V, H, 9]`, in data units, ascending.

        Args:
            series: `[B, V, T]`, finite; the last patch must be filled forward, since it counts as observed.
            horizon: Steps ahead, H.
            mask: True where observed, `[B, V, T]`; all when None.
            ids: Group of each variate, `[B, V]`; variates of one group see each other, all when None.
            block_size: Steps after which the medians are fed back as if observed, a multiple of P; None for one pass,
                which is what its authors advise below about 1000 steps.
            guards: Against forecasts that explode.
            reference_groups: In fed-back blocks, take the groups from the first columns of the context as the reference
                does, rather than each series' own. It matters only where a leading patch is wholly unobserved.

        Raises:
            ConfigError: The block is not a multiple of the patch.
        """
        p = self.patch_size
        if block_size is not None and (block_size < p or block_size % p):
            raise ConfigError(f"block_size {block_size} must be a multiple of the patch of {p} steps")
        observed = torch.ones_like(series, dtype=torch.bool) if mask is None else mask
        series, observed = pad_left(series, observed, p)
        observed = torch.cat((observed[..., :-p], torch.ones_like(observed[..., -p:])), dim=-1)
        n_left = -(-horizon // p)
        n_block = n_left if block_size is None else min(block_size // p, n_left)
        groups = label_patches(split_patches(observed, p).any(-1), ids)
        limits = _find_limits(series, observed)
        decoded: list[torch.Tensor] = []
        cache: Cache | None = None
        while True:
            n_ask = min(n_block, n_left)
            scaled, loc, scale = self._scale(series, observed, guards)
            if cache is None:
                hidden, cache = self._read(scaled, observed, groups, n_ask)
            else:
                fresh = slice(-n_block * p, None)
                hidden = self._extend(scaled[..., fresh], groups, ids, cache, n_ask, reference_groups=reference_groups)
            deciles = self._unscale(self.network.read_out(hidden).flatten(-3, -2), loc, scale, limits, guards)
            decoded.append(deciles)
            n_left -= n_ask
            if not n_left:
                return torch.cat(decoded, dim=-2)[..., :horizon, :]
            series = torch.cat((series, deciles[..., MEDIAN]), dim=-1)
            observed = functional.pad(observed, (0, n_ask * p), value=True)

    @torch.inference_mode()
    def predict_every_patch(
        self, series: torch.Tensor, mask: torch.Tensor, steps: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what each patch of a series says of the next one: a table of forecasts for one pass.

        A causal token is a forecast from its own past, whatever follows it. The guards read ahead inside a history, so
        they are off: leave out patches behind which little was observed.

        Args:
            series: Whole patches, `[B, 1, T]`, finite.
            mask: True where observed, `[B, 1, T]`.
            steps: Steps ahead, 1 to P.

        Returns:
            Deciles in data units, ascending, `[B, 1, N, len(steps), 9]`, and the values observed until the end of each
            patch, `[B, 1, N]`.
        """
        p = self.patch_size
        ends = accumulate_moments(series, mask).at(slice(p - 1, None, p))
        loc, scale = ends.mean[..., None], compute_scale_v2(ends)[..., None]
        scaled = ((split_patches(series, p).double() - loc) / scale).to(series)
        outputs = self.network(scaled, split_patches(mask, p))[..., [step - 1 for step in steps], :]
        values = outputs.sinh() * scale[..., None].to(series) + loc[..., None].to(series)
        return values.sort(dim=-1).values, ends.count

    def _read(
        self, scaled: torch.Tensor, observed: torch.Tensor, groups: torch.Tensor, n_ask: int
    ) -> tuple[torch.Tensor, Cache]:
        """Read the context and the queries behind it; return the tokens that speak of the asked patches.

        Token i speaks of patch i + 1, so the last query would be read by nobody and is left out; the centre of xPos
        still counts it, because the keys that are kept for later blocks carry that centre.
        """
        tokens = self.network.embed_patches(
            split_patches(scaled, self.patch_size), split_patches(observed, self.patch_size)
        )
        n = tokens.shape[-2]
        tokens = torch.cat((tokens, self._make_queries(tokens, n_ask - 1)), dim=-2)
        # A query belongs to its series, like the last patch of the context, which is always observed.
        groups = torch.cat((groups, groups[..., -1:].expand(-1, -1, n_ask - 1)), dim=-1)
        hidden, cache = self.network.transformer.read(
            tokens,
            centre=(n + n_ask) // 2,
            same_group=find_variate_mask(groups),
            visible=find_time_mask(groups),
            n_read=n_ask,
        )
        for layer in cache.layers.values():
            layer.shared_key, layer.shared_value = layer.shared_key[..., :n, :], layer.shared_value[..., :n, :]
        cache.length = n
        return hidden, cache

    def _extend(
        self,
        scaled: torch.Tensor,
        groups: torch.Tensor,
        ids: torch.Tensor | None,
        cache: Cache,
        n_ask: int,
        *,
        reference_groups: bool,
    ) -> torch.Tensor:
        """Read the medians fed back, `[B, V, n P]`, and new queries behind the cache."""
        patches = split_patches(scaled, self.patch_size)
        tokens = self.network.embed_patches(patches, torch.ones_like(patches, dtype=torch.bool))
        n_fed = tokens.shape[-2]
        tokens = torch.cat((tokens, self._make_queries(tokens, n_ask - 1)), dim=-2)
        n = tokens.shape[-2]
        own = groups[..., -1:] if ids is None else ids[..., None]
        used = groups[..., :n] if reference_groups else own.expand(-1, -1, n)
        same_group = find_variate_mask(used)
        hidden = self.network.transformer.extend(
            tokens[:, None],
            cache,
            centre=(cache.length + n_fed + n_ask) // 2,
            same_group=None if same_group is None else same_group[:, None],
            visible=None if bool((groups == own).all()) else groups == own,
            n_keep=n_fed,
        )
        return hidden[:, 0, :, -n_ask:]

    def _make_queries(self, tokens: torch.Tensor, n: int) -> torch.Tensor:
        """Return n tokens of patches of which nothing is known, `[B, V, n, E]`."""
        blank = tokens.new_zeros(1, self.patch_size)
        query = self.network.embed_patches(blank, torch.zeros_like(blank, dtype=torch.bool))
        return query.expand(*tokens.shape[:2], n, -1)

    def _scale(
        self, series: torch.Tensor, observed: torch.Tensor, guards: Guards
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the scaled series `[B, V, T]`, and location and scale of its last patch, `[B, V]`."""
        moments = accumulate_moments(series, observed)
        ends = moments.at(slice(self.patch_size - 1, None, self.patch_size))
        loc, scale = ends.mean, compute_scale_v2(ends)
        if guards.fallback_first is not None:
            loc, scale = backfill_short_starts(moments, loc, scale, guards.fallback_first)
        patches = (split_patches(series, self.patch_size).double() - loc[..., None]) / scale[..., None]
        return patches.flatten(-2).to(series), loc[..., -1].to(series), scale[..., -1].to(series)

    def _unscale(
        self,
        outputs: torch.Tensor,
        loc: torch.Tensor,
        scale: torch.Tensor,
        limits: tuple[torch.Tensor, torch.Tensor],
        guards: Guards,
    ) -> torch.Tensor:
        """Turn outputs `[B, V, H, 9]` into data units: finite, within the guard, ascending."""
        values = outputs.sinh() * scale[..., None, None] + loc[..., None, None]
        finite = values.isfinite()
        if not bool(finite.all()):
            largest = torch.finfo(values.dtype).max
            low = values.masked_fill(~finite, largest).amin(dim=(-2, -1), keepdim=True)
            high = values.masked_fill(~finite, -largest).amax(dim=(-2, -1), keepdim=True)
            values = torch.where(finite, values, torch.where(values > 0, high, low))
        if guards.cap_scales is not None:
            room = guards.cap_scales * scale
            low, high = (limits[0] - room)[..., None, None], (limits[1] + room)[..., None, None]
            values = torch.minimum(torch.maximum(values, low), high)
        return values.sort(dim=-1).values


def _find_limits(series: torch.Tensor, observed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lowest and the highest observed value of each series, `[B, V]`."""
    infinity = torch.inf
    return (
        series.masked_fill(~observed, infinity).amin(-1),
        series.masked_fill(~observed, -infinity).amax(-1),
    )
