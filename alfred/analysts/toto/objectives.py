"""What a Toto learns from: every patch of a window is asked for the next one.

A window is a context and one patch. The network reads all but its last patch; the targets are all but its first, in
units of the patch that speaks of them, without a gradient through the scaler.
Axes legend: B batch, V variates, T steps of a window, P steps of a patch.
"""

from __future__ import annotations

import torch

from alfred.analysts.toto.mixture import Mixture
from alfred.analysts.toto.scaler import accumulate_moments, compute_scale_v1, compute_scale_v2, pad_left, split_patches
from alfred.analysts.toto.v1.network import Toto1, find_same_group
from alfred.analysts.toto.v2.network import DECILES, MEDIAN, Toto2
from alfred.learning.losses import (
    compute_composite_loss,
    compute_gaussian_loss,
    compute_huber_loss,
    compute_pinball_loss,
    compute_squared_loss,
    masked_mean,
)

_EPS = torch.finfo(torch.float32).eps


def compute_loss(
    network: Toto1 | Toto2,
    series: torch.Tensor,
    mask: torch.Tensor,
    ids: torch.Tensor | None = None,
    *,
    loss: str,
    huber_delta: float = 1.0,
    n_targets: int | None = None,
    n_forecast: int | None = None,
) -> torch.Tensor:
    """Return the mean loss of a batch, a scalar.

    Args:
        network: The network.
        series: Windows, `[B, V, T]`, finite; padded on the left to whole patches.
        mask: True where observed, `[B, V, T]`.
        ids: Group of each variate, `[B, V]`; one group when None.
        loss: For 1.0 `mixture` (likelihood with a robust term, its authors' recipe), `huber`, `mse` (both of the mean)
            or `heteroscedastic` (a normal with the mixture's mean and variance). For 2.0, whose authors have published
            no recipe, `quantile` (pinball over the deciles), `huber` or `mse` (both of the median).
        huber_delta: Where the Huber loss turns linear, in the units of the targets.
        n_targets: Last steps that count, a multiple of P; all when None.
        n_forecast: Leading variates that are forecast and count; the others are only read. All when None.
    """
    p = network.config.patch_size
    series, mask = pad_left(series, mask, p)
    past, seen = series[..., :-p], mask[..., :-p]
    future, known = series[:, :n_forecast, p:], mask[:, :n_forecast, p:]
    if n_targets is not None:
        known = torch.cat((torch.zeros_like(known[..., :-n_targets]), known[..., -n_targets:]), dim=-1)
    if isinstance(network, Toto1):
        mixture, target = _forecast_v1(network, past, seen, future, ids)
        if loss == "mixture":
            losses = compute_composite_loss(mixture.log_density(target), mixture.mean(), target)
        elif loss == "heteroscedastic":
            losses = compute_gaussian_loss(mixture.mean(), mixture.variance(), target)
        else:
            losses = _compute_point_loss(mixture.mean(), target, loss, huber_delta)
    else:
        deciles, target = _forecast_v2(network, past, seen, future, ids)
        if loss == "quantile":
            losses = compute_pinball_loss(deciles, target, DECILES)
        else:
            losses = _compute_point_loss(deciles[..., MEDIAN], target, loss, huber_delta)
    return masked_mean(losses, known)


def _forecast_v1(
    network: Toto1, past: torch.Tensor, seen: torch.Tensor, future: torch.Tensor, ids: torch.Tensor | None
) -> tuple[Mixture, torch.Tensor]:
    """Return the forecast of every step and its target in the same units, `[B, V, T - P]`."""
    p = network.config.patch_size
    with torch.no_grad():
        moments = accumulate_moments(past, seen)
        ends = moments.at(slice(p - 1, None, p))
        n_forecast = future.shape[1]
        whole = moments.at(slice(-1, None)) if network.config.stabilize_with_global else None
        loc = ends.mean[..., None]
        scale = compute_scale_v1(ends, whole, network.config.scale_factor_exponent)[..., None]
        scaled = ((split_patches(past, p).double() - loc) / scale).flatten(-2).to(past)
        loc, scale = loc.to(past), scale.to(past)
        loc, scale = loc[:, :n_forecast], scale[:, :n_forecast]
        target = ((split_patches(future, p) - loc) / (scale + _EPS)).flatten(-2)
    return network(scaled, None if ids is None else find_same_group(ids), n_forecast=n_forecast), target


def _forecast_v2(
    network: Toto2, past: torch.Tensor, seen: torch.Tensor, future: torch.Tensor, ids: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the deciles of every step and its target in the same units, `[B, V, T - P, 9]` and `[B, V, T - P]`.

    The units are the network's own, the arcsinh of scaled values: quantiles commute with it, and a jump does not drown
    everything else.
    """
    p = network.config.patch_size
    with torch.no_grad():
        ends = accumulate_moments(past, seen).at(slice(p - 1, None, p))
        loc, scale = ends.mean[..., None], compute_scale_v2(ends)[..., None]
        scaled = ((split_patches(past, p).double() - loc) / scale).to(past)
        n_forecast = future.shape[1]
        loc, scale = loc[:, :n_forecast], scale[:, :n_forecast]
        target = ((split_patches(future, p).double() - loc) / scale).arcsinh().to(past)
    deciles = network(scaled, split_patches(seen, p), ids, n_forecast=n_forecast)
    return deciles.flatten(-3, -2), target.flatten(-2)


def _compute_point_loss(prediction: torch.Tensor, target: torch.Tensor, loss: str, huber_delta: float) -> torch.Tensor:
    if loss == "huber":
        return compute_huber_loss(prediction, target, huber_delta)
    return compute_squared_loss(prediction, target)
