"""Who scores headlines, and the scores that were given before.

Axes legend: R headlines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alfred.analysts.news.store import ScoreStore
from alfred.typing import Float


class Item(NamedTuple):
    """What is scored.

    Attributes:
        symbol: Whom it concerns; empty for a scorer that reads the text alone.
        text: The headline.
    """

    symbol: str
    text: str


class Score(NamedTuple):
    """What a headline says.

    Attributes:
        sentiment: From -1 (bad news) to 1 (good news).
        outlook: What it says about the future, from -1 to 1; NaN where it says nothing about it.
    """

    sentiment: float
    outlook: float


class Scorer(ABC):
    """Scores headlines one by one: the score of a headline follows from it alone, and from whom it concerns.

    Scores are kept in memory and, with a store, on disk under the identity of the scorer.

    Attributes:
        identity: What the scores depend on besides the headline.
        reads_symbol: Whether they depend on the symbol.
        chunk: Headlines that are scored, and kept, at a time.
        notes: Caveats for the report.
    """

    reads_symbol: bool = False
    chunk: int = 4096
    notes: tuple[str, ...] = ()

    def __init__(self, identity: str, cache: Path | None = None) -> None:
        """Start with an empty memory.

        Args:
            identity: What the scores depend on besides the headline.
            cache: Folder of the store, or None to keep nothing.
        """
        self.identity = identity
        self.store = None if cache is None else ScoreStore(cache.expanduser(), identity)
        self._memory: dict[Item, Score] = {}

    def score(self, symbols: Sequence[str], texts: Sequence[str]) -> Float:
        """Return sentiment and outlook of headlines, `[R, 2]`.

        Args:
            symbols: Whom each concerns, `[R]`.
            texts: The headlines, `[R]`.
        """
        items = [Item(s if self.reads_symbol else "", t) for s, t in zip(symbols, texts, strict=True)]
        wanted = [item for item in dict.fromkeys(items) if item not in self._memory]
        if wanted and self.store is not None:
            self._memory |= {Item(*item): Score(*pair) for item, pair in self.store.read(wanted).items()}
            wanted = [item for item in wanted if item not in self._memory]
        for start in range(0, len(wanted), self.chunk):
            part = wanted[start : start + self.chunk]
            # Rounded, so that the last digits of a float, which follow the batch, do not reach a forecast.
            found = {i: Score(round(s, 4), round(o, 4)) for i, (s, o) in zip(part, self._score(part), strict=True)}
            if self.store is not None:
                self.store.write(found.items())
            self._memory |= found
        return np.array([self._memory[item] for item in items], dtype=np.float64).reshape(-1, 2)

    @abstractmethod
    def _score(self, items: Sequence[Item]) -> list[Score]:
        """Return the scores of headlines, each once, in their order."""
