"""The market as a decision problem."""

from gymnasium.envs.registration import register, registry

from alfred.envs.actions import ActionSettings, encode_weights
from alfred.envs.constraints import ConstraintSettings
from alfred.envs.gym.portfolio import PortfolioEnv
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.market_features import ImpactSettings
from alfred.envs.rewards import RewardSettings
from alfred.envs.risk import RiskSettings
from alfred.envs.settings import PortfolioSettings
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

ENV_ID = "alfred/Portfolio-v0"

# Gymnasium finds environments by this registration; it is the one thing that importing this room does.
if ENV_ID not in registry:
    register(
        ENV_ID,
        entry_point="alfred.envs.gym.portfolio:PortfolioEnv",
        vector_entry_point="alfred.envs.gym.vector:PortfolioVectorEnv",
    )
