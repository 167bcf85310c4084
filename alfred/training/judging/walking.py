"""Walking trained agents through the test: who decides when, and from when on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from alfred.agents.base import EnsemblePolicy
from alfred.agents.settings import AgentSettings
from alfred.data.splits import Fold
from alfred.envs.policy import Policy
from alfred.evaluation.backtest import Backtest, Stage
from alfred.training.cross_fitting.folds import TrainedAgent
from alfred.training.judging.seeds import name_seed
from alfred.training.prepared import Prepared


def find_first_decision(prepared: Prepared) -> pd.Timestamp:
    """Return the session before the test: what is decided at its close is executed on the first session of the test."""
    dates = prepared.market.dates
    return dates[dates.get_loc(prepared.folds[0].test[0]) - 1]


def make_stages(settings: AgentSettings, trained: Sequence[TrainedAgent], folds: Sequence[Fold]) -> list[Stage]:
    """Return one ensemble of all seeds a fold, each taking over on the first day of its test."""
    return [
        Stage(
            fold.test[0],
            EnsemblePolicy([item.policy for item in trained if item.fold == fold.index], settings.label),
        )
        for fold in folds
    ]


def walk_seeds(
    settings: AgentSettings,
    trained: Sequence[TrainedAgent],
    folds: Sequence[Fold],
    walk: Callable[[Policy, Sequence[Stage]], Backtest],
) -> list[Backtest]:
    """Return the record of every seed, named by `name_seed`."""
    records = []
    for seed in sorted({item.seed for item in trained}):
        policies = {item.fold: item.policy for item in trained if item.seed == seed}
        stages = [Stage(fold.test[0], policies[fold.index]) for fold in folds]
        records.append(replace(walk(stages[0].policy, stages), name=name_seed(settings.label, seed)))
    return records
