"""What the property tests draw: books, costs and factors as a ledger meets them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6))


@st.composite
def books(draw: st.DrawFn, shape: tuple[int, int]) -> np.ndarray:
    """Weights that sum to one, cash last, `[P, N+1]`, corners and dust among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, n = shape
    kind = draw(st.sampled_from(["spread", "corner", "dust", "cash"]))
    weights = rng.dirichlet(np.full(n + 1, 0.05 if kind == "dust" else 1.0), count)
    if kind in ("corner", "cash"):
        weights[:] = 0.0
        weights[np.arange(count), -1 if kind == "cash" else rng.integers(0, n + 1, count)] = 1.0
    return weights


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, int]) -> np.ndarray:
    """One where an asset can be traded, else zero, one for cash, `[P, N+1]`."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    free = (rng.random((shape[0], shape[1] + 1)) < draw(st.floats(0, 1))).astype(np.float64)
    free[:, -1] = 1.0
    return free


@st.composite
def levered(draw: st.DrawFn, shape: tuple[int, int], most: float) -> np.ndarray:
    """Weights of either sign whose absolute sum is at most `most`, the rest in cash, `[P, N+1]`."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    assets = rng.normal(size=shape)
    assets *= most * rng.random((shape[0], 1)) / np.abs(assets).sum(axis=1, keepdims=True)
    return np.column_stack([assets, 1.0 - assets.sum(axis=1)])
