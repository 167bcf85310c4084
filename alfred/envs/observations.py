"""Observations: what an agent sees at the close at which it decides.

| key | shape | holds |
| --- | --- | --- |
| `signals` | `[N, K]` | the analysts' signals, scaled by their own past; zero where there is none |
| `weights` | `[N+1]` | weights held at this close, drifted since the last trade, cash last |
| `market` | `[M]` | trailing state of the market: `alfred.envs.market_features.MARKET_FEATURES` |
| `tradable` | `[N]` | one where the symbol traded at this close and may be held, else zero |
| `holdable` | `[N]` | one where the symbol may be held, else zero; only where some may not, and never in `flat` ones |
| `returns` | `[N, L]` | log returns of the last L sessions, oldest first; only with `lookback` above zero |

`signals` is left out when there are none. All values are clipped to +-`alfred.envs.market_features.BOUND`. With
`observation` set to `flat` the arrays stand behind one another in one array, in the order of this table, each in the
order of its last axis first (C order).
"""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from alfred.envs.market_features import BOUND
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.jit import jit
from alfred.typing import Float, Observation

# What an environment hands out: an `Observation`, or one array when it is flat. A union would have every caller that
# never asks for flat ones narrow it.
AnyObservation: TypeAlias = Any
KEYS = ("signals", "weights", "market", "tradable", "returns")


def make_observation_space(tape: Tape, settings: PortfolioSettings) -> spaces.Space[Any]:
    """Return the space of one portfolio's observation: a `Dict`, or a `Box` when it is flat."""
    n, k, m = tape.signals.shape[1], tape.signals.shape[2], tape.features.shape[1]
    least, most = (0.0, 1.0) if settings.action.long_only else (-BOUND, BOUND)
    entries: dict[str, spaces.Space[Any]] = {
        "weights": spaces.Box(least, most, (n + 1,), np.float32),
        "market": spaces.Box(-BOUND, BOUND, (m,), np.float32),
        "tradable": spaces.Box(0.0, 1.0, (n,), np.float32),
    }
    if k:
        entries["signals"] = spaces.Box(-BOUND, BOUND, (n, k), np.float32)
    if tape.holdable is not None:
        entries["holdable"] = spaces.Box(0.0, 1.0, (n,), np.float32)
    if tape.lookback:
        entries["returns"] = spaces.Box(-BOUND, BOUND, (n, tape.lookback), np.float32)
    if settings.observation == "dict":
        return spaces.Dict(entries)
    boxes = [cast("spaces.Box", entries[key]) for key in KEYS if key in entries]
    return spaces.Box(
        np.concatenate([box.low.ravel() for box in boxes]), np.concatenate([box.high.ravel() for box in boxes])
    )


def observe(simulator: PortfolioSimulator) -> Observation:
    """Return the observations of all portfolios, each array with P in front."""
    # A window that has ended is observed at its last decision once more: the next one may lie beyond the data, and
    # `clip` reads the last row for it.
    tape, bar = simulator.tape, simulator.bar
    # Rounding may leave the last digit of a weight below zero.
    least = 0.0 if simulator.settings.action.long_only else -BOUND
    observation = {
        "weights": _bound(simulator.weights, least),
        "market": tape.features.take(bar, axis=0, mode="clip"),
        "tradable": tape.tradable_then.take(bar, axis=0, mode="clip"),
    }
    if (holdable := tape.find_holdable(bar)) is not None:
        # A copy for each caller: who writes to an observation must not change the next one.
        observation["holdable"] = holdable
    if tape.signals.shape[2]:
        observation["signals"] = tape.signals.take(bar, axis=0, mode="clip")
    if tape.lookback:
        rows = np.minimum(bar, tape.n_bars - 1)[:, None] + np.arange(tape.lookback)
        observation["returns"] = np.moveaxis(tape.returns[rows], 1, 2)
    return observation


@jit
def _bound(weights: Float, least: float) -> npt.NDArray[np.float32]:
    bounded = np.empty(weights.shape, dtype=np.float32)
    for p in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            bounded[p, i] = min(max(weights[p, i], least), BOUND)
    return bounded


def flatten(observation: Observation) -> npt.NDArray[np.float32]:
    """Return a batch of observations as one array, `[P, D]`; see the table for its order."""
    parts = [observation[key] for key in KEYS if key in observation]
    return np.concatenate([part.reshape(len(part), prod(part.shape[1:])) for part in parts], axis=1)
