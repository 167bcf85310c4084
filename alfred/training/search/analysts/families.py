"""Families of analysts and what is searched in each: ranges around what is known to train in minutes on one core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from alfred.analysts.chosen.entries import build_settings
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AGGREGATIONS, AnalystSettings
from alfred.data.files import read_text
from alfred.errors import ConfigError, suggest
from alfred.keys.mistakes import explain_briefly
from alfred.keys.yaml_text import parse_yaml
from alfred.settings import Settings
from alfred.training.search.space import SPACE, Choice, Dimension, Real, Space, Whole

_RATE = Real(low=3e-4, high=1e-2, log=True)
_DECAY = Real(low=1e-3, high=1.0, log=True)
_TEMPERATURES = Choice(options=((0.10, 0.13, 0.16, 0.20, 0.25), (0.5, 0.7, 1.0), (0.25,), (1.0,)))
_LATE = {"aggregation": Choice(options=AGGREGATIONS)}

FAMILIES: Mapping[str, Space] = {
    "naive": {},
    "momentum": {},
    "ridge": {
        "features": Choice(options=("technical", "momentum", "both")),
        "context_length": Choice(options=(64, 127, 253)),
    },
    "trees": {
        "features": Choice(options=("technical", "momentum", "both")),
        "n_rounds": Whole(low=25, high=200, step=25),
        "learning_rate": Real(low=0.01, high=0.2, log=True),
        "max_leaf_nodes": Whole(low=3, high=16),
        "min_samples_leaf": Whole(low=50, high=800, log=True),
        "l2_penalty": Real(low=0.1, high=30.0, log=True),
    },
    "lstm": {
        "context_length": Choice(options=(17, 33, 65)),
        "hidden_size": Choice(options=(12, 24, 48)),
        "fitting.learning_rate": _RATE,
        "fitting.weight_decay": _DECAY,
    },
    "extractor": {
        "parts": Choice(options=(("lstm", "conv"), ("lstm",), ("conv",), ("attention",), ("conv", "attention"))),
        "head": Choice(options=("gaussian", "quantiles", "magnitude")),
        "context_length": Choice(options=(17, 33, 65)),
        "dropout": Real(low=0.0, high=0.5),
        "fitting.learning_rate": _RATE,
    },
    "hermite": {
        "degree": Whole(low=4, high=8),
        "maps_a": Whole(low=4, high=9),
        "context_length": Choice(options=(16, 33, 64)),
        "dropout": Real(low=0.01, high=0.4),
        "sign_hinge_weight": Real(low=0.0, high=1.5),
        "fitting.learning_rate": _RATE,
    },
    "toto": {
        "version": Choice(options=("1.0", "2.0")),
        "context_length": Choice(options=(64, 128, 256)),
        "input_scaling": Choice(options=("log_price", "standardised")),
        **_LATE,
    },
    "toto_samples": {"samples": Choice(options=(16, 64, 256)), "context_length": Choice(options=(64, 128)), **_LATE},
    "kronos": {
        "temperature": Real(low=0.1, high=1.2),
        "samples": Choice(options=(2, 4, 8)),
        "top_p": Real(low=0.7, high=1.0),
        **_LATE,
    },
    "kronos_ensemble": {"temperatures": _TEMPERATURES, "samples": Choice(options=(1, 2, 4)), **_LATE},
}
"""What is searched in each family, by name; two families may be of one kind."""

# They stand for analysts that were found or trained before.
_NOT_SEARCHED = ("saved", "registry")
_KINDS = {"toto_samples": "toto"}
_FIXED: Mapping[str, Mapping[str, object]] = {"toto_samples": {"version": "1.0"}}


def choose_families(names: Sequence[str] | None, spaces: Path | None = None) -> dict[str, Space]:
    """Return the families to search, with their spaces.

    Args:
        names: Names; all built-in ones when None.
        spaces: A YAML file with spaces of the user's own, by family and key, such as
            `{lstm: {hidden_size: {kind: whole, low: 8, high: 64}}}`; each replaces the built-in space whole. A family
            that is not built in is a kind of analyst, for instance a plugin's.

    Raises:
        ConfigError: A family is unknown, or the file is not such a mapping.
    """
    usual = {**FAMILIES, **(_read_spaces(spaces) if spaces is not None else {})}
    # Every other kind of analyst is a family of one point: its defaults.
    known = {**{kind: {} for kind in ANALYSTS if kind not in _NOT_SEARCHED}, **usual}
    for name in names or ():
        if name not in known:
            raise ConfigError(f"unknown family '{name}'; known: {', '.join(known)}.{suggest(name, list(known))}")
    return {name: known[name] for name in (dict.fromkeys(names) if names else usual)}


def find_kind(family: str) -> str:
    """Return the kind of analyst that a family is of."""
    return _KINDS.get(family, family)


def make_settings(family: str, chosen: Mapping[str, object], horizon: int) -> AnalystSettings:
    """Return the settings of an analyst of a family.

    Args:
        family: The family.
        chosen: What was chosen from its space, as `suggest_settings` returns it.
        horizon: Sessions ahead.

    Raises:
        ConfigError: The values contradict each other.
    """
    kind = find_kind(family)
    model = ANALYSTS.load_settings(kind)
    raw: dict[str, object] = {"kind": kind, "horizons": [horizon], **_FIXED.get(family, {}), **chosen}
    # A part of a nested model leaves its other fields at this analyst's defaults, not at the nested model's.
    for name, value in chosen.items():
        default = model.model_fields[name].default if name in model.model_fields else None
        if isinstance(value, dict) and isinstance(default, Settings):
            raw[name] = {**default.model_dump(), **value}
    return build_settings(raw)


def _read_spaces(path: Path) -> dict[str, dict[str, Dimension]]:
    try:
        raw = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the spaces of {path}: {explain_briefly(error)}") from error
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{path} must map families to spaces, such as {{lstm: {{hidden_size: {{kind: whole, ...}}}}}}"
        )
    spaces = {}
    for family, space in raw.items():
        model = ANALYSTS.load_settings(find_kind(str(family)))
        try:
            spaces[str(family)] = SPACE.validate_python(space)
        except ValidationError as error:
            raise ConfigError(f"{path}: space of '{family}': {explain_briefly(error)}") from error
        for key, dimension in spaces[str(family)].items():
            known = _list_keys(model)
            if key not in known:
                raise ConfigError(
                    f"{path}: '{family}' has no setting '{key}'; known: {', '.join(known)}.{suggest(key, known)}"
                )
            _check_ends(path, str(family), key, dimension)
    return spaces


def _list_keys(model: type[Settings], prefix: str = "") -> list[str]:
    """Return the keys of a settings class, dotted where one of its settings is a class of its own."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(f"{prefix}{name}")
        if isinstance(field.default, Settings):
            keys += _list_keys(type(field.default), f"{prefix}{name}.")
    return keys


def _check_ends(path: Path, family: str, key: str, dimension: Dimension) -> None:
    """Refuse a range whose ends the analyst would refuse, before anything is searched.

    Raises:
        ConfigError: It would.
    """
    ends = dimension.options if isinstance(dimension, Choice) else (dimension.low, dimension.high)
    for value in ends:
        told: object = value
        for part in reversed(key.split(".")):
            told = {part: told}
        try:
            make_settings(family, told, 1)  # type: ignore[arg-type]
        except ConfigError as error:
            raise ConfigError(f"{path}: {value!r} does not suit '{key}' of '{family}' ({error})") from error
