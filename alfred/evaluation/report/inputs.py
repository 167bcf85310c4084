"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.behaviour import Behaviour
from alfred.evaluation.breakdown.breakdown import Breakdown
from alfred.evaluation.explanation import Explanation
from alfred.evaluation.headline import Training
from alfred.evaluation.settings import IntervalSettings


@dataclass(frozen=True)
class MarketFacts:
    """Which data a report rests on.

    Attributes:
        start: First session of the data.
        end: Last session.
        symbols: Names, the benchmark included.
        benchmark: The symbol of the benchmark.
        notes: Caveats of the source, one sentence each.
        checksum: SHA-256 of everything in the market, in hexadecimal.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    symbols: tuple[str, ...]
    benchmark: str
    notes: tuple[str, ...]
    checksum: str

    @classmethod
    def from_market(cls, market: Market) -> MarketFacts:
        """Read the facts off a market."""
        return cls(
            start=market.dates[0],
            end=market.dates[-1],
            symbols=market.symbols,
            benchmark=market.benchmark,
            notes=market.notes,
            checksum=compute_market_checksum(market),
        )


@dataclass(frozen=True)
class FoldScore:
    """One fold of a walk-forward test; the distance from training to test is the most telling number of a report.

    Attributes:
        name: Name of the fold.
        start: First date of its test.
        end: Last date of its test.
        train_sharpe: Annual Sharpe ratio in training, net and in excess of cash, or None when it was not measured.
        validation_sharpe: The same in validation, or None.
    """

    name: str
    start: pd.Timestamp
    end: pd.Timestamp
    train_sharpe: float | None = None
    validation_sharpe: float | None = None


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything that a report is made of.

    Attributes:
        title: Heading of the page.
        backtests: The strategy that is judged first, then what it is compared with; all over the same dates.
        market: Which data were used.
        benchmark: Name of the backtest that holds the benchmark.
        equal_weight: Name of the backtest that holds the universe in equal weights, or None without one.
        n_trials: Trials made to find the strategy, in searches and by hand, those in the log included.
        trial_sharpes: Annual Sharpe ratio in excess of cash of each logged trial, or None without a log.
        seed_backtests: The same strategy, trained from different seeds.
        trainings: What the trainings behind the strategies ended with, by the name of the strategy.
        behaviours: What the agents did, by the name of the strategy.
        breakdown: What the book of the judged strategy was made of, or None where that is not known.
        explained: What moved the weights of one of them, or None when nobody asked.
        skill: What `compute_signal_skill` returned, or None without signals.
        folds: Folds of the walk-forward test.
        extra_tables: Further tables by heading, for instance a sweep over costs.
        warnings: What makes the record of the strategy that is judged first too good to be true, one sentence each.
        caveats: Further caveats beside those of the market, one sentence each.
        config: The resolved configuration as text.
        versions: Version by package.
        seeds: Seeds of the training runs.
        intervals: How the intervals are made.
    """

    title: str
    backtests: Sequence[Backtest]
    market: MarketFacts
    benchmark: str
    equal_weight: str | None = None
    n_trials: int = 1
    trial_sharpes: Sequence[float] | None = None
    seed_backtests: Sequence[Backtest] = ()
    trainings: Mapping[str, Sequence[Training]] = field(default_factory=dict)
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    breakdown: Breakdown | None = None
    explained: Explanation | None = None
    skill: pd.DataFrame | None = None
    folds: Sequence[FoldScore] = ()
    extra_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    caveats: Sequence[str] = ()
    config: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Sequence[int] = ()
    intervals: IntervalSettings = field(default_factory=IntervalSettings)

    @property
    def baselines(self) -> list[Backtest]:
        """The records of the benchmark and of equal weight, where they are not the judged strategy."""
        by_name = {backtest.name: backtest for backtest in self.backtests}
        names = [name for name in (self.benchmark, self.equal_weight) if name is not None]
        return [by_name[name] for name in names if name in by_name and name != self.backtests[0].name]
