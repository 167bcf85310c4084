"""Which analysts exist, by name; a class is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from alfred.analysts.base import Analyst, AnalystSettings
from alfred.errors import ConfigError, suggest

# kind -> "module:class". To add an analyst, write its module and add its line here: the contract test, the command
# line and the configuration find it by themselves.
ANALYSTS: dict[str, str] = {
    "naive": "alfred.analysts.naive:NaiveAnalyst",
    "momentum": "alfred.analysts.momentum:MomentumAnalyst",
    "lstm": "alfred.analysts.lstm:LstmAnalyst",
}


def load_analyst_class(kind: str) -> type[Analyst]:
    """Return the class of an analyst.

    Raises:
        ConfigError: No analyst has this name.
    """
    if kind not in ANALYSTS:
        raise ConfigError(f"unknown analyst '{kind}'; known: {', '.join(ANALYSTS)}.{suggest(kind, ANALYSTS)}")
    module, name = ANALYSTS[kind].split(":")
    return cast("type[Analyst]", getattr(importlib.import_module(module), name))


def parse_analyst_settings(raw: Mapping[str, object] | AnalystSettings) -> AnalystSettings:
    """Turn a mapping with a `kind` into the settings of that analyst.

    Raises:
        ConfigError: `kind` is missing or unknown.
    """
    if isinstance(raw, AnalystSettings):
        return raw
    kind = raw.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"an analyst needs a 'kind', one of {', '.join(ANALYSTS)}; got {dict(raw)}")
    return load_analyst_class(kind).settings_class.model_validate(raw)


def make_analyst(settings: AnalystSettings) -> Analyst:
    """Build an analyst from its settings, unfitted."""
    return load_analyst_class(settings.kind)(settings)
