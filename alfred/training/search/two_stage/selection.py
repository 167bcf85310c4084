"""Which trials go on, which one wins, and whether it stands on a plateau or on the edge of its range."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AnalystSettings
from alfred.training.provenance.stages import compute_digest
from alfred.training.search.study import STOPPED
from alfred.training.search.two_stage.objectives import FOLDS, MODEL
from alfred.training.search.two_stage.scoring import FoldScore, find_error
from alfred.training.search.two_stage.settings import TwoStageSettings
from alfred.training.search.two_stage.spaces import ModelSpace, Parameter

_AVERAGED = ("auc", "accuracy", "hit_rate", "ic", "rank_ic", "sharpe")
_EDGE = 0.01  # part of a range that counts as its end


@dataclass(frozen=True)
class Candidate:
    """A model of the first stage.

    Attributes:
        number: Its trial.
        family: Its kind.
        settings: Its configuration, as a mapping.
        score: Value of the trial: mean over folds.
        error: Standard error of the score over folds.
        auc: Mean over folds.
        accuracy: Mean balanced accuracy.
        hit_rate: Mean share of right calls.
        ic: Mean information coefficient.
        rank_ic: The same of ranks.
        sharpe: Mean Sharpe ratio of the noted strategy in excess of equal weights.
        traded: Whether that strategy ever traded.
    """

    number: int
    family: str
    settings: Mapping[str, object]
    score: float
    error: float
    auc: float
    accuracy: float
    hit_rate: float
    ic: float
    rank_ic: float
    sharpe: float
    traded: bool

    @property
    def digest(self) -> str:
        """Short digest of the configuration."""
        return compute_digest(json.dumps(self.settings, sort_keys=True))[:10]

    def read_settings(self) -> AnalystSettings:
        """Return the configuration."""
        model: AnalystSettings = ANALYSTS.load_settings(self.family).model_validate(dict(self.settings))
        return model

    def to_json(self) -> dict[str, object]:
        """Return everything by name."""
        return asdict(self)


@dataclass(frozen=True)
class Edge:
    """A parameter of the winner that lies on an end of its range.

    Attributes:
        name: The parameter.
        value: Its value.
        low: Lower end.
        high: Upper end.
    """

    name: str
    value: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """What a reader is told."""
        end = "lower" if abs(self.value - self.low) <= abs(self.value - self.high) else "upper"
        return (
            f"the best {self.name} is {self.value:.4g}, on the {end} end of its range {self.low:g} to {self.high:g}: "
            "what is best may lie beyond it"
        )


def list_finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that saw every fold, each set of parameters once."""
    found: dict[str, FrozenTrial] = {}
    for trial in trials:
        if trial.state == TrialState.COMPLETE and STOPPED not in trial.user_attrs and _is_own(trial):
            found.setdefault(json.dumps(trial.params, sort_keys=True), trial)
    return list(found.values())


def _is_own(trial: FrozenTrial) -> bool:
    """Return whether a trial was computed itself; one with parameters that were tried before copies their value."""
    return bool(trial.user_attrs) and (MODEL in trial.user_attrs or "strategy" in trial.user_attrs)


def list_candidates(trials: Sequence[FrozenTrial], caution: float) -> list[Candidate]:
    """Return the models of finished trials, best first: by mean score less `caution` standard errors."""
    found = []
    for trial in list_finished(trials):
        folds = trial.user_attrs[FOLDS]
        scores = [FoldScore(**fold).score for fold in folds]
        means = {name: float(np.mean([fold[name] for fold in folds])) for name in _AVERAGED}
        settings = trial.user_attrs[MODEL]
        found.append(
            Candidate(
                number=trial.number,
                family=str(settings["kind"]),
                settings=settings,
                score=float(np.mean(scores)),
                error=find_error(scores),
                traded=bool(trial.user_attrs["traded"]),
                **means,
            )
        )
    return sorted(found, key=lambda item: (-(item.score - caution * item.error), item.number))


def choose_models(candidates: Sequence[Candidate], settings: TwoStageSettings) -> list[Candidate]:
    """Return the models that go on: the best `top_k`, and among them the best of each family.

    The ranks of models that forecast about equally well are mostly luck, so that kinds that differ are worth more than
    the next place.
    """
    chosen = list(candidates[: settings.top_k])
    for family in settings.families:
        best = next((item for item in candidates if item.family == family), None)
        if best is None or best in chosen or len(settings.families) > settings.top_k:
            continue
        counts = [sum(other.family == item.family for other in chosen) for item in chosen]
        # The last one whose family stays in.
        place = max(place for place, count in enumerate(counts) if count > 1)
        chosen[place] = best
    return sorted(chosen, key=candidates.index)


def find_plateau(trial: FrozenTrial, trials: Sequence[FrozenTrial], parameters: Sequence[Parameter], n: int) -> float:
    """Return the mean value of a trial and its nearest neighbours, `n` in all.

    Distances are Euclidean over parameters that are brought to [0, 1] on their own scale; a choice that differs, or a
    parameter that only one of the two has, counts as 1.

    Args:
        trial: The trial.
        trials: Finished trials of the same study, it among them.
        parameters: With the names that they have in the study as `path`.
        n: Trials in the plateau.
    """
    own = _place(trial.params, parameters)
    distances = [_measure(own, _place(other.params, parameters)) for other in trials]
    nearest = np.argsort(distances, kind="stable")[:n]
    return float(np.mean([trials[int(place)].values[0] for place in nearest]))


def find_edges(params: Mapping[str, object], parameters: Sequence[Parameter]) -> list[Edge]:
    """Return the parameters that lie on an end of their range.

    Args:
        params: Of the winner, by their names in the study.
        parameters: With the names that they have in the study as `path`.
    """
    found = []
    for parameter in parameters:
        value = params.get(parameter.path)
        if parameter.choices or not isinstance(value, int | float):
            continue
        place = _scale(parameter, float(value))
        inner = _EDGE if not parameter.whole else 1e-9
        if not inner < place < 1 - inner:
            found.append(Edge(parameter.path, float(value), float(parameter.low), float(parameter.high)))
    return found


def name_parameters(space: ModelSpace, family: str) -> list[Parameter]:
    """Return the parameters of a family under the names that they have in a study."""
    known = [name for name in space.settings.families if name == family]
    return [replace(p, path=f"{family}.{p.name}", part="") for name in known for p in space.list_parameters(name)]


def _scale(parameter: Parameter, value: float) -> float:
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return float((value - low) / (high - low)) if high > low else 0.5


def _place(params: Mapping[str, object], parameters: Sequence[Parameter]) -> list[float | str | None]:
    placed: list[float | str | None] = []
    for parameter in parameters:
        value = params.get(parameter.path)
        if isinstance(value, int | float) and not parameter.choices:
            placed.append(_scale(parameter, float(value)))
        else:
            placed.append(None if value is None else str(value))
    # The family is a choice like any other.
    return [*placed, str(params.get("family"))]


def _measure(one: Sequence[float | str | None], other: Sequence[float | str | None]) -> float:
    total = 0.0
    for a, b in zip(one, other, strict=True):
        if isinstance(a, float) and isinstance(b, float):
            total += (a - b) ** 2
        elif a != b:
            total += 1.0
    return total
