"""Forecasts of Toto 1.0: marginal distributions, mean paths, sampled paths.

What makes it fast, each with a test that nothing changes by it: a history is read once and shared by all its paths;
from the last time-wise layer on only the last patch is computed; the unembedding and the heads, two linear maps in a
row, are one matrix, of which only the wanted steps are used; marginal quantiles come from the mixture itself.

Axes legend: B batch, V variates, T steps, P steps of a patch, S paths, H horizon, E channels, K components.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.analysts.toto.mixture import Mixture
from alfred.analysts.toto.scaler import Moments, accumulate_moments, compute_scale_v1, pad_left, split_patches
from alfred.analysts.toto.transformer import Cache
from alfred.analysts.toto.v1.network import Toto1, find_same_group
from alfred.errors import ConfigError


@dataclass
class _Reading:
    """Where a history stands: everything that the next patch follows from.

    `hidden` is `[B, S, V, E]`, `moments`, `loc` and `scale` are `[B, S, V]`, `whole` is `[B, V, 1]`.
    """

    hidden: torch.Tensor
    moments: Moments
    whole: Moments
    loc: torch.Tensor
    scale: torch.Tensor
    cache: Cache
    same_group: torch.Tensor | None


class Toto1Forecaster:
    """Forecasts with a network whose weights stay as they are: make a new one after training.

    Attributes:
        levels: Quantile levels that forecasts are read off at.
    """

    levels = DEFAULT_LEVELS

    def __init__(self, network: Toto1) -> None:
        """Take the network in eval mode and merge its last two linear maps.

        Merging costs one product, P times `[4K, E] x [E, E]`, and saves `P E E` per token that is read out.
        """
        self.network = network.eval()
        self.patch_size = network.config.patch_size
        with torch.no_grad():
            width = network.config.embed_dim
            unembed = network.unembed.weight.view(self.patch_size, width, width)
            offsets = network.unembed.bias.view(self.patch_size, width)
            self._weight = network.head.weight @ unembed
            self._bias = functional.linear(offsets, network.head.weight, network.head.bias)

    @torch.inference_mode()
    def predict_marginals(
        self,
        series: torch.Tensor,
        mask: torch.Tensor | None = None,
        ids: torch.Tensor | None = None,
        steps: Sequence[int] | None = None,
        n_forecast: int | None = None,
    ) -> Mixture:
        """Return the distribution of each single step of the next patch, in data units.

        Args:
            series: `[B, V, T]`, finite; what was not observed may hold anything finite.
            mask: True where observed, `[B, V, T]`; all when None.
            ids: Group of each variate, `[B, V]`; variates of one group see each other, all when None.
            steps: Steps ahead, 1 to P; all when None.
            n_forecast: Leading variates that are forecast; all when None.

        Returns:
            `[B, n_forecast, len(steps), K]`.
        """
        reading = self._read(series, mask, ids)
        mixture = self._read_out(reading.hidden[:, 0, :n_forecast], steps)
        return mixture.shifted(reading.loc[:, 0, :n_forecast, None], reading.scale[:, 0, :n_forecast, None])

    @torch.inference_mode()
    def predict_every_patch(
        self, series: torch.Tensor, mask: torch.Tensor, steps: Sequence[int]
    ) -> tuple[Mixture, torch.Tensor]:
        """Return what each patch of a series says of the next one: a table of forecasts for one pass.

        A causal token is a forecast from its own past, whatever follows it. The scale is held near that of the past
        only, so that nothing leaks; with the released exponent that never binds.

        Args:
            series: Whole patches, `[B, 1, T]`, finite.
            mask: True where observed, `[B, 1, T]`.
            steps: Steps ahead, 1 to P.

        Returns:
            Mixtures in data units, `[B, 1, N, len(steps), K]`, and the values observed until the end of each patch,
            `[B, 1, N]`.
        """
        p = self.patch_size
        ends = accumulate_moments(series, mask).at(slice(p - 1, None, p))
        loc, scale = self._scale(ends, ends)
        scaled = (split_patches(series, p).double() - loc[..., None]) / scale[..., None]
        hidden = self.network.read(scaled.flatten(-2).to(series.dtype))
        loc, scale = loc.to(series.dtype), scale.to(series.dtype)
        return self._read_out(hidden, steps).shifted(loc[..., None], scale[..., None]), ends.count

    @torch.inference_mode()
    def predict_mean(
        self,
        series: torch.Tensor,
        horizon: int,
        mask: torch.Tensor | None = None,
        ids: torch.Tensor | None = None,
        *,
        known_future: torch.Tensor | None = None,
        use_cache: bool = True,
    ) -> torch.Tensor:
        """Return the path that feeds the mean of each patch back, `[B, V, H]`, in data units.

        Args:
            series: As in `predict_marginals`.
            horizon: Steps ahead, H.
            mask: As in `predict_marginals`.
            ids: As in `predict_marginals`.
            known_future: Future of the last X variates, `[B, X, H]`, which is fed back instead of their forecast.
            use_cache: Whether earlier patches are remembered rather than read again. The two differ slightly, because
                the centre of xPos moves with the call; the reference's default is the cache.
        """

        def take_mean(mixture: Mixture, _: int) -> torch.Tensor:
            return mixture.mean()

        paths = self._decode(series, mask, ids, horizon, take_mean, known_future, use_cache=use_cache)
        return paths[:, 0]

    @torch.inference_mode()
    def sample_paths(
        self,
        series: torch.Tensor,
        horizon: int,
        uniforms: torch.Tensor,
        mask: torch.Tensor | None = None,
        ids: torch.Tensor | None = None,
        *,
        known_future: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return sampled paths, `[B, V, S, H]`, in data units.

        Inside a patch the steps are drawn independently given the past, as the reference does: a path is a joint
        forecast from patch to patch only.

        Args:
            series: As in `predict_marginals`.
            horizon: Steps ahead, H.
            uniforms: The noise, in [0, 1), `[B, V, S, ceil(H / P) P, 3]`; the same noise gives the same paths.
            mask: As in `predict_marginals`.
            ids: As in `predict_marginals`.
            known_future: As in `predict_mean`.

        Raises:
            ConfigError: The noise is too short for the horizon.
        """
        if uniforms.shape[3] < horizon:
            raise ConfigError(f"the noise covers {uniforms.shape[3]} steps, but the horizon is {horizon}; draw more")
        noise = uniforms.transpose(1, 2)

        def draw(mixture: Mixture, block: int) -> torch.Tensor:
            return mixture.sample(noise[:, :, :, block * self.patch_size : (block + 1) * self.patch_size])

        return self._decode(series, mask, ids, horizon, draw, known_future, use_cache=True).transpose(1, 2)

    def _decode(
        self,
        series: torch.Tensor,
        mask: torch.Tensor | None,
        ids: torch.Tensor | None,
        horizon: int,
        draw: Callable[[Mixture, int], torch.Tensor],
        known_future: torch.Tensor | None,
        *,
        use_cache: bool,
    ) -> torch.Tensor:
        """Draw patch after patch, each fed back, `[B, S, V, H]`."""
        reading = self._read(series, mask, ids)
        n_blocks = -(-horizon // self.patch_size)
        future = None
        if known_future is not None:
            future = functional.pad(known_future, (0, n_blocks * self.patch_size - known_future.shape[-1]))
        history, observed = series, mask if mask is not None else torch.ones_like(series, dtype=torch.bool)
        blocks: list[torch.Tensor] = []
        while True:
            mixture = self._read_out(reading.hidden).shifted(reading.loc[..., None], reading.scale[..., None])
            values = _drop_overflow(draw(mixture, len(blocks)))
            if future is not None:
                start = len(blocks) * self.patch_size
                values[:, :, -future.shape[1] :] = future[:, None, :, start : start + self.patch_size]
            blocks.append(values)
            if len(blocks) == n_blocks:
                return torch.cat(blocks, dim=-1)[..., :horizon]
            if use_cache:
                self._extend(reading, values)
            else:
                history = torch.cat((history, values[:, 0]), dim=-1)
                observed = functional.pad(observed, (0, self.patch_size), value=True)
                reading = self._read(history, observed, ids, whole=reading.whole)

    def _read(
        self,
        series: torch.Tensor,
        mask: torch.Tensor | None,
        ids: torch.Tensor | None,
        whole: Moments | None = None,
    ) -> _Reading:
        """Read a history once, for any number of paths."""
        observed = torch.ones_like(series, dtype=torch.bool) if mask is None else mask
        series, observed = pad_left(series, observed, self.patch_size)
        moments = accumulate_moments(series, observed)
        if whole is None:
            whole = moments.at(slice(-1, None))
        ends = moments.at(slice(self.patch_size - 1, None, self.patch_size))
        loc, scale = self._scale(ends, whole)
        scaled = (split_patches(series, self.patch_size).double() - loc[..., None]) / scale[..., None]
        tokens = self.network.embed(scaled.to(series.dtype))
        same_group = None if ids is None else find_same_group(ids)
        centre = (tokens.shape[-2] - 1) // 2
        hidden, cache = self.network.transformer.read(tokens, centre=centre, same_group=same_group, n_read=1)
        return _Reading(
            hidden=hidden[:, None, :, 0],
            moments=moments.at(-1).apply(lambda part: part[:, None]),
            whole=whole,
            loc=loc[:, None, :, -1].to(series.dtype),
            scale=scale[:, None, :, -1].to(series.dtype),
            cache=cache,
            same_group=same_group,
        )

    def _extend(self, reading: _Reading, values: torch.Tensor) -> None:
        """Feed one patch of each path back, `[B, S, V, P]`: one token a path, behind the shared history."""
        past = reading.moments
        if past.count.shape[1] != values.shape[1]:
            past = past.apply(lambda part: part.expand(-1, values.shape[1], -1))
        reading.moments = accumulate_moments(values, torch.ones_like(values, dtype=torch.bool), past).at(-1)
        end = reading.moments.apply(lambda part: part[..., None])
        loc, scale = self._scale(end, reading.whole.apply(lambda part: part[:, None]))
        scaled = ((values.double() - loc) / scale).to(values.dtype)
        tokens = self.network.embed(scaled)[..., None, :]
        same_group = None if reading.same_group is None else reading.same_group[:, None]
        position = reading.cache.length
        hidden = self.network.transformer.extend(tokens, reading.cache, centre=position // 2, same_group=same_group)
        reading.hidden = hidden[..., 0, :]
        reading.loc, reading.scale = loc[..., 0].to(values.dtype), scale[..., 0].to(values.dtype)

    def _scale(self, ends: Moments, whole: Moments) -> tuple[torch.Tensor, torch.Tensor]:
        """Return location and scale of each patch from the moments at its end, float64."""
        config = self.network.config
        scale = compute_scale_v1(ends, whole if config.stabilize_with_global else None, config.scale_factor_exponent)
        return ends.mean, scale

    def _read_out(self, hidden: torch.Tensor, steps: Sequence[int] | None = None) -> Mixture:
        """Return the mixtures of some steps of the next patch, `[..., E] -> [..., len(steps), K]`, in scaled units."""
        weight, bias = self._weight, self._bias
        if steps is not None:
            if min(steps) < 1 or max(steps) > self.patch_size:
                raise ConfigError(
                    f"steps {tuple(steps)} are not all in the next patch of {self.patch_size}; sample paths instead"
                )
            rows = torch.tensor([step - 1 for step in steps], device=weight.device)
            weight, bias = weight[rows], bias[rows]
        outputs = functional.linear(hidden, weight.flatten(0, 1), bias.flatten())
        return Mixture.from_outputs(torch.unflatten(outputs, -1, (len(weight), -1)))


def _drop_overflow(values: torch.Tensor) -> torch.Tensor:
    """Replace what is not finite, or near the largest number of its type, by zero: it would poison the scaler."""
    largest = torch.finfo(values.dtype).max / 2
    return torch.where(values.isfinite() & (values.abs() < largest), values, torch.zeros_like(values))
