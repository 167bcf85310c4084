"""Scores by a list of words: VADER (Hutto and Gilbert, 2014), with words that mean something else in finance."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from alfred.analysts.news.scores import Item, Score, Scorer
from alfred.errors import import_extra

FINANCE_WORDS: Mapping[str, float] = {
    **dict.fromkeys(
        ("beat", "beats", "outperform", "outperforms", "upgrade", "upgrades", "upgraded", "overweight"), 2.2
    ),
    **dict.fromkeys(("soar", "soars", "soared", "surge", "surges", "surged", "skyrockets", "rally", "rallies"), 2.6),
    **dict.fromkeys(
        ("rise", "rises", "jump", "jumps", "jumped", "climbs", "gains", "higher", "bullish", "raises"), 1.7
    ),
    **dict.fromkeys(("buyback", "dividend", "record", "approves", "approval", "breakthrough", "tops", "exceeds"), 1.4),
    **dict.fromkeys(("miss", "misses", "missed", "underperform", "underperforms", "downgrade", "downgrades"), -2.2),
    **dict.fromkeys(("downgraded", "underweight", "bearish", "lowers", "cuts", "slashes", "recall", "recalls"), -1.9),
    **dict.fromkeys(("plunge", "plunges", "plunged", "plummet", "plummets", "tumble", "tumbles", "crash"), -2.8),
    **dict.fromkeys(("fall", "falls", "fell", "drop", "drops", "slides", "slips", "sinks", "lower", "declines"), -1.7),
    **dict.fromkeys(
        ("bankruptcy", "default", "defaults", "fraud", "probe", "subpoena", "delisting", "impairment"), -2.9
    ),
    **dict.fromkeys(("lawsuit", "sues", "layoffs", "halts", "halted", "dilution", "selloff", "investigation"), -2.0),
    # Neutral in a headline, whatever they are in everyday language.
    **dict.fromkeys(("share", "shares", "interest", "value", "securities", "security", "energy"), 0.0),
    **dict.fromkeys(("short", "pay", "united", "top", "novel", "alert", "alerts", "demand", "credit"), 0.0),
}
"""Valence from -4 to 4, as VADER's own; these go before its own."""

_FORWARD = re.compile(
    r"\b(?:expect\w*|sees?|forecasts?|guid(?:es|ance)|outlook|estimates?|targets?|will|to\s+(?:rais|cut|launch|report"
    r"|buy|sell|acquir|exit|expand|reduc|clos|open|offer|delist)\w*|might|could|upgrad\w*|downgrad\w*|upcoming"
    r"|next\s+(?:week|month|quarter|year)|plans?|projects|predict\w*|initiat\w*|reiterat\w*|maintains|overweight"
    r"|underweight|ahead|price\s+target|pt)\b",
    re.IGNORECASE,
)


def is_forward_looking(text: str) -> bool:
    """Say whether a headline speaks of the future, by its words (forward-looking statements: Li, 2010)."""
    return _FORWARD.search(text) is not None


class LexiconScorer(Scorer):
    """Sentiment is VADER's compound score; outlook is the same where the headline speaks of the future."""

    def __init__(self) -> None:
        """Load the words.

        Raises:
            MissingExtraError: `vaderSentiment` is not installed.
        """
        module = import_extra("vaderSentiment.vaderSentiment", "news")
        version = importlib.metadata.version("vaderSentiment")
        words = json.dumps([FINANCE_WORDS, _FORWARD.pattern], sort_keys=True)
        # Scoring takes a tenth of a millisecond, so that nothing is kept on disk.
        super().__init__(f"vader {version} {hashlib.sha256(words.encode()).hexdigest()[:16]}")
        self._analyzer: Any = module.SentimentIntensityAnalyzer()
        self._analyzer.lexicon.update(FINANCE_WORDS)

    def _score(self, items: Sequence[Item]) -> list[Score]:
        scores = []
        for item in items:
            compound = float(self._analyzer.polarity_scores(item.text)["compound"])
            scores.append(Score(compound, compound if is_forward_looking(item.text) else float("nan")))
        return scores
