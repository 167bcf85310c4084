"""The base of every configuration model, and the tables by which a configuration names a class.

A model stands beside the thing that it configures and holds its defaults; `alfred.config` only composes them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from alfred.errors import ConfigError, suggest


class Settings(BaseModel):
    """A frozen configuration in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def import_by_kind(kind: object, table: Mapping[str, str], what: str) -> object:
    """Import the class that a registry names, only when it is asked for.

    Args:
        kind: A key of the table.
        table: `module:class` by kind.
        what: What the table holds, for the message: `analyst`, `agent`.

    Raises:
        ConfigError: No entry has this name.
    """
    if not isinstance(kind, str) or kind not in table:
        known = ", ".join(table)
        raise ConfigError(f"unknown {what} kind {kind!r}; known: {known}.{suggest(str(kind), table)}")
    module, name = table[kind].split(":")
    return getattr(importlib.import_module(module), name)
