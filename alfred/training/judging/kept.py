"""What the trainings of a run kept: facts for the report, and curves beside the verdict."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from alfred.evaluation.headline import Training, count_untrained
from alfred.evaluation.results import ResultRow
from alfred.training.cross_fitting.folds import TrainedAgent


def list_trainings(trained: Mapping[str, Sequence[TrainedAgent]]) -> dict[str, tuple[Training, ...]]:
    """Return what a report is told of the trainings behind each agent."""
    return {name: tuple(_to_training(item) for item in items) for name, items in trained.items()}


def write_verdict_events(folder: Path, rows: Sequence[ResultRow]) -> None:
    """Write the verdict of the judged strategy as TensorBoard shows it, in place of that of an earlier evaluation.

    `headline` is a text; `sharpe_minus_...`, its `_low` and `_high`, and `untrained_share` are scalars of one point;
    `kept/...` has a point a training, in the order of folds and seeds.

    Args:
        folder: For the event file alone; what is in it is deleted.
        rows: The numbers of the report, the judged strategy first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    row = rows[0]
    with SummaryWriter(str(folder)) as writer:
        lines = [f"{item.name}: {item.headline.text} ({item.headline.tone})" for item in rows if item.headline]
        verdicts = [verdict for verdict in (row.versus_benchmark, row.versus_equal_weight) if verdict is not None]
        lines += [f"{row.name} and {verdict.baseline}: {verdict.explain()}" for verdict in verdicts]
        lines += row.warnings
        writer.add_text("headline", "\n\n".join(lines))
        for label, verdict in (("benchmark", row.versus_benchmark), ("equal_weight", row.versus_equal_weight)):
            if verdict is not None:
                ends = dict(zip(("", "_low", "_high"), (verdict.difference, *verdict.interval), strict=True))
                for end, value in ends.items():
                    if np.isfinite(value):
                        writer.add_scalar(f"sharpe_minus_{label}{end}", value, 0)
        for item in rows:
            if not item.trainings:
                continue
            tag = item.name.replace(" ", "_")
            writer.add_scalar(f"untrained_share/{tag}", count_untrained(item.trainings) / len(item.trainings), 0)
            for number, training in enumerate(item.trainings):
                writer.add_scalar(f"kept/{tag}_step", training.step, number)
                writer.add_scalar(f"kept/{tag}_gain", training.gain, number)


def _to_training(item: TrainedAgent) -> Training:
    kept = item.kept
    return Training(item.fold, item.seed, kept.step, kept.utility, kept.gain, kept.gain_error, kept.p_value)
