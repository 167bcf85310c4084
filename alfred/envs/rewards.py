"""Rewards: what the agent is paid for, in units that a reader can check."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from alfred.envs.ledger import Float
from alfred.settings import Settings


class RewardSettings(Settings):
    """What a step pays.

    Attributes:
        kind: `growth` pays log growth of wealth net of costs; `excess` pays the same less that of equal weights in the
            universe over the same step, which removes the market's noise without changing the best policy.
        risk_aversion: Weight of the risk term `risk_aversion / 2 * r^2` on the simple net return r of a step; without
            one, a policy that maximises growth concentrates.
        scale: Factor on the reward; 100 makes it per cent, which suits the learners' default step sizes.
    """

    kind: Literal["growth", "excess"] = "excess"
    risk_aversion: float = Field(default=10.0, ge=0)
    scale: float = Field(default=100.0, gt=0)


def compute_reward(growth: Float, reference_growth: Float, settings: RewardSettings) -> Float:
    """Return the reward of a step.

    `scale * [log g - a/2 (g-1)^2]`, less the same of the reference when `kind` is `excess`; with `scale` 100 the unit
    is per cent of log growth a step, net of every cost.

    Args:
        growth: Wealth after over wealth before, net of costs, `[P]`.
        reference_growth: The same of equal weights, free of costs, `[P]`.
        settings: Which reward.
    """
    reward = _utility(growth, settings.risk_aversion)
    if settings.kind == "excess":
        reward = reward - _utility(reference_growth, settings.risk_aversion)
    return settings.scale * reward


def _utility(growth: Float, risk_aversion: float) -> Float:
    # A ruined book has growth 0 and an infinite loss of log wealth; a large finite one keeps the learners finite.
    log_growth = np.log(np.maximum(growth, 1e-9))
    return np.asarray(log_growth - 0.5 * risk_aversion * (growth - 1.0) ** 2)
