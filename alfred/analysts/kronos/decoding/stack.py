"""Transformer blocks with a cache whose history part is shared by all samples of a series."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import functional

from alfred.analysts.kronos.config import Precision
from alfred.analysts.kronos.decoding.linear import FusedLinear, compute_dtype
from alfred.analysts.kronos.layers import Block, make_rotary, normalize_rms, rotate


class SharedKeyValues:
    """Keys and values of one attention: a prefix for each series and a suffix for each of its rows.

    Axes: B series, N rows with N = B * R and the rows of a series together, h heads, P prefix, t new positions.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, n_rows: int, capacity: int) -> None:
        """Keep the prefix, `[B, h, P, head_dim]` each, and make room for `capacity` positions on `n_rows` rows."""
        # Contiguous copies: a view would keep the whole fused projection of every layer in memory.
        self.prefix_keys, self.prefix_values = keys.contiguous(), values.contiguous()
        shape = (n_rows, keys.shape[1], capacity, keys.shape[3])
        self.suffix_keys, self.suffix_values = keys.new_empty(shape), values.new_empty(shape)
        self.length = 0

    def append(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add positions to every row, `[N, h, t, head_dim]` each."""
        stop = self.length + keys.shape[2]
        self.suffix_keys[:, :, self.length : stop] = keys
        self.suffix_values[:, :, self.length : stop] = values
        self.length = stop

    def attend(self, queries: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        """Attend from the last t positions of every row to the prefix and, causally, to the suffix.

        The prefix is one matrix product for each series, with all its rows as queries, so that nothing is copied for
        each row; one softmax spans both parts.

        Args:
            queries: `[N, h, t, head_dim]`.
            padding: Positions of the prefix that hold nothing, `[B, P]`, or None.

        Returns:
            `[N, t, h * head_dim]`.
        """
        n_series, n_heads, n_prefix, head_dim = self.prefix_keys.shape
        n_rows, _, t, _ = queries.shape
        n_samples = n_rows // n_series

        def by_series(x: torch.Tensor) -> torch.Tensor:
            split = x.reshape(n_series, n_samples, n_heads, t, x.shape[-1])
            return split.transpose(1, 2).reshape(n_series, n_heads, n_samples * t, x.shape[-1])

        def by_row(x: torch.Tensor) -> torch.Tensor:
            split = x.reshape(n_series, n_heads, n_samples, t, x.shape[-1])
            return split.transpose(1, 2).reshape(n_rows, n_heads, t, x.shape[-1])

        queries = queries * head_dim**-0.5
        shared = by_series(queries) @ self.prefix_keys.transpose(-1, -2)
        if padding is not None:
            shared.masked_fill_(padding[:, None, None, :], -torch.inf)
        own = queries @ self.suffix_keys[:, :, : self.length].transpose(-1, -2)
        if t > 1:
            later = torch.ones(t, self.length, dtype=torch.bool, device=own.device).triu(self.length - t + 1)
            own.masked_fill_(later, -torch.inf)
        weights = torch.softmax(torch.cat([shared, by_series(own)], dim=-1), dim=-1)
        mixed = by_row(weights[..., :n_prefix] @ self.prefix_values)
        mixed = mixed + by_row(weights[..., n_prefix:]) @ self.suffix_values[:, :, : self.length]
        return mixed.transpose(1, 2).flatten(2)


class StackCache:
    """What a stack of blocks remembers of a prefix and of what was added to it.

    Attributes:
        layers: Keys and values of each block.
        position: Position of the next bar.
        padding: Positions of the prefix that hold nothing, `[B, P]`, or None.
    """

    def __init__(self, position: int, padding: torch.Tensor | None) -> None:
        """Start without layers."""
        self.layers: list[SharedKeyValues] = []
        self.position = position
        self.padding = padding


class _FusedBlock:
    def __init__(self, block: Block, precision: Precision) -> None:
        attention, feed_forward = block.self_attn, block.ffn
        self.n_heads = attention.n_heads
        self.norm1 = block.norm1.weight.detach().to(compute_dtype(precision))
        self.norm2 = block.norm2.weight.detach().to(compute_dtype(precision))
        self.project = FusedLinear([attention.q_proj, attention.k_proj, attention.v_proj], precision)
        self.output = FusedLinear([attention.out_proj], precision)
        self.widen = FusedLinear([feed_forward.w1, feed_forward.w3], precision)
        self.narrow = FusedLinear([feed_forward.w2], precision)

    def read(
        self, x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values, `[., h, T, head_dim]` each."""
        projected = self.project(normalize_rms(x, self.norm1)).view(*x.shape[:2], 3, self.n_heads, -1)
        projected = projected.permute(2, 0, 3, 1, 4)
        q, k = rotate(projected[:2], rotary).unbind(0)
        return q, k, projected[2]

    def finish(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = x + self.output(mixed)
        gate, value = self.widen(normalize_rms(x, self.norm2)).chunk(2, dim=-1)
        return x + self.narrow(functional.silu(gate) * value)


class BlockStack:
    """Causal blocks for forecasting: the history is read once a series, new bars are added a row.

    The weights are copies, fused, made when the stack is built; dropout does not exist here.
    """

    def __init__(self, blocks: Iterable[torch.nn.Module], precision: Precision = "float32") -> None:
        """Copy the weights of `Block` modules."""
        self.blocks = [_FusedBlock(block, precision) for block in blocks if isinstance(block, Block)]

    def prefill(
        self,
        x: torch.Tensor,
        *,
        n_rows: int,
        capacity: int,
        padding: torch.Tensor | None = None,
        with_output: bool = True,
    ) -> tuple[torch.Tensor, StackCache]:
        """Read the shared history.

        Args:
            x: Embedded bars, `[B, P, d]`.
            n_rows: Rows N that will be added to, a multiple of B.
            capacity: Bars that will be added to a row at most.
            padding: Which bars hold nothing, `[B, P]` bool, all of them on the left, or None.
            with_output: Whether the result is needed; without it the last block only stores keys and values.

        Returns:
            The result `[B, P, d]` (the input of the last block without `with_output`) and the cache.
        """
        length = x.shape[1]
        cache = StackCache(length, padding)
        mask = None if padding is None else _make_mask(padding)
        rotary = self._make_rotary(x, 0, length)
        for index, block in enumerate(self.blocks):
            q, k, v = block.read(x, rotary)
            cache.layers.append(SharedKeyValues(k, v, n_rows, capacity))
            if index == len(self.blocks) - 1 and not with_output:
                break
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            x = block.finish(x, mixed.transpose(1, 2).flatten(2))
        return x, cache

    def advance(self, x: torch.Tensor, cache: StackCache) -> torch.Tensor:
        """Add bars to every row, `[N, t, d]`, and return the result for them, `[N, t, d]`."""
        stop = cache.position + x.shape[1]
        rotary = self._make_rotary(x, cache.position, stop)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            q, k, v = block.read(x, rotary)
            layer.append(k, v)
            x = block.finish(x, layer.attend(q, cache.padding))
        cache.position = stop
        return x

    def _make_rotary(self, x: torch.Tensor, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        # A tokenizer may have no block at all, and then nothing asks for the angles.
        n_heads = self.blocks[0].n_heads if self.blocks else 1
        return make_rotary(start, stop, x.shape[-1] // n_heads, x.device)


def _make_mask(padding: torch.Tensor) -> torch.Tensor:
    """Return which keys a position may look at, `[B, 1, P, P]`; padding sees itself, so that no softmax is empty."""
    length = padding.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=padding.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=padding.device)
    return ((causal & ~padding[:, None, :]) | itself)[:, None]
