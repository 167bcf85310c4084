"""What a study found, in tables: its best, its best trials, how it went, which parameters mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
import pandas as pd
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from alfred.training.search.claims import ERROR, is_cut_off
from alfred.training.search.study import STOPPED, count_trials
from alfred.training.search.worker import DUPLICATE

FEWEST_TRIALS = 10
"""Trials from which on importance is told."""

_NEIGHBOURS = 5


@dataclass(frozen=True)
class StudySummary:
    """A study in numbers.

    Attributes:
        name: What people call it.
        maximises: Whether its first value is better when it is larger.
        counts: Trials by what became of them: complete, pruned, failed, duplicate.
        n_looks: Trials that count as looks.
        best: Best first value, or None where no trial was finished.
        best_trial: Its number.
        plateau: Mean first value of the best trial and its nearest neighbours in the space: a peak that stands alone
            is luck; None where there are fewer.
        params: Parameters of the best trial.
        convergence: Best first value up to each finished trial.
        importance: Share of each parameter in what makes trials good, by family.
        edges: Parameters whose best value lies at the end of its range.
        last_error: Why the last failed trial failed; empty when none did.
    """

    name: str
    maximises: bool
    counts: Mapping[str, int]
    n_looks: int
    best: float | None
    best_trial: int | None
    plateau: float | None
    params: Mapping[str, object]
    convergence: tuple[float, ...]
    importance: Mapping[str, Mapping[str, float]]
    edges: tuple[str, ...]
    last_error: str

    @property
    def n_finished(self) -> int:
        """Trials with a value."""
        return len(self.convergence)


def summarise_study(study: Study) -> StudySummary:
    """Return what a study found."""
    trials = study.get_trials(deepcopy=False)
    maximises = study.directions[0] == StudyDirection.MAXIMIZE
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    own = [trial for trial in done if not {DUPLICATE, STOPPED} & set(trial.user_attrs)]
    values = [float(trial.values[0]) for trial in done if STOPPED not in trial.user_attrs]
    sign = -1.0 if maximises else 1.0
    best = min(own, key=lambda trial: (sign * trial.values[0], trial.number), default=None)
    running = np.maximum if maximises else np.minimum
    errors = [str(trial.user_attrs[ERROR]) for trial in trials if ERROR in trial.user_attrs]
    return StudySummary(
        name=study.study_name.rpartition("@")[0] or study.study_name,
        maximises=maximises,
        counts=dict(Counter(_describe_state(trial) for trial in trials)),
        n_looks=count_trials(trials),
        best=None if best is None else float(best.values[0]),
        best_trial=None if best is None else best.number,
        plateau=None if best is None else _find_plateau(best, own),
        params={} if best is None else dict(best.params),
        convergence=tuple(map(float, running.accumulate(values))) if values else (),
        importance=_find_importance_by_family(own, maximise=maximises),
        edges=() if best is None else tuple(_list_edges(best)),
        last_error=errors[-1] if errors else "",
    )


def tabulate_top(study: Study, n: int = 10) -> pd.DataFrame:
    """Return the best trials, a row each: study, rank, trial, its values, its parameters."""
    maximises = study.directions[0] == StudyDirection.MAXIMIZE
    done = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not {DUPLICATE, STOPPED} & set(trial.user_attrs)
    ]
    order = sorted(done, key=lambda trial: (-trial.values[0] if maximises else trial.values[0], trial.number))[:n]
    names = ["value"] if len(study.directions) == 1 else [f"value_{place}" for place in range(len(study.directions))]
    return pd.DataFrame(
        [
            {
                "study": study.study_name.rpartition("@")[0],
                "rank": rank,
                "trial": trial.number,
                **dict(zip(names, trial.values, strict=True)),
                **trial.params,
            }
            for rank, trial in enumerate(order, 1)
        ]
    )


def find_importance(trials: Sequence[FrozenTrial], *, prefix: str, maximise: bool = True) -> dict[str, float]:
    """Return the share of each parameter that all trials have in what makes trials good (PED-ANOVA).

    Args:
        trials: Finished trials.
        prefix: Begins the names of the parameters that count; it is left out of the result.
        maximise: Whether larger values are better.

    Returns:
        Shares by name, the largest first; empty for fewer than `FEWEST_TRIALS` trials, or where nothing varied.
    """
    shared = set.intersection(*(set(trial.params) for trial in trials)) if trials else set()
    names = sorted(name for name in shared if name.startswith(prefix))
    varied = [name for name in names if len({trial.params[name] for trial in trials}) > 1]
    values = [trial.values[0] for trial in trials]
    if len(trials) < FEWEST_TRIALS or not varied or len(set(values)) < 2:
        return {}
    study = optuna.create_study(direction="maximize" if maximise else "minimize")
    for trial, value in zip(trials, values, strict=True):
        params = {name: trial.params[name] for name in varied}
        own = {name: trial.distributions[name] for name in varied}
        study.add_trial(create_trial(params=params, distributions=own, value=value))
    found = optuna.importance.get_param_importances(study)
    return {name.removeprefix(prefix): float(share) for name, share in found.items()}


def _find_importance_by_family(trials: Sequence[FrozenTrial], *, maximise: bool) -> dict[str, dict[str, float]]:
    """Return the importance of what every trial has, and within each family that of what only it has."""
    found = {"all": find_importance(trials, prefix="", maximise=maximise)}
    families = {name.partition(".")[0] for trial in trials for name in trial.params if "." in name}
    for family in sorted(families):
        own = [trial for trial in trials if any(name.startswith(f"{family}.") for name in trial.params)]
        if len(own) < len(trials):
            found[family] = find_importance(own, prefix=f"{family}.", maximise=maximise)
    return {family: shares for family, shares in found.items() if shares}


def _describe_state(trial: FrozenTrial) -> str:
    if is_cut_off(trial):
        return "cut off"
    if DUPLICATE in trial.user_attrs:
        return "duplicate"
    if STOPPED in trial.user_attrs:
        return "pruned"
    return {TrialState.FAIL: "failed"}.get(trial.state, trial.state.name.lower())


def _find_plateau(best: FrozenTrial, trials: Sequence[FrozenTrial]) -> float | None:
    """Return the mean value of the best trial and its neighbours: those with the same choices, nearest in numbers."""
    alike = [trial for trial in trials if set(trial.params) == set(best.params)]
    if len(alike) <= _NEIGHBOURS:
        return None
    places = np.array([[_place(trial, name, best) for name in best.params] for trial in alike])
    distance = np.abs(places - places[alike.index(best)]).sum(axis=1)
    nearest = np.argsort(distance, kind="stable")[: _NEIGHBOURS + 1]
    return float(np.mean([alike[place].values[0] for place in nearest]))


def _place(trial: FrozenTrial, name: str, best: FrozenTrial) -> float:
    """Return where a value lies in its range, 0 to 1; for a choice whether it is that of the best."""
    value, domain = trial.params[name], trial.distributions[name]
    if isinstance(domain, optuna.distributions.CategoricalDistribution):
        return float(value == best.params[name])
    if not isinstance(domain, optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution):
        return 0.0
    low, high = float(domain.low), float(domain.high)
    if domain.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return float((value - low) / (high - low)) if high > low else 0.0


def _list_edges(best: FrozenTrial) -> list[str]:
    """Return what lies within a hundredth of the end of its range: the best may lie beyond it."""
    found = []
    for name, domain in best.distributions.items():
        if not isinstance(domain, optuna.distributions.CategoricalDistribution):
            place = _place(best, name, best)
            if place < 0.01 or place > 0.99:
                found.append(
                    f"{name} = {best.params[name]:g}, the {'lower' if place < 0.5 else 'upper'} end of its range"
                )
    return found
