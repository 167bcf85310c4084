"""Objectives that worker processes can import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import optuna

from alfred.training.search.study import StudyPlan


@dataclass(frozen=True)
class Parabola:
    """x squared; each evaluation leaves a line in a file, so that tests see what was computed."""

    log: Path
    seconds: float = 0.0

    def suggest(self, trial: optuna.Trial) -> float:
        return trial.suggest_float("x", -1, 1)

    def evaluate(self, trial: optuna.Trial, x: float) -> float:
        time.sleep(self.seconds)
        with self.log.open("a") as file:
            file.write(f"{trial.number} {x!r}\n")
        return x * x


@dataclass(frozen=True)
class Fatal(Parabola):
    """Kills its process above 0.5, and runs out of memory below -0.5."""

    def evaluate(self, trial: optuna.Trial, x: float) -> float:
        if x > 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        if x < -0.5:
            raise MemoryError("no room")
        return super().evaluate(trial, x)


@dataclass(frozen=True)
class Whole(Parabola):
    """A space of three points."""

    def suggest(self, trial: optuna.Trial) -> float:
        return float(trial.suggest_int("x", 0, 2))


@dataclass(frozen=True)
class Undefined(Parabola):
    """Not a number below zero."""

    def evaluate(self, trial: optuna.Trial, x: float) -> float:
        return float("nan") if x < 0 else super().evaluate(trial, x)


@dataclass(frozen=True)
class Still(Parabola):
    """Stands still in its first trial for so long that another process takes it for dead."""

    def evaluate(self, trial: optuna.Trial, x: float) -> float:
        if trial.number == 0:
            trial.study.tell(0, state=optuna.trial.TrialState.FAIL)
        return super().evaluate(trial, x)


@dataclass(frozen=True)
class Pair(Parabola):
    """A space of two numbers, of which the first counts."""

    def suggest(self, trial: optuna.Trial) -> float:
        return trial.suggest_float("x", -1, 1) + 0 * trial.suggest_float("y", -1, 1)


def make_plan(log: Path, n_trials: int = 12, kind: type[Parabola] = Parabola, **changes: object) -> StudyPlan:
    seconds = float(changes.pop("seconds", 0.0))  # type: ignore[arg-type]
    told: dict[str, object] = {"name": "square", "parts": {"data": "1", "code": "1"}, "n_startup": 4, **changes}
    return StudyPlan(objective=kind(log, seconds), n_trials=n_trials, **told)  # type: ignore[arg-type]
