"""What happened: one policy, walked through one environment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.files import write_atomically
from alfred.data.market import FloatArray, Market
from alfred.data.signals import Signals
from alfred.envs.actions import encode_weights
from alfred.envs.policy import Policy
from alfred.envs.portfolio import PortfolioEnv, PortfolioSettings
from alfred.errors import CheckpointError, ConfigError

_COLUMNS = ("gross", "costs", "net", "turnover", "benchmark", "cash_return")
_WEIGHT, _CASH = "weight of ", "cash"


@dataclass(frozen=True, eq=False)
class Backtest:
    """The daily record of one policy.

    Axes legend: T dates, N symbols. Returns are simple, from the close of the session before to the close of `dates`;
    `net = gross - costs` holds exactly.

    Attributes:
        name: Name of the policy.
        dates: Sessions at whose close wealth is marked, `[T]`.
        symbols: Names of the assets, `[N]`.
        weights: Weights at the close, cash last, `[T, N+1]`.
        gross: Return before costs, `[T]`.
        costs: Costs paid, as a fraction of the wealth at the close before, `[T]`.
        net: Return after costs, `[T]`.
        turnover: Half the sum of absolute weight changes at the trades of the session, `[T]`.
        benchmark: Return of the benchmark itself, free of cost, `[T]`.
        cash_return: Return of cash, what an empty book earned, `[T]`; Sharpe ratios and tests are in excess of it.
        periods_per_year: Sessions in a year.
    """

    name: str
    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    weights: FloatArray
    gross: FloatArray
    costs: FloatArray
    net: FloatArray
    turnover: FloatArray
    benchmark: FloatArray
    cash_return: FloatArray = field(default_factory=lambda: np.zeros(0))
    periods_per_year: int = 252

    def __post_init__(self) -> None:
        """Let cash that is left out earn nothing."""
        if not len(self.cash_return):
            object.__setattr__(self, "cash_return", np.zeros(len(self.net)))

    @property
    def excess(self) -> FloatArray:
        """Net return in excess of cash, `[T]`."""
        return self.net - self.cash_return

    @property
    def wealth(self) -> FloatArray:
        """Wealth at each close from one unit at the close before the first date, `[T]`."""
        return np.cumprod(1.0 + self.net)

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    def save(self, path: Path | str) -> None:
        """Write one Parquet file: a row a date, a column a quantity, a column `weight of SYMBOL` an asset."""
        table = pd.DataFrame({name: getattr(self, name) for name in _COLUMNS}, index=self.dates)
        weights = pd.DataFrame(self.weights, index=self.dates, columns=[*map(_weight_column, self.symbols), _CASH])
        table = pd.concat([table, weights], axis=1).rename_axis("date")
        table.attrs.update(name=self.name, periods_per_year=self.periods_per_year)
        write_atomically(path, table.to_parquet)

    @classmethod
    def load(cls, path: Path | str) -> Backtest:
        """Read what `save` wrote.

        Raises:
            CheckpointError: The file is missing or damaged.
        """
        try:
            table = pd.read_parquet(path)
            symbols = tuple(name.removeprefix(_WEIGHT) for name in table.columns if name.startswith(_WEIGHT))
            columns = {name: table[name].to_numpy() for name in _COLUMNS}
            weights = table[[*map(_weight_column, symbols), _CASH]].to_numpy()
            facts = {"name": str(table.attrs["name"]), "periods_per_year": int(table.attrs["periods_per_year"])}
            return cls(dates=pd.DatetimeIndex(table.index), symbols=symbols, weights=weights, **columns, **facts)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path} does not hold a backtest ({error}); run `alfred evaluate` again") from error


@dataclass(frozen=True)
class Stage:
    """A policy that takes over at a date: how a walk-forward agent holds one continuous book over all its folds.

    Attributes:
        start: First date on which the policy's decisions are executed.
        policy: The policy.
    """

    start: pd.Timestamp
    policy: Policy


def backtest(policy: Policy | Sequence[Stage], env: PortfolioEnv) -> Backtest:
    """Walk a policy through the whole range of an environment and record every close.

    The environment must have been built with `record=True`, observations by name, an action mode that reads weights, at
    least the policy's `lookback` and no `episode_length`; `make_backtest_env` does so.

    Args:
        policy: The policy, or the stages of one, in order of their dates; the first covers whatever comes before it.
        env: Where it trades.

    Raises:
        ConfigError: The environment was built for something else, or there is no stage.
    """
    stages = [Stage(env.tape.dates[0], policy)] if isinstance(policy, Policy) else list(policy)
    if not stages:
        raise ConfigError("a backtest needs a policy, and the list of stages is empty")
    starts = pd.DatetimeIndex([stage.start for stage in stages])
    settings = env.settings
    if not env.kernel.record or settings.action.mode == "softmax" or settings.episode_length is not None:
        raise ConfigError(
            "a backtest needs an environment with record=True, action mode 'simplex' or 'long_short' and no "
            "episode_length; build it with make_backtest_env(market, signals, settings, policy)"
        )
    observation, _ = env.reset(seed=0)
    done = False
    while not done:
        today = env.tape.dates[int(env.kernel.bar[0])]
        active = stages[max(int(starts.searchsorted(today, side="right")) - 1, 0)].policy
        batch = {key: value[None] for key, value in observation.items()}
        observation, _, terminated, truncated, _ = env.step(encode_weights(active.predict(batch)[0], settings.action))
        done = terminated or truncated
    return _read_marks(stages[0].policy.name, env)


def make_backtest_env(
    market: Market,
    signals: Signals | None,
    settings: PortfolioSettings,
    policy: Policy,
    *,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
) -> PortfolioEnv:
    """Build the environment that a policy is evaluated in: the same costs and execution for everyone."""
    mode = "simplex" if settings.action.long_only else "long_short"
    changed = settings.model_copy(
        update={
            "action": settings.action.model_copy(update={"mode": mode}),
            "observation": "dict",
            "episode_length": None,
            "lookback": max(settings.lookback, policy.lookback),
            "rebalance_every": policy.rebalance_every or settings.rebalance_every,
        }
    )
    return PortfolioEnv(market, signals, changed, start=start, end=end, record=True)


def _weight_column(symbol: str) -> str:
    return f"{_WEIGHT}{symbol}"


def _read_marks(name: str, env: PortfolioEnv) -> Backtest:
    tape, kernel = env.tape, env.kernel
    marks = kernel.marks
    wealth = np.array([float(mark.wealth[0]) for mark in marks])
    weights = np.stack([mark.weights[0] for mark in marks])
    paid = np.array([float(mark.books.costs[0]) for mark in marks])
    turnover = np.array([float(mark.turnover[0]) for mark in marks])
    dates, n_marks = tape.dates, tape.n_bars
    if tape.final_mark is not None:
        dates, n_marks = dates.append(pd.DatetimeIndex([tape.final_mark])), n_marks + 1
    if len(marks) == n_marks - 1:
        # The night after the last trade is marked at a close that has no trade of its own.
        books, traded = kernel.read_totals()
        wealth, paid = np.append(wealth, kernel.wealth[0]), np.append(paid, books.costs[0])
        weights = np.vstack([weights, kernel.drifted[:1]])
        turnover = np.append(turnover, max(traded[0] - turnover.sum(), 0.0))
    # A book that was ruined before the end stays at nothing, so that its record can stand beside the others.
    missing = n_marks - len(wealth)
    if missing:
        wealth = np.append(wealth, np.zeros(missing))
        paid, turnover = np.append(paid, np.full(missing, paid[-1])), np.append(turnover, np.zeros(missing))
        weights = np.vstack([weights, np.tile(np.eye(1, weights.shape[1], weights.shape[1] - 1), (missing, 1))])
    # Costs are booked in units of the first day's wealth, and stated as fractions of that at the close before.
    before = np.concatenate([[1.0], wealth[:-1]])
    alive = before > 0.0
    net = np.divide(wealth, before, out=np.ones_like(wealth), where=alive) - 1.0
    costs = np.divide(np.diff(paid, prepend=0.0), before, out=np.zeros_like(wealth), where=alive)
    return Backtest(
        name=name,
        dates=dates,
        symbols=tape.symbols,
        weights=weights,
        gross=net + costs,
        costs=costs,
        net=net,
        turnover=turnover,
        benchmark=tape.benchmark_returns,
        cash_return=tape.cash_returns,
        periods_per_year=tape.periods_per_year,
    )
