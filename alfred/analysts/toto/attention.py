"""Attention along time with a cache that paths share, and attention across variates.

Axes legend: B batch, S paths of one history, V variates, n tokens in this call, h heads, D channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.toto.rotary import Turn


@dataclass(frozen=True)
class AttentionShape:
    """Sizes of one attention.

    Attributes:
        width: Channels of a token, E.
        n_heads: Query heads, h.
        n_groups: Key and value heads; query head i reads group `i // (n_heads / n_groups)`.
        key_size: Channels of a query or key head.
        value_size: Channels of a value head.
        bias: Whether the projections have one.
        logit_scale: Factor on the logits before the softmax.
        norm_eps: Epsilon of the norm on queries and keys, or None for no such norm.
        dropout: Share of attention weights that is dropped in training.
    """

    width: int
    n_heads: int
    n_groups: int
    key_size: int
    value_size: int
    bias: bool
    logit_scale: float
    norm_eps: float | None = None
    dropout: float = 0.0


@dataclass
class LayerCache:
    """Keys and values of one time-wise layer.

    The history is read once and shared by all paths; only what was decoded since is kept path by path.

    Attributes:
        shared_key: Turned keys of the history, `[B, V, h, L, D]`.
        shared_value: Its values, `[B, V, h, L, D]`.
        own_key: Turned keys of the decoded tokens of each path, `[B, S, V, h, G, D]`, or None before the first.
        own_value: Their values.
    """

    shared_key: torch.Tensor
    shared_value: torch.Tensor
    own_key: torch.Tensor | None = None
    own_value: torch.Tensor | None = None


class Attention(nn.Module):
    """Projections and the three ways to attend; heads are the slow axis of every projection."""

    def __init__(self, shape: AttentionShape) -> None:
        """Make the projections."""
        super().__init__()
        self.shape = shape
        self.query = nn.Linear(shape.width, shape.n_heads * shape.key_size, bias=shape.bias)
        self.key = nn.Linear(shape.width, shape.n_groups * shape.key_size, bias=shape.bias)
        self.value = nn.Linear(shape.width, shape.n_groups * shape.value_size, bias=shape.bias)
        self.out = nn.Linear(shape.n_heads * shape.value_size, shape.width, bias=shape.bias)
        if shape.norm_eps is not None:
            self.query_norm = nn.RMSNorm(shape.key_size, eps=shape.norm_eps)
            self.key_norm = nn.RMSNorm(shape.key_size, eps=shape.norm_eps)

    def _project_query(self, x: torch.Tensor) -> torch.Tensor:
        query = torch.unflatten(self.query(x), -1, (self.shape.n_heads, -1))
        if self.shape.norm_eps is not None:
            query = self.query_norm(query)
        return query

    def _project_key(self, x: torch.Tensor) -> torch.Tensor:
        key = torch.unflatten(self.key(x), -1, (self.shape.n_groups, -1))
        if self.shape.norm_eps is not None:
            key = self.key_norm(key)
        return self._spread(key)

    def _project_value(self, x: torch.Tensor) -> torch.Tensor:
        return self._spread(torch.unflatten(self.value(x), -1, (self.shape.n_groups, -1)))

    def _spread(self, groups: torch.Tensor) -> torch.Tensor:
        """Repeat each key or value group for the query heads that read it, `[..., g, D] -> [..., h, D]`."""
        repeats = self.shape.n_heads // self.shape.n_groups
        return groups if repeats == 1 else groups.repeat_interleave(repeats, dim=-2)

    def _attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
    ) -> torch.Tensor:
        dropout = self.shape.dropout if self.training else 0.0
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal, dropout_p=dropout, scale=self.shape.logit_scale
        )

    def read_time(
        self, x: torch.Tensor, turn: Turn, visible: torch.Tensor | None, n_read: int | None
    ) -> tuple[torch.Tensor, LayerCache]:
        """Attend along a whole history.

        Args:
            x: Normed tokens, `[B, V, n, E]`.
            turn: Rotary factors of the n positions.
            visible: Causal mask and more, True where a query may look, `[B, V, n, n]`; None for plain causal.
            n_read: Number of last tokens whose result is wanted; all when None.

        Returns:
            The result, `[B, V, n_read, E]`, and what later tokens need.
        """
        query = self._project_query(x if n_read is None else x[..., -n_read:, :])
        query, key = query.transpose(-2, -3), self._project_key(x).transpose(-2, -3)
        value = self._project_value(x).transpose(-2, -3)
        n, m = key.shape[-2], query.shape[-2]
        query, key = turn.apply(query, key)
        mask = None
        if visible is not None:
            mask = visible[:, :, None, n - m :, :].flatten(0, 1)
        elif 1 < m < n:
            mask = make_causal_mask(n, x.device)[n - m :]
        flat_query, flat_key, flat_value = (part.flatten(0, 1) for part in (query, key, value))
        mixed = self._attend(flat_query, flat_key, flat_value, mask, causal=visible is None and m == n)
        return self._merge(torch.unflatten(mixed, 0, x.shape[:2])), LayerCache(key, value)

    def extend_time(
        self, x: torch.Tensor, turn: Turn, cache: LayerCache, visible: torch.Tensor | None, n_keep: int
    ) -> torch.Tensor:
        """Attend from new tokens to the shared history and to what their own path decoded.

        Args:
            x: Normed new tokens, `[B, S, V, n, E]`.
            turn: Rotary factors of their positions.
            cache: Of this layer; the new keys and values are added to it.
            visible: Positions of the history that may be seen, `[B, V, L]`; all when None.
            n_keep: Leading new tokens to keep in the cache.

        Returns:
            The result, `[B, S, V, n, E]`.
        """
        query, key = self._project_query(x).transpose(-2, -3), self._project_key(x).transpose(-2, -3)
        value = self._project_value(x).transpose(-2, -3)
        query, key = turn.apply(query, key)
        n = key.shape[-2]
        if cache.own_key is not None and cache.own_value is not None:
            key, value = torch.cat((cache.own_key, key), dim=-2), torch.cat((cache.own_value, value), dim=-2)
        kept = key.shape[-2] - n + n_keep
        cache.own_key, cache.own_value = key[..., :kept, :], value[..., :kept, :]
        # All paths look at the shared history in one product, without a copy of it per path.
        by_history = query.permute(0, 2, 3, 1, 4, 5)
        shared = by_history.flatten(3, 4) @ cache.shared_key.transpose(-1, -2)
        if visible is not None:
            shared = shared.masked_fill(~visible[:, :, None, None, :], -torch.inf)
        shared = torch.unflatten(shared, 3, by_history.shape[3:5]).permute(0, 3, 1, 2, 4, 5)
        own = query @ key.transpose(-1, -2)
        if n > 1:
            own = own.masked_fill(~make_causal_mask(key.shape[-2], x.device)[-n:], -torch.inf)
        weight = (torch.cat((shared, own), dim=-1) * self.shape.logit_scale).softmax(-1)
        past, fresh = weight[..., : shared.shape[-1]], weight[..., shared.shape[-1] :]
        past = past.permute(0, 2, 3, 1, 4, 5)
        mixed = torch.unflatten(past.flatten(3, 4) @ cache.shared_value, 3, past.shape[3:5])
        return self._merge(mixed.permute(0, 3, 1, 2, 4, 5) + fresh @ value)

    def read_space(self, x: torch.Tensor, same_group: torch.Tensor | None) -> torch.Tensor:
        """Attend across the variates of each token.

        Args:
            x: Normed tokens, `[..., V, n, E]`.
            same_group: True where two variates may see each other, broadcastable to `[..., n, 1, V, V]`; all when None.
        """
        value = self._project_value(x)
        if x.shape[-3] == 1:
            # A variate alone gives itself all the weight.
            return self._merge(value.transpose(-2, -3))
        query, key, value = (part.movedim(-4, -2) for part in (self._project_query(x), self._project_key(x), value))
        mixed = self._attend(query, key, value, same_group, causal=False)
        return self._merge(mixed.movedim(-2, -4).transpose(-2, -3))

    def _merge(self, mixed: torch.Tensor) -> torch.Tensor:
        """Join the heads and project, `[..., h, n, D] -> [..., n, E]`."""
        out: torch.Tensor = self.out(mixed.transpose(-2, -3).flatten(-2))
        return out


def make_causal_mask(n: int, device: torch.device) -> torch.Tensor:
    """Return the mask of n tokens that see themselves and what came before, `[n, n]`."""
    return torch.ones(n, n, dtype=torch.bool, device=device).tril()
