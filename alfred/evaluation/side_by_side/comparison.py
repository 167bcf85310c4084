"""Strategies of several runs side by side, on the sessions that all of them were tested on.

One row is the reference; every other row is compared with it, and all comparisons are one StepM family, so that picking
the best of many runs is paid for. What was tried before, in whatever run, is paid for as in every verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from alfred.errors import ConfigError, DataError, suggest
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.headline import Training
from alfred.evaluation.results import ResultRow, compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.side_by_side.configuration import SettingDifference, find_differences
from alfred.evaluation.side_by_side.shared import Coverage, cut_to_shared, find_data_caveats
from alfred.evaluation.statistics.significance import Verdict

# Sessions below which autocorrelation is hardly seen by blocks of a twentieth of them.
_FEW_SESSIONS = 120
_SAME_RETURNS = 1e-9
_TERMS = ("env.cost_bps", "env.slippage_bps", "env.execution", "env.cash_rate_pct", "env.borrow_rate_pct", "env.impact")


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """What an evaluated run has left.

    Attributes:
        name: Of the run; no other run of a comparison has it.
        agents: Records of its agents, in the order in which they were declared.
        baselines: Records of what they were compared with.
        benchmark: Symbol of the benchmark, which is the name of the record that holds it.
        equal_weight: Name of the record that holds the universe in equal weights, or None without one.
        symbols: The universe, without the benchmark.
        config: The resolved configuration.
        trainings: What the trainings behind each agent ended with, by its name.
        caveats: What a reader should know of it, a sentence each.
    """

    name: str
    agents: Sequence[Backtest]
    baselines: Sequence[Backtest]
    benchmark: str
    equal_weight: str | None
    symbols: tuple[str, ...]
    config: Mapping[str, Any]
    trainings: Mapping[str, Sequence[Training]] = field(default_factory=dict)
    caveats: Sequence[str] = ()


@dataclass(frozen=True)
class TrialCount:
    """The trials that were made to find what is compared.

    Attributes:
        total: All of them.
        sharpes: Annual Sharpe ratio in excess of cash of each logged one; NaN for one that has none.
    """

    total: int
    sharpes: Sequence[float] = ()


@dataclass(frozen=True, eq=False)
class ComparedRow:
    """One row of a comparison.

    Attributes:
        run: Run that the record is from; several where they did the same.
        strategy: Name of the strategy in its run.
        numbers: Its metrics on the shared sessions, and how it compares with the reference (`versus_benchmark`).
    """

    run: str
    strategy: str
    numbers: ResultRow

    @property
    def name(self) -> str:
        """How the row is called."""
        return self.numbers.name

    @property
    def versus(self) -> Verdict:
        """Against the reference."""
        return self.numbers.versus_benchmark


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: Names of the runs, in the order in which they were given.
        reference: Name of the row that all others are compared with; it is the first of `rows`.
        rows: One a strategy.
        records: Their daily records, cut to the shared sessions, in the same order.
        held: Names of the rows that hold a benchmark or equal weights.
        coverage: What of each run is shared.
        settings: Where the configurations differ, with a value a run.
        trials: Trials made, which every row pays for.
        intervals: How the intervals were made.
        caveats: What a reader must know, a sentence each.
    """

    runs: tuple[str, ...]
    reference: str
    rows: tuple[ComparedRow, ...]
    records: tuple[Backtest, ...]
    held: tuple[str, ...]
    coverage: tuple[Coverage, ...]
    settings: tuple[SettingDifference, ...]
    trials: TrialCount
    intervals: IntervalSettings
    caveats: tuple[str, ...]

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The shared sessions."""
        return self.records[0].dates

    def add_caveats(self, caveats: Sequence[str]) -> Comparison:
        """Return the comparison with further caveats."""
        return replace(self, caveats=(*self.caveats, *caveats))

    def to_json(self) -> dict[str, object]:
        """Return it for JSON: no number is NaN, dates are ISO."""
        return {
            "runs": list(self.runs),
            "reference": self.reference,
            "start": str(self.dates[0].date()),
            "end": str(self.dates[-1].date()),
            "n_sessions": len(self.dates),
            "coverage": [item.to_json() for item in self.coverage],
            "n_trials": self.trials.total,
            "n_logged_trials": len(self.trials.sharpes),
            "level": self.intervals.level,
            "results": [self._write_row(row) for row in self.rows],
            "settings": {item.key: dict(zip(self.runs, item.values, strict=True)) for item in self.settings},
            "caveats": list(self.caveats),
        }

    def _write_row(self, row: ComparedRow) -> dict[str, object]:
        flat = row.numbers.to_json()
        renamed = {
            "sharpe_minus_benchmark": "sharpe_minus_reference",
            "sharpe_minus_benchmark_ci": "sharpe_minus_reference_ci",
            "benchmark_p_value": "p_value",
            "benchmark_p_adjusted": "p_adjusted",
            "benchmark_detectable": "detectable",
            "benchmark_deflated": "deflated",
            "benchmark_verdict": "verdict",
        }
        own = ("n_days", "cagr", "volatility", "sharpe", "sharpe_ci", "max_drawdown", "turnover", "cost", "untrained")
        told: dict[str, object] = {"name": row.name, "run": row.run, "strategy": row.strategy}
        told |= {name: flat[name] for name in (*own, "trainings")}
        if row.name != self.reference:
            told |= {new: flat[old] for old, new in renamed.items()}
        return told


def compare(
    runs: Sequence[JudgedRun],
    trials: TrialCount,
    *,
    to: str | None = None,
    strategies: Sequence[str] = (),
    everything: bool = False,
    intervals: IntervalSettings | None = None,
) -> Comparison:
    """Put the strategies of runs side by side.

    Args:
        runs: The runs.
        trials: Made to find their strategies.
        to: Name of the reference: of a row, or of a run for its first agent; the first row when left out.
        strategies: Names of the strategies that are shown beside the benchmark and equal weight; the first agent of
            each run when left out.
        everything: Show all strategies of all runs.
        intervals: How the intervals are made.

    Raises:
        ConfigError: A name is unknown, or there is nothing to compare.
        DataError: The runs have too few sessions in common, or were made on other data.
    """
    if not runs:
        raise ConfigError("there is no run to compare; name the directories of two, such as runs/one runs/two")
    for run in runs[1:]:
        if run.benchmark != runs[0].benchmark:
            raise DataError(
                f"{run.name} is judged against {run.benchmark} and {runs[0].name} against {runs[0].benchmark}: they "
                "cannot be compared; compare runs with one benchmark"
            )
    coverage, cut = cut_to_shared([(run.name, [*run.agents, *run.baselines]) for run in runs])
    picked = _pick(runs, cut, strategies, everything=everything)
    ordered = _put_first(picked, to, runs)
    if len(ordered) < 2:
        raise ConfigError(
            f"there is nothing to compare {ordered[0].name} with; name another run, or show all strategies with --all"
        )
    settings = intervals or IntervalSettings()
    records = [item.record for item in ordered]
    numbers = compute_results(
        records,
        # The reference stands first, and alone; all other rows against it are one family.
        benchmark=records[0].name,
        n_trials=max(trials.total, 1),
        trial_sharpes=trials.sharpes or None,
        intervals=settings,
        trainings={item.record.name: item.trainings for item in ordered if item.trainings},
    )
    differences = find_differences([run.config for run in runs])
    return Comparison(
        runs=tuple(run.name for run in runs),
        reference=records[0].name,
        rows=tuple(ComparedRow(i.run, i.strategy, row) for i, row in zip(ordered, numbers, strict=True)),
        records=tuple(records),
        held=tuple(item.record.name for item in ordered if item.held),
        coverage=tuple(coverage),
        settings=tuple(differences),
        trials=trials,
        intervals=settings,
        caveats=tuple(_find_caveats(runs, cut, coverage, differences)),
    )


@dataclass(frozen=True, eq=False)
class _Picked:
    """A record that is shown, and what it is."""

    run: str
    strategy: str
    record: Backtest
    is_agent: bool
    held: bool
    trainings: Sequence[Training] = ()

    @property
    def name(self) -> str:
        return self.record.name


def _pick(
    runs: Sequence[JudgedRun], cut: Sequence[Sequence[Backtest]], names: Sequence[str], *, everything: bool
) -> list[_Picked]:
    """Return the records that are shown, under names that tell them apart, those of agents first.

    The benchmark and equal weight are those of the first run, with equal weight of every other universe.
    """
    known = list(dict.fromkeys(record.name for records in cut for record in records))
    for name in names:
        if name not in known:
            raise ConfigError(
                f"no strategy is called '{name}'; the runs have {', '.join(known)}.{suggest(name, known)}"
            )
    agents, others = list[_Picked](), list[_Picked]()
    for run, records in zip(runs, cut, strict=True):
        always = (run.benchmark, run.equal_weight)
        for place, record in enumerate(records):
            is_agent = place < len(run.agents)
            wanted = record.name in names if names else is_agent and place == 0
            # Those of other runs say nothing new unless they chose among other symbols.
            wanted |= record.name in always and run is runs[0]
            wanted |= record.name == run.equal_weight and {*run.symbols} != {*runs[0].symbols}
            if not (everything or wanted):
                continue
            trainings = tuple(run.trainings.get(record.name, ()))
            picked = _Picked(run.name, record.name, record, is_agent, record.name in always, trainings)
            (agents if is_agent else others).append(picked)
    return _name([*agents, *_merge(others)], single=not everything and len(names) < 2)


def _merge(picked: Sequence[_Picked]) -> list[_Picked]:
    """Return records with those of one name that did the same in several runs as one."""
    found: list[_Picked] = []
    for item in picked:
        for place, other in enumerate(found):
            same = other.strategy == item.strategy
            if same and np.allclose(other.record.net, item.record.net, rtol=0.0, atol=_SAME_RETURNS):
                found[place] = replace(other, run=f"{other.run}, {item.run}")
                break
        else:
            found.append(item)
    return found


def _name(picked: Sequence[_Picked], *, single: bool) -> list[_Picked]:
    """Give every record a name of its own: that of the run where it shows one strategy, else of both."""
    others = [item.strategy for item in picked if not item.is_agent]
    named = []
    for item in picked:
        if not item.is_agent and others.count(item.strategy) == 1:
            name = item.strategy
        elif item.is_agent and single:
            name = item.run
        else:
            name = f"{item.run}: {item.strategy}"
        named.append(replace(item, record=replace(item.record, name=name)))
    taken = [item.name for item in named]
    # A run may be called as the benchmark is.
    return [
        replace(item, record=replace(item.record, name=f"{item.run}: {item.strategy}"))
        if taken.count(item.name) > 1
        else item
        for item in named
    ]


def _put_first(picked: Sequence[_Picked], to: str | None, runs: Sequence[JudgedRun]) -> list[_Picked]:
    """Return the records with the reference first."""
    if to is None:
        return list(picked)
    names = [item.name for item in picked]
    if to in names:
        place = names.index(to)
    elif to in (run.name for run in runs):
        own = [place for place, item in enumerate(picked) if item.run == to]
        place = own[0] if own else 0
    elif to in (strategies := [item.strategy for item in picked]) and strategies.count(to) == 1:
        place = strategies.index(to)
    else:
        known = [*names, *(run.name for run in runs if run.name not in names)]
        raise ConfigError(f"--to {to}: no row has that name; there are {', '.join(known)}.{suggest(to, known)}")
    return [picked[place], *picked[:place], *picked[place + 1 :]]


def _find_caveats(
    runs: Sequence[JudgedRun],
    cut: Sequence[Sequence[Backtest]],
    coverage: Sequence[Coverage],
    differences: Sequence[SettingDifference],
) -> list[str]:
    first, n_shared = runs[0], len(cut[0][0].dates)
    found = find_data_caveats([(run.name, records[0]) for run, records in zip(runs, cut, strict=True)])
    for run in runs[1:]:
        if other := {*run.symbols} ^ {*first.symbols}:
            found.append(
                f"{run.name} chose among {len(run.symbols)} symbols and {first.name} among {len(first.symbols)}, "
                f"{len(other)} of them not shared: a difference may be the universe's and not the strategy's."
            )
    terms = [item.key for item in differences if item.key.startswith(_TERMS)]
    if terms:
        found.append(
            f"The terms of the market differ ({', '.join(terms)}): a difference may be theirs and not the strategy's."
        )
    for item in coverage:
        if item.n_left_out:
            found.append(
                f"{item.run} was tested on {item.n_sessions} sessions, {item.start} to {item.end}; "
                f"{item.n_left_out} of them are not shared and not compared."
            )
    if n_shared < _FEW_SESSIONS:
        found.append(
            f"{n_shared} sessions are few. Where returns are autocorrelated, histories this short are called a gain "
            "or a loss more often than the intervals promise (docs/statistics.md)."
        )
    return [*found, *(f"{run.name}: {caveat}" for run in runs for caveat in run.caveats)]
