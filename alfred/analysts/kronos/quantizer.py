"""Binary spherical quantisation: a vector becomes the signs of its entries (Zhao, Xiong and Kraehenbuehl, 2024)."""

from __future__ import annotations

import torch
from torch.nn import functional

from alfred.analysts.kronos.config import TokenizerConfig

_LOG_FLOOR = 1e-8


def compute_bits(presign: torch.Tensor) -> torch.Tensor:
    """Return the bits of vectors `[..., n_bits]`; exactly zero counts as an unset bit.

    The vectors need no normalisation before, since it changes no sign.
    """
    return presign > 0


def pack_bits(bits: torch.Tensor) -> torch.Tensor:
    """Return the number that bits `[..., n]` spell, least significant first, int64 `[...]`."""
    weights = 2 ** torch.arange(bits.shape[-1], device=bits.device)
    return (bits.long() * weights).sum(-1)


def unpack_bits(ids: torch.Tensor, n_bits: int) -> torch.Tensor:
    """Return the bits of numbers `[...]`, least significant first, `[..., n_bits]`."""
    return (ids.unsqueeze(-1) >> torch.arange(n_bits, device=ids.device)) & 1


def make_codes(bits: torch.Tensor, n_bits: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return bits as entries of a unit vector of `n_bits` entries, plus or minus 1/sqrt(n_bits)."""
    scale: float = n_bits**-0.5
    return (bits.to(dtype) * 2 - 1) * scale


def quantize(presign: torch.Tensor, config: TokenizerConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes that gradients pass straight through, and the loss of the quantiser.

    The loss is beta * mean ||code - z||^2 + zeta * (gamma0 * H_sample - gamma * H_codebook) with z the vector scaled
    to length one. A bit is drawn with logit 4 z / sqrt(n_bits); H_sample is the mean over tokens of the entropy of
    their bits, H_codebook the entropy of the bits' mean probabilities, each summed over bits.

    Args:
        presign: Vectors before the sign, `[..., n_bits]`.
        config: Sizes and weights.

    Returns:
        The codes `[..., n_bits]` and a scalar.
    """
    z = functional.normalize(presign, dim=-1)
    codes = make_codes(compute_bits(presign), config.n_bits, z.dtype)
    commitment = (codes - z).square().sum(-1).mean()
    probabilities = torch.sigmoid(4 * z * config.n_bits**-0.5)
    sample_entropy = _sum_entropies(probabilities).mean()
    codebook_entropy = _sum_entropies(probabilities.flatten(0, -2).mean(0))
    penalty = config.gamma0 * sample_entropy - config.gamma * codebook_entropy
    # The sign passes the gradient on unchanged and the scale of the code shrinks it, as in the released training.
    scaled = z * config.n_bits**-0.5
    return scaled + (codes - scaled).detach(), config.beta * commitment + config.zeta * penalty


def _sum_entropies(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the summed entropies in nats of independent bits, `[..., n] -> [...]`."""
    both = torch.stack([probabilities, 1 - probabilities], dim=-1)
    return -(both * torch.log(both + _LOG_FLOOR)).sum((-2, -1))
