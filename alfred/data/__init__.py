"""What is known, and when."""

from alfred.data.contexts import Contexts, iterate_contexts, make_contexts
from alfred.data.market import Market
from alfred.data.signals import Signals, concatenate_signals
from alfred.data.sources import DataSettings, compute_market_checksum, load_market

__all__ = [
    "Contexts",
    "DataSettings",
    "Market",
    "Signals",
    "compute_market_checksum",
    "concatenate_signals",
    "iterate_contexts",
    "load_market",
    "make_contexts",
]
