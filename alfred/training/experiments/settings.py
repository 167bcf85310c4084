"""What an experiment can be told: how symbols are scored and picked, over which dates, and how the dates are cut."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from alfred.analysts.settings import CalibrationSettings
from alfred.analysts.tabular.settings import TreesSettings
from alfred.settings import Name, Settings

Phase = Literal["quick", "full", "robustness", "holdout"]
PHASES: tuple[Phase, ...] = get_args(Phase)
MomentumKind = Literal["none", "12_1", "126"]

EQUAL_HORIZONS: Mapping[int, float] = {1: 1.0, 5: 1.0, 20: 1.0}
# A pick reads the mean alone, which calibration leaves as it is; without it a walk is free of state.
_UNCALIBRATED = CalibrationSettings(kind="none")


class StrategySettings(Settings):
    """One weekly stock-picking strategy.

    Attributes:
        score: What symbols are ranked by: the forecasts of boosted `trees`, or their own past return (`momentum`).
        trees: The forecaster; read when `score` is `trees`. Its own `horizon_weights` and `invert` stay untouched:
            those below act on finished forecasts, so that experiments which differ by them share one forecast.
        horizon_weights: Weight of each horizon in the score, by sessions ahead; one for each horizon of `trees`.
        invert: Whether the symbols with the lowest score are picked.
        momentum: Past return by which `score: momentum` ranks: `12_1` (twelve months without the last) or `126`
            (sessions).
        momentum_filter: Past return that must be positive for a symbol to be picked, or `none`.
        top_n: Symbols held at most; equal weights, and what is not filled stays in cash.
        sector_cap: Symbols of one sector at most; symbols without a sector are not limited. None for no cap.
        stop_loss_pct: Loss from the average entry price, seen at a close, at which a position is sold at the next
            execution, in per cent; the money stays in cash until the next weekly decision. None for no stop.
        breaker_drawdown_pct: Depth below the peak of wealth at which everything is sold, in per cent; None for none.
        breaker_cooldown_days: Sessions that the breaker keeps the book in cash.
    """

    score: Literal["trees", "momentum"] = "trees"
    trees: TreesSettings = TreesSettings(features="technical", calibration=_UNCALIBRATED)
    horizon_weights: Mapping[int, Annotated[float, Field(ge=0)]] = EQUAL_HORIZONS
    invert: bool = False
    momentum: Literal["12_1", "126"] = "12_1"
    momentum_filter: MomentumKind = "none"
    top_n: int = Field(default=10, ge=1)
    sector_cap: int | None = Field(default=None, ge=1)
    stop_loss_pct: float | None = Field(default=None, gt=0, lt=100)
    breaker_drawdown_pct: float | None = Field(default=None, gt=0, lt=100)
    breaker_cooldown_days: int = Field(default=20, ge=1)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.trees.horizon_weights is not None or self.trees.invert:
            raise ValueError(
                "trees.horizon_weights and trees.invert are left to the experiment: set horizon_weights and invert "
                "beside trees"
            )
        if set(self.horizon_weights) != set(self.trees.horizons):
            raise ValueError(
                f"horizon_weights names the horizons {sorted(self.horizon_weights)}, but trees forecast "
                f"{list(self.trees.horizons)}; give one weight for each"
            )
        if not sum(self.horizon_weights.values()) > 0:
            raise ValueError("horizon_weights are all zero: one must be above zero")
        return self


class ExperimentEntry(Settings):
    """One line of the registry.

    Attributes:
        name: Its name, which becomes a folder.
        based_on: The experiment that it differs from; the baseline when left out.
        changes: What differs, key by key as in `StrategySettings`; mappings are merged.
        about: One sentence on what it asks.
    """

    name: Name
    based_on: str = "baseline"
    changes: Mapping[str, Any] = Field(default_factory=dict)
    about: str = ""


class PhaseSettings(Settings):
    """Over which dates a phase tests, and how often it refits.

    Attributes:
        start: First date of the test; the last `test_days` sessions before the holdout when left out.
        test_days: Sessions of the test when `start` is left out.
        end: Last date of the test; the last session before the holdout when left out.
        refit_every_days: Sessions from one refit to the next; None for a single fit before the test.
    """

    start: date | None = None
    test_days: int = Field(default=252, ge=10)
    end: date | None = None
    refit_every_days: int | None = Field(default=21, ge=1)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"start {self.start} is not before end {self.end}; swap them")
        return self


class GridSettings(Settings):
    """The neighbourhood that the robustness phase walks through.

    Attributes:
        top_n: Numbers of symbols; that of the experiment is added.
        stop_loss_pct: Stops, `none` for no stop; that of the experiment is added.
    """

    top_n: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(5, 8, 10, 12, 15), min_length=1)
    stop_loss_pct: tuple[Literal["none"] | Annotated[float, Field(gt=0, lt=100)], ...] = Field(
        default=("none", 5.0, 8.0, 10.0, 15.0), min_length=1
    )


def _read_entries(value: object) -> object:
    """Say in plain words that a list of entries is none."""
    if isinstance(value, str | Mapping) or not isinstance(value, list | tuple):
        raise ValueError("it must be a list of entries with name, based_on and changes")
    return value


class RegistrySettings(Settings):
    """A file of experiments.

    Attributes:
        experiments: Experiments beside the built-in ones.
        holdout_days: Sessions at the end of the data that no phase but `holdout` may test on.
        max_train_days: Sessions that a refit reads at most, the latest ones; None for all.
        quick: One year, monthly refits.
        full: From 2017 on, weekly refits.
        robustness: From 2017 on, monthly refits, over a grid.
        grid: The neighbourhood of the robustness phase.
    """

    experiments: Annotated[tuple[ExperimentEntry, ...], BeforeValidator(_read_entries)] = ()
    holdout_days: int = Field(default=252, ge=10)
    max_train_days: int | None = Field(default=2520, ge=100)
    quick: PhaseSettings = PhaseSettings()
    full: PhaseSettings = PhaseSettings(start=date(2017, 1, 1), refit_every_days=5)
    robustness: PhaseSettings = PhaseSettings(start=date(2017, 1, 1))
    grid: GridSettings = GridSettings()
