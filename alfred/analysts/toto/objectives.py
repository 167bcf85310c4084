"""What a Toto learns from: every patch of a window is asked for the next one.

A window is a context and one patch. The network reads all but its last patch; the targets are all but its first, in
units of the patch that speaks of them, without a gradient through the scaler.
Axes legend: B batch, V variates, T steps of a window, P steps of a patch.
"""

from __future__ import annotations

import torch

from alfred.analysts.losses import (
    compute_composite_loss,
    compute_gaussian_loss,
    compute_huber_loss,
    compute_pinball_loss,
    compute_squared_loss,
    masked_mean,
)
from alfred.analysts.toto.network_v1 import Toto1, find_same_group
from alfred.analysts.toto.network_v2 import DECILES, MEDIAN, Toto2
from alfred.analysts.toto.scaler import accumulate_moments, compute_scale_v1, compute_scale_v2, pad_left, split_patches

_EPS = torch.finfo(torch.float32).eps


def compute_loss_v1(
    network: Toto1,
    series: torch.Tensor,
    mask: torch.Tensor,
    ids: torch.Tensor | None = None,
    *,
    loss: str = "mixture",
    huber_delta: float = 1.0,
    n_targets: int | None = None,
) -> torch.Tensor:
    """Return the mean loss of a batch for Toto 1.0, a scalar.

    Args:
        network: The network.
        series: Windows, `[B, V, T]`, finite; padded on the left to whole patches.
        mask: True where observed, `[B, V, T]`.
        ids: Group of each variate, `[B, V]`; one group when None.
        loss: `mixture` (likelihood with a robust term), `huber`, `mse` (both of the mean) or `heteroscedastic` (a
            normal with the mixture's mean and variance).
        huber_delta: Where the Huber loss turns linear, in scaled units.
        n_targets: Last steps that count, a multiple of P; all when None.
    """
    p = network.config.patch_size
    past, seen, future, known = _split_window(series, mask, p, n_targets)
    with torch.no_grad():
        moments = accumulate_moments(past, seen)
        ends = moments.at(slice(p - 1, None, p))
        whole = moments.at(slice(-1, None)) if network.config.stabilize_with_global else None
        loc = ends.mean[..., None]
        scale = compute_scale_v1(ends, whole, network.config.scale_factor_exponent)[..., None]
        scaled = ((split_patches(past, p).double() - loc) / scale).flatten(-2).to(series)
        loc, scale = loc.to(series), scale.to(series)
        target = ((split_patches(future, p) - loc) / (scale + _EPS)).flatten(-2)
    mixture = network(scaled, None if ids is None else find_same_group(ids))
    if loss == "mixture":
        losses = compute_composite_loss(mixture.log_density(target), mixture.mean(), target)
    elif loss == "heteroscedastic":
        losses = compute_gaussian_loss(mixture.mean(), mixture.variance(), target)
    else:
        losses = _compute_point_loss(mixture.mean(), target, loss, huber_delta)
    return masked_mean(losses, known)


def compute_loss_v2(
    network: Toto2,
    series: torch.Tensor,
    mask: torch.Tensor,
    ids: torch.Tensor | None = None,
    *,
    loss: str = "quantile",
    huber_delta: float = 1.0,
    n_targets: int | None = None,
) -> torch.Tensor:
    """Return the mean loss of a batch for Toto 2.0, a scalar; its authors have published no recipe for fine-tuning.

    Losses are taken in the network's own units, the arcsinh of scaled values: quantiles commute with it, and a jump
    does not drown everything else.

    Args:
        network: The network.
        series: Windows, `[B, V, T]`, finite; padded on the left to whole patches.
        mask: True where observed, `[B, V, T]`.
        ids: Group of each variate, `[B, V]`; one group when None.
        loss: `quantile` (pinball over the deciles), `huber` or `mse` (both of the median).
        huber_delta: Where the Huber loss turns linear, in arcsinh units.
        n_targets: Last steps that count, a multiple of P; all when None.
    """
    p = network.config.patch_size
    past, seen, future, known = _split_window(series, mask, p, n_targets)
    with torch.no_grad():
        ends = accumulate_moments(past, seen).at(slice(p - 1, None, p))
        loc, scale = ends.mean[..., None], compute_scale_v2(ends)[..., None]
        scaled = ((split_patches(past, p).double() - loc) / scale).to(series)
        target = ((split_patches(future, p).double() - loc) / scale).arcsinh().to(series)
    deciles = network(scaled, split_patches(seen, p), ids)
    if loss == "quantile":
        losses = compute_pinball_loss(deciles, target, DECILES)
    else:
        losses = _compute_point_loss(deciles[..., MEDIAN], target, loss, huber_delta)
    return masked_mean(losses, split_patches(known, p))


def _split_window(series: torch.Tensor, mask: torch.Tensor, p: int, n_targets: int | None) -> tuple[torch.Tensor, ...]:
    """Return what is read and whether it was observed, what is asked for and whether it counts."""
    series, mask = pad_left(series, mask, p)
    known = mask[..., p:]
    if n_targets is not None:
        known = torch.cat((torch.zeros_like(known[..., :-n_targets]), known[..., -n_targets:]), dim=-1)
    return series[..., :-p], mask[..., :-p], series[..., p:], known


def _compute_point_loss(prediction: torch.Tensor, target: torch.Tensor, loss: str, huber_delta: float) -> torch.Tensor:
    if loss == "huber":
        return compute_huber_loss(prediction, target, huber_delta)
    return compute_squared_loss(prediction, target)
