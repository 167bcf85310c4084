"""The market as a decision problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.lazy import import_on_use

if TYPE_CHECKING:
    from alfred.envs.actions import encode_weights
    from alfred.envs.gym.portfolio import PortfolioEnv
    from alfred.envs.gym.vector import PortfolioVectorEnv
    from alfred.envs.settings import (
        ActionSettings,
        ConstraintSettings,
        ImpactSettings,
        PortfolioSettings,
        RewardSettings,
        RiskSettings,
    )
    from alfred.envs.tape import Tape, make_tape

__all__ = [
    "ActionSettings",
    "ConstraintSettings",
    "ImpactSettings",
    "PortfolioEnv",
    "PortfolioSettings",
    "PortfolioVectorEnv",
    "RewardSettings",
    "RiskSettings",
    "Tape",
    "encode_weights",
    "make_tape",
]

__getattr__ = import_on_use(
    __name__,
    {
        "ActionSettings": "alfred.envs.settings",
        "ConstraintSettings": "alfred.envs.settings",
        "ImpactSettings": "alfred.envs.settings",
        "PortfolioEnv": "alfred.envs.gym.portfolio",
        "PortfolioSettings": "alfred.envs.settings",
        "PortfolioVectorEnv": "alfred.envs.gym.vector",
        "RewardSettings": "alfred.envs.settings",
        "RiskSettings": "alfred.envs.settings",
        "Tape": "alfred.envs.tape",
        "encode_weights": "alfred.envs.actions",
        "make_tape": "alfred.envs.tape",
    },
)
