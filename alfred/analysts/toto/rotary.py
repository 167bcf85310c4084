"""Rotary positions with the length extrapolation of xPos, in the two layouts that Toto uses.

RoFormer (Su et al., 2021) turns each pair of channels by an angle that grows with the position; xPos (Sun et al., 2022)
also scales queries up and keys down with it, so that their product decays with the distance. The scale is counted from
a centre. Inside one call the centre cancels; a cached key keeps the centre of its own call, so results with a cache
differ a little from results without one. The reference decodes with the cache, and so do we.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

_BASE = 10_000.0
# z_i = (2i + 0.4 D) / (1.4 D): the constants of xPos.
_XPOS_OFFSET = 0.4


@dataclass(frozen=True)
class Turn:
    """What to multiply queries and keys with, each `[n, D]`: `x * cos + turned(x) * sin`."""

    query_cos: torch.Tensor
    query_sin: torch.Tensor
    key_cos: torch.Tensor
    key_sin: torch.Tensor

    def apply(self, query: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn keys `[..., n, D]`, and queries `[..., m, D]` that belong to the last m of them."""
        last = slice(self.query_cos.shape[0] - query.shape[-2], None)
        return (
            query * self.query_cos[last] + _turn_quarter(query) * self.query_sin[last],
            key * self.key_cos + _turn_quarter(key) * self.key_sin,
        )


@dataclass(frozen=True)
class Rotary:
    """How positions enter attention.

    Attributes:
        size: Channels of a head, D.
        rotated: Leading channels that are turned; the rest pass unchanged.
        xpos_base: Steps over which the scale changes by a power of z, or None for no xPos.
        layout: Which channels share a z: `halves` (channel c has z of c mod D/2, though the turn pairs neighbours: so
            1.0 was trained) or `pairs` (neighbours share it: 2.0).
    """

    size: int
    rotated: int
    xpos_base: float | None
    layout: Literal["halves", "pairs"]

    def make_turn(self, start: int, stop: int, centre: int, like: torch.Tensor) -> Turn:
        """Return the factors of positions `start` to `stop`, with the dtype and device of `like`.

        Args:
            start: First position.
            stop: Position after the last.
            centre: Position at which xPos has scale one.
            like: Any tensor of the network.
        """
        positions = torch.arange(start, stop, dtype=torch.float64)[:, None]
        index = torch.arange(0, self.rotated, 2, dtype=torch.float64)
        angle = (positions * _BASE ** (-index / self.rotated)).repeat_interleave(2, dim=1)
        scale = torch.ones_like(angle)
        if self.xpos_base is not None:
            z = (index + _XPOS_OFFSET * self.rotated) / ((1 + _XPOS_OFFSET) * self.rotated)
            z = z.repeat(2) if self.layout == "halves" else z.repeat_interleave(2)
            scale = z ** ((positions - centre) / self.xpos_base)
        factors = []
        for size in (scale, 1 / scale):
            # Channels that are not turned get cosine 1 and sine 0: one formula for all, without slicing.
            cos = torch.ones(stop - start, self.size, dtype=torch.float64)
            sin = torch.zeros_like(cos)
            cos[:, : self.rotated], sin[:, : self.rotated] = angle.cos() * size, angle.sin() * size
            factors += [cos.to(like), sin.to(like)]
        return Turn(*factors)


def _turn_quarter(x: torch.Tensor) -> torch.Tensor:
    """Map each pair of neighbours (a, b) to (-b, a)."""
    pairs = torch.unflatten(x, -1, (-1, 2))
    return torch.stack((-pairs[..., 1], pairs[..., 0]), dim=-1).flatten(-2)
