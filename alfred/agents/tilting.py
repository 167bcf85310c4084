"""What a tilt answers, row by row in one compiled loop.

In torch it is twenty calls on arrays of twenty numbers, and a backtest asks for one row a session. The gradient still
comes from `alfred.agents.networks.TiltNetwork`; a test holds the two to the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alfred.jit import jit
from alfred.typing import Float

Single = npt.NDArray[np.float32]


@jit
def tilt_rows(
    signals: Single,
    weights: Single,
    tradable: Single,
    tilts: Float,
    pace: float,
    logit_scale: float,
    leverage: float,
    least: float,
    most: float,
) -> Float:
    """Return the actions of a tilt, cash last, `[P, N+1]`; each row follows from itself alone.

    Args:
        signals: `[P, N, K]`.
        weights: Weights that are held, cash last, `[P, N+1]`.
        tradable: One where an asset trades, else zero, `[P, N]`.
        tilts: Logits of weight per unit of each signal, `[K]`.
        pace: Logit of the share of the way to the target that a decision goes.
        logit_scale: See `alfred.agents.networks.NetworkSpec`.
        leverage: See there.
        least: Of an equal weight, below which no logarithm is taken.
        most: Largest size of an action.
    """
    n_rows, n_assets, n_signals = signals.shape
    share = 1.0 / (1.0 + math.exp(-pace))
    actions, aim = np.empty((n_rows, n_assets + 1)), np.empty(n_assets + 1)
    for p in range(n_rows):
        traded = 0.0
        for i in range(n_assets):
            traded += tradable[p, i]
        count, centre = max(traded, 1.0), 0.0
        for i in range(n_assets):
            aim[i] = 0.0
            for k in range(n_signals):
                aim[i] += signals[p, i, k] * tilts[k]
            centre += aim[i] * tradable[p, i] / count
        highest = -np.inf
        for i in range(n_assets):
            aim[i] = (aim[i] - centre) * tradable[p, i]
            if tradable[p, i] > 0.0:
                highest = max(highest, aim[i])
        sizes = 0.0
        for i in range(n_assets):
            if leverage > 0.0:
                aim[i] = (1.0 + aim[i]) * tradable[p, i] / count
            elif traded > 0.0:
                aim[i] = math.exp(aim[i] - highest) if tradable[p, i] > 0.0 else 0.0
                sizes += aim[i]
            else:  # nothing trades, and the ledger leaves all as it is
                aim[i] = 1.0 / n_assets
        kept = 0.0
        for i in range(n_assets):
            kept += (1.0 - share) * weights[p, i]
        rest = (1.0 - kept) / (sizes if sizes > 0.0 else 1.0)
        aim[n_assets] = 0.0
        for i in range(n_assets + 1):
            target = aim[i] * rest
            if i < n_assets:
                target += (1.0 - share) * weights[p, i]
            if logit_scale > 0.0:
                equal = target * (n_assets + 1)
                action = math.log(least if equal < least else equal) / logit_scale
            else:
                action = target / leverage if leverage > 0.0 else 2.0 * target - 1.0
            # What is not a number stays so, and is refused where weights are made of actions.
            if action > most:
                action = most
            elif action < -most:
                action = -most
            actions[p, i] = action
    return actions
