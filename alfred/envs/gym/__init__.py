"""The environments of gymnasium: one portfolio, or many in lock-step."""

from gymnasium.envs.registration import register, registry

ENV_ID = "alfred/Portfolio-v0"

# Gymnasium finds environments by this registration; it is the one thing that importing this package does.
if ENV_ID not in registry:
    register(
        ENV_ID,
        entry_point="alfred.envs.gym.portfolio:PortfolioEnv",
        vector_entry_point="alfred.envs.gym.vector:PortfolioVectorEnv",
    )
