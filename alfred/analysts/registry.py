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
        "extractor": "alfred.analysts.extractors.analyst:ExtractorAnalyst",
        "hermite": "alfred.analysts.hermite.analyst:HermiteAnalyst",
        "kronos": "alfred.analysts.kronos.analyst:KronosAnalyst",
        "kronos_ensemble": "alfred.analysts.kronos.analyst:KronosEnsemble",
        "toto": "alfred.analysts.toto.analyst:TotoAnalyst",
        "saved": "alfred.analysts.saved:SavedAnalyst",
        "ridge": "alfred.analysts.tabular.ridge:RidgeAnalyst",
        "trees": "alfred.analysts.tabular.trees:TreesAnalyst",
        "news": "alfred.analysts.news.analyst:NewsAnalyst",
        "macro": "alfred.analysts.macro.analyst:MacroAnalyst",
        "fundamentals": "alfred.analysts.fundamentals.analyst:FundamentalsAnalyst",
        "fracast": "alfred.analysts.foundation.fracast:FracastAnalyst",
        "chronos": "alfred.analysts.foundation.chronos:ChronosAnalyst",
        "registry": "alfred.analysts.chosen.analyst:RegistryAnalyst",
    },
    {
        "naive": "alfred.analysts.settings:NaiveSettings",
        "momentum": "alfred.analysts.settings:MomentumSettings",
        "lstm": "alfred.analysts.settings:LstmSettings",
        "extractor": "alfred.analysts.extractors.settings:ExtractorSettings",
        "hermite": "alfred.analysts.hermite.settings:HermiteSettings",
        "kronos": "alfred.analysts.kronos.settings:KronosSettings",
        "kronos_ensemble": "alfred.analysts.kronos.settings:KronosEnsembleSettings",
        "toto": "alfred.analysts.toto.settings:TotoSettings",
        "saved": "alfred.analysts.settings:SavedSettings",
        "ridge": "alfred.analysts.tabular.settings:RidgeSettings",
        "trees": "alfred.analysts.tabular.settings:TreesSettings",
        "news": "alfred.analysts.news.settings:NewsAnalystSettings",
        "macro": "alfred.analysts.macro.settings:MacroAnalystSettings",
        "fundamentals": "alfred.analysts.fundamentals.settings:FundamentalsAnalystSettings",
        "fracast": "alfred.analysts.foundation.settings:FracastSettings",
        "chronos": "alfred.analysts.foundation.settings:ChronosSettings",
        "registry": "alfred.analysts.chosen.settings:RegistrySettings",
    },
    configured=True,
)


def make_analyst(settings: AnalystSettings) -> Analyst:
    """Build an analyst from its settings, unfitted."""
    return ANALYSTS.load(settings.kind)(settings)
