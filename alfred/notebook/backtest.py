"""Any strategy judged: walked through the ledger beside the benchmark held and equal weight, with the verdict."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from alfred.agents.strategies.registry import make_baselines
from alfred.data.market import Market
from alfred.data.sessions import to_day
from alfred.data.signals import Signals
from alfred.envs.gym.episodes import read_settings
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.errors import ConfigError
from alfred.evaluation import backtest as records_of
from alfred.evaluation.behaviour import describe_behaviour
from alfred.evaluation.breakdown.breakdown import break_down
from alfred.evaluation.report.inputs import MarketFacts, ReportInput
from alfred.evaluation.report.numbers import Numbers, compute_numbers
from alfred.evaluation.report.page import render_report, write_report
from alfred.evaluation.results import ResultRow, compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.notebook.policies import make_policy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EQUAL_WEIGHT = "equal weight"
_LEAST_TRADE = 1e-9


@dataclass(frozen=True, eq=False)
class Backtest:
    """What a strategy did, beside the benchmark held and equal weight of the same universe.

    Attributes:
        records: The strategy's record first, then the benchmark's, then that of equal weight.
        trades: One row a trade of one symbol: `date`, `symbol`, `before` and `after` (weights around the trade) and
            `change`.
        market: What was traded.
        settings: Costs, execution and mandate that all were traded at.
        intervals: How intervals are made.
        n_trials: Strategies that were tried to find this one; the verdict pays for them.
    """

    records: tuple[records_of.Backtest, ...]
    trades: pd.DataFrame
    market: Market
    settings: PortfolioSettings
    intervals: IntervalSettings
    n_trials: int = 1

    @cached_property
    def returns(self) -> pd.DataFrame:
        """Net returns by session, one column a strategy."""
        return pd.DataFrame({record.name: record.net for record in self.records}, index=self.records[0].dates)

    @cached_property
    def weights(self) -> pd.DataFrame:
        """Weights of the strategy at each close, cash last."""
        first = self.records[0]
        return pd.DataFrame(first.weights, index=first.dates, columns=[*first.symbols, "cash"])

    @cached_property
    def results(self) -> list[ResultRow]:
        """The numbers of the report, one row a strategy."""
        return compute_results(
            self.records,
            benchmark=self.market.benchmark,
            equal_weight=_EQUAL_WEIGHT,
            n_trials=self.n_trials,
            intervals=self.intervals,
            behaviours=self._behaviours,
        )

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The main numbers, one row a strategy."""
        names = {"sharpe": "Sharpe", "cagr": "CAGR", "volatility": "volatility", "max_drawdown": "max drawdown"}
        table = {row.name: {label: getattr(row, key) for key, label in names.items()} for row in self.results}
        return pd.DataFrame(table).T

    @property
    def headline(self) -> str:
        """What may be said in one line."""
        told = self.results[0].headline
        return "" if told is None else told.text

    def report(self, path: Path | str | None = None) -> Page:
        """Return the page with verdict, intervals and figures; a notebook shows it.

        Args:
            path: Folder to write `report.html` and `results.json` into; nothing is written when left out.
        """
        if path is not None:
            write_report(path, self.make_report_input(), self._numbers)
        return Page(render_report(self.make_report_input(), self._numbers))

    def plot(self) -> Figure:
        """Return the wealth of everyone, as a picture."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.subplots()
        for name, wealth in (1.0 + self.returns).cumprod().items():
            axes.plot(wealth.index, wealth.to_numpy(), label=str(name))
        axes.set_yscale("log")
        axes.set_ylabel("wealth")
        axes.legend(frameon=False)
        return figure

    @cached_property
    def _numbers(self) -> Numbers:
        return compute_numbers(self.make_report_input(), self.results)

    @property
    def _behaviours(self) -> dict[str, Any]:
        first, *others = self.records
        return {first.name: describe_behaviour(first, others, self.market, self.settings.action, self.intervals.level)}

    def make_report_input(self, title: str | None = None, caveats: Sequence[str] = ()) -> ReportInput:
        """Return what the page is made of.

        Args:
            title: Its heading; the name of the strategy when left out.
            caveats: What a reader must know beside the caveats of the market, one sentence each.
        """
        return ReportInput(
            title=title or self.records[0].name,
            backtests=self.records,
            market=MarketFacts.from_market(self.market),
            benchmark=self.market.benchmark,
            equal_weight=_EQUAL_WEIGHT,
            n_trials=self.n_trials,
            behaviours=self._behaviours,
            breakdown=break_down(self.records[0], self.records[1:], self.market, self.settings),
            caveats=caveats,
            intervals=self.intervals,
        )

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(self.headline)}</b></p>{self.summary.to_html(float_format='{:.3f}'.format)}"


@dataclass(frozen=True)
class Page:
    """A page that a notebook shows and `write` puts into a file."""

    text: str

    def write(self, path: Path | str) -> None:
        """Write the page."""
        Path(path).write_text(self.text, encoding="utf-8")

    def _repr_html_(self) -> str:
        # A frame of its own, so that styles and scripts of page and notebook leave each other alone.
        return f'<iframe srcdoc="{html.escape(self.text)}" width="100%" height="800" style="border:0"></iframe>'


def backtest(
    strategy: Any,
    market: Market,
    signals: Signals | None = None,
    *,
    settings: PortfolioSettings | Mapping[str, Any] | None = None,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    name: str | None = None,
    n_trials: int = 1,
    intervals: IntervalSettings | None = None,
) -> Backtest:
    """Walk a strategy through the ledger and judge it.

    Args:
        strategy: A model of stable-baselines3, a torch module, a function of an observation, a table of weights or a
            `Policy`; see `alfred.notebook.policies.make_policy`.
        market: What is traded.
        signals: What it is told, or None.
        settings: Costs, execution and mandate, as `env` in a configuration: a mapping or `PortfolioSettings`.
        start: First date of a decision; the first of the signals, or of the market, when left out.
        end: Last date; the last of the market when left out.
        name: Name in tables.
        n_trials: Strategies that were tried to find this one.
        intervals: How intervals are made.

    Raises:
        AlfredError: The strategy is none, or returns weights that cannot be traded; policy, date and sum are named.
    """
    if isinstance(n_trials, bool) or not isinstance(n_trials, int | np.integer):
        raise ConfigError(f"n_trials is {n_trials!r}; it must be a whole number of strategies that were tried")
    chosen = read_settings(settings)
    start, end = (None if date is None else to_day(date) for date in (start, end))
    first = signals.dates[0] if start is None and signals is not None else start
    walk = records_of.make_walk(market, signals, chosen, _Anyone(chosen.lookback), start=first, end=end)
    policy = make_policy(strategy, market, walk.tape, chosen, name)
    others = make_baselines((), market, () if signals is None else signals.names)
    if policy.name in [other.name for other in others]:
        raise ConfigError(f"a strategy called '{policy.name}' stands beside another of that name; pass name=...")
    records, trades = [], pd.DataFrame()
    for one in (policy, *others):
        walk = records_of.make_walk(market, signals, chosen, one, start=first, end=end)
        records.append(records_of.backtest(one, walk))
        if one is policy:
            trades = list_trades(walk.simulator, walk.tape)
    return Backtest(tuple(records), trades, market, chosen, intervals or IntervalSettings(), n_trials)


def list_trades(simulator: PortfolioSimulator, tape: Tape) -> pd.DataFrame:
    """Return what was traded, one row a symbol and trade; see `Backtest.trades`."""
    parts = []
    for mark in simulator.trades:
        before, after = mark.before[0, :-1], mark.after[0, :-1]
        for place in np.flatnonzero(np.abs(after - before) > _LEAST_TRADE):
            date = tape.dates[int(mark.bar[0])]
            parts.append((date, tape.symbols[place], before[place], after[place], after[place] - before[place]))
    return pd.DataFrame(parts, columns=["date", "symbol", "before", "after", "change"])


class _Anyone:
    """Stands for a policy that is not made yet: the range must be known before a table can be laid out on it."""

    rebalance_every: int | None = None
    name = "anyone"

    def __init__(self, lookback: int) -> None:
        self.lookback = lookback

    def reset(self, rows: object = None) -> None:
        """Do nothing."""

    def predict(self, observation: Any) -> Any:
        """Never asked."""
        raise NotImplementedError
