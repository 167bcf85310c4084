"""What the analysts that read a table of features can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from alfred.analysts.settings import AnalystSettings
from alfred.data.features.names import LEVELS
from alfred.settings import Settings

_BARS = ("open", "high", "low", "close", "volume", *LEVELS)


class TableSettings(AnalystSettings):
    """What every analyst can be told that reads a table of numbers.

    Attributes:
        validation_fraction: Last part of the history that chooses how much is learnt, and measures the spread.
    """

    validation_fraction: float = Field(default=0.15, gt=0, lt=1)


class TabularSettings(TableSettings):
    """What ridge and trees can be told.

    Attributes:
        context_length: Bars that features are computed from, C: half a year of sessions and one bar more.
        features: `technical` (recent returns, oscillators, volatility, volume), `momentum` (slow moves) or `both`.
        columns: Further fields of the market to read at the last bar of each window, by name: joined reports, macro
            series, signals of one's own. Each is standardised by the history; bars themselves are refused, because
            their unit would reach the forecast.
    """

    context_length: int = Field(default=127, ge=22)
    features: Literal["technical", "momentum", "both"] = "both"
    columns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        for name in self.columns:
            if name in _BARS:
                raise ValueError(
                    f"column '{name}' has a unit that differs from symbol to symbol, or counts from the first session "
                    "of a history; features of bars are computed free of it: leave it out and choose features = "
                    "technical, momentum or both"
                )
            if self.columns.count(name) > 1:
                raise ValueError(f"column '{name}' stands more than once in columns; name each once")
        return self


class PenaltySettings(Settings):
    """How strongly a linear model is held back.

    Attributes:
        penalties: Penalties to choose from. Features have unit variance and the error is a mean over examples, so
            that a penalty of 1 halves the coefficient of a feature that is alone; the largest all but silences it.
    """

    penalties: tuple[float, ...] = Field(default=(0.001, 0.01, 0.1, 1.0, 10.0, 100.0), min_length=1)

    @model_validator(mode="after")
    def _check_penalties(self) -> Self:
        if not all(0 < penalty < float("inf") for penalty in self.penalties):
            raise ValueError(f"penalties {self.penalties} must be positive numbers: features are often collinear")
        return self


class RidgeSettings(PenaltySettings, TabularSettings):
    """Settings of `RidgeAnalyst`; see those that they are made of."""

    kind: Literal["ridge"] = "ridge"


class QuietSettings(PenaltySettings, TableSettings):
    """What every `QuietAnalyst` can be told.

    Attributes:
        validation_fraction: Last part of the history that says whether there is anything to forecast.
        min_t: How many standard errors the squared error of the validation part must be below that of no forecast;
            zero accepts any gain.
        masks: Whether each value that is offered as a signal has a second signal, `has_` and its name, that is one
            where the value is known and zero where it is not. A network reads an unknown signal as zero, so that
            without the mask it cannot tell what is missing from what is neutral.
    """

    validation_fraction: float = Field(default=0.25, gt=0, lt=1)
    min_t: float = Field(default=2.0, ge=0)
    masks: bool = True

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of what is read off each window, in order; every analyst has its own."""
        return ()

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the values, and of their masks."""
        return (*self.value_names, *(f"has_{name}" for name in self.value_names if self.masks))

    @property
    def own_components(self) -> int:
        """The values, and their masks."""
        return len(self.component_names)


class TreesSettings(TabularSettings):
    """Settings of `TreesAnalyst`.

    Attributes:
        n_rounds: Boosting rounds at most, R; validation chooses how many are used, none included.
        learning_rate: Share of each tree that is added.
        max_leaf_nodes: Leaves of a tree.
        min_samples_leaf: Examples in a leaf at least; neighbouring windows overlap, so that few are independent.
        l2_penalty: Penalty on the values of leaves.
        max_features: Share of the features that a split chooses among; it is what makes members differ.
        n_members: Models of different seeds whose forecasts are averaged.
        horizon_weights: One weight a horizon, not negative: the horizons then share one signal, see `OutputRule`. Each
            horizon has its own when None.
        invert: Whether to switch the sign of the forecast.
        output: `return`, or `ranking`: the normal score of the forecast's rank among those of the training history,
            in units of their spread, see `OutputRule`.
    """

    kind: Literal["trees"] = "trees"
    n_rounds: int = Field(default=150, ge=1)
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    max_leaf_nodes: int = Field(default=8, ge=2)
    min_samples_leaf: int = Field(default=100, ge=1)
    l2_penalty: float = Field(default=1.0, ge=0)
    max_features: float = Field(default=0.5, gt=0, le=1)
    n_members: int = Field(default=1, ge=1)
    horizon_weights: tuple[float, ...] | None = None
    invert: bool = False
    output: Literal["return", "ranking"] = "return"

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        weights = self.horizon_weights
        if weights is None:
            return self
        if len(weights) != len(self.horizons):
            raise ValueError(
                f"horizon_weights has {len(weights)} numbers for {len(self.horizons)} horizons {self.horizons}; give "
                "one for each"
            )
        if not all(0 <= weight < float("inf") for weight in weights) or not sum(weights):
            raise ValueError(f"horizon_weights {weights} must not be negative, and one must be above zero")
        return self
