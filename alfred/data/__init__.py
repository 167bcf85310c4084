"""What is known, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.lazy import import_on_use

if TYPE_CHECKING:
    from alfred.data.contexts import Contexts, iterate_contexts, make_contexts
    from alfred.data.market import Market
    from alfred.data.prices.registry import SOURCES
    from alfred.data.prices.source import Source
    from alfred.data.settings import DataSettings
    from alfred.data.signals import Signals, concatenate_signals
    from alfred.data.sources import compute_market_checksum, load_market

__all__ = [
    "SOURCES",
    "Contexts",
    "DataSettings",
    "Market",
    "Signals",
    "Source",
    "compute_market_checksum",
    "concatenate_signals",
    "iterate_contexts",
    "load_market",
    "make_contexts",
]

__getattr__ = import_on_use(
    __name__,
    {
        "SOURCES": "alfred.data.prices.registry",
        "Contexts": "alfred.data.contexts",
        "DataSettings": "alfred.data.settings",
        "Market": "alfred.data.market",
        "Signals": "alfred.data.signals",
        "Source": "alfred.data.prices.source",
        "compute_market_checksum": "alfred.data.sources",
        "concatenate_signals": "alfred.data.signals",
        "iterate_contexts": "alfred.data.contexts",
        "load_market": "alfred.data.sources",
        "make_contexts": "alfred.data.contexts",
    },
)
