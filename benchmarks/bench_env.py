"""How fast the environment steps, beside a plain pandas one and beside PPO.

python benchmarks/bench_env.py [--json] [--quick]

One process, one thread. Times are CPU seconds of this process, so that other work on the machine does not count, and
medians over rounds in which everything takes its turn, so that a slow spell falls on all alike.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs import PortfolioSettings, PortfolioVectorEnv

N_ASSETS, N_SIGNALS, N_DATES = 30, 8, 2_500
COUNTS = (1, 8, 64, 512, 4096)
SETTINGS = PortfolioSettings(episode_length=250)


def make_market(n_dates: int = N_DATES, n_assets: int = N_ASSETS) -> tuple[Market, Signals]:
    """Random walks with opens, and random signals."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(3e-4, 0.01, (n_dates, n_assets)), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.003, close.shape))
    dates = pd.bdate_range("2000-01-03", periods=n_dates)
    symbols = tuple(f"S{i}" for i in range(n_assets))
    market = Market.from_arrays(dates, symbols, close, benchmark=symbols[-1], open=opened)
    signals = Signals(
        dates=dates,
        symbols=symbols,
        names=tuple(f"random.signal{i}_1" for i in range(N_SIGNALS)),
        values=rng.normal(size=(n_dates, n_assets, N_SIGNALS)).astype(np.float32),
        trained_until=np.full(n_dates, np.datetime64("1999-12-31")),
        horizons=(1,) * N_SIGNALS,
    )
    return market, signals


class PandasEnv:
    """The common kind of the field: a long table sliced by day, a loop over the assets, lists that remember.

    Costs are charged on the turnover before the trade.
    """

    def __init__(self, market: Market, signals: Signals) -> None:
        table = pd.DataFrame(signals.values.reshape(-1, N_SIGNALS), columns=list(signals.names))
        table["close"] = market.close.ravel()
        table["symbol"] = np.tile(np.array(market.symbols), market.n_dates)
        table["date"] = np.repeat(market.dates, market.n_symbols)
        table.index = np.repeat(np.arange(market.n_dates), market.n_symbols)
        self.table, self.features, self.n_dates = table, list(signals.names), market.n_dates
        self.day = 0

    def reset(self) -> np.ndarray:
        self.day, self.wealth = 0, 1.0
        self.weights = [0.0] * N_ASSETS
        self.wealth_memory, self.date_memory = [1.0], [self.table.loc[0]["date"].unique()[0]]
        self.data = self.table.loc[self.day]
        return self._observe()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        scores = np.exp(10 * action)
        target = scores / scores.sum()
        before = self.data["close"].to_list()
        self.day += 1
        self.data = self.table.loc[self.day]
        after = self.data["close"].to_list()
        growth, turnover = 1.0, 0.0
        for i in range(N_ASSETS):
            turnover += abs(target[i] - self.weights[i])
            growth += target[i] * (after[i] / before[i] - 1)
        growth -= 0.001 * turnover
        self.weights = [target[i] * after[i] / before[i] / growth for i in range(N_ASSETS)]
        self.wealth *= growth
        self.wealth_memory.append(self.wealth)
        self.date_memory.append(self.data["date"].unique()[0])
        return self._observe(), float(np.log(growth)), self.day == self.n_dates - 1

    def _observe(self) -> np.ndarray:
        return self.data[self.features].to_numpy()


class TimedVecEnv(Sb3PortfolioVecEnv):
    """Counts the CPU seconds that its steps take."""

    spent = 0.0

    def step_wait(self) -> Any:
        start = time.process_time()
        result = super().step_wait()
        self.spent += time.process_time() - start
        return result


class IdleVecEnv(VecEnv):
    """Does nothing, with the spaces of another environment."""

    def __init__(self, like: VecEnv) -> None:
        super().__init__(like.num_envs, like.observation_space, like.action_space)
        assert isinstance(like.observation_space, spaces.Dict)
        shapes = {key: (like.num_envs, *space.shape) for key, space in like.observation_space.items()}  # type: ignore[misc]
        self.observation = {key: np.zeros(shape, dtype=np.float32) for key, shape in shapes.items()}
        self.nothing = np.zeros(like.num_envs, dtype=np.float32)
        self.render_mode = None

    def reset(self) -> Any:
        return self.observation

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        return self.observation, self.nothing, self.nothing > 0, [{} for _ in range(self.num_envs)]

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: object, indices: Any = None) -> None:
        pass

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return []

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def make_stepper(env: PortfolioVectorEnv, n_steps: int) -> Callable[[], float]:
    """Return what measures portfolio-steps per CPU second over `n_steps`."""
    env.reset(seed=0)
    width = env.single_action_space.shape[0]  # type: ignore[index]
    actions = np.random.default_rng(0).uniform(-1, 1, (8, env.num_envs, width)).astype(np.float32)

    def measure() -> float:
        start = time.process_time()
        for step in range(n_steps):
            env.step(actions[step % 8])
        return env.num_envs * n_steps / (time.process_time() - start)

    return measure


