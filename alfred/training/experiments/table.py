"""The table of a phase: numbers with their intervals, and what may be decided from them, in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.formatting import format_number, format_percent
from alfred.evaluation.portfolio_metrics import compute_period_returns, compute_win_rate
from alfred.evaluation.results import Interval, ResultRow, compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.comparisons import Pair, judge
from alfred.evaluation.statistics.deflation import Trials
from alfred.evaluation.statistics.significance import Verdict
from alfred.training.experiments.registry import NamedStrategy

Decision = Literal["keep", "reject", "cannot tell"]

_HELD = 1e-4  # a weight that counts as held


@dataclass(frozen=True)
class ExperimentRow:
    """One experiment, or a baseline of the table, in numbers; fractions, not per cent.

    Attributes:
        name: Its name.
        based_on: What it differs from; empty for the baselines of the table.
        changed: What differs, as text.
        total_return: Net return over the whole test.
        return_minus_benchmark: The same less that of the benchmark.
        return_minus_equal_weight: The same less that of equal weights.
        sharpe: Annual Sharpe ratio in excess of cash.
        sharpe_ci: Its interval.
        max_drawdown: Worst drawdown, zero or negative.
        win_rate_weeks: Share of calendar weeks with a gain.
        win_rate_weeks_benchmark: Share of calendar weeks above the benchmark.
        turnover: One-way turnover a year.
        cost: Costs a year, as a fraction of wealth.
        names_held: Mean number of symbols held while any is.
        undecided: Share of sessions on which more than `top_n` symbols are held, because the score did not tell them
            apart; None for the baselines of the table.
        sharpe_minus_benchmark: Difference of Sharpe ratios.
        benchmark_ci: Its paired bootstrap interval.
        sharpe_minus_equal_weight: Difference of Sharpe ratios.
        equal_weight_ci: Its paired bootstrap interval.
        sharpe_minus_parent: Difference to `based_on`; None where there is none.
        parent_ci: Its paired bootstrap interval.
        deflated: Probability that the true Sharpe ratio is above zero, given all trials.
        n_trials: Trials that the verdicts pay for.
        detectable: The smallest true difference to equal weight that such a test finds four times in five.
        decision: `keep`, `reject` or `cannot tell`; None for the baselines of the table.
        reason: Why, in a sentence or two.
    """

    name: str
    based_on: str
    changed: str
    total_return: float
    return_minus_benchmark: float
    return_minus_equal_weight: float
    sharpe: float
    sharpe_ci: Interval
    max_drawdown: float
    win_rate_weeks: float
    win_rate_weeks_benchmark: float
    turnover: float
    cost: float
    names_held: float
    undecided: float | None
    sharpe_minus_benchmark: float
    benchmark_ci: Interval
    sharpe_minus_equal_weight: float
    equal_weight_ci: Interval
    sharpe_minus_parent: float | None
    parent_ci: Interval | None
    deflated: float
    n_trials: int
    detectable: float
    decision: Decision | None
    reason: str

    def to_json(self) -> dict[str, object]:
        """Return a flat mapping that JSON can hold; a number that does not exist is None, an interval a pair."""
        return {item.name: _to_plain(getattr(self, item.name)) for item in dataclasses.fields(self)}


def tabulate(
    experiments: Sequence[NamedStrategy],
    records: Sequence[Backtest],
    baselines: Sequence[Backtest],
    intervals: IntervalSettings,
    n_trials: int,
    trial_sharpes: Sequence[float],
) -> list[ExperimentRow]:
    """Judge all experiments of a phase on the same dates.

    The first experiment was declared before the test, and its comparisons stand alone; all others are one family, so
    that even one false gain among them is as rare as the level of the intervals says.

    Args:
        experiments: What was tested, the baseline first.
        records: What each of them did.
        baselines: The benchmark and equal weights, in this order.
        intervals: How intervals are made.
        n_trials: All trials on overlapping dates of the same data.
        trial_sharpes: Their annual Sharpe ratios, NaN for one without.
    """
    benchmark, equal = baselines
    results = compute_results(
        [*records, *baselines],
        benchmark=benchmark.name,
        equal_weight=equal.name,
        n_trials=n_trials,
        trial_sharpes=trial_sharpes,
        intervals=intervals,
    )
    parents = _compare_with_parents(experiments, records, intervals, Trials.declare(n_trials, trial_sharpes))
    rows = []
    for place, result in enumerate(results):
        item = experiments[place] if place < len(experiments) else None
        record = [*records, *baselines][place]
        parent = parents.get(result.name)
        decision, reason = (None, "") if item is None else decide(result, parent)
        if item is not None and (share := _share_undecided(record, item.strategy.top_n)) > 0:
            reason += (
                f" On {format_percent(share, 0)} of the sessions the score did not tell the symbols apart, and more "
                f"than {item.strategy.top_n} were held in equal parts."
            )
        rows.append(_make_row(result, item, record, benchmark, equal, parent, decision, reason))
    return rows


def decide(result: ResultRow, parent: Verdict | None) -> tuple[Decision, str]:
    """Return what may be decided about an experiment, and why.

    `keep` needs intervals of the Sharpe difference wholly above zero against the benchmark *and* against equal weights
    of the same universe, after all trials and comparisons. `reject` is an interval wholly below zero against one of
    them, or against the experiment that it changes. Everything else cannot be told, whatever the returns look like.

    Args:
        result: The row, judged against both.
        parent: Against the experiment that it changes; None for the first.
    """
    own, equal = result.versus_benchmark, result.versus_equal_weight
    against = [verdict for verdict in (own, equal, parent) if verdict is not None]
    if result.warnings:
        return "cannot tell", f"Too good to be true: {result.warnings[0]}"
    for verdict in against:
        if verdict.outcome == "does not beat":
            return "reject", f"Worse than {verdict.baseline}: {verdict.explain()}"
    if equal is not None and own.outcome == equal.outcome == "beats":
        return "keep", f"Beats {own.baseline} and {equal.baseline}: {equal.explain()}"
    open_ = next(verdict for verdict in (equal, own) if verdict is not None and verdict.outcome != "beats")
    told = f"Against {open_.baseline}: {open_.explain()}"
    if np.isfinite(open_.detectable):
        told += f" Only a true difference of {format_number(open_.detectable, 1)} or more would show on these sessions."
    elif np.isinf(open_.detectable):
        told += " No true difference could show on so few sessions."
    return "cannot tell", told


def _compare_with_parents(
    experiments: Sequence[NamedStrategy], records: Sequence[Backtest], intervals: IntervalSettings, trials: Trials
) -> Mapping[str, Verdict]:
    """Return the verdict of every experiment against the one that it changes, as one family, by name."""
    names = [item.name for item in experiments]
    pairs = [
        Pair(place, names.index(item.based_on if item.based_on in names else names[0]), item.based_on)
        for place, item in enumerate(experiments)
        if place > 0
    ]
    if not pairs:
        return {}
    pairs = [Pair(own, other, names[other]) for own, other, _ in pairs]
    excess = np.column_stack([record.excess for record in records])
    verdicts = judge(excess, pairs, intervals, trials, records[0].periods_per_year)
    return {names[pair.own]: verdict for pair, verdict in zip(pairs, verdicts, strict=True)}


def _make_row(
    result: ResultRow,
    item: NamedStrategy | None,
    record: Backtest,
    benchmark: Backtest,
    equal: Backtest,
    parent: Verdict | None,
    decision: Decision | None,
    reason: str,
) -> ExperimentRow:
    versus_equal = result.versus_equal_weight
    nan = float("nan")
    total = float(record.wealth[-1]) - 1.0
    held = (record.weights[:, :-1] > _HELD).sum(axis=1)
    return ExperimentRow(
        name=result.name,
        based_on="" if item is None or item.based_on == item.name else item.based_on,
        changed="" if item is None else ", ".join(f"{key}: {value}" for key, value in item.changed.items()),
        total_return=total,
        return_minus_benchmark=total - float(benchmark.wealth[-1]) + 1.0,
        return_minus_equal_weight=total - float(equal.wealth[-1]) + 1.0,
        sharpe=result.sharpe,
        sharpe_ci=result.sharpe_ci,
        max_drawdown=result.max_drawdown,
        win_rate_weeks=float((compute_period_returns(record.net, record.dates, "W") > 0).mean()),
        win_rate_weeks_benchmark=compute_win_rate(record.net, benchmark.net, record.dates, "W"),
        turnover=result.turnover,
        cost=result.cost,
        names_held=float(held[held > 0].mean()) if held.any() else 0.0,
        undecided=None if item is None else _share_undecided(record, item.strategy.top_n),
        sharpe_minus_benchmark=result.sharpe_minus_benchmark,
        benchmark_ci=result.sharpe_minus_benchmark_ci,
        sharpe_minus_equal_weight=nan if versus_equal is None else versus_equal.difference,
        equal_weight_ci=(nan, nan) if versus_equal is None else versus_equal.interval,
        sharpe_minus_parent=None if parent is None else parent.difference,
        parent_ci=None if parent is None else parent.interval,
        deflated=result.deflated_sharpe,
        n_trials=result.n_trials,
        detectable=nan if versus_equal is None else versus_equal.detectable,
        decision=decision,
        reason=reason.strip(),
    )


def _share_undecided(record: Backtest, top_n: int) -> float:
    return float(((record.weights[:, :-1] > _HELD).sum(axis=1) > top_n).mean())


def _to_plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
