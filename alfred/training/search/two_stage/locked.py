"""The last word: the winner on a part of the history that no stage has seen, once, with the trials that it took."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from alfred.agents.strategies.prices import MixSettings
from alfred.agents.strategies.signals import KellySettings
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.comparisons import Pair, judge
from alfred.evaluation.statistics.deflation import Trials
from alfred.evaluation.statistics.significance import Verdict
from alfred.training.provenance.trials import DataIdentity
from alfred.training.search.two_stage.segments import Segments
from alfred.training.search.two_stage.strategy import find_sharpe, has_traded, walk

LOCKED_FILE = "locked.json"
EQUAL_WEIGHT, DEFAULT = "equal weight", "default configuration"


@dataclass(frozen=True)
class Comparison:
    """The winner against one other strategy on the locked part.

    Attributes:
        baseline: The other one.
        sharpe: Its annual Sharpe ratio in excess of cash, net.
        difference: The winner's less it.
        low: Lower end of the studentised bootstrap interval of the difference; None where nothing is told.
        high: Upper end.
        deflated: Probability that the true difference is above what luck gives the best of all trials; None likewise.
        outcome: `beats`, `does not beat` or `cannot tell`.
        sentence: The reasons.
    """

    baseline: str
    sharpe: float
    difference: float
    low: float | None
    high: float | None
    deflated: float | None
    outcome: str
    sentence: str


@dataclass(frozen=True)
class LockedVerdict:
    """The winner on the locked part.

    Attributes:
        winner: Digest of model and strategy.
        study: Digest of the search.
        start: First session.
        end: Last session.
        sharpe: Annual Sharpe ratio in excess of cash, net.
        traded: Whether there was any trade.
        n_trials: Trials that the verdict pays for: all of both stages, and those of earlier searches that were judged
            on the same part.
        looks: How many different winners were judged on this part, this one included.
        comparisons: Against equal weights, and against the default configuration.
        benchmark: The symbol of the benchmark.
        symbols: The universe, without the benchmark.
    """

    winner: str
    study: str
    start: str
    end: str
    sharpe: float
    traded: bool
    n_trials: int
    looks: int
    comparisons: tuple[Comparison, ...]
    benchmark: str = ""
    symbols: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return everything by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LockedVerdict:
        """Read what `to_json` wrote."""
        comparisons = tuple(Comparison(**item) for item in raw["comparisons"])
        return cls(**{**raw, "comparisons": comparisons, "symbols": tuple(raw["symbols"])})


class LockedLedger:
    """The file that remembers who was judged on a locked part, so that nobody looks twice without paying.

    It stands beside all searches, whatever they are called.

    Args:
        folder: Folder of all searches.
        identity: Which data: looks at others do not count.
    """

    def __init__(self, folder: Path, identity: DataIdentity) -> None:
        """Keep the place."""
        self.path, self.identity = folder / LOCKED_FILE, identity

    def read(self) -> list[LockedVerdict]:
        """Return all verdicts, oldest first.

        Raises:
            CheckpointError: The file is damaged.
        """
        if not self.path.exists():
            return []
        try:
            return [LockedVerdict.from_json(item) for item in read_json(self.path)]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{self.path} is damaged ({error}); it says which winners were judged on the locked part: restore it, "
                "or begin a search in another folder on data that were not looked at"
            ) from error

    def find(self, winner: str, study: str) -> LockedVerdict | None:
        """Return the verdict on a winner of a search, if there is one."""
        return next((item for item in self.read() if (item.winner, item.study) == (winner, study)), None)

    def count_earlier(self, winner: str, study: str, start: str, end: str) -> tuple[int, int]:
        """Return how many other winners were judged on an overlapping part, and the trials of other searches."""
        others = [
            item
            for item in self.read()
            if item.start <= end
            and start <= item.end
            and self.identity.matches(DataIdentity(item.benchmark, tuple(item.symbols)))
        ]
        looks = {(item.winner, item.study) for item in others} - {(winner, study)}
        made: dict[str, int] = {}
        for item in others:
            if item.study != study:
                made[item.study] = max(made.get(item.study, 0), item.n_trials)
        return len(looks), max(made.values(), default=0)

    def add(self, verdict: LockedVerdict) -> None:
        """Keep a verdict."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{LOCKED_FILE}.lock")):
            text = json.dumps([*(item.to_json() for item in self.read()), verdict.to_json()], indent=2)
            write_atomically(self.path, lambda path: path.write_text(text, encoding="utf-8"))


def judge_locked(
    market: Market,
    env: PortfolioSettings,
    segments: Segments,
    entries: Sequence[tuple[str, Signals, KellySettings]],
    *,
    winner: str,
    study: str,
    trials: Trials,
    looks: int = 1,
    intervals: IntervalSettings | None = None,
    note: Callable[[Backtest], None] | None = None,
) -> LockedVerdict:
    """Judge the winner on the locked part.

    Args:
        market: The searched market, its locked part included.
        env: Terms of the market.
        segments: Where the locked part is.
        entries: Name, scaled signals and strategy of the winner, then of what else it is compared with.
        winner: Digest of the winner.
        study: Digest of the search.
        trials: All trials of both stages. The locked part played no role in the choice, so that paying for them again
            here errs on the side of caution.
        looks: Winners judged on the part, this one included.
        intervals: How the intervals are made.
        note: Told what the winner did.
    """
    records = [walk(market, signals, env, strategy, segments.locked) for _, signals, strategy in entries]
    records.append(walk(market, None, env, MixSettings(), segments.locked))
    names = [*(name for name, _, _ in entries[1:]), EQUAL_WEIGHT]
    returns = np.column_stack([record.excess for record in records])
    own = records[0]
    if note is not None:
        note(own)
    pairs = [Pair(0, place + 1, name) for place, name in enumerate(names)]
    verdicts = judge(returns, pairs, intervals or IntervalSettings(), trials, own.periods_per_year)
    sharpes = [find_sharpe(record) for record in records]
    identity = DataIdentity.from_market(market)
    found = [_compare(verdict, sharpes[0], sharpe) for verdict, sharpe in zip(verdicts, sharpes[1:], strict=True)]
    return LockedVerdict(
        winner=winner,
        study=study,
        start=str(segments.locked[0].date()),
        end=str(segments.locked[1].date()),
        sharpe=sharpes[0],
        traded=has_traded(own),
        n_trials=trials.count,
        looks=looks,
        comparisons=tuple(reversed(found)),
        benchmark=identity.benchmark,
        symbols=identity.symbols,
    )


def _compare(verdict: Verdict, own: float, other: float) -> Comparison:
    def known(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return Comparison(
        baseline=verdict.baseline,
        sharpe=other,
        difference=own - other,
        low=known(verdict.interval[0]),
        high=known(verdict.interval[1]),
        deflated=known(verdict.deflated),
        outcome=verdict.outcome,
        sentence=verdict.explain(),
    )
