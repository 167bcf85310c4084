"""Faults that show only among others, at some rows, in torch or after many steps: the contract suites find them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from alfred.checks import ContractError, check_feature, check_policy, check_reward
from alfred.data.market import Market
from alfred.envs.policy import BaselinePolicy
from alfred.envs.rewards import Reward
from alfred.envs.settings import RewardSettings
from alfred.typing import Float, Observation
from tests.conftest import make_random_market


class Smooth(BaselinePolicy):
    """Follows the smoothed first signal of each portfolio; `fault` breaks a promise that only shows among others."""

    name = "smooth"

    def __init__(self, fault: str) -> None:
        self.fault, self.state = fault, np.empty(0)
        self.began = np.empty(0, dtype=bool)

    def reset(self, rows: Any = None) -> None:
        if rows is None or self.fault == "forgets all":
            self.state = np.empty(0)
        elif len(self.state) and self.fault != "forgets nobody":
            self.began[rows] = True

    def predict(self, observation: Observation) -> Float:
        signal = observation["signals"][:, 0, 0].astype(float)
        if self.fault == "mean":
            signal[:] = signal.mean()
        if self.fault == "first":
            signal[:] = signal[0]
        if not len(self.state):
            self.state, self.began = signal, np.zeros(len(signal), dtype=bool)
        self.state = np.where(self.began, signal, 0.9 * self.state + 0.1 * signal)
        self.began[:] = False
        weights = np.zeros(observation["weights"].shape)
        weights[:, 0] = 1.0 / (1.0 + np.exp(-self.state))
        weights[:, -1] = 1.0 - weights[:, 0]
        return weights


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("mean", "alone and among others"),
        ("first", "alone and among others"),
        ("forgets all", "forget the portfolios named, only"),
        ("forgets nobody", "also when they are not all"),
    ],
)
def test_a_policy_that_mixes_portfolios_at_other_dates_is_told_which(fault: str, promise: str) -> None:
    check_policy(lambda: Smooth("none"))
    with pytest.raises(ContractError, match=promise):
        check_policy(lambda: Smooth(fault))


class Torch(Reward):
    """Pays log growth; what follows from it breaks a promise."""

    fault = ""
    calls = 0

    def pay(self, growth: Float, reference_growth: Float) -> Float:
        return np.log(np.maximum(growth, 1e-9))

    def pay_torch(self, growth: torch.Tensor, reference: torch.Tensor, settings: object) -> torch.Tensor:
        return torch.log(growth.clamp(min=1e-9))


class Worn(Torch):
    """Counts in its class, and pays more after many steps."""

    def pay(self, growth: Float, reference_growth: Float) -> Float:
        type(self).calls += 1
        return super().pay(growth, reference_growth) + (1e-3 if self.calls > 5_000 else 0.0)


class Infinite(Torch):
    def pay(self, growth: Float, reference_growth: Float) -> Float:
        return np.where((growth > 0) & (growth < 0.75), np.inf, super().pay(growth, reference_growth))


class Kinked(Torch):
    """Losses count twice: its slope jumps at growth one."""

    def pay(self, growth: Float, reference_growth: Float) -> Float:
        gained = super().pay(growth, reference_growth)
        return np.where(gained < 0, 2 * gained, gained)

    def pay_torch(self, growth: torch.Tensor, reference: torch.Tensor, settings: object) -> torch.Tensor:
        gained = torch.log(growth.clamp(min=1e-9))
        return torch.minimum(gained, 2 * gained)


class Sloped(Torch):
    def pay_torch(self, growth: torch.Tensor, reference: torch.Tensor, settings: object) -> torch.Tensor:
        fixed = growth.detach()
        paid = torch.log(fixed.clamp(min=1e-9))
        if self.fault == "none":
            return paid
        if self.fault == "zero":
            return paid + 0.0 * growth
        if self.fault == "inverted":
            return paid - (growth - fixed)
        if self.fault == "crash":
            return torch.where(fixed < 0.9, torch.log(growth) - 1.0, torch.log(growth))
        return torch.log(growth)


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("none", "with a gradient"),
        ("zero", "gradient of pay_torch must be the slope of pay.* it is 0 and"),
        ("inverted", "gradient of pay_torch must be the slope of pay.* it is -1 and"),
        ("crash", "pay_torch must pay what pay does; after moves of 30 %"),
        ("ruin", "pay_torch must pay what pay does; after ruin"),
    ],
)
def test_a_gradient_that_is_not_the_slope_is_told(fault: str, promise: str) -> None:
    check_reward(lambda count: Kinked(RewardSettings(), count))
    faulty = type("Faulty", (Sloped,), {"fault": fault})
    with pytest.raises(ContractError, match=promise):
        check_reward(lambda count: faulty(RewardSettings(), count))


def test_a_reward_that_wears_out_or_is_infinite_after_a_crash_is_told() -> None:
    with pytest.raises(ContractError, match="pay alike after 10000 steps"):
        check_reward(lambda count: Worn(RewardSettings(), count))
    with pytest.raises(ContractError, match="moved by 30 %"):
        check_reward(lambda count: Infinite(RewardSettings(), count))


def _compute_returns(market: Market) -> Float:
    returns = np.full(market.close.shape, np.nan)
    returns[1:] = market.close[1:] / market.close[:-1] - 1
    return returns


def look_ahead_now_and_then(market: Market) -> Float:
    returns = _compute_returns(market)
    rows = np.arange(25, market.n_dates - 1, 50)
    returns[rows] = returns[rows + 1]
    return returns


@pytest.mark.parametrize(
    "feature", [look_ahead_now_and_then, lambda market: _compute_returns(market) + len(" ".join(market.notes))]
)
def test_a_feature_that_looks_ahead_on_some_rows_or_reads_notes_is_told(feature: Callable[[Market], Float]) -> None:
    market = replace(make_random_market(400, 4), notes=("The last session is a crash.",))
    check_feature(_compute_returns, market)
    with pytest.raises(ContractError, match="nothing after t"):
        check_feature(feature, market)
