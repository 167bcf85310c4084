"""What a search found, as data: for a table, for JSON, for a page.

A function that returns a table returns a list of rows, each a mapping from column to value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from alfred.training.search.two_stage.locked import LockedVerdict
from alfred.training.search.two_stage.selection import Candidate, Edge

Row = Mapping[str, object]
TOP = 10
"""Rows of the table of the best."""


@dataclass(frozen=True)
class StrategyResult:
    """A model with its best strategy.

    Attributes:
        candidate: The model.
        trial: Number of the trial of the second stage.
        strategy: Its configuration, as a mapping.
        value: Value of the trial: aggregated excess over equal weights.
        plateau: Mean value of the trial and its nearest neighbours.
        sharpe: Annual Sharpe ratio in excess of cash over all folds of the second stage, net; None in one stage.
        excess: Sharpe ratio less that of equal weights, by fold.
        turnover: Mean turnover a session; None in one stage.
        traded: Whether it traded.
        traded_share: Share of the trials on this model that traded.
        params: The parameters, by name.
    """

    candidate: Candidate
    trial: int
    strategy: Mapping[str, object]
    value: float
    plateau: float
    sharpe: float | None
    excess: tuple[float, ...]
    turnover: float | None
    traded: bool
    traded_share: float
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnostics:
    """What says how far the numbers can be trusted.

    Attributes:
        importance: By family, or `strategy`: share of the variance of the value that a parameter explains (PED-ANOVA).
        convergence: By study: the best value after each trial.
        correlations: Rank correlation over models of each score with the Sharpe ratio, by score: with that noted in
            the first stage (`first stage`), and with the best of the second (`second stage`); None for too few models.
        traded_share: Share of the trials that traded, by stage.
        n_trials: Trials by stage, stopped and failed ones included.
        n_stopped: Trials of the first stage that the pruner stopped.
        n_failed: Trials that failed, by stage.
    """

    importance: Mapping[str, Mapping[str, float]]
    convergence: Mapping[str, Sequence[float]]
    correlations: Mapping[str, Mapping[str, float | None]]
    traded_share: Mapping[str, float]
    n_trials: Mapping[str, int]
    n_stopped: int
    n_failed: Mapping[str, int]


@dataclass(frozen=True)
class TwoStageResult:
    """What a search found.

    Attributes:
        objective: How it searched.
        segments: First and last date of each part.
        models: Finished models of the first stage, best first.
        strategies: The models that went on, each with its best strategy, best first.
        winner: The first of them.
        front: Trials of which none is better in both AUC and Sharpe ratio; empty but for `pareto`.
        edges: Parameters of the winner on an end of their range.
        verdict: The winner on the locked part.
        diagnostics: How far to trust all this.
        warnings: What a reader must know, one sentence each.
    """

    objective: str
    segments: Mapping[str, tuple[str, str]]
    models: tuple[Candidate, ...]
    strategies: tuple[StrategyResult, ...]
    winner: StrategyResult
    front: tuple[Row, ...]
    edges: tuple[Edge, ...]
    verdict: LockedVerdict
    diagnostics: Diagnostics
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "objective": self.objective,
            "segments": {name: list(dates) for name, dates in self.segments.items()},
            "models": [item.to_json() for item in self.models],
            "strategies": [asdict(item) for item in self.strategies],
            "winner": asdict(self.winner),
            "front": [dict(row) for row in self.front],
            "edges": [asdict(edge) for edge in self.edges],
            "verdict": self.verdict.to_json(),
            "diagnostics": asdict(self.diagnostics),
            "warnings": list(self.warnings),
        }


def tabulate_models(result: TwoStageResult, n: int | None = None) -> list[Row]:
    """Return the models of the first stage, best first; the noted Sharpe ratio is in excess of equal weights."""
    return [
        {
            "rank": place + 1,
            "trial": item.number,
            "family": item.family,
            "score": item.score,
            "error": item.error,
            "AUC": item.auc,
            "balanced accuracy": item.accuracy,
            "IC": item.ic,
            "rank IC": item.rank_ic,
            "noted Sharpe": item.sharpe,
        }
        for place, item in enumerate(result.models[:n])
    ]


def tabulate_strategies(result: TwoStageResult) -> list[Row]:
    """Return the models of the second stage with their strategies, best first.

    `model rank` is that of the first stage, `traded` the share of the trials on the model that traded.
    """
    ranks = {item.number: place + 1 for place, item in enumerate(result.models)}
    return [
        {
            "rank": place + 1,
            "model rank": ranks.get(item.candidate.number, 0),
            "family": item.candidate.family,
            "value": item.value,
            "plateau": item.plateau,
            "Sharpe": item.sharpe,
            "turnover": item.turnover,
            "traded": item.traded_share,
            **{label: item.strategy[name] for name, label in _SHOWN.items()},
        }
        for place, item in enumerate(result.strategies)
    ]


_SHOWN = {
    "threshold": "threshold",
    "margin": "margin",
    "fraction": "fraction",
    "max_weight": "clip",
    "rebalance_every": "batch",
}


def tabulate_convergence(result: TwoStageResult) -> list[Row]:
    """Return the best value after each trial, a row a study and trial."""
    return [
        {"study": study, "trial": number, "best": value}
        for study, values in result.diagnostics.convergence.items()
        for number, value in enumerate(values)
    ]


def tabulate_importance(result: TwoStageResult) -> list[Row]:
    """Return the importance of parameters, the largest of each group first."""
    return [
        {"group": group, "parameter": name, "importance": value}
        for group, shares in result.diagnostics.importance.items()
        for name, value in sorted(shares.items(), key=lambda item: -item[1])
    ]


def write_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV; columns are those of all rows, in the order in which they first appear."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def tabulate_best(result: TwoStageResult) -> list[Row]:
    """Return the ten best models of the first stage with all their settings, and their places in the second."""
    places = {item.candidate.number: place + 1 for place, item in enumerate(result.strategies)}
    rows: list[Row] = []
    for row, item in zip(tabulate_models(result, TOP), result.models[:TOP], strict=True):
        settings = dict(_flatten(item.settings))
        rows.append({**row, "rank in the second stage": places.get(item.number, ""), **settings})
    return rows


def _flatten(raw: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in raw.items():
        if isinstance(value, Mapping):
            found += _flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
