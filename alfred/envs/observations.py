"""Observations: what an agent sees at the close at which it decides.

| key | shape | holds |
| --- | --- | --- |
| `signals` | `[N, K]` | the analysts' signals, scaled by their own past; zero where there is none |
| `weights` | `[N+1]` | weights held at this close, drifted since the last trade, cash last |
| `market` | `[M]` | trailing state of the market: `alfred.envs.tape.MARKET_FEATURES` |
| `tradable` | `[N]` | one where the symbol traded at this close, else zero |
| `returns` | `[N, L]` | log returns of the last L sessions, oldest first; only with `lookback` above zero |

`signals` is left out when there are none. All values but the weights are clipped to +-`alfred.envs.tape.BOUND`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from alfred.envs.kernel import PortfolioKernel
from alfred.envs.tape import BOUND, Tape

Observation = dict[str, npt.NDArray[np.float32]]


def make_observation_space(tape: Tape) -> spaces.Space[Any]:
    """Return the space of one portfolio's observation."""
    n, k, m = tape.signals.shape[1], tape.signals.shape[2], tape.features.shape[1]
    entries: dict[str, spaces.Space[Any]] = {
        "weights": spaces.Box(0.0, 1.0, (n + 1,), np.float32),
        "market": spaces.Box(-BOUND, BOUND, (m,), np.float32),
        "tradable": spaces.Box(0.0, 1.0, (n,), np.float32),
    }
    if k:
        entries["signals"] = spaces.Box(-BOUND, BOUND, (n, k), np.float32)
    if tape.lookback:
        entries["returns"] = spaces.Box(-BOUND, BOUND, (n, tape.lookback), np.float32)
    return spaces.Dict(entries)


def observe(kernel: PortfolioKernel) -> Observation:
    """Return the observations of all portfolios, each array with P in front."""
    tape = kernel.tape
    # A window that has ended is observed at its last decision once more: the next one may lie beyond the data.
    bar = np.minimum(kernel.bar, tape.n_bars - 1)
    observation = {
        "weights": np.clip(kernel.weights, 0.0, 1.0).astype(np.float32),  # rounding may leave the last digit below zero
        "market": tape.features[bar],
        "tradable": tape.tradable_then[bar],
    }
    if tape.signals.shape[2]:
        observation["signals"] = tape.signals[bar]
    if tape.lookback:
        rows = bar[:, None] + np.arange(tape.lookback)
        observation["returns"] = np.moveaxis(tape.returns[rows], 1, 2)
    return observation
