"""Which analysts exist, by name; a class is imported only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.registry import Registry

if TYPE_CHECKING:
    from alfred.analysts.base import Analyst
    from alfred.analysts.settings import AnalystSettings

# To add an analyst, write its module and add its line here: the contract test, the command line and the configuration
# find it by themselves. One whose module imports torch has its settings elsewhere, and a line in the second table.
ANALYSTS: Registry[Analyst] = Registry(
    "analyst",
    "alfred.analysts",
    {
        "naive": "alfred.analysts.naive:NaiveAnalyst",
        "momentum": "alfred.analysts.momentum:MomentumAnalyst",
        "lstm": "alfred.analysts.lstm:LstmAnalyst",
        "kronos": "alfred.analysts.kronos.analyst:KronosAnalyst",
        "kronos_ensemble": "alfred.analysts.kronos.analyst:KronosEnsemble",
        "toto": "alfred.analysts.toto.analyst:TotoAnalyst",
        "fracast": "alfred.analysts.foundation.fracast:FracastAnalyst",
        "chronos": "alfred.analysts.foundation.chronos:ChronosAnalyst",
    },
    {
        "naive": "alfred.analysts.settings:NaiveSettings",
        "momentum": "alfred.analysts.settings:MomentumSettings",
        "lstm": "alfred.analysts.settings:LstmSettings",
        "kronos": "alfred.analysts.kronos.settings:KronosSettings",
        "kronos_ensemble": "alfred.analysts.kronos.settings:KronosEnsembleSettings",
        "toto": "alfred.analysts.toto.settings:TotoSettings",
        "fracast": "alfred.analysts.foundation.settings:FracastSettings",
        "chronos": "alfred.analysts.foundation.settings:ChronosSettings",
    },
)


def make_analyst(settings: AnalystSettings) -> Analyst:
    """Build an analyst from its settings, unfitted."""
    return ANALYSTS.load(settings.kind)(settings)
