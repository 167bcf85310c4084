"""Which analysts exist, by name; a class is imported only when it is asked for."""

from __future__ import annotations

from typing import cast

from alfred.analysts.base import Analyst, AnalystSettings
from alfred.settings import import_by_kind

# kind -> "module:class". To add an analyst, write its module and add its line here: the contract test, the command
# line and the configuration find it by themselves.
ANALYSTS: dict[str, str] = {
    "naive": "alfred.analysts.naive:NaiveAnalyst",
    "momentum": "alfred.analysts.momentum:MomentumAnalyst",
    "lstm": "alfred.analysts.lstm:LstmAnalyst",
    "kronos": "alfred.analysts.kronos.analyst:KronosAnalyst",
    "kronos_ensemble": "alfred.analysts.kronos.analyst:KronosEnsemble",
    "toto": "alfred.analysts.toto.analyst:TotoAnalyst",
}


def load_analyst_class(kind: object) -> type[Analyst]:
    """Return the class of an analyst.

    Raises:
        ConfigError: No analyst has this name.
    """
    return cast("type[Analyst]", import_by_kind(kind, ANALYSTS, "analyst"))


def make_analyst(settings: AnalystSettings) -> Analyst:
    """Build an analyst from its settings, unfitted."""
    return load_analyst_class(settings.kind)(settings)
