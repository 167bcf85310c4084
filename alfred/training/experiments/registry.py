"""Which experiments there are: the eight built-in ones, and those of a user's YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alfred.data.files import read_text
from alfred.errors import ConfigError, suggest
from alfred.keys.mistakes import explain_briefly
from alfred.keys.yaml_text import parse_yaml
from alfred.training.experiments.settings import ExperimentEntry, RegistrySettings, StrategySettings

BASELINE = "baseline"
_LONG = {1: 0.1, 5: 0.3, 20: 0.6}

BUILT_IN: tuple[ExperimentEntry, ...] = (
    ExperimentEntry(name=BASELINE, about="Technical features, equal horizon weights."),
    ExperimentEntry(name="inversion", changes={"invert": True}, about="Are the forecasts wrong way round?"),
    ExperimentEntry(
        name="momentum-features",
        changes={"trees": {"features": "momentum"}},
        about="Do slow moves foretell more than oscillators?",
    ),
    ExperimentEntry(
        name="long-horizons", changes={"horizon_weights": _LONG}, about="Does weight on the month ahead help?"
    ),
    ExperimentEntry(
        name="momentum-filter",
        changes={"momentum_filter": "12_1"},
        about="Does it help to pick only what rose over twelve months without the last?",
    ),
    ExperimentEntry(
        name="stop-loss", changes={"stop_loss_pct": 8.0}, about="Does it help to sell inside the week at a loss of 8 %?"
    ),
    ExperimentEntry(
        name="combined",
        changes={
            "trees": {"features": "momentum"},
            "horizon_weights": _LONG,
            "momentum_filter": "12_1",
            "stop_loss_pct": 8.0,
        },
        about="Momentum features, long horizons, momentum filter and stop together.",
    ),
    ExperimentEntry(
        name="pure-momentum",
        changes={"score": "momentum", "stop_loss_pct": 10.0},
        about="Is twelve-month momentum alone, with a stop of 10 %, as good?",
    ),
)


@dataclass(frozen=True)
class NamedStrategy:
    """An experiment with everything spelt out.

    Attributes:
        name: Its name.
        based_on: The experiment that it differs from; itself for the baseline.
        about: One sentence on what it asks.
        strategy: All that it is told.
        changed: The keys that differ from `based_on`.
    """

    name: str
    based_on: str
    about: str
    strategy: StrategySettings
    changed: Mapping[str, Any]


def read_registry(path: Path | None) -> RegistrySettings:
    """Read a file of experiments; the defaults without one.

    Raises:
        ConfigError: It cannot be read, is not YAML, or holds an unknown key or a wrong value.
    """
    if path is None:
        return RegistrySettings()
    try:
        raw = parse_yaml(read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the experiments {path}: {error}; name a YAML file") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if isinstance(raw, list):
        raw = {"experiments": raw}
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{path} must hold a list of experiments, or a mapping with the key experiments; got {type(raw).__name__}"
        )
    try:
        return RegistrySettings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain_briefly(error, RegistrySettings)}") from error


def resolve_experiments(entries: Sequence[ExperimentEntry], source: str = "the file") -> list[NamedStrategy]:
    """Spell out the built-in experiments and some more, in their order.

    Args:
        entries: Experiments beside the built-in ones; each may build on any that stands before it.
        source: Where they stand, for messages.

    Raises:
        ConfigError: A name is taken, `based_on` is unknown, or a change is none.
    """
    found: dict[str, NamedStrategy] = {}
    for entry in (*BUILT_IN, *entries):
        where = f"{source}: experiment '{entry.name}'"
        if any(entry.name.casefold() == name.casefold() for name in found):
            raise ConfigError(f"{where}: the name is taken; choose another")
        is_root = entry.name == BASELINE
        if not is_root and entry.based_on not in found:
            raise ConfigError(
                f"{where}: based_on is '{entry.based_on}', which is no experiment above it; known: {', '.join(found)}."
                f"{suggest(entry.based_on, found)}"
            )
        parent: dict[str, Any] = {} if is_root else found[entry.based_on].strategy.model_dump()
        merged = _merge(StrategySettings().model_dump() if is_root else parent, entry.changes)
        try:
            strategy = StrategySettings.model_validate(merged)
        except ValidationError as error:
            raise ConfigError(f"{where}: {explain_briefly(error, StrategySettings)}") from error
        based_on = BASELINE if is_root else entry.based_on
        found[entry.name] = NamedStrategy(entry.name, based_on, entry.about, strategy, dict(entry.changes))
    return list(found.values())


def choose_experiments(experiments: Sequence[NamedStrategy], only: Sequence[str]) -> list[NamedStrategy]:
    """Return the baseline and the named experiments; all when none is named.

    Raises:
        ConfigError: A name is unknown.
    """
    names = [item.name for item in experiments]
    for name in only:
        if name not in names:
            raise ConfigError(f"there is no experiment '{name}'; known: {', '.join(names)}.{suggest(name, names)}")
    return [item for item in experiments if not only or item.name in only or item.name == BASELINE]


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with some values replaced; settings inside settings are merged, weights by horizon are not."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping) and key != "horizon_weights":
            merged[key] = _merge(inner, value)
        else:
            merged[key] = value
    return merged
