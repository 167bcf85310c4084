"""From finished trials to the winner of each kind of search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial

from alfred.errors import AlfredError
from alfred.training.search.two_stage.diagnostics import find_traded_share
from alfred.training.search.two_stage.objectives import EXCESS, FOLDS, PREFIX, SHARPE, STRATEGY, TRADED
from alfred.training.search.two_stage.result import Row, StrategyResult
from alfred.training.search.two_stage.selection import Candidate, find_plateau, list_finished, name_parameters
from alfred.training.search.two_stage.settings import TwoStageSettings
from alfred.training.search.two_stage.spaces import ModelSpace, Parameter
from alfred.training.search.two_stage.strategy import STRATEGY_SPACE, WORST


def list_all_parameters(space: ModelSpace, family: str) -> list[Parameter]:
    """Return the parameters of a one-stage trial under the names that they have in its study."""
    return [*name_parameters(space, family), *(replace(p, path=f"{PREFIX}{p.path}") for p in STRATEGY_SPACE)]


def choose_from_strategies(
    candidates: Sequence[Candidate], studies: Sequence[Study], settings: TwoStageSettings
) -> list[StrategyResult]:
    """Return each model with its best strategy, best model first.

    Args:
        candidates: The models.
        studies: Their studies of the second stage, in the same order.
        settings: Whether the peak or the plateau is what counts.
    """
    found = []
    for candidate, study in zip(candidates, studies, strict=True):
        trials = list_finished(study.get_trials(deepcopy=False))
        plateaus = [find_plateau(trial, trials, STRATEGY_SPACE, settings.n_neighbours) for trial in trials]
        best = _find_best(trials, plateaus, settings)
        found.append(_describe(candidate, trials[best], plateaus[best], trials))
    return sorted(found, key=lambda item: -_rate(item.value, item.plateau, settings))


def choose_from_hybrid(candidates: Sequence[Candidate], study: Study, space: ModelSpace) -> list[StrategyResult]:
    """Return the trials of a hybrid study, best first, `top_k` of them."""
    settings, trials = space.settings, list_finished(study.get_trials(deepcopy=False))
    by_number = {item.number: item for item in candidates}
    found = []
    for trial in trials:
        candidate = by_number[trial.number]
        alike = [other for other in trials if by_number[other.number].family == candidate.family]
        plateau = find_plateau(trial, alike, list_all_parameters(space, candidate.family), settings.n_neighbours)
        found.append(_describe(candidate, trial, plateau, trials))
    return sorted(found, key=lambda item: -_rate(item.value, item.plateau, settings))[: settings.top_k]


def choose_from_front(candidates: Sequence[Candidate], study: Study) -> tuple[list[StrategyResult], list[Row]]:
    """Return the trials of the front, the most balanced one first, and the front as a table by AUC.

    The most balanced one is nearest to the best of both, when AUC and Sharpe ratio are each brought to [0, 1] over the
    front. Strategies that never traded are left out, unless none did.
    """
    by_number = {item.number: item for item in candidates}
    front = [trial for trial in list_finished(study.best_trials) if trial.number in by_number]
    front = [trial for trial in front if trial.values[1] > WORST] or front
    if not front:
        raise AlfredError("the front is empty: no trial was finished on every fold; raise n_model_trials")
    values = np.array([trial.values for trial in front])
    spread = np.where(np.ptp(values, axis=0) > 0, np.ptp(values, axis=0), 1.0)
    distance = np.linalg.norm((values.max(axis=0) - values) / spread, axis=1)
    finished = list_finished(study.get_trials(deepcopy=False))
    results = []
    for place in np.argsort(distance, kind="stable"):
        trial = front[int(place)]
        own = _describe(by_number[trial.number], trial, float(trial.values[1]), finished)
        results.append(replace(own, value=float(trial.values[1])))
    rows: list[Row] = [
        {
            "trial": trial.number,
            "family": by_number[trial.number].family,
            "AUC": trial.values[0],
            "value": trial.values[1],
        }
        for trial in sorted(front, key=lambda trial: -trial.values[0])
    ]
    return results, rows


def _find_best(trials: Sequence[FrozenTrial], plateaus: Sequence[float], settings: TwoStageSettings) -> int:
    """Return the place of the best trial, the plateau deciding between equals."""
    rates = [_rate(trial.values[0], plateau, settings) for trial, plateau in zip(trials, plateaus, strict=True)]
    return max(range(len(trials)), key=lambda place: (rates[place], plateaus[place], -place))


def _rate(value: float, plateau: float, settings: TwoStageSettings) -> float:
    """Return what trials are compared by: neither a peak among poor trials nor a poor trial among good ones wins."""
    return min(value, plateau) if settings.choose == "plateau" else value


def _describe(
    candidate: Candidate, trial: FrozenTrial, plateau: float, trials: Sequence[FrozenTrial]
) -> StrategyResult:
    noted: Mapping[str, Any] = trial.user_attrs
    folds = noted.get(FOLDS, [])
    excess = noted[EXCESS] if EXCESS in noted else [fold["sharpe"] for fold in folds]
    return StrategyResult(
        candidate=candidate,
        trial=trial.number,
        strategy=noted[STRATEGY],
        value=float(trial.values[0]),
        plateau=plateau,
        sharpe=None if SHARPE not in noted else float(noted[SHARPE]),
        excess=tuple(float(value) for value in excess),
        turnover=None if "turnover" not in noted else float(noted["turnover"]),
        traded=bool(noted[TRADED]),
        traded_share=find_traded_share(trials),
        params=dict(trial.params),
    )
