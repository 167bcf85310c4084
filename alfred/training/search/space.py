"""What a search may choose from: parameters by the key of a settings class, with their ranges."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from optuna.trial import BaseTrial
from pydantic import Field, TypeAdapter, model_validator

from alfred.settings import Settings

Value = bool | int | float | str | None


class Real(Settings):
    """A real number.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether it is drawn evenly on a logarithmic scale.
    """

    kind: Literal["real"] = "real"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> Real:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low is {self.low} and high is {self.high}; low must be smaller, and positive with log")
        return self

    def suggest(self, trial: BaseTrial, name: str) -> float:
        """Choose a value."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def list_grid(self) -> list[Value]:
        """Return three values for a grid: both ends and the middle."""
        middle = (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2
        return [self.low, middle, self.high]


class Whole(Settings):
    """A whole number.

    Attributes:
        low: Smallest value.
        high: Largest value.
        step: Distance of neighbours.
        log: Whether it is drawn evenly on a logarithmic scale; then `step` is 1.
    """

    kind: Literal["whole"] = "whole"
    low: int
    high: int
    step: int = Field(default=1, ge=1)
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> Whole:
        if not self.low < self.high or (self.log and (self.low < 1 or self.step != 1)):
            raise ValueError(
                f"low is {self.low}, high {self.high}, step {self.step}; low must be smaller, with log positive and "
                "without a step"
            )
        return self

    def suggest(self, trial: BaseTrial, name: str) -> int:
        """Choose a value."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def list_grid(self) -> list[Value]:
        """Return up to three values for a grid: both ends and the middle."""
        middle = self.low + (self.high - self.low) // 2 // self.step * self.step
        last = self.low + (self.high - self.low) // self.step * self.step
        return list(dict.fromkeys([self.low, middle, last]))


class Choice(Settings):
    """One of some values.

    Attributes:
        options: The values; one that is not a plain value is written as a list, such as fields of bars.
    """

    kind: Literal["choice"] = "choice"
    options: tuple[Value | tuple[Value, ...], ...] = Field(min_length=1)

    def suggest(self, trial: BaseTrial, name: str) -> object:
        """Choose a value; Optuna keeps texts, numbers and None only, so that lists travel as texts."""
        spelt = {_spell(option): option for option in self.options}
        return spelt[trial.suggest_categorical(name, list(spelt))]

    def list_grid(self) -> list[Any]:
        """Return all values for a grid, as they travel."""
        return [_spell(option) for option in self.options]


Dimension = Annotated[Real | Whole | Choice, Field(discriminator="kind")]
Space = Mapping[str, Dimension]
"""Parameters by their key, dotted where they lie deeper: `fitting.learning_rate`."""

SPACE: TypeAdapter[dict[str, Dimension]] = TypeAdapter(dict[str, Dimension])


def suggest_settings(trial: BaseTrial, space: Space, prefix: str = "") -> dict[str, object]:
    """Choose a value for each parameter of a space.

    Args:
        trial: Who asks.
        space: The parameters.
        prefix: Begins the names of the parameters in the study, so that two spaces share none.

    Returns:
        A mapping as a settings class reads it, nested where a key is dotted.
    """
    nested: dict[str, object] = {}
    for key, dimension in space.items():
        place = nested
        *folders, last = key.split(".")
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]
        place[last] = dimension.suggest(trial, f"{prefix}{key}")
    return nested


def iterate_grid(space: Space, prefix: str = "") -> Iterator[dict[str, Value]]:
    """Yield every point of the grid of a space: the values of `list_grid` of each dimension, all combined."""
    names = [f"{prefix}{key}" for key in space]
    for values in itertools.product(*(dimension.list_grid() for dimension in space.values())):
        yield dict(zip(names, values, strict=True))


def read_defaults(settings: Settings, space: Space, prefix: str = "") -> dict[str, Value]:
    """Return where the values of some settings lie in a space, as the parameters of a trial.

    A value outside of its range is moved to the nearest end; one that is no option is left out, so that it is drawn.
    """
    point: dict[str, Value] = {}
    for key, dimension in space.items():
        value: Any = settings
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(dimension, Choice):
            if value in dimension.options:
                point[f"{prefix}{key}"] = _spell(value)
        elif value is not None:
            inside = min(max(value, dimension.low), dimension.high)
            if isinstance(dimension, Whole):
                inside = dimension.low + round((inside - dimension.low) / dimension.step) * dimension.step
            point[f"{prefix}{key}"] = inside
    return point


def _spell(option: Value | tuple[Value, ...]) -> Value:
    return "+".join(map(str, option)) if isinstance(option, tuple) else option
