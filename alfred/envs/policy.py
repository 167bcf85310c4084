"""The interface of everything that chooses weights: agents, baselines and rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from alfred.envs.settings import ActionSettings
from alfred.errors import DataError
from alfred.jit import jit
from alfred.typing import Float, Observation

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    import pandas as pd

    from alfred.envs.tape import Tape

# How far weights may lie from what they must sum to: room for single precision, none for a mistake.
_TOLERANCE = 1e-5


@runtime_checkable
class Policy(Protocol):
    """Chooses target weights from what is known at a close.

    Attributes:
        name: Name in tables and reports.
        rebalance_every: Sessions from one decision to the next, or None to take that of the environment.
        lookback: Sessions of returns that the policy needs in its observations, L.

    A policy may say more; left out, these are taken as stated: `under_mandate` (True: constraints and risk rules hold
    for it), `long_only` (False: it may be short where the environment allows it), `burn_in` (0: sessions that it has to
    see before its first decision counts), `may_hold` (False: weights that are all NaN leave the book alone in a
    backtest, drifted as it is, instead of being refused) and `check_fit(tape, settings)`, which refuses a range whose
    observations or actions stand for something else than in its training.
    """

    name: str
    rebalance_every: int | None
    lookback: int

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Forget what was seen: a new walk begins for some portfolios, or for all when `rows` is None."""
        ...

    def predict(self, observation: Observation) -> Float:
        """Return target weights, cash last.

        Args:
            observation: As `alfred.envs.observations` describes it, each array with a batch axis in front.

        Returns:
            Weights that sum to one, `[P, N+1]`.
        """
        ...


class BaselinePolicy(ABC):
    """What the policies of benchmarks, baselines and rules have in common.

    Attributes:
        name: Name in tables.
        rebalance_every: Sessions from one decision to the next.
        lookback: Sessions of returns that it reads, L.
        under_mandate: Whether the agent's constraints and risk rules hold for it as well.
        long_only: Whether it never goes short; it is then booked as a long-only portfolio whatever agents may do.
    """

    name: str
    rebalance_every: int | None = 1
    lookback: int = 0
    under_mandate: bool = False
    long_only: bool = True

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:  # noqa: B027  most have no state
        """Do nothing; a baseline with a state of its own forgets it here."""

    @abstractmethod
    def predict(self, observation: Observation) -> Float:
        """Return target weights; see `Policy`."""


def check_weights(
    weights: object, shape: tuple[int, int], action: ActionSettings, name: str, date: pd.Timestamp, *, normalise: bool
) -> Float:
    """Return target weights that can be traded, or refuse them.

    Args:
        weights: What a policy returned.
        shape: Portfolios P and assets with cash N+1.
        action: Whether weights may be negative, and their largest sum in size.
        name: Of the policy, for the message.
        date: Of the decision, for the message.
        normalise: Scale weights to what they must sum to instead of refusing them.

    Raises:
        DataError: They are not `[P, N+1]` finite numbers that sum to one, not negative in a long-only book, and within
            the leverage otherwise.
    """
    where = f"policy '{name}' returned"
    try:
        values = np.array(weights, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        values = np.empty(0)
    if weights is None or values.shape != shape:
        shown = type(weights).__name__ if values.ndim < 2 else f"an array of shape {values.shape}"
        raise DataError(f"{where} {shown} on {date.date()}: it must return weights of shape {shape}, cash last")
    if action.long_only and not normalise and _are_sound(values):
        # What nearly every decision is; the same steps as below, without their messages.
        return _close_with_cash(values, long_only=True)
    if not np.isfinite(values).all():
        raise DataError(f"{where} a weight that is not a finite number on {date.date()}: {values.tolist()[0][:8]}")
    if action.long_only and values.min() < -_TOLERANCE:
        raise DataError(
            f"{where} a weight of {values.min():.6g} on {date.date()}: weights must be at least 0 in a long-only book; "
            "set env.action.mode=long_short to allow short positions"
        )
    if action.long_only:
        np.maximum(values, 0.0, out=values)
    total = values.sum(axis=1, keepdims=True)
    size = np.abs(values[:, :-1]).sum(axis=1, keepdims=True)
    if normalise and action.long_only:
        values = np.divide(values, total, out=values, where=total > 0.0)
    elif normalise:
        values[:, :-1] *= np.minimum(1.0, action.max_leverage / np.maximum(size, action.max_leverage))
    elif np.abs(total - 1.0).max() > _TOLERANCE:
        wrong = total[int(np.argmax(np.abs(total - 1.0))), 0]
        raise DataError(
            f"{where} weights that sum to {wrong:.6g} on {date.date()}: they must sum to 1, cash last; put the rest "
            "into cash, or pass normalise=True to have them scaled"
        )
    elif not action.long_only and size.max() > action.max_leverage * (1.0 + _TOLERANCE):
        raise DataError(
            f"{where} weights whose sizes sum to {size.max():.6g} on {date.date()}, above env.action.max_leverage "
            f"{action.max_leverage:g}: raise it, or pass normalise=True to have them scaled down"
        )
    return _close_with_cash(values, long_only=action.long_only)


@jit
def _are_sound(values: Float) -> bool:
    """Return whether weights are finite and sum to one, none below zero; what rounding left there is cut, in place."""
    for p in range(values.shape[0]):
        total = 0.0
        for i in range(values.shape[1]):
            if not -_TOLERANCE <= values[p, i] <= 1.0 + _TOLERANCE:
                return False
            total += max(values[p, i], 0.0)
        if not abs(total - 1.0) < 0.5 * _TOLERANCE:
            return False
    # Not before all are known to be sound: a refusal shows them as they came.
    for p in range(values.shape[0]):
        for i in range(values.shape[1]):
            values[p, i] = max(values[p, i], 0.0)
    return True


def _close_with_cash(values: Float, *, long_only: bool) -> Float:
    """Have cash take up the rounding, in place, so that the weights sum to one to the last digit."""
    values[:, -1] = 1.0 - values[:, :-1].sum(axis=1)
    if long_only and values[:, -1].min() < 0.0:
        short = values[:, -1] < 0.0
        values[short, -1] = 0.0
        values[short] /= values[short].sum(axis=1, keepdims=True)
    return values


def check_holdable(weights: Float, tape: Tape, bar: npt.NDArray[np.integer], name: str, date: pd.Timestamp) -> None:
    """Refuse weight on what may not be held.

    Args:
        weights: Target weights, cash last, `[P, N+1]`.
        tape: What is traded.
        bar: Execution bar of each portfolio, `[P]`.
        name: Of the policy, for the message.
        date: Of the decision, for the message.

    Raises:
        DataError: There is some.
    """
    holdable = tape.find_holdable(bar)
    if holdable is None or _measure_outside(weights, holdable) <= _TOLERANCE:
        return
    outside = (np.abs(weights[:, :-1]) * (1.0 - holdable)).max(axis=0)
    symbol = tape.symbols[int(np.argmax(outside))]
    raise DataError(
        f"policy '{name}' holds {outside.max():.6g} of {symbol} on {date.date()}, which is not investable "
        f"(an index cannot be bought, and nothing says that {symbol} can): leave it out, or name it "
        "with investable of the market, 'all' for every symbol"
    )


@jit
def _measure_outside(weights: Float, holdable: npt.NDArray[np.float32]) -> float:
    """Return the largest size of a weight `[P, N+1]` on what may not be held, `[P, N]`."""
    largest = 0.0
    for p in range(holdable.shape[0]):
        for i in range(holdable.shape[1]):
            largest = max(largest, abs(weights[p, i]) * (1.0 - holdable[p, i]))
    return largest
