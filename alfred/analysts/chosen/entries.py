"""The best configuration of each symbol: plain YAML files, one a symbol, that a person may read and edit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import AfterValidator, Field, ValidationError

from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AnalystSettings
from alfred.data.files import read_text, write_atomically
from alfred.errors import CheckpointError, ConfigError
from alfred.keys.mistakes import explain_briefly
from alfred.keys.yaml_text import parse_yaml
from alfred.settings import Settings, check_name

_SYMBOL_SIGNS = "^="


def check_symbol(symbol: str) -> str:
    """Return a symbol that may become the name of a file.

    Raises:
        ConfigError: It may not.
    """
    return check_name(symbol, "symbol", also=_SYMBOL_SIGNS)


def build_settings(raw: Mapping[str, Any]) -> AnalystSettings:
    """Return the settings of an analyst from a mapping with its `kind`.

    Raises:
        ConfigError: The kind is unknown, or a value is wrong.
    """
    try:
        return cast("AnalystSettings", ANALYSTS.load_settings(raw.get("kind")).model_validate(dict(raw)))
    except ValidationError as error:
        raise ConfigError(f"settings of a '{raw.get('kind')}' are wrong: {explain_briefly(error)}") from error


class Scores(Settings):
    """How an analyst did on one symbol.

    Attributes:
        mae_pct: Error of the simple return in percentage points: what analysts are chosen by.
        naive_mae_pct: That of naive persistence on the same windows.
        price_mae: Error in the unit of prices, by which one would sometimes choose otherwise.
        n_windows: Windows.
        first: First date that was forecast from.
        last: Last date of an outcome.
    """

    mae_pct: float = Field(ge=0)
    naive_mae_pct: float = Field(ge=0)
    price_mae: float = Field(ge=0)
    n_windows: int = Field(ge=1)
    first: date
    last: date

    @property
    def skill_pct(self) -> float:
        """How much smaller the error is than that of persistence, in per cent."""
        return 100 * (1 - self.mae_pct / self.naive_mae_pct) if self.naive_mae_pct else 0.0


class BestEntry(Settings):
    """The best analyst of a symbol, and where that is known from.

    Attributes:
        symbol: The symbol.
        analyst: Settings of the analyst, with its `kind`.
        validation: Its scores where it was chosen: the best of many looks, so that they flatter.
        holdout: Its scores on later sessions where it replaced another one; None until it was promoted.
        study: The study that found it, with the digest of what it searched on.
        trial: The number of its trial.
        n_trials: Trials that were made to find it.
        fingerprint: Digests of data and code at that time.
        created: When it was written, ISO 8601, UTC.
    """

    symbol: Annotated[str, AfterValidator(check_symbol)]
    analyst: dict[str, Any]
    validation: Scores
    holdout: Scores | None = None
    study: str
    trial: int = Field(ge=0)
    n_trials: int = Field(ge=1)
    fingerprint: dict[str, str]
    created: str

    @property
    def settings(self) -> AnalystSettings:
        """Settings of the analyst.

        Raises:
            ConfigError: Its kind is unknown, or a value is wrong.
        """
        return build_settings(self.analyst)

    def write(self, folder: Path) -> Path:
        """Write the entry as `SYMBOL.yaml`, whole or not at all; return its place."""
        path = folder / f"{self.symbol}.yaml"
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return path

    @classmethod
    def read(cls, path: Path) -> BestEntry:
        """Read an entry.

        Raises:
            CheckpointError: The file is missing or damaged, or is that of another symbol.
        """
        try:
            entry = cls.model_validate(parse_yaml(read_text(path)))
            entry.settings  # noqa: B018  an entry that cannot be used is damaged
        except (OSError, ValueError, ConfigError) as error:
            raise CheckpointError(
                f"{path} does not hold the best analyst of a symbol ({explain_briefly(error)}); mend it, or restore it "
                "with alfred promote --rollback"
            ) from error
        if entry.symbol != path.stem:
            raise CheckpointError(f"{path} holds the entry of {entry.symbol}; call it {entry.symbol}.yaml")
        return entry


def read_entries(folder: Path) -> dict[str, BestEntry]:
    """Return the entries of a folder by symbol; empty where there is no folder.

    Raises:
        CheckpointError: One is damaged.
    """
    paths = sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))
    return {path.stem: BestEntry.read(path) for path in paths}
