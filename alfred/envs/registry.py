"""Which rewards exist beside the built-in ones; plugins and packages bring them."""

from __future__ import annotations

from typing import Any

from alfred.registry import Registry

BUILT_IN_REWARDS = ("growth", "excess", "differential_sharpe")
"""Kinds that `alfred.envs.rewards.RewardState` pays itself."""

REWARDS: Registry[Any] = Registry("reward", "alfred.rewards", {}, {}, reserved=BUILT_IN_REWARDS)
"""Further kinds: an `alfred.envs.rewards.Reward` each, registered with `REWARDS.register(MyReward, "my_reward")`."""
