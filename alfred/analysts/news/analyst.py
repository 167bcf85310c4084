"""Headlines as an analyst: daily sentiment, outlook and attention, and a forecast where they foretell anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pandas as pd

from alfred.analysts.news.aggregation import aggregate
from alfred.analysts.news.lexicon import LexiconScorer
from alfred.analysts.news.scores import Scorer
from alfred.analysts.news.settings import DAILY_NAMES, NewsAnalystSettings
from alfred.analysts.settings import AnalystSettings
from alfred.analysts.tabular.examples import Examples, Names
from alfred.analysts.tabular.quiet import QuietAnalyst
from alfred.data.contexts import Contexts
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.data.point_in_time.headlines import HEADLINES
from alfred.errors import CheckpointError, ConfigError, DataError
from alfred.typing import Float

_SCORER_FILE = "scorer.json"


class NewsAnalyst(QuietAnalyst):
    """Scores the headlines of each symbol, makes daily values of them, and forecasts returns from the values.

    A headline is seen from the first close after its stamp on, in windows of its own symbol. The daily values are
    signals of their own (see `aggregation.aggregate`), NaN where there is no headline to go by. The forecast is that of
    `QuietAnalyst`: no change, unless headlines foretold returns in the held-out part of the history.

    Attributes:
        scorer_: Who scores the headlines.
    """

    settings_class: ClassVar[type[AnalystSettings]] = NewsAnalystSettings
    settings: NewsAnalystSettings
    fields = ("close", HEADLINES)
    packages = ("vaderSentiment", "transformers", "tokenizers")

    def __init__(self, settings: NewsAnalystSettings) -> None:
        """Store the settings; all work waits for `fit`."""
        super().__init__(settings)
        self.knowledge_cutoff = None if settings.cutoff is None else pd.Timestamp(settings.cutoff)
        self._scorer: Scorer | None = None

    @property
    def scorer_(self) -> Scorer:
        """Who scores the headlines; loaded when it is first needed."""
        if self._scorer is None:
            self._scorer = make_scorer(self.settings)
        return self._scorer

    def _choose_fields(self, market: Market) -> tuple[str, ...]:
        if market.headlines is None:
            raise DataError(
                f"analyst '{self.settings.label}' reads headlines, but the market has none; name a file of them: "
                "data.news.path=headlines.csv (columns date, time, symbol, headline)"
            )
        return ("close", HEADLINES)

    def _read(self, contexts: Contexts) -> tuple[Float, Names]:
        headlines = contexts.headlines
        if headlines is None:
            raise DataError(
                f"the windows that analyst '{self.settings.label}' is asked about hold no headlines; make them with "
                f"its fields {list(self.fields)}"
            )
        symbols = [contexts.symbols[window] for window in headlines.window]
        scores = self.scorer_.score(symbols, headlines.texts.tolist())
        return aggregate(headlines, scores, contexts.context_length, self.settings.half_life_days), DAILY_NAMES

    def _learn(self, examples: Examples) -> tuple[str, ...]:
        return (*self.scorer_.notes, *super()._learn(examples))

    def _save_weights(self, folder: Path) -> None:
        super()._save_weights(folder)
        # Released weights stay where they are, and so does a key.
        text = json.dumps({"identity": self.scorer_.identity})
        write_atomically(folder / _SCORER_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def _load_weights(self, folder: Path) -> None:
        super()._load_weights(folder)
        told = read_json(folder / _SCORER_FILE)["identity"]
        if told != self.scorer_.identity:
            raise CheckpointError(
                f"{folder} was fitted on scores of '{told}', but what is here is '{self.scorer_.identity}': fit again"
            )


def make_scorer(settings: NewsAnalystSettings) -> Scorer:
    """Build the scorer that the settings name.

    Raises:
        CheckpointError: A checkpoint is missing or damaged.
        ConfigError: A commit, a device or a key is missing.
        MissingExtraError: A package is not installed.
    """
    if settings.backend == "lexicon":
        return LexiconScorer()
    if settings.backend == "endpoint":
        from alfred.analysts.news.endpoint import EndpointScorer

        if settings.cache is None:
            raise ConfigError("an endpoint needs a cache, where its budget is counted; name a folder in `cache`")
        return EndpointScorer(settings.endpoint, settings.cache)
    from alfred.analysts.news.transformer import TransformerScorer

    return TransformerScorer(
        settings.checkpoint,
        settings.revision,
        settings.cache,
        device=settings.device,
        batch_size=settings.batch_size,
    )
