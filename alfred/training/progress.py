"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Reporter(Protocol):
    """Shows the progress of several pieces of work."""

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        """Announce a piece of work; the result is told the units done so far."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


class Silence:
    """A reporter that shows nothing."""

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda _done: None

    def say(self, text: str) -> None:
        """Show nothing."""
