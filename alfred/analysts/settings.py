"""What every analyst can be told, and the settings of the small ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from alfred.data.files import read_json
from alfred.learning.settings import Device, FittingSettings
from alfred.settings import Settings

MOST_SESSIONS = 10_000
"""Sessions ahead that anything may ask for: forty years."""


class CalibrationSettings(Settings):
    """How the quantiles of an analyst are made to hold what they say, from outcomes of its own earlier forecasts.

    Attributes:
        kind: `conformal`, or `none` for the forecasts as they are.
        window: Sessions after which a past outcome counts a third as much (1/e).
        rate: Step of the correction by the share of outcomes that were held, over the horizon in sessions; 0 for none.
        min_outcomes: Outcomes, of all symbols together, before the first calibration of a horizon.
        min_sessions: Sessions from the first outcome to the first calibration.
        shrink_centre: Whether mean and median shrink towards zero as far as past outcomes say so.
    """

    kind: Literal["conformal", "none"] = "conformal"
    window: int = Field(default=500, ge=2)
    rate: float = Field(default=0.01, ge=0, le=1)
    min_outcomes: int = Field(default=200, ge=1)
    min_sessions: int = Field(default=125, ge=0)
    shrink_centre: bool = False


class AnalystSettings(Settings):
    """What every analyst can be told; each analyst adds its own.

    Attributes:
        kind: Which analyst, a key of the registry.
        name: Name in signals and reports; the kind when left out.
        horizons: Sessions ahead to forecast, ascending.
        context_length: Bars that a forecast reads, C.
        seed: Seed of every random choice of the analyst.
        refit_every_days: Sessions between refits; that of the experiment when left out.
        forecast_every_days: Sessions between forecasts, each standing until the next; that of the experiment when left
            out. Slow analysts forecast weekly or monthly.
        calibration: How its forecasts are calibrated in a walk-forward.
    """

    beside_weights: ClassVar[tuple[str, ...]] = ()
    """Files beside the weights in a folder of a checkpoint on which the forecast depends as well."""

    kind: str
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    horizons: tuple[Annotated[int, Field(ge=1, le=MOST_SESSIONS)], ...] = Field(default=(1, 5, 20), min_length=1)
    context_length: int = Field(default=64, ge=2)
    seed: int = Field(default=0, ge=0, lt=2**32)
    refit_every_days: int | None = Field(default=None, ge=1)
    forecast_every_days: int | None = Field(default=None, ge=1)
    calibration: CalibrationSettings = CalibrationSettings()

    @field_validator("horizons")
    @classmethod
    def _ascend(cls, horizons: tuple[int, ...]) -> tuple[int, ...]:
        if list(horizons) != sorted(set(horizons)):
            raise ValueError(f"horizons are {list(horizons)}; they must ascend, each once, such as [1, 5, 20]")
        return horizons

    @property
    def label(self) -> str:
        """The name, or the kind when no name was given."""
        return self.name or self.kind

    @property
    def offers_forecast(self) -> bool:
        """Whether the forecast is among the signals."""
        return True

    @property
    def own_components(self) -> int:
        """Components of what the analyst makes of a window that are offered as signals; none unless overridden."""
        return 0

    @property
    def inner(self) -> tuple[AnalystSettings, ...]:
        """Settings of further analysts that it forecasts with; none unless overridden."""
        return ()

    @property
    def n_looks(self) -> int:
        """Trials that were made to find it, for which the verdict on its user pays; none unless overridden."""
        return 0

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components, one each: `component1` and so on unless overridden."""
        return tuple(f"component{number + 1}" for number in range(self.own_components))


class NaiveSettings(AnalystSettings):
    """Settings of `NaiveAnalyst`; nothing beyond those of every analyst."""

    kind: Literal["naive"] = "naive"


class MomentumSettings(AnalystSettings):
    """Settings of `MomentumAnalyst`.

    Attributes:
        context_length: Bars that a forecast reads: one year of sessions and one bar more.
    """

    kind: Literal["momentum"] = "momentum"
    context_length: int = Field(default=253, ge=253)


