"""The transformer that both versions of Toto share: pre-norm layers along time and across variates.

Version 2.0 differs in constants only, and those are folded into its weights when it is loaded, see `weights_v2`.
Axes legend: B batch, S paths of one history, V variates, n tokens, E channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.toto.attention import Attention, AttentionShape, LayerCache
from alfred.analysts.toto.rotary import Rotary


@dataclass(frozen=True)
class LayerShape:
    """Sizes of one layer.

    Attributes:
        attention: Of its attention.
        hidden: Channels of the gated network, H.
        mlp_bias: Whether the gated network has biases.
        norm_weight: Whether its norms have weights.
    """

    attention: AttentionShape
    hidden: int
    mlp_bias: bool
    norm_weight: bool


@dataclass
class Cache:
    """What decoding remembers of the tokens so far.

    Attributes:
        layers: Keys and values of the time-wise layers, by layer number.
        length: Tokens so far.
    """

    layers: dict[int, LayerCache] = field(default_factory=dict)
    length: int = 0


class Layer(nn.Module):
    """One pre-norm layer: `h = x + attention(norm(x))`, `y = h + mlp(norm(h))` with a SwiGLU network."""

    def __init__(self, shape: LayerShape, eps: tuple[float, float]) -> None:
        """Make the layer; `eps` belongs to its two norms."""
        super().__init__()
        width = shape.attention.width
        self.attention = Attention(shape.attention)
        self.norm1 = nn.RMSNorm(width, eps=eps[0], elementwise_affine=shape.norm_weight)
        self.norm2 = nn.RMSNorm(width, eps=eps[1], elementwise_affine=shape.norm_weight)
        self.up = nn.Linear(width, 2 * shape.hidden, bias=shape.mlp_bias)
        self.down = nn.Linear(shape.hidden, width, bias=shape.mlp_bias)
        self.dropout = nn.Dropout(shape.attention.dropout)

    def finish(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Add what attention found to the tokens it was asked for, then the gated network."""
        x = x[..., -attended.shape[-2] :, :] + self.dropout(attended)
        gate, value = self.up(self.norm2(x)).chunk(2, dim=-1)
        out: torch.Tensor = x + self.dropout(self.down(functional.silu(gate) * value))
        return out


class Transformer(nn.Module):
    """A stack of layers, some along time (causal, with positions), some across variates (neither)."""

    def __init__(
        self, shape: LayerShape, spacewise: Sequence[bool], rotary: Rotary, eps: Sequence[tuple[float, float]]
    ) -> None:
        """Make the layers.

        Args:
            shape: Sizes of every layer.
            spacewise: Whether each layer attends across variates.
            rotary: Positions of the time-wise layers.
            eps: Epsilon of the two norms of each layer.
        """
        super().__init__()
        self.layers = nn.ModuleList(Layer(shape, pair) for pair in eps)
        self.spacewise = tuple(spacewise)
        self.rotary = rotary
        time_layers = [i for i, space in enumerate(spacewise) if not space]
        self._last_time_layer = time_layers[-1] if time_layers else -1

    def _list_layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def read(
        self,
        x: torch.Tensor,
        *,
        centre: int,
        same_group: torch.Tensor | None = None,
        visible: torch.Tensor | None = None,
        n_read: int | None = None,
    ) -> tuple[torch.Tensor, Cache]:
        """Read a history.

        From the last time-wise layer on, only the tokens that are wanted are computed: later layers do not mix tokens.

        Args:
            x: Tokens, `[B, V, n, E]`.
            centre: Centre of xPos.
            same_group: True where two variates may see each other, broadcastable to `[B, n, 1, V, V]`.
            visible: True where a token may look along time, `[B, V, n, n]`; plain causal when None.
            n_read: Number of last tokens that are wanted, all when None.

        Returns:
            The wanted tokens, `[B, V, n_read, E]`, and the cache.
        """
        turn = self.rotary.make_turn(0, x.shape[-2], centre, like=x)
        cache = Cache(length=x.shape[-2])
        if self._last_time_layer < 0:
            x, same_group = _cut(x, same_group, n_read)
        for index, layer in enumerate(self._list_layers()):
            if self.spacewise[index]:
                attended = layer.attention.read_space(layer.norm1(x), same_group)
            else:
                last = n_read if index == self._last_time_layer else None
                attended, cache.layers[index] = layer.attention.read_time(layer.norm1(x), turn, visible, last)
            x = layer.finish(x, attended)
            if index == self._last_time_layer:
                x, same_group = _cut(x, same_group, n_read)
        return x, cache

    def extend(
        self,
        x: torch.Tensor,
        cache: Cache,
        *,
        centre: int,
        same_group: torch.Tensor | None = None,
        visible: torch.Tensor | None = None,
        n_keep: int | None = None,
    ) -> torch.Tensor:
        """Read further tokens of each path behind what the cache remembers.

        Args:
            x: New tokens, `[B, S, V, n, E]`.
            cache: Of the tokens so far; it grows.
            centre: Centre of xPos in this call.
            same_group: True where two variates may see each other, broadcastable to `[B, S, n, 1, V, V]`.
            visible: Positions of the shared history that may be seen, `[B, V, L]`; all when None.
            n_keep: Leading new tokens to remember; all when None.
        """
        n = x.shape[-2]
        kept = n if n_keep is None else n_keep
        turn = self.rotary.make_turn(cache.length, cache.length + n, centre, like=x)
        for index, layer in enumerate(self._list_layers()):
            normed = layer.norm1(x)
            if self.spacewise[index]:
                attended = layer.attention.read_space(normed, same_group)
            else:
                attended = layer.attention.extend_time(normed, turn, cache.layers[index], visible, kept)
            x = layer.finish(x, attended)
        cache.length += kept
        return x


def place_space_layers(n_layers: int, group: int, n_space: int, first: bool) -> tuple[bool, ...]:
    """Return which layers attend across variates: the first or last `n_space` of every `group` layers.

    Args:
        n_layers: All layers.
        group: Layers in a group; below 1 for none across variates.
        n_space: Layers across variates in a group.
        first: Whether they stand at its start.
    """
    if group < 1:
        return (False,) * n_layers
    return tuple((i % group < n_space) if first else (i % group >= group - n_space) for i in range(n_layers))


def _cut(
    x: torch.Tensor, same_group: torch.Tensor | None, n_read: int | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Keep the last `n_read` tokens, and their groups where these change from token to token."""
    if n_read is None:
        return x, same_group
    if same_group is not None and same_group.shape[1] > 1:
        same_group = same_group[:, -n_read:]
    return x[..., -n_read:, :], same_group
