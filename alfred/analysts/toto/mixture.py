"""The mixture of Student-t distributions that Toto 1.0 forecasts with.

Everything is in closed form but the quantiles, which are found by a safeguarded Newton search on the distribution
function, so that no path has to be sampled where only a marginal distribution is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import gammaln, ndtri, stdtr
from torch.nn import functional

from alfred.typing import FloatArray

_EPS = torch.finfo(torch.float32).eps
_LOG_PI = float(np.log(np.pi))
# A miss in probability after which one more Newton step is taken, and the last: that step squares it.
_TOLERANCE = 1e-5
# Newton needs three or four steps; bisection, its safeguard, up to sixty in turns with it.
_MAX_STEPS = 120


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Student-t distributions at every place, each field `[..., K]`.

    Attributes:
        df: Degrees of freedom, above 2, so that mean and variance exist.
        loc: Centres.
        scale: Scales.
        log_weight: Logarithms of the weights; they sum to one.
    """

    df: torch.Tensor
    loc: torch.Tensor
    scale: torch.Tensor
    log_weight: torch.Tensor

    @classmethod
    def from_outputs(cls, outputs: torch.Tensor) -> Mixture:
        """Read the four heads of the network, `[..., 4 K]`: degrees of freedom, centres, scales, weights."""
        df, loc, scale, weight = outputs.chunk(4, dim=-1)
        return cls(
            df=2 + functional.softplus(df).clamp(min=_EPS),
            loc=loc,
            scale=functional.softplus(scale).clamp(min=_EPS),
            # No weight is below eps, as in the reference: it bounds the likelihood of what a forecast has ruled out.
            log_weight=weight.softmax(-1).clamp(_EPS, 1 - _EPS).log().log_softmax(-1),
        )

    def shifted(self, loc: torch.Tensor, scale: torch.Tensor) -> Mixture:
        """Return the distribution of `loc + scale * x`; both `[...]`."""
        return Mixture(
            self.df, loc[..., None] + scale[..., None] * self.loc, scale[..., None] * self.scale, self.log_weight
        )

    def mean(self) -> torch.Tensor:
        """Mean, `[...]`."""
        return (self.log_weight.exp() * self.loc).sum(-1)

    def variance(self) -> torch.Tensor:
        """Variance, `[...]`: that of the components and that between them; finite also where df rounds to 2."""
        weight = self.log_weight.exp()
        between = (self.loc - self.mean()[..., None]).square()
        return (weight * (self.scale.square() * self.df / (self.df - 2).clamp(min=_EPS) + between)).sum(-1)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Logarithm of the density at `x`, `[...]`."""
        half = (self.df + 1) / 2
        z = (x[..., None] - self.loc) / self.scale
        component = (
            torch.lgamma(half)
            - torch.lgamma(self.df / 2)
            - 0.5 * (self.df.log() + _LOG_PI)
            - self.scale.log()
            - half * torch.log1p(z.square() / self.df)
        )
        return (self.log_weight + component).logsumexp(-1)

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Draw by Bailey's polar method (1994), which is exact and needs no rejection: the noise is given, not made.

        `t = sqrt(df (u^(-2/df) - 1)) cos(2 pi v)` for u, v uniform; a third uniform picks the component.

        Args:
            uniforms: Numbers in [0, 1), `[..., 3]`; leading axes broadcast against those of the mixture.
        """
        pick, u, v = uniforms.unbind(-1)
        steps = self.log_weight.exp().cumsum(-1)
        component = (steps <= pick[..., None] * steps[..., -1:]).sum(-1, keepdim=True).clamp(max=steps.shape[-1] - 1)
        shape = component.shape[:-1]

        def chosen(part: torch.Tensor) -> torch.Tensor:
            return part.expand(*shape, -1).gather(-1, component)[..., 0]

        df = chosen(self.df)
        # 1 - u lies in (0, 1], so the logarithm is finite.
        radius = (df * torch.expm1(-2 / df * torch.log1p(-u))).sqrt()
        return chosen(self.loc) + chosen(self.scale) * radius * torch.cos(2 * torch.pi * v)

    def quantiles(self, levels: Sequence[float]) -> FloatArray:
        """Quantiles, `[..., Q]` float64, by Newton's method inside a bracket that Cantelli's inequality gives."""
        weight = _flat(self.log_weight.exp())
        df, loc, scale = _flat(self.df), _flat(self.loc), _flat(self.scale)
        p = np.asarray(levels)
        mean = (weight * loc).sum(-1, keepdims=True)
        # In float32 a df of 2 + eps is 2, with an infinite variance: any large one makes a wide enough bracket.
        variance = (weight * (scale**2 * df / np.maximum(df - 2, _EPS) + (loc - mean) ** 2)).sum(-1, keepdims=True)
        spread = np.sqrt(variance)
        rows = np.repeat(np.arange(len(df)), len(p))
        target = np.tile(p, len(df))
        low = (mean - spread * np.sqrt((1 - p) / p)).ravel()
        high = (mean + spread * np.sqrt(p / (1 - p))).ravel()
        constant = np.exp(gammaln((df + 1) / 2) - gammaln(df / 2)) / (np.sqrt(df * np.pi) * scale)
        # The start is a normal with the typical scale of the components: their variance may be next to infinite.
        typical = np.sqrt((weight * (scale**2 + (loc - mean) ** 2)).sum(-1, keepdims=True))
        x = np.clip((mean + typical * ndtri(p)).ravel(), low, high)
        active = np.arange(len(x))
        for turn in range(_MAX_STEPS):
            row = rows[active]
            z = (x[active, None] - loc[row]) / scale[row]
            miss = (weight[row] * stdtr(df[row], z)).sum(-1) - target[active]
            density = weight[row] * constant[row] * (1 + z**2 / df[row]) ** (-(df[row] + 1) / 2)
            low[active] = np.where(miss < 0, x[active], low[active])
            high[active] = np.where(miss > 0, x[active], high[active])
            step = x[active] - miss / np.maximum(density.sum(-1), np.finfo(float).tiny)
            inside = (step > low[active]) & (step < high[active])
            near = np.abs(miss) <= _TOLERANCE
            # What six steps have not settled lies between components far apart, where Newton creeps: bisect in turns.
            middle = np.where(near, x[active], (low[active] + high[active]) / 2)
            x[active] = np.where(inside & (near | (turn < 6) | (turn % 2 == 1)), step, middle)
            active = active[~near]
            if not len(active):
                break
        return np.sort(x.reshape(*self.df.shape[:-1], len(p)), axis=-1)


def _flat(part: torch.Tensor) -> npt.NDArray[np.float64]:
    return part.detach().double().cpu().numpy().reshape(-1, part.shape[-1])
