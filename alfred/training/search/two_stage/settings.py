"""What the two-stage search can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from alfred.errors import ConfigError
from alfred.keys.mistakes import explain_briefly
from alfred.keys.yaml_text import parse_yaml
from alfred.settings import Settings

Family = Literal["hermite", "extractor", "trees", "ridge"]
FAMILIES: tuple[Family, ...] = get_args(Family)

Objective = Literal["two_stage", "hybrid", "pareto"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

AUC_WEIGHT = 0.7
"""Weight of the AUC in the score of a model; the balanced accuracy has the rest."""

HYBRID_WEIGHTS = (0.4, 0.3, 0.3)
"""Weights of AUC, balanced accuracy and squashed Sharpe ratio in the hybrid score."""


class TwoStageSettings(Settings):
    """How models are searched for, and on which part of the history.

    Attributes:
        families: Kinds of analysts to choose among.
        horizon: Sessions ahead that a model forecasts, and is scored on.
        fixed: By family, settings that every trial has, in the form of a configuration; what stands here is not
            searched: `{hermite: {fitting: {steps: 60}}}`.
        objective: `two_stage`; or in one stage `hybrid` (0.4 AUC + 0.3 accuracy + 0.3 Sharpe ratio) or `pareto` (AUC
            against Sharpe ratio, both maximised).
        n_model_trials: Trials of the first stage, or of the only one.
        n_strategy_trials: Trials of the second stage, for each model.
        top_k: Models that go on to the second stage.
        model_share: Part of the searched history that the first stage may see.
        locked_share: Last part of it, on which the winner is judged once.
        n_model_folds: Rolling-origin folds of the first stage.
        n_strategy_folds: Folds of the second stage.
        min_train_share: Part of the first stage's history that its first fold is fitted on, calibration included.
        calibration_share: Last part of a training range, not fitted on, that says from which probability on a rise is
            called.
        refit_every_days: Sessions between refits in the second stage and on the locked part; one fold of the second
            stage when left out.
        warm_up_days: Sessions before the second stage that are forecast as well, to know the size of the signals.
        fold_score: What the second stage maximises over its folds: `mean_less_half_sd` or `median`.
        caution: Models are ranked by their mean score less this many standard errors over folds.
        choose: Whether the winner of the second stage is the `peak`, or stands on the best `plateau`: then a trial is
            worth the lower of its own value and the mean of itself and its nearest trials.
        n_neighbours: Trials in a plateau.
        prune: Whether trials that fall behind the best one fold by fold are stopped (Wilcoxon's signed rank test).
        seed: Seed of sampler and models.
    """

    families: tuple[Family, ...] = Field(default=("hermite", "extractor"), min_length=1)
    horizon: int = Field(default=5, ge=1, le=252)
    fixed: Mapping[Family, Mapping[str, Any]] = Field(default_factory=dict)
    objective: Objective = "two_stage"
    n_model_trials: int = Field(default=100, ge=1)
    n_strategy_trials: int = Field(default=50, ge=1)
    top_k: int = Field(default=5, ge=1, le=50)
    model_share: float = Field(default=0.6, gt=0, lt=1)
    locked_share: float = Field(default=0.15, gt=0, lt=1)
    n_model_folds: int = Field(default=6, ge=2, le=50)
    n_strategy_folds: int = Field(default=6, ge=2, le=50)
    min_train_share: float = Field(default=0.4, gt=0, lt=1)
    calibration_share: float = Field(default=0.15, gt=0, lt=0.5)
    refit_every_days: int | None = Field(default=None, ge=1)
    warm_up_days: int = Field(default=63, ge=1)
    fold_score: Literal["mean_less_half_sd", "median"] = "mean_less_half_sd"
    caution: float = Field(default=1.0, ge=0)
    choose: Literal["peak", "plateau"] = "plateau"
    n_neighbours: int = Field(default=5, ge=1)
    prune: bool = True
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if len(set(self.families)) < len(self.families):
            raise ValueError(f"families are {list(self.families)}; name each once")
        if self.model_share + self.locked_share >= 1:
            raise ValueError(
                f"model_share {self.model_share:g} and locked_share {self.locked_share:g} leave nothing for the second "
                "stage; together they must be below 1"
            )
        return self


def read_settings(pairs: Sequence[str], given: Mapping[str, object] | None = None) -> TwoStageSettings:
    """Read the settings of a search.

    Args:
        pairs: `key=value` each, with the value in YAML; a key may have dots: `fixed.hermite.fitting.steps=60`.
        given: Values that were given otherwise, by key.

    Raises:
        ConfigError: A key is unknown or a value is wrong.
    """
    raw: dict[str, Any] = dict(given or {})
    for pair in pairs:
        key, separator, text = pair.partition("=")
        parts = key.split(".")
        if not separator or not all(part.strip() for part in parts):
            raise ConfigError(f"--search needs key=value, for instance top_k=8; got '{pair}'")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"--search {pair}: the value is not YAML; quote it") from error
        place = raw
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--search {pair}: '{part}' is a plain value already; name a key of a mapping")
        place[parts[-1]] = value
    try:
        return TwoStageSettings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"search: {explain_briefly(error)}") from error
