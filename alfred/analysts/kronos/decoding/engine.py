"""The model made fast: lookup tables, fused weights, a shared cache, and heads on the last bar only."""

from __future__ import annotations

import math

import torch

from alfred.analysts.kronos.config import Precision
from alfred.analysts.kronos.decoding.linear import FusedLinear, compute_dtype
from alfred.analysts.kronos.decoding.stack import BlockStack, SharedKeyValues, StackCache
from alfred.analysts.kronos.layers import normalize_rms
from alfred.analysts.kronos.model import DEPENDENCY_HEADS, STAMPS, KronosModel


class KronosEngine:
    """A frozen copy of a model's weights, laid out for forecasting. Dropout does not exist here.

    Axes: B series, N rows (samples, those of a series together), P bars of history, t new bars, V1 and V2 vocabularies.
    """

    def __init__(self, model: KronosModel, precision: Precision = "float32") -> None:
        """Copy and fold the weights; later training of `model` is not seen.

        Args:
            model: The model.
            precision: `float32` is exact; `bfloat16` and `int8` are faster and approximate.
        """
        dtype = compute_dtype(precision)
        width = model.settings.d_model
        with torch.no_grad():
            fusion = model.embedding.fusion_proj
            left, right = fusion.weight[:, :width], fusion.weight[:, width:]
            first, second = model.embedding.emb_s1.weight, model.embedding.emb_s2.weight
            # The projection of a sum of two scaled rows is a sum of two rows that can be tabulated.
            self.first = (math.sqrt(width) * first @ left.T + fusion.bias).to(dtype)
            self.second = (math.sqrt(width) * second @ right.T).to(dtype)
            self.times = [model.time_emb.get_table(name).detach().to(dtype) for name in STAMPS]
            attention = model.dep_layer.cross_attn
            self.queries = attention.q_proj(first).to(dtype)
        self.stack = BlockStack(model.transformer, precision)
        self.norm = model.norm.weight.detach().to(dtype)
        self.project = FusedLinear([attention.k_proj, attention.v_proj], precision)
        self.output = FusedLinear([attention.out_proj], precision)
        self.dependency_norm = model.dep_layer.norm.weight.detach().to(dtype)
        self.head_s1 = FusedLinear([model.head.proj_s1], precision)
        self.head_s2 = FusedLinear([model.head.proj_s2], precision)

    def embed(self, s1: torch.Tensor, s2: torch.Tensor, stamps: torch.Tensor) -> torch.Tensor:
        """Embed token pairs, `[., T]`, with the time stamps of their bars, `[., T, 5]`."""
        hidden = self.first[s1] + self.second[s2]
        for part, table in enumerate(self.times):
            hidden += table[stamps[..., part]]
        return hidden

    def start(
        self,
        s1: torch.Tensor,
        s2: torch.Tensor,
        stamps: torch.Tensor,
        *,
        n_rows: int,
        capacity: int,
        padding: torch.Tensor | None = None,
    ) -> Session:
        """Read the history of every series once.

        Args:
            s1: Coarse ids, `[B, P]`.
            s2: Fine ids, `[B, P]`.
            stamps: Time stamps, `[B, P, 5]`.
            n_rows: Rows N that will be forecast, a multiple of B.
            capacity: Bars that will be added to a row at most.
            padding: Bars that hold nothing, `[B, P]`, on the left, or None.
        """
        hidden, cache = self.stack.prefill(
            self.embed(s1, s2, stamps), n_rows=n_rows, capacity=capacity, padding=padding
        )
        context = normalize_rms(hidden, self.norm)
        keys, values = self.project_context(context)
        return Session(self, cache, SharedKeyValues(keys, values, n_rows, capacity), context[:, -1], n_rows)

    def project_context(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of the dependency layer, `[., 4, T, head_dim]` each."""
        projected = self.project(context).view(*context.shape[:2], 2, DEPENDENCY_HEADS, -1).permute(2, 0, 3, 1, 4)
        return projected[0], projected[1]


class Session:
    """A forecast under way: everything that was read, and the state of the last bar of every row."""

    def __init__(
        self, engine: KronosEngine, cache: StackCache, dependency: SharedKeyValues, state: torch.Tensor, n_rows: int
    ) -> None:
        """Called by `KronosEngine.start`."""
        self.engine = engine
        self.cache = cache
        self.dependency = dependency
        self.n_rows = n_rows
        self._state = state

    @property
    def state(self) -> torch.Tensor:
        """Context of the last bar, `[N, d]`; all rows of a series share it until a bar is added."""
        return self._state.repeat_interleave(self.n_rows // len(self._state), dim=0)

    def advance(self, s1: torch.Tensor, s2: torch.Tensor, stamps: torch.Tensor) -> None:
        """Add bars to every row: ids `[N, t]` each and time stamps `[N, t, 5]`."""
        hidden = self.engine.stack.advance(self.engine.embed(s1, s2, stamps), self.cache)
        context = normalize_rms(hidden, self.engine.norm)
        self.dependency.append(*self.engine.project_context(context))
        self._state = context[:, -1]

    def compute_s1_logits(self) -> torch.Tensor:
        """Return logits of the next coarse token, float32 `[N, V1]`."""
        logits = self.engine.head_s1(self._state).float()
        return logits.repeat_interleave(self.n_rows // len(logits), dim=0)

    def compute_s2_logits(self, s1: torch.Tensor) -> torch.Tensor:
        """Return logits of the next fine token given the coarse one, `[N]`, float32 `[N, V2]`."""
        engine = self.engine
        queries = engine.queries[s1].view(len(s1), DEPENDENCY_HEADS, 1, -1)
        mixed = self.dependency.attend(queries, self.cache.padding)[:, 0]
        hidden = normalize_rms(self.state + engine.output(mixed), engine.dependency_norm)
        return engine.head_s2(hidden).float()