CARD_FILE = "card.json"
SAVED_FIELDS = {
    "trained_kind": "kind",
    "horizons": "horizons",
    "context_length": "context_length",
    "components": "components",
    "forecast": "forecast",
}
"""What a saved analyst is told by its card: names of settings, and of the card."""


class SavedSettings(AnalystSettings):
    """Settings of `SavedAnalyst`: an analyst that `alfred analysts train` wrote.

    Horizons, context length, kind and components are those that it was trained with; they are read from its card when
    they are not given, so that a stored configuration needs no folder to be read.

    Attributes:
        path: Its folder.
        trained_kind: What it is, a key of the registry.
        components: Components that it offers as signals.
        forecast: Whether its forecast is among the signals.
    """

    kind: Literal["saved"] = "saved"
    path: str = Field(min_length=1)
    trained_kind: str
    components: int = Field(ge=0)
    forecast: bool

    @property
    def offers_forecast(self) -> bool:
        """Whether the forecast is among the signals."""
        return self.forecast

    @property
    def own_components(self) -> int:
        """Components that are offered as signals."""
        return self.components

    @model_validator(mode="before")
    @classmethod
    def _read_card(cls, raw: object) -> object:
        if not isinstance(raw, dict) or not isinstance(raw.get("path"), str | Path) or not raw["path"]:
            return raw
        raw = {**raw, "path": str(raw["path"])}
        if all(name in raw for name in SAVED_FIELDS):
            return raw
        try:
            card = read_json(Path(raw["path"]).expanduser() / CARD_FILE)
            known = {name: card[key] for name, key in SAVED_FIELDS.items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{raw['path']} is not the folder of a trained analyst ({error}); make one with alfred analysts train"
            ) from error
        for name, value in known.items():
            given = raw.get(name, value)
            if (list(given) if isinstance(given, tuple) else given) != value:
                raise ValueError(
                    f"{name} is {given}, but the analyst in {raw['path']} was trained with {value}; leave it out"
                )
        return {**raw, **known}


NetworkField = Literal["close", "open", "high", "low", "volume", "market_level", "sector_level"]


class NetworkSettings(AnalystSettings):
    """What every analyst can be told that trains one network on standardised windows.

    Attributes:
        context_length: Bars in a window, C; a window has C - 1 returns.
        fields: What a window holds, `close` first; `open`, `high` and `low` are read relative to the previous close,
            `volume` relative to its mean in the window. `market_level` and `sector_level`, the mean return of all
            symbols and of those of the same sector up to the same bar, tell what the others did.
        validation_fraction: Last part of the history that chooses the best step.
        device: Where torch computes; `auto` is a GPU where there is one.
        fitting: How to train.
    """

    context_length: int = Field(default=33, ge=3)
    fields: tuple[NetworkField, ...] = ("close",)
    validation_fraction: float = Field(default=0.15, gt=0, lt=1)
    device: Device = "auto"
    fitting: FittingSettings = FittingSettings()

    @field_validator("fields")
    @classmethod
    def _begin_with_close(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if fields[:1] != ("close",) or len(set(fields)) < len(fields):
            raise ValueError(
                f"fields are {list(fields)}; they must begin with 'close' and name each field once, such as "
                "[close, high, low, volume]"
            )
        return fields


class LstmSettings(NetworkSettings):
    """Settings of `LstmAnalyst`.

    Attributes:
        hidden_size: Width of the LSTM.
        n_layers: Layers of the LSTM.
    """

    kind: Literal["lstm"] = "lstm"
    hidden_size: int = Field(default=24, ge=1, le=4096)
    n_layers: int = Field(default=1, ge=1, le=64)
    fitting: FittingSettings = FittingSettings(
        steps=300, batch_size=512, learning_rate=3e-3, validate_every=50, patience=4
    )


AGGREGATIONS = ("mean", "median", "trimmed_5", "trimmed_10", "trimmed_15", "trimmed_20")
