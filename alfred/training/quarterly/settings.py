"""What the quarterly experiment can be told."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from alfred.analysts.extractors.settings import HeadName
from alfred.analysts.fundamentals.settings import FundamentalsAnalystSettings
from alfred.data.files import read_text
from alfred.errors import ConfigError
from alfred.keys.mistakes import explain_briefly
from alfred.keys.yaml_text import parse_yaml
from alfred.settings import Name, Settings


class QuarterlySettings(Settings):
    """Who is learnt from, who is judged, when, and with which network.

    Attributes:
        name: Name of the folder of its results.
        analyst: The network and the reports that it reads; its `head` is set by `heads`, its label by that.
        heads: What is forecast. The first decides for the strategies `simple` and `nuanced`, the last for `magnitude`.
        first: Symbol that the choice of uncorrelated symbols begins with; the one with most reports when left out.
        n_train: Symbols to learn from.
        n_evaluate: Symbols to judge on, none of which is learnt from.
        train_symbols: Symbols to learn from, instead of a choice.
        evaluate_symbols: Symbols to judge on, instead of a choice.
        exclude: Symbols that are left out of everything.
        split: Last date that the first training and the choice of symbols may read; when left out, the date by which
            six in ten reports are known.
        end: Last date of the test; that of the data when left out.
        refit_every_days: Sessions from one training to the next; None for one training before the test.
        min_history_days: Daily returns that two symbols must share.
        min_reports: Reports that a symbol must have until the split.
        n_seeds: Networks whose forecasts are averaged.
        enter: Probability of a rise above which `nuanced` is long; one less it is short.
    """

    name: Name = "quarterly"
    analyst: FundamentalsAnalystSettings = FundamentalsAnalystSettings()
    heads: Annotated[tuple[HeadName, ...], Field(min_length=1)] = ("direction", "magnitude")
    first: str | None = None
    n_train: int = Field(default=30, ge=2)
    n_evaluate: int = Field(default=30, ge=2)
    train_symbols: tuple[str, ...] | None = Field(default=None, min_length=1)
    evaluate_symbols: tuple[str, ...] | None = Field(default=None, min_length=1)
    exclude: tuple[str, ...] = ()
    split: date | None = None
    end: date | None = None
    refit_every_days: int | None = Field(default=252, ge=20)
    min_history_days: int = Field(default=504, ge=20)
    min_reports: int = Field(default=8, ge=1)
    n_seeds: int = Field(default=3, ge=1)
    enter: float = Field(default=0.7, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.train_symbols is None) != (self.evaluate_symbols is None):
            raise ValueError(
                "train_symbols and evaluate_symbols go together: name both, or neither to have them chosen"
            )
        both = sorted(set(self.train_symbols or ()) & set(self.evaluate_symbols or ()))
        if both:
            raise ValueError(f"{', '.join(both)} would be learnt from and judged on; name each symbol on one side only")
        if len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads names one twice: {', '.join(self.heads)}")
        if self.split is not None and self.end is not None and self.split >= self.end:
            raise ValueError(f"split {self.split} is not before end {self.end}")
        return self

    @property
    def horizon(self) -> int:
        """Sessions ahead that are judged: the shortest horizon of the analyst."""
        return self.analyst.horizons[0]


def read_quarterly(path: Path | None, changes: dict[str, object]) -> QuarterlySettings:
    """Read the settings of an experiment from a YAML file, with some of them replaced.

    Args:
        path: The file; None for the defaults.
        changes: What replaces the file's, by name; those of `analyst` under that key.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or a key or value is wrong.
    """
    raw: object = {}
    if path is not None:
        try:
            raw = parse_yaml(read_text(path)) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}; name a YAML file") from error
        except ValueError as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping such as {{n_train: 30}}; got {type(raw).__name__}")
    analyst, changed = raw.get("analyst", {}), changes.pop("analyst", {})
    merged = {**raw, **changes}
    if isinstance(analyst, dict) and isinstance(changed, dict) and (analyst or changed):
        merged["analyst"] = {**analyst, **changed}
    try:
        return QuarterlySettings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(f"{path or 'the quarterly experiment'}: {explain_briefly(error)}") from error