def make_pandas_stepper(env: PandasEnv, n_steps: int) -> Callable[[], float]:
    env.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (8, N_ASSETS))

    def measure() -> float:
        start = time.process_time()
        for step in range(n_steps):
            if env.step(actions[step % 8])[2]:
                env.reset()
        return n_steps / (time.process_time() - start)

    return measure


def _rate(count: int, stepper: Callable[[], float]) -> float:
    return count / stepper()


def interleave(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let everything take its turn, and drop a first round that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if turn:
                taken[name].append(value)
    return taken


def measure_speed(rounds: int, budget: int) -> dict[str, Any]:
    """Steps per second by number of portfolios, and beside the pandas environment (ratios within each round)."""
    market, signals = make_market()
    first = PortfolioVectorEnv(1, market, signals, SETTINGS)
    measures = {
        str(count): make_stepper(
            PortfolioVectorEnv(count, settings=SETTINGS, tape=first.tape), max(budget // count, 20)
        )
        for count in COUNTS
    }
    measures["pandas"] = make_pandas_stepper(PandasEnv(market, signals), 300)
    taken = interleave(measures, rounds)

    def ratio(count: int) -> float:
        return statistics.median(a / b for a, b in zip(taken[str(count)], taken["pandas"], strict=True))

    return {
        "steps_per_second": {str(count): round(statistics.median(taken[str(count)])) for count in COUNTS},
        "reference_steps_per_second": round(statistics.median(taken["pandas"])),
        "ratio_1": round(ratio(1), 1),
        "ratio_512": round(ratio(512)),
    }


def measure_growth(rounds: int) -> dict[str, float]:
    """Time of a step against twice the portfolios, twice the assets and four times the days: 2, 2 and 1 are linear."""
    measures = {}
    for name, (count, n_assets, n_dates) in {
        "base": (512, 60, 1_000),
        "portfolios_x2": (1024, 60, 1_000),
        "assets_x2": (512, 120, 1_000),
        "days_x4": (512, 60, 4_000),
    }.items():
        market, signals = make_market(n_dates, n_assets)
        stepper = make_stepper(PortfolioVectorEnv(count, market, signals, SETTINGS), 60)
        measures[name] = functools.partial(_rate, count, stepper)
    taken = interleave(measures, rounds)
    return {
        name: round(statistics.median(a / b for a, b in zip(taken[name], taken["base"], strict=True)), 2)
        for name in measures
        if name != "base"
    }


def measure_ppo(n_steps: int) -> dict[str, float]:
    """Share of PPO's time that is spent in the environment at 64 portfolios, and rollout frames beside an idle one.

    The share is that of stable-baselines3's own defaults (batches of 64, ten epochs); with batches of 512 its learner
    is several times as fast, and the share as many times larger.
    """
    market, signals = make_market()
    env = TimedVecEnv(PortfolioVectorEnv(64, market, signals, SETTINGS))
    shares = {}
    for batch_size in (64, 512):
        learner = PPO("MultiInputPolicy", env, n_steps=64, batch_size=batch_size, seed=0)
        env.spent, start = 0.0, time.process_time()
        learner.learn(n_steps)
        shares[batch_size] = env.spent / (time.process_time() - start)
    measures = {"env": make_rollout(env), "idle": make_rollout(IdleVecEnv(env))}
    taken = interleave(measures, 5)
    return {
        "ppo_env_share": round(shares[64], 4),
        "ppo_env_share_batch_512": round(shares[512], 4),
        "rollout_frames_per_second": round(statistics.median(taken["env"])),
        "rollout_frames_per_second_idle": round(statistics.median(taken["idle"])),
    }


def make_rollout(env: VecEnv) -> Callable[[], float]:
    """Return what measures the frames per CPU second of a rollout of 32 steps."""
    model = PPO("MultiInputPolicy", env, n_steps=32, seed=0)
    _, callback = model._setup_learn(32 * env.num_envs, None)

    def measure() -> float:
        start = time.process_time()
        model.collect_rollouts(env, callback, model.rollout_buffer, 32)
        return 32 * env.num_envs / (time.process_time() - start)

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rounds = 3 if arguments.quick else 9
    results = measure_speed(rounds, 40_000 if arguments.quick else 120_000)
    results |= {"growth": measure_growth(rounds)} | measure_ppo(8_192 if arguments.quick else 16_384)
    if arguments.json:
        print(json.dumps(results))
        return
    for count, speed in results["steps_per_second"].items():
        print(f"{speed:>12,} portfolio-steps/s with {count} portfolios")
    print(f"{results['reference_steps_per_second']:>12,} steps/s of the pandas environment")
    print(f"{results['ratio_1']:>12} times as fast with 1 portfolio, {results['ratio_512']} with 512")
    print(f"{results['growth']}: time of a step, as a multiple")
    print(
        f"{results['ppo_env_share']:>12.2%} of PPO's time is the environment's, "
        f"{results['ppo_env_share_batch_512']:.2%} with batches of 512"
    )
    print(
        f"{results['rollout_frames_per_second']:>12,} rollout frames/s, "
        f"{results['rollout_frames_per_second_idle']:,} with an idle environment"
    )


if __name__ == "__main__":
    main()
