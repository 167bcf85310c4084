"""A study: what is searched, under a name that says what it was searched on, to a number of trials."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

import optuna
from optuna import Study, Trial
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from alfred.errors import CheckpointError, ConfigError
from alfred.settings import check_name
from alfred.training.provenance.stages import Parts, compute_digest, explain_change
from alfred.training.search.claims import AGAIN, is_cut_off

Mode = Literal["quick", "grid", "random", "tpe"]
"""How trials are chosen: only those that were written down (`quick`: a few, `grid`: all of a grid), or by a sampler."""
MODES: tuple[Mode, ...] = get_args(Mode)

STOPPED = "stopped_after"
"""User attribute of a trial with a value that was ended early, after so many folds: it is never the best."""
_PARTS, _QUEUED = "parts", "queued"
_P_THRESHOLD = 0.1


Chosen = TypeVar("Chosen")


class Objective(Protocol[Chosen]):
    """What a study optimises; it travels to worker processes, so that its class stands at the top of a module."""

    def suggest(self, trial: BaseTrial) -> Chosen:
        """Choose all parameters of a trial, quickly: other workers wait meanwhile."""
        ...

    def evaluate(self, trial: Trial, chosen: Chosen) -> float | Sequence[float]:
        """Return the value, or the values, of what `suggest` chose.

        What else is worth keeping goes into user attributes of the trial. An exception makes it a failed trial.
        """
        ...


@dataclass(frozen=True)
class StudyPlan:
    """What is searched.

    Attributes:
        name: What people call it.
        parts: What the result depends on (data, code, space, split), a digest each; a study with other parts is
            another study.
        objective: What is optimised.
        n_trials: Trials in all, of this and of earlier calls; cut-off ones do not count, failed ones do.
        directions: `minimize` or `maximize` for each value.
        seed: Of the sampler.
        mode: How trials are chosen.
        anchors: Parameters that are tried first, in this order; the first is what the search has to beat.
        n_startup: Random trials before the sampler learns from earlier ones.
        prune: Whether a trial may end early that is worse than the best one, fold by fold (Wilcoxon's signed ranks).
    """

    name: str
    parts: Parts
    objective: Objective[Any]
    n_trials: int
    directions: tuple[Literal["minimize", "maximize"], ...] = ("minimize",)
    seed: int = 0
    mode: Mode = "tpe"
    anchors: tuple[Mapping[str, object], ...] = ()
    n_startup: int = 10
    prune: bool = False

    @property
    def digest(self) -> str:
        """Digest of the parts."""
        return compute_digest(dict(self.parts))[:12]

    @property
    def full_name(self) -> str:
        """The name in the storage."""
        return f"{self.name}@{self.digest}"

    @property
    def budget(self) -> int:
        """Trials that there will be: a written list may be shorter than what was asked for."""
        return min(self.n_trials, len(self.anchors)) if self.mode in ("quick", "grid") else self.n_trials


def open_study(plan: StudyPlan, storage: BaseStorage) -> Study:
    """Open the study of a plan, or begin it; the caller holds the lock of `lock_asking`.

    Raises:
        CheckpointError: A study of this name stands in the storage that was made from something else.
        ConfigError: The name cannot be one.
    """
    check_name(plan.name, "study")
    silence_optuna()
    others = [name for name in optuna.get_all_study_names(storage) if name.rpartition("@")[0] == plan.name]
    if plan.full_name not in others and others:
        earlier = optuna.load_study(study_name=others[-1], storage=storage).user_attrs.get(_PARTS)
        reason = explain_change(json.loads(earlier) if earlier else None, dict(plan.parts))
        raise CheckpointError(
            f"study '{plan.name}' was begun with something else: {reason}. Give this one another --name, or begin it "
            "again with --fresh: earlier trials are kept, and still count as looks"
        )
    return begin_study(plan, storage)


def begin_study(plan: StudyPlan, storage: BaseStorage) -> Study:
    """Open or begin the study of a plan, whatever else has its name; the caller holds the lock of `lock_asking`."""
    silence_optuna()
    study = optuna.create_study(
        study_name=plan.full_name, storage=storage, load_if_exists=True, directions=list(plan.directions)
    )
    directions = [StudyDirection[direction.upper()] for direction in plan.directions]
    if study.directions != directions:
        raise CheckpointError(f"study '{plan.name}' optimises {study.directions}, not {directions}; use another --name")
    if _PARTS not in study.user_attrs:
        study.set_user_attr(_PARTS, json.dumps(dict(plan.parts), default=str))
    for position in range(int(study.user_attrs.get(_QUEUED, 0)), len(plan.anchors)):
        # One that was queued just before a kill is not queued twice.
        study.enqueue_trial(dict(plan.anchors[position]), skip_if_exists=True)
        study.set_user_attr(_QUEUED, position + 1)
    return study


def count_drawn(trials: Sequence[FrozenTrial]) -> int:
    """Return how many sets of parameters were drawn: cut-off trials that wait to be repeated are among them."""
    waiting = sum(trial.state == TrialState.WAITING and AGAIN in trial.user_attrs for trial in trials)
    return count_trials(trials) + waiting


def count_trials(trials: Sequence[FrozenTrial]) -> int:
    """Return how many trials count towards the budget: finished, failed for a reason, or under way."""
    return sum(trial.state != TrialState.WAITING and not is_cut_off(trial) for trial in trials)


def make_sampler(plan: StudyPlan, n_counted: int) -> BaseSampler:
    """Return the sampler of the next trial.

    Its seed follows from the number of trials before, so that a study that was cut off and went on chooses the same as
    one that was not, as long as one worker does it.
    """
    seed = int.from_bytes(hashlib.sha256(f"{plan.seed} {n_counted}".encode()).digest()[:4], "little")
    if plan.mode != "tpe":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=plan.n_startup, multivariate=True, group=True)


def make_pruner(plan: StudyPlan) -> BasePruner:
    """Return what ends hopeless trials early."""
    return WilcoxonPruner(p_threshold=_P_THRESHOLD) if plan.prune else NopPruner()


def find_studies(storage: BaseStorage, name: str | None = None) -> list[str]:
    """Return the full names of all studies, or of those that people call `name`, oldest first."""
    names = optuna.get_all_study_names(storage)
    return [item for item in names if name is None or name in (item, item.rpartition("@")[0])]


def count_looks(storage: BaseStorage, name: str) -> int:
    """Return the trials of all studies that people call `name`: one that was begun again looked before."""
    studies = (optuna.load_study(study_name=item, storage=storage) for item in find_studies(storage, name))
    return sum(count_trials(study.get_trials(deepcopy=False)) for study in studies)


def load_study(storage: BaseStorage, name: str) -> Study:
    """Return the latest study of a name, to be read.

    Raises:
        ConfigError: There is none.
    """
    found = find_studies(storage, name)
    if not found:
        known = sorted({item.rpartition("@")[0] for item in find_studies(storage)})
        raise ConfigError(f"there is no study '{name}'; known: {', '.join(known) or 'none'}")
    silence_optuna()
    return optuna.load_study(study_name=found[-1], storage=storage)


def find_best_by_family(study: Study) -> dict[str, float]:
    """Return the best value of each family of parameters that has a finished trial, in the order of their first ones.

    The family is the first word that a search chooses, such as the kind of an analyst.
    """
    best: dict[str, float] = {}
    choose = max if study.direction == StudyDirection.MAXIMIZE else min
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        family = next((value for value in trial.params.values() if isinstance(value, str)), "all")
        value = float(trial.values[0])
        best[family] = choose(best.get(family, value), value)
    return best


def silence_optuna() -> None:
    """Keep Optuna's own lines and notices of experimental parts off the screen."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)


def place_locks(storage: str, folder: Path) -> Path:
    """Return the folder of the locks that belong to a storage: beside a journal, in `folder` for a database."""
    if "://" in storage:
        return folder / f".locks-{hashlib.sha256(storage.encode()).hexdigest()[:12]}"
    path = Path(storage).resolve()
    return path.with_name(f".{path.name}.workers")
