"""A source of markets of your own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from alfred.data.market import Market
from alfred.settings import Settings


class Source(ABC):
    """Loads a market; named by `data.source`, told `data.options`.

    `alfred.checks.check_source` tests the contract. `data.start`, `.end`, `.symbols`, `.benchmark`, `.investable`,
    `.dtype` and the tables that are joined (`.macro` and its like) are applied to what it loads.

    Attributes:
        settings_class: What it can be told in `data.options`; nothing unless it is set.
        settings: What it was told.
    """

    settings_class: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Settings) -> None:
        """Store the settings; all work waits for `load`."""
        self.settings = settings

    @abstractmethod
    def load(self) -> Market:
        """Return the market, the same data at each call; build it with `Market.from_arrays`, which checks it.

        Prices are on a total-return basis. What is stated for a session must have been known at its close, revisions
        and universe included, for nobody can tell afterwards.
        """
