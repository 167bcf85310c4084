"""Where configurations differ, key by key, with the entries of a list told apart by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "–"
"""Shown where a configuration lacks a key."""
SET = "(set)"
"""Shown where a configuration has a whole part, such as a blend, that another one has not."""


@dataclass(frozen=True)
class SettingDifference:
    """A key that is not the same everywhere.

    Attributes:
        key: Dotted; an entry of a list is named, as in `agents.ppo.gamma`.
        values: Of each configuration, as YAML writes plain values; `ABSENT` where there is none,
            `SET` for a whole part that is absent elsewhere.
    """

    key: str
    values: tuple[str, ...]


def find_differences(
    configurations: Sequence[Mapping[str, Any]], ignore: Sequence[str] = ("name",)
) -> list[SettingDifference]:
    """Return the keys whose values are not the same in all configurations, in the order of the first.

    What a configuration lacks because it lacks the part around it, such as an agent or the blend, is told by one line
    for that part, unless it differs between those that have it.

    Args:
        configurations: Resolved ones, as in `config.yaml`.
        ignore: Keys that name a run and say nothing about it.
    """
    flat = [flatten(item) for item in configurations]
    keys = [key for key in dict.fromkeys(key for item in flat for key in item) if key not in ignore]
    found = []
    for key in keys:
        present = {item[key] for item in flat if key in item}
        if len(present) == 1 and (all(key in item for item in flat) or _is_told(key, keys)):
            continue
        values = tuple(item.get(key) or (SET if _is_part(key, item) else ABSENT) for item in flat)
        found.append(SettingDifference(key, values))
    return found


def flatten(configuration: Mapping[str, Any], *, listed: bool = True) -> dict[str, str]:
    """Return a configuration as one mapping of dotted keys to texts.

    A list of entries with a `kind` gives one line with their names, and the keys of each below its name.

    Args:
        configuration: A resolved one.
        listed: Whether the lines with names are among them.
    """
    flat: dict[str, str] = {}
    _flatten(configuration, "", flat, listed=listed)
    return flat


def name_entry(entry: Mapping[str, Any]) -> str:
    """Return the name of an entry of a list: its own, or its kind."""
    return str(entry.get("name") or entry.get("kind"))


def _flatten(value: object, place: str, flat: dict[str, str], *, listed: bool) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(item, f"{place}.{key}" if place else str(key), flat, listed=listed)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and "kind" in item for item in value):
        names = [name_entry(item) for item in value]
        if listed:
            flat[place] = ", ".join(names)
        for position, (name, item) in enumerate(zip(names, value, strict=True)):
            # Baselines may share a kind and have no name.
            own = name if names.count(name) == 1 else f"{name}#{position}"
            _flatten({key: part for key, part in item.items() if key != "name"}, f"{place}.{own}", flat, listed=listed)
    else:
        flat[place] = _write(value)


def _is_told(key: str, keys: Sequence[str]) -> bool:
    """Say whether a line above tells that a configuration lacks the part that a key belongs to."""
    parts = key.split(".")
    return any(".".join(parts[:length]) in keys for length in range(1, len(parts)))


def _is_part(key: str, flat: Mapping[str, str]) -> bool:
    return any(other.startswith(f"{key}.") for other in flat)


def _write(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
