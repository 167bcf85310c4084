"""What is known, and when."""

from alfred.data.contexts import Contexts, iterate_contexts, make_contexts
from alfred.data.market import Market
from alfred.data.signals import Signals, concatenate_signals

__all__ = ["Contexts", "Market", "Signals", "concatenate_signals", "iterate_contexts", "make_contexts"]
