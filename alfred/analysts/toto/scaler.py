"""The causal patch scalers of Toto: every patch is read in units of its own past.

Both versions keep a running count, mean and sum of squares (Welford) in float64 and give a whole patch the location and
scale reached at its last step, so nothing in a patch depends on a later one. They differ in one line: 1.0 takes
`sqrt(variance + 0.1)`, 2.0 takes `max(sqrt(variance), 1e-6)`.

The trap for finance: with 1.0 a series of daily returns (standard deviation 0.01) gets the scale 0.316 and reaches the
network as a flat line of standard deviation 0.03. Feed log prices times 100, or standardised values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

# Added inside the root by 1.0, whatever its config says; the smallest scale of 2.0.
VARIANCE_OFFSET = 0.1
SCALE_FLOOR = 1e-6


@dataclass(frozen=True)
class Moments:
    """Running moments of the observed values, each float64 with the shape of the series, or one step of it.

    Attributes:
        count: Observed values so far.
        mean: Their mean, 0 before the first.
        m2: Their sum of squared distances from the mean.
    """

    count: torch.Tensor
    mean: torch.Tensor
    m2: torch.Tensor

    def at(self, steps: slice | int) -> Moments:
        """Return the moments at some steps of the last axis."""
        return self.apply(lambda part: part[..., steps])

    def sample_variance(self) -> torch.Tensor:
        """Variance with Bessel's correction, 0 for fewer than two values."""
        return self.m2 / (self.count - 1).clamp(min=1)

    def apply(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Moments:
        """Return the moments with all three tensors changed alike."""
        return Moments(change(self.count), change(self.mean), change(self.m2))


def accumulate_moments(values: torch.Tensor, mask: torch.Tensor, past: Moments | None = None) -> Moments:
    """Run the moments along a series.

    Args:
        values: `[..., T]`.
        mask: True where a value was observed, `[..., T]`.
        past: Moments before the first step, `[...]`, to go on from; nothing observed when left out.

    Returns:
        The moments after each step, `[..., T]`, float64.
    """
    weight, x = mask.double(), torch.where(mask, values, torch.zeros_like(values)).double()
    if past is None:
        empty = torch.zeros_like(x[..., 0])
        past = Moments(empty, empty, empty)
    count = weight.cumsum(-1) + past.count[..., None]
    mean = (x.cumsum(-1) + (past.mean * past.count)[..., None]) / count.clamp(min=1)
    before = torch.cat((past.mean[..., None], mean[..., :-1]), dim=-1)
    m2 = ((x - before) * (x - mean) * weight).cumsum(-1) + past.m2[..., None]
    return Moments(count, mean, m2)


def compute_scale_v1(moments: Moments, whole: Moments | None, exponent: float) -> torch.Tensor:
    """Return the scale of 1.0, `sqrt(variance + 0.1)`, held within 10^+-exponent of the scale of the whole history.

    Args:
        moments: At the last step of each patch, `[..., N]`.
        whole: At the end of the history, `[..., 1]`, or at the same steps where nothing later may be read; None leaves
            the scale free.
        exponent: `scale_factor_exponent` of the config.
    """
    scale = (moments.sample_variance() + VARIANCE_OFFSET).sqrt()
    if whole is None:
        return scale
    overall = (whole.m2 / whole.count.clamp(min=1) + VARIANCE_OFFSET).sqrt()
    lowest = (overall * 10.0**-exponent).clamp(min=VARIANCE_OFFSET)
    return torch.minimum(torch.maximum(scale, lowest), overall * 10.0**exponent)


def compute_scale_v2(moments: Moments) -> torch.Tensor:
    """Return the scale of 2.0, the standard deviation and at least 1e-6, with the shape of `moments`."""
    return moments.sample_variance().sqrt().clamp(min=SCALE_FLOOR)


def backfill_short_starts(
    moments: Moments, loc: torch.Tensor, scale: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give patches with fewer than `first` observations the location and scale of the first `first` observations.

    A leading patch with a handful of equal values has next to no scale, and its forecasts explode (issue 101 of the
    reference). Those patches then read a little ahead inside the history, which is all before the forecast.

    Args:
        moments: After each step, `[..., T]`.
        loc: Of each patch, `[..., N]`.
        scale: Of each patch, `[..., N]`.
        first: Observations to take.
    """
    length = moments.count.shape[-1]
    reached = (moments.count < first).sum(-1, keepdim=True).clamp(max=length - 1)
    start = moments.apply(lambda part: part.gather(-1, reached))
    patch = length // loc.shape[-1]
    short = moments.count[..., patch - 1 :: patch] < first
    return torch.where(short, start.mean, loc), torch.where(short, compute_scale_v2(start), scale)


def split_patches(values: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Cut `[..., T]` into `[..., N, P]`; T must be a multiple of P."""
    return torch.unflatten(values, -1, (-1, patch_size))


def pad_left(values: torch.Tensor, mask: torch.Tensor, patch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fill a series up to whole patches with unobserved zeros on the left.

    In 1.0 attention sees these zeros, in units of the first patch: a context that is not a multiple of the patch
    changes the forecast (issue 57 of the reference). Prefer context lengths that are one.

    Args:
        values: `[..., T]`.
        mask: True where a value was observed, `[..., T]`.
        patch_size: P.
    """
    missing = -values.shape[-1] % patch_size
    pad = torch.nn.functional.pad
    return pad(values, (missing, 0)), pad(mask, (missing, 0))
