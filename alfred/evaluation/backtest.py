"""What happened: one policy, walked through one environment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.files import read_parquet, write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.attribution import PnLAttribution
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.errors import CheckpointError, ConfigError
from alfred.evaluation.deciding import decide_weights
from alfred.typing import FloatArray

_COLUMNS = ("gross", "costs", "net", "turnover", "benchmark", "cash_return")
_WEIGHT, _CASH = "weight of ", "cash"


def make_slug(name: str) -> str:
    """Return a name as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


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
    def knows_holdings(self) -> bool:
        """Whether it says what was held and traded; a record of mere returns has NaN there."""
        return bool(np.isfinite(self.weights).all() and np.isfinite(self.turnover).all())

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return make_slug(self.name)

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
            table = read_parquet(path)
            symbols = tuple(name.removeprefix(_WEIGHT) for name in table.columns if name.startswith(_WEIGHT))
            columns = {name: table[name].to_numpy() for name in _COLUMNS}
            weights = table[[*map(_weight_column, symbols), _CASH]].to_numpy()
            return cls(
                name=str(table.attrs["name"]),
                dates=pd.DatetimeIndex(table.index),
                symbols=symbols,
                weights=weights,
                periods_per_year=int(table.attrs["periods_per_year"]),
                **columns,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
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


@dataclass(frozen=True, eq=False)
class Walk:
    """A range that policies are walked through, one after another.

    Attributes:
        simulator: Portfolios over the tape of the range, usually one, with their marks and their trades.
        warm_up: Bars at the beginning that belong to no record: a recurrent state is walked through them first.
    """

    simulator: PortfolioSimulator
    warm_up: int = 0

    @property
    def tape(self) -> Tape:
        """The market of the range."""
        return self.simulator.tape

    def begin(self) -> PortfolioSimulator:
        """Return the simulator at the first bar of the record, with nothing recorded."""
        shape = self.simulator.n_portfolios
        self.simulator.reset(np.full(shape, self.warm_up), np.full(shape, self.tape.n_bars))
        self.simulator.marks.clear()
        self.simulator.trades.clear()
        return self.simulator


def backtest(policy: Policy | Sequence[Stage], walk: Walk, *, normalise: bool = False) -> Backtest:
    """Walk a policy through a whole range and record every close.

    Each policy is reset when it takes over, and one with a recurrent state is walked through the sessions before, so
    that its state depends on those dates and on nothing else.

    Args:
        policy: The policy, or the stages of one, in order of their dates; the first covers whatever comes before it.
        walk: The range, made for a policy with this lookback by `make_walk`.
        normalise: Scale weights that do not sum to one (or, with short positions, exceed the leverage) instead of
            refusing them.

    Raises:
        ConfigError: There is no stage, or `walk` is something else.
        DataError: A policy returns weights that cannot be traded; policy, date and sum are named.
    """
    if not isinstance(walk, Walk):
        raise ConfigError(
            f"a backtest walks through a range, and got {type(walk).__name__}; build the range with "
            "make_walk(market, signals, settings, policy), or call alfred.backtest(strategy, market)"
        )
    stages = list(policy) if isinstance(policy, Sequence) else [Stage(walk.tape.dates[0], policy)]
    if not stages:
        raise ConfigError("a backtest needs a policy, and the list of stages is empty")
    _run(stages, walk, normalise)
    return _read_marks(stages[0].policy.name, walk)


def backtest_books(stages: Sequence[Stage], walk: Walk, names: Sequence[str]) -> list[Backtest]:
    """Walk the books `names` of a range made for so many at once; each policy decides for all; see `backtest`."""
    _run(stages, walk, normalise=False)
    return [_read_marks(name, walk, book) for book, name in enumerate(names)]


def _run(stages: Sequence[Stage], walk: Walk, normalise: bool) -> None:
    """Walk policies through a range to its end, or to that of the last book that is not ruined."""
    dates = walk.tape.dates
    starts = pd.DatetimeIndex([stage.start for stage in stages])
    # The stage of every bar at once: to ask for one date takes as long as to book the bar.
    due = np.maximum(starts.searchsorted(dates, side="right") - 1, 0).tolist()
    simulator = walk.begin()
    active: Policy | None = None
    # Books that are not ruined stand at the same bar.
    while (today := int(simulator.bar.max())) < int(simulator.stop.max()):
        upcoming = stages[due[today]].policy
        if upcoming is not active:
            active = upcoming
            warm_up(active, walk, today, normalise=normalise)
        simulator.step(decide_weights(active, simulator, normalise=normalise))


def make_walk(
    market: Market,
    signals: Signals | None,
    settings: PortfolioSettings,
    policy: Policy,
    *,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    n_books: int = 1,
) -> Walk:
    """Prepare the range that a policy is evaluated in: the same market terms for everyone.

    The mandate (constraints and risk rules) binds the policies that say `under_mandate`, as agents do. A benchmark
    that is held decides once: a stop would leave it in cash for ever, and the agent would be judged against that.
    Policies that are free of it may hold every symbol; for the others what is not in `Market.universe` counts as not
    tradable, and a weight on it is refused. Weights are traded as they are: no action stands between.

    Raises:
        ConfigError: The policy was trained on other signals or actions, as far as it can tell.
    """
    free = not getattr(policy, "under_mandate", True)
    if free:
        settings = settings.lift_mandate()
    long_only = settings.action.long_only or getattr(policy, "long_only", False)
    action = settings.action
    if long_only and not action.long_only:
        action = action.model_copy(update={"mode": "simplex"})
    changed = settings.model_copy(
        update={
            "action": action,
            "observation": "dict",
            "episode_length": None,
            "lookback": max(settings.lookback, policy.lookback),
            "rebalance_every": policy.rebalance_every or settings.rebalance_every,
        }
    )
    earlier, warm_up = _find_warm_up(market, signals, start, getattr(policy, "burn_in", 0))
    holdable = market.symbols if free else market.universe
    tape = prepare_tape(market, signals, changed, start=earlier, end=end, holdable=holdable)
    if callable(check := getattr(policy, "check_fit", None)):
        check(tape, settings)
    return Walk(PortfolioSimulator(tape, changed, n_books, record=True), warm_up)


def _find_warm_up(
    market: Market, signals: Signals | None, start: pd.Timestamp | str | None, burn_in: int
) -> tuple[pd.Timestamp | str | None, int]:
    """Return the first date of an environment that has up to `burn_in` sessions before `start`, and their number."""
    if not burn_in or start is None:
        return start, 0
    first = int(market.dates.searchsorted(pd.Timestamp(start), side="left"))
    known = 0 if signals is None else int(market.dates.searchsorted(signals.dates[0], side="left"))
    earlier = min(max(first - burn_in, known, 0), first)
    return market.dates[earlier], first - earlier


def warm_up(policy: Policy, walk: Walk, bar: int, *, normalise: bool = False) -> None:
    """Reset a policy and walk it, with a book of its own, through the sessions before it takes over.

    Args:
        policy: The policy.
        walk: The range.
        bar: The first one that it decides for.
        normalise: See `backtest`.
    """
    if hasattr(policy, "reset"):  # a plain object with `predict` has no state to forget
        policy.reset()
    begin = max(bar - getattr(policy, "burn_in", 0), 0)
    if begin == bar:
        return
    shadow = PortfolioSimulator(walk.tape, walk.simulator.settings)
    shadow.reset(np.array([begin]), np.array([bar]))
    while shadow.bar[0] < shadow.stop[0]:
        shadow.step(decide_weights(policy, shadow, normalise=normalise))


def _weight_column(symbol: str) -> str:
    return f"{_WEIGHT}{symbol}"


def _read_marks(name: str, walk: Walk, book: int = 0) -> Backtest:
    tape, simulator = walk.tape, walk.simulator
    # The others go on when a book is ruined: what is marked from then on is not its own.
    last = int(simulator.bar[book])
    marks = [mark for mark in simulator.marks if mark.bar[book] < last]
    wealth = np.array([mark.wealth[book] for mark in marks])
    weights = np.stack([mark.weights[book] for mark in marks])
    turnover = np.array([mark.turnover[book] for mark in marks])
    parts = [np.array([mark.attribution[part][book] for mark in marks]) for part in range(len(PnLAttribution._fields))]
    paid = PnLAttribution(*parts).costs
    first = walk.warm_up
    dates, n_marks = tape.dates[first:], tape.n_bars - first
    if tape.final_mark is not None:
        dates, n_marks = dates.append(pd.DatetimeIndex([tape.final_mark])), n_marks + 1
    if len(marks) == n_marks - 1:
        # The night after the last trade is marked at a close that has no trade of its own.
        attribution, traded = simulator.read_totals()
        wealth, paid = np.append(wealth, simulator.wealth[book]), np.append(paid, attribution.costs[book])
        weights = np.vstack([weights, simulator.drifted[book : book + 1]])
        turnover = np.append(turnover, max(traded[book] - turnover.sum(), 0.0))
    # A book that was ruined before the end stays at nothing, so that its record can stand beside the others.
    missing = n_marks - len(wealth)
    if missing:
        wealth = np.append(wealth, np.zeros(missing))
        paid, turnover = np.append(paid, np.full(missing, paid[-1])), np.append(turnover, np.zeros(missing))
        weights = np.vstack([weights, np.tile(np.eye(1, weights.shape[1], weights.shape[1] - 1), (missing, 1))])
    return make_record(
        name,
        tape,
        dates,
        wealth=wealth,
        weights=weights,
        paid=paid,
        turnover=turnover,
        benchmark=tape.benchmark_returns[first:],
        cash=tape.cash_returns[first + 1 :],
    )


def make_record(
    name: str,
    tape: Tape,
    dates: pd.DatetimeIndex,
    *,
    wealth: FloatArray,
    weights: FloatArray,
    paid: FloatArray,
    turnover: FloatArray,
    benchmark: FloatArray,
    cash: FloatArray,
) -> Backtest:
    """Make the record of a book from what the ledger marked at each close.

    Args:
        name: Of the policy.
        tape: Names of the assets, sessions in a year.
        dates: Of the marks, `[T]`.
        wealth: In units of the wealth at the start, `[T]`.
        weights: Cash last, `[T, N+1]`.
        paid: All costs since the start, in the same units, `[T]`.
        turnover: Since the mark before, `[T]`.
        benchmark: Return of the benchmark, `[T]`.
        cash: Return of cash at all marks but the first, `[T-1]`.
    """
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
        benchmark=benchmark,
        # A book begins at its first execution: what cash earned before is not its own.
        cash_return=np.concatenate([[0.0], cash]),
        periods_per_year=tape.periods_per_year,
    )
