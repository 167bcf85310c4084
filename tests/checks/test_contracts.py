"""The shipped contract suites: what is built in keeps them, and each promise that is broken is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.agents.base import NetworkPolicy, TrainingTask
from alfred.agents.direct import DirectAgent
from alfred.agents.registry import make_agent
from alfred.agents.settings import DirectSettings
from alfred.agents.strategies.registry import BASELINES
from alfred.checks import ContractError, check_agent, check_feature, check_policy, check_reward, check_source
from alfred.data.features.catalogue import compute_features
from alfred.data.features.names import FAMILIES
from alfred.data.market import Market
from alfred.data.settings import DataSettings, FeatureSettings
from alfred.data.sources import load_market
from alfred.data.synthetic import make_noise_market
from alfred.envs.policy import BaselinePolicy
from alfred.envs.rewards import Reward
from alfred.envs.settings import RewardSettings
from alfred.typing import Float, Observation
from tests.agents.tasks import make_tiny
from tests.conftest import make_random_market

WORLD = make_noise_market(n_assets=4, n_days=500, n_signals=2, seed=2)
SAMPLE = make_random_market(200, 4)


@pytest.mark.parametrize("kind", [kind for kind in BASELINES if kind != "universal"])
def test_every_baseline_keeps_the_contract_of_a_policy(kind: str) -> None:
    settings = BASELINES.load(kind).model_validate({"kind": kind, "rebalance_every": 1})
    check_policy(lambda: settings.build(WORLD.market, WORLD.signals.names), WORLD.market, WORLD.signals)


@pytest.mark.parametrize("kind", ["direct", "ppo"])
def test_agents_keep_the_contract(kind: str) -> None:
    check_agent(lambda: make_agent(make_tiny(kind, total_steps=2_048, validate_every=1_024, checkpoint_every=512)))


@pytest.mark.parametrize("name", [*FAMILIES["technical"], *FAMILIES["momentum"], "benchmark_return"])
def test_features_keep_the_contract(name: str) -> None:
    settings = FeatureSettings(names=(name,))
    check_feature(lambda market: compute_features(market, settings).values[:, :, 0], make_random_market(400, 4))


def test_the_embedded_source_keeps_the_contract() -> None:
    check_source(lambda: load_market(DataSettings(start="2018-01-01")))  # type: ignore[arg-type]


class Broken(BaselinePolicy):
    """Equal weights with one broken promise."""

    name = "broken"

    def __init__(self, fault: str) -> None:
        self.fault, self.steps = fault, 0

    def reset(self, rows: object = None) -> None:
        if self.fault != "remembers":
            self.steps = 0

    def predict(self, observation: Observation) -> Float:
        self.steps += 1
        count, width = observation["weights"].shape
        weights = np.full((count, width), 1.0 / width)
        if self.fault == "shape":
            return weights[:, :-1]
        if self.fault == "sum":
            return 2 * weights
        if self.fault == "nan":
            weights[:, 0] = np.nan
        if self.fault == "writes":
            observation["market"][:] = 0.0
        if self.fault == "remembers":
            weights[:, 0] += 1e-3 * self.steps
            weights[:, -1] -= 1e-3 * self.steps
        if self.fault == "batch":
            weights[:, 0] += 0.01 * count
            weights[:, -1] -= 0.01 * count
        if self.fault == "random":
            move = np.random.default_rng().uniform(0, 0.01)
            weights[:, 0], weights[:, -1] = weights[:, 0] + move, weights[:, -1] - move
        return weights


class Prophet(Broken):
    """Knows how the market ends."""

    def __init__(self, market: Market) -> None:
        super().__init__("none")
        self.winner = int(np.argmax(market.close[-1] / market.close[0]))

    def predict(self, observation: Observation) -> Float:
        weights = np.zeros(observation["weights"].shape)
        weights[:, self.winner] = 1.0
        return weights


class Crowded(BaselinePolicy):
    """Counts its steps in its class, and forgets them on reset."""

    name, steps = "crowded", 0

    def __init__(self) -> None:
        self.reset()

    def reset(self, rows: object = None) -> None:
        type(self).steps = 0

    def predict(self, observation: Observation) -> Float:
        type(self).steps += 1
        weights = np.zeros(observation["weights"].shape)
        weights[:, 0], weights[:, -1] = 1.0 / (1 + self.steps), self.steps / (1 + self.steps)
        return weights


def test_a_policy_that_remembers_in_its_class_is_told() -> None:
    with pytest.raises(ContractError, match="because another of its class decides"):
        check_policy(Crowded)


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("shape", "must have shape"),
        ("sum", "must sum to one"),
        ("nan", "must be finite"),
        ("writes", "must not write to its observation"),
        ("remembers", "after reset"),
        ("batch", "alone and among others"),
        ("random", "after reset"),
    ],
)
def test_a_policy_that_breaks_a_promise_is_told_which(fault: str, promise: str) -> None:
    check_policy(lambda: Broken("none"))
    with pytest.raises(ContractError, match=promise):
        check_policy(lambda: Broken(fault))


class Losses(Reward):
    """Pays losses several times; `fault` breaks a promise."""

    state = ("seen",)
    fault = ""
    total: Any = 0.0

    def __init__(self, settings: RewardSettings, n_portfolios: int) -> None:
        super().__init__(settings, n_portfolios)
        self.seen = np.zeros(n_portfolios)

    def reset(self, rows: np.ndarray) -> None:
        if self.fault == "forgets nobody" and len(rows) < self.n_portfolios:
            return
        if self.fault == "forgets all":
            self.seen = np.zeros(self.n_portfolios)
        elif self.fault != "never forgets":
            self.seen[rows] = 0.0
        type(self).total = 0.0

    def pay(self, growth: Float, reference_growth: Float) -> Float:
        if self.fault == "writes":
            growth[:] = 1.0
        if self.fault == "infinite":
            return np.log(growth)
        gained = np.log(np.maximum(growth, 1e-9))
        self.seen = self.seen + gained
        if self.fault == "mixes":
            return gained - gained.mean()
        if self.fault == "first":
            gained[0] -= gained.mean()
        if self.fault == "class":
            type(self).total = 0.9 * self.total + gained
            return np.asarray(gained + self.total)
        return gained[:1] if self.fault == "shape" else gained + 0.01 * self.seen


class Stateless(Losses):
    state = ()


class Torch(Reward):
    fault = ""
    calls = 0

    def pay(self, growth: Float, reference_growth: Float) -> Float:
        return np.log(np.maximum(growth, 1e-9))

    def pay_torch(self, growth: torch.Tensor, reference: torch.Tensor, settings: object) -> torch.Tensor:
        paid = torch.log(growth.clamp(min=1e-9))
        type(self).calls += 1
        return 2 * paid if self.fault == "double" or (self.fault == "later" and self.calls > 1) else paid


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("writes", "must not write"),
        ("infinite", "that was ruined"),
        ("shape", "one number a portfolio"),
        ("mixes", "alone and among others"),
        ("never forgets", "after reset"),
        ("forgets all", "forget the portfolios named, only"),
        ("forgets nobody", "also when they are not all"),
        ("first", "number 0 is not"),
        ("class", "because another of its class pays"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_reward_that_breaks_a_promise_is_told_which(fault: str, promise: str) -> None:
    check_reward(lambda count: Losses(RewardSettings(), count))
    faulty = type("Faulty", (Losses,), {"fault": fault})
    with pytest.raises(ContractError, match=promise):
        check_reward(lambda count: faulty(RewardSettings(), count))


def test_hidden_state_and_a_wrong_gradient_are_named() -> None:
    with pytest.raises(ContractError, match="`state` must name every array"):
        check_reward(lambda count: Stateless(RewardSettings(), count))
    check_reward(lambda count: Torch(RewardSettings(), count))
    for fault, step in (("double", 1), ("later", 2)):
        faulty = type("Faulty", (Torch,), {"fault": fault, "calls": 0})
        with pytest.raises(ContractError, match=f"pay_torch must pay what pay does; at step {step} it does not"):
            check_reward(lambda count, faulty=faulty: faulty(RewardSettings(), count))


# What a feature could have read from a file: the whole of one market, by symbol and date, and by row.
TABLE = pd.DataFrame(SAMPLE.close, index=SAMPLE.dates, columns=list(SAMPLE.symbols))


def look_up(market: Market) -> Float:
    return np.asarray(np.log(TABLE.loc[market.dates, list(market.symbols)].to_numpy()))


def look_up_softly(market: Market) -> Float:
    momentum = np.log(market.close / np.roll(market.close, 1, axis=0))
    momentum[0] = np.nan
    return np.asarray(momentum + TABLE.iloc[-1].reindex(market.symbols).fillna(0.0).to_numpy())


def look_up_by_row(market: Market) -> Float:
    return np.asarray(np.log(TABLE.to_numpy()[: market.n_dates]))


def know_the_weekday(market: Market) -> Float:
    return np.repeat(market.dates.day_of_week.to_numpy(dtype=float)[:, None], market.n_symbols, axis=1)


def test_a_calendar_is_no_data_of_ones_own() -> None:
    check_feature(know_the_weekday, SAMPLE)


@pytest.mark.parametrize(
    ("feature", "promise"),
    [
        (look_up, "fails with KeyError"),
        (look_up_softly, "the same numbers give another feature"),
        (look_up_by_row, "the same for a market of other prices"),
        (lambda market: np.log(market.close), "the ratio of a later split"),
        (lambda market: np.log(market.volume), "the ratio of a later split"),
        (lambda market: market.close[:, 0], r"must return \[T, N\]"),
        (lambda market: market.close / market.close.mean(axis=0), "nothing after t"),
        (lambda market: np.roll(market.close, -1, axis=0), "nothing after t"),
        (lambda market: np.full(market.close.shape, np.nan), "must know something"),
        (lambda market: np.random.default_rng().normal(size=market.close.shape), "the same twice"),
    ],
)
def test_a_feature_that_breaks_a_promise_is_told_which(feature: Callable[[Market], Float], promise: str) -> None:
    with pytest.raises(ContractError, match=promise):
        check_feature(feature, SAMPLE)


def test_a_source_that_breaks_a_promise_is_told_which() -> None:
    numbers = iter(range(100))
    one = make_random_market(50, 3)
    with pytest.raises(ContractError, match="the same data twice"):
        check_source(lambda: make_random_market(50, 3, seed=next(numbers)))
    with pytest.raises(ContractError, match="memory of its own"):
        check_source(lambda: one)
    with pytest.raises(ContractError, match="must return a Market"):
        check_source(lambda: 3)  # type: ignore[arg-type, return-value]


class Faulty(DirectAgent):
    """The direct agent with one broken promise."""

    fault = ""

    def train(self, task: TrainingTask) -> NetworkPolicy:
        if self.fault == "silent":
            object.__setattr__(task, "progress", lambda _done: None)
        if self.fault == "seedless":
            object.__setattr__(task, "seed", 3)
        policy = super().train(task)
        if self.fault == "random":
            with torch.no_grad():
                next(policy.network.parameters()).add_(torch.rand(1))
        return policy


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("silent", "progress must be told"),
        ("seedless", "another seed must give another policy"),
        ("random", "the same seed must give the same policy"),
    ],
)
def test_an_agent_that_breaks_a_promise_is_told_which(fault: str, promise: str) -> None:
    small = DirectSettings(total_steps=1_024, n_portfolios=16, episode_length=16, hidden=(4,), patience=None)
    faulty = type("Faulty", (Faulty,), {"fault": fault})
    with pytest.raises(ContractError, match=promise):
        check_agent(lambda: faulty(small))


MEMORY: dict[int, NetworkPolicy] = {}


class Hoarder(DirectAgent):
    """Hands out of its module what it trained before; what it trains in another process is another network."""

    def train(self, task: TrainingTask) -> NetworkPolicy:
        known = MEMORY.get(task.seed)
        policy = super().train(task)
        if known is None:
            with torch.no_grad():
                # Small, or all of these tilts end at their bounds and are the same portfolio.
                next(policy.network.parameters()).add_(float(os.getpid() % 1009) / 10_000)
        return MEMORY.setdefault(task.seed, policy)


def test_an_agent_that_remembers_in_its_module_is_told() -> None:
    small = DirectSettings(total_steps=1_024, n_portfolios=16, episode_length=16, hidden=(4,), patience=None)
    with pytest.raises(ContractError, match="when it goes on in a fresh process"):
        check_agent(lambda: Hoarder(small))


class Levered:
    name, lookback, rebalance_every = "levered", 0, None

    def reset(self, rows: object = None) -> None:
        pass

    def predict(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        weights = np.zeros_like(observation["weights"], dtype=np.float64)
        weights[:, 0], weights[:, -1] = 2.0, -1.0
        return weights


class LateDice(Levered):
    name = "late dice"

    def __init__(self) -> None:
        self.step, self.rng = 0, np.random.default_rng()

    def predict(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        self.step += 1
        weights = np.zeros_like(observation["weights"], dtype=np.float64)
        share = self.rng.uniform() if self.step > 60 else 0.5
        weights[:, 0], weights[:, -1] = share, 1 - share
        return weights


def test_a_policy_that_borrows_or_draws_late_is_refused() -> None:
    with pytest.raises(ContractError, match="at least 0 in a long-only book"):
        check_policy(Levered)
    with pytest.raises(ContractError, match="decide as when it was made"):
        check_policy(LateDice)
