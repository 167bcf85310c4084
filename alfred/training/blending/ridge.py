"""Ridge regression that shrinks towards equal weights, from sums that are kept session by session.

Axes legend: T sessions, N symbols, K forecasts that are combined.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from alfred.typing import BoolArray, Float, FloatArray

EQUAL = float("inf")
"""The penalty that leaves nothing but equal weights, or what else is shrunk towards."""

# Of the mean diagonal: what forecasts that are copies of one another need to be solved for.
_JITTER = 1e-9


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over pairs of forecasts and outcomes, which are all that a least-squares fit reads.

    Attributes:
        gram: Products of forecasts, `[..., K, K]`.
        moments: Products of forecasts and outcomes, `[..., K]`.
        count: Pairs, `[...]`.
    """

    gram: Float
    moments: Float
    count: Float

    def between(self, start: int, stop: int) -> Sums:
        """Return the sums of the sessions from `start` to before `stop`, of sums that run over sessions."""
        # Entry t of running sums holds the sessions before t.
        return Sums(*(part[stop] - part[start] for part in (self.gram, self.moments, self.count)))

    def only(self, kept: BoolArray) -> Sums:
        """Return the sums of some of the forecasts, `[K]` says which; running sums keep their sessions."""
        return Sums(self.gram[..., kept, :][..., kept], self.moments[..., kept], self.count)


def run_sums(forecasts: FloatArray, outcomes: FloatArray, known: BoolArray) -> Sums:
    """Return running sums over sessions, each `[T + 1, ...]`: entry t holds what came before session t.

    Args:
        forecasts: `[T, N, K]`, without gaps where `known` is true.
        outcomes: `[T, N]`.
        known: Pairs that count, `[T, N]`.
    """
    shown = np.where(known[..., None], forecasts, 0.0).astype(np.float64)
    paid = np.where(known, outcomes, 0.0).astype(np.float64)
    daily = (
        np.matmul(shown.transpose(0, 2, 1), shown),
        np.einsum("tnk,tn->tk", shown, paid),
        known.sum(axis=1).astype(np.float64),
    )
    return Sums(*(np.concatenate([np.zeros((1, *part.shape[1:])), np.cumsum(part, axis=0)]) for part in daily))


def solve(sums: Sums, penalty: float, *, nonnegative: bool = True, target: FloatArray | None = None) -> Float:
    """Return the weights with the smallest penalised mean squared error, `[K]`.

    With G and g the mean products, minimises `w' G w - 2 w' g + penalty |w - c u|^2` over w and c, where u is the
    target: an infinite penalty leaves weights along the target, whose common size is fitted. Equal weights as a target
    are those of Diebold and Shin (2019). Weights that may not be negative are those of Breiman's stacked regressions
    (1996), where without this bound the copies of one forecast are bet against each other.

    Args:
        sums: Of the pairs.
        penalty: On the distance of the weights from the line of the target, in units of the forecasts' variance.
        nonnegative: Whether weights below zero are ruled out.
        target: Weights to shrink towards, `[K]`; equal ones when left out, or when it is zero.
    """
    n_weights = len(sums.moments)
    if n_weights == 0 or sums.count <= 0:
        return np.zeros(n_weights)
    gram, moments = sums.gram / sums.count, sums.moments / sums.count
    size = float(np.trace(gram)) / n_weights
    if size <= 0:
        return np.zeros(n_weights)
    line = np.ones(n_weights) if target is None or not np.any(target) else np.asarray(target, dtype=np.float64)
    line = line / np.sqrt(line @ line)
    if penalty == EQUAL:
        along = float(line @ gram @ line)
        common = float(moments @ line) / along if along > _JITTER * size else 0.0
        return np.asarray(line * (max(common, 0.0) if nonnegative else common))
    identity = np.eye(n_weights)
    whole = gram + penalty * size * (identity - np.outer(line, line)) + _JITTER * size * identity
    if not nonnegative:
        return np.asarray(np.linalg.solve(whole, moments))
    # min |L' w - L^-1 g| has the same solution as the quadratic form, since whole = L L'.
    lower = np.linalg.cholesky(whole)
    found, _ = nnls(lower.T, np.linalg.solve(lower, moments))
    return np.asarray(found)


def compute_gain(sums: Sums, weights: FloatArray) -> float:
    """Return by how much weights lower the sum of squared errors below that of a forecast of zero."""
    return float(2.0 * weights @ sums.moments - weights @ sums.gram @ weights)


def choose_penalty(
    sums: Sums,
    start: int,
    stop: int,
    penalties: Sequence[float],
    *,
    purge: int,
    n_blocks: int,
    nonnegative: bool,
    find_target: Callable[[int, int], Float | None] = lambda _start, _stop: None,
) -> float:
    """Return the penalty with the largest gain on later sessions than those fitted on; the larger one of equals.

    The second half of the sessions is cut into blocks. Each is forecast by weights that were fitted on all sessions
    before it, less the last `purge` ones, whose outcomes reach into it.

    Args:
        sums: Running sums, see `run_sums`.
        start: First session.
        stop: Session after the last one with a known outcome.
        penalties: To choose from; equal weights are always among the choices.
        purge: Sessions that an outcome spans.
        n_blocks: Blocks.
        nonnegative: As in `solve`.
        find_target: Returns the target of a fit on the sessions from one to before another.
    """
    choices = sorted({*penalties, EQUAL}, reverse=True)
    middle = start + (stop - start) // 2
    edges = np.linspace(middle, stop, n_blocks + 1).astype(int)
    gains = np.zeros(len(choices))
    for first, last in itertools.pairwise(edges.tolist()):
        # The outcome of session s is known at s + purge; the block begins at `first`.
        end = max(first - purge + 1, start)
        past, block, target = sums.between(start, end), sums.between(first, last), find_target(start, end)
        gains += [
            compute_gain(block, solve(past, penalty, nonnegative=nonnegative, target=target)) for penalty in choices
        ]
    return choices[int(np.argmax(gains))]
