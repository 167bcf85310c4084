"""Boosted trees as plain arrays: grown by scikit-learn, kept without pickle, read with numpy alone.

Axes legend: T trees, M nodes of all trees one after the other, B batch, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from alfred.typing import Float

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

_CHUNK = 256  # rows at a time: one node of every tree and row then fits the cache of a core

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of regression trees over a baseline.

    A node sends a row to the left where its feature is at most the threshold. A leaf is its own child, so that all
    rows can go down every tree in step.

    Attributes:
        baseline: What the sum starts with, `[1]`.
        roots: First node of each tree, `[T]`.
        features: Feature of each node, `[M]`.
        thresholds: `[M]`.
        left: Left child, `[M]`.
        right: Right child, `[M]`.
        missing_left: Whether a row whose feature is NaN goes to the left, `[M]`.
        values: What a leaf adds, `[M]`.
    """

    baseline: Float
    roots: Integers
    features: Integers
    thresholds: Float
    left: Integers
    right: Integers
    missing_left: npt.NDArray[np.bool_]
    values: Float

    @classmethod
    def constant(cls, value: float) -> Self:
        """Return a forest without trees."""
        none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        return cls(np.array([value]), none, none, nothing, none, none, np.zeros(0, dtype=np.bool_), nothing)

    @classmethod
    def from_model(cls, model: HistGradientBoostingRegressor) -> Self:
        """Copy the trees of a fitted regressor with squared error and without categories."""
        # scikit-learn keeps its trees in a private place and offers no other format than pickle; a test holds the
        # forecasts of both equal to the last bit.
        trees = [predictors[0].nodes for predictors in model._predictors]
        sizes = np.array([len(nodes) for nodes in trees], dtype=np.int64)
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        nodes = np.concatenate(trees)
        offsets, own = np.repeat(roots, sizes), np.arange(len(nodes), dtype=np.int64)
        leaf = nodes["is_leaf"].astype(bool)
        return cls(
            baseline=np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1),
            roots=roots,
            features=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
            thresholds=np.where(leaf, 0.0, nodes["num_threshold"]),
            left=np.where(leaf, own, nodes["left"] + offsets).astype(np.int64),
            right=np.where(leaf, own, nodes["right"] + offsets).astype(np.int64),
            missing_left=nodes["missing_go_to_left"].astype(bool),
            values=nodes["value"].astype(np.float64),
        )

    @property
    def n_trees(self) -> int:
        """Number of trees T."""
        return len(self.roots)

    def validate(self, n_features: int) -> None:
        """Check that every row ends in a leaf, whatever a file says.

        Raises:
            ValueError: A shape, a feature or a child is wrong.
        """
        size, own = len(self.values), np.arange(len(self.values))
        for name in ("features", "thresholds", "left", "right", "missing_left"):
            if getattr(self, name).shape != (size,):
                raise ValueError(f"'{name}' of a forest has shape {getattr(self, name).shape}, not {(size,)}")
        if self.baseline.shape != (1,) or not _lie_between(self.roots, 0, size):
            raise ValueError("a forest needs one baseline, and its roots among its nodes")
        if not _lie_between(self.features, 0, n_features):
            raise ValueError(f"a node of a forest reads a feature beyond the {n_features} that there are")
        # A child comes after its parent, so that going down ends; a leaf is its own child on both sides.
        leaf = (self.left == own) & (self.right == own)
        for child in (self.left, self.right):
            if not (leaf | (child > own)).all() or not _lie_between(child, 0, size):
                raise ValueError("a node of a forest has a child that is not below it")

    def predict(self, values: Float) -> Float:
        """Return the sums `[B]` of rows of features `[B, F]`; NaN is what is unknown."""
        result = np.empty(len(values))
        for start in range(0, len(values), _CHUNK):
            rows = values[start : start + _CHUNK]
            total = np.full(len(rows), self.baseline[0])
            # One tree after the other, as scikit-learn adds them: the sum of a row does not depend on its batch.
            for added in self.values[self._descend(rows)]:
                total += added
            result[start : start + _CHUNK] = total
        return result

    def _descend(self, rows: Float) -> Integers:
        """Return the leaf of every tree and row, `[T, B]`."""
        nodes = np.broadcast_to(self.roots[:, None], (self.n_trees, len(rows))).copy()
        columns = np.arange(len(rows))
        while nodes.size:
            found = rows[columns, self.features[nodes]]
            goes_left = (found <= self.thresholds[nodes]) | (np.isnan(found) & self.missing_left[nodes])
            below = np.where(goes_left, self.left[nodes], self.right[nodes])
            if np.array_equal(below, nodes):
                break
            nodes = below
        return nodes

    def to_arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name."""
        return {f"{prefix}.{name}": array for name, array in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], prefix: str, n_features: int) -> Self:
        """Return a forest from what `to_arrays` made of it.

        Raises:
            KeyError: An array is missing.
            ValueError: The arrays are no forest of so many features.
        """
        found: dict[str, Any] = {name: _read(arrays[f"{prefix}.{name}"], kind, name) for name, kind in _KINDS.items()}
        forest = cls(**found)
        forest.validate(n_features)
        return forest


_KINDS: dict[str, type[np.generic]] = {
    "baseline": np.float64,
    "roots": np.int64,
    "features": np.int64,
    "thresholds": np.float64,
    "left": np.int64,
    "right": np.int64,
    "missing_left": np.bool_,
    "values": np.float64,
}


def _read(array: npt.NDArray[Any], kind: type[np.generic], name: str) -> npt.NDArray[Any]:
    if array.dtype != kind or array.ndim != 1:
        raise ValueError(f"'{name}' of a forest is {array.dtype} of {array.ndim} axes, not {kind.__name__} of one")
    return array


def _lie_between(indices: Integers, low: int, high: int) -> bool:
    return not len(indices) or bool(indices.min() >= low and indices.max() < high)
