"""What the trainings of a run kept: facts for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alfred.evaluation.headline import Training
from alfred.training.cross_fitting.folds import TrainedAgent


def list_trainings(trained: Mapping[str, Sequence[TrainedAgent]]) -> dict[str, tuple[Training, ...]]:
    """Return what a report is told of the trainings behind each agent."""
    return {name: tuple(_to_training(item) for item in items) for name, items in trained.items()}


def _to_training(item: TrainedAgent) -> Training:
    kept = item.kept
    return Training(item.fold, item.seed, kept.step, kept.utility, kept.gain, kept.gain_error, kept.p_value)
