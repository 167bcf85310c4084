"""Trials in TensorBoard: one line of the hparams tab for each."""

from __future__ import annotations

from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial

from alfred.learning.events import EventFile
from alfred.training.search.worker import DUPLICATE


def write_trial(folder: Path, study: Study, trial: FrozenTrial) -> None:
    """Write parameters and values of a finished trial; one that failed or repeats another has no line.

    Args:
        folder: Of the event files of all trials.
        study: The study.
        trial: The trial.
    """
    if not trial.values or DUPLICATE in trial.user_attrs:
        return
    names = ["value"] if len(trial.values) == 1 else [f"value_{place}" for place in range(len(trial.values))]
    metrics = {f"search/{name}": value for name, value in zip(names, trial.values, strict=True)}
    metrics |= {f"search/step_{step}": value for step, value in trial.intermediate_values.items()}
    place = folder / study.study_name.rpartition("@")[0] / f"trial-{trial.number}"
    with EventFile(place, "trial") as events:
        told = {name: "none" if value is None else value for name, value in trial.params.items()}
        events.add_line(told)
        events.add_scalars(metrics)
