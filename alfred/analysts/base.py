"""The contract that every analyst keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import pandas as pd

from alfred.analysts.forecast import Forecast
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.errors import CheckpointError, ConfigError, NotFittedError
from alfred.keys.mistakes import explain_briefly
from alfred.typing import FloatArray


class Analyst(ABC):
    """Reads a market that is already cut, forecasts the log return of windows that are already cut.

    A subclass sets `settings_class`, stores the settings, and implements `fit`, `predict`, `_save_weights` and
    `_load_weights`. `alfred.analysts.checks.check_analyst` tests all of the contract in one line.

    Attributes:
        settings: What the analyst was told.
        fields: Fields of the market that a context must hold, in this order.
        min_history: Tradable sessions that a window must end with to be forecast at all.
        knowledge_cutoff: Last date that a pretrained model may have seen, or None for one trained here only.
        notes: Caveats of the fit for the report, one sentence each.
        packages: Packages, as they are called on the index, whose new versions may change the forecasts, beside those
            that count for every analyst; one that is not installed is left out.
    """

    settings_class: ClassVar[type[AnalystSettings]]
    fields: tuple[str, ...] = ("close",)
    knowledge_cutoff: pd.Timestamp | None = None
    notes: tuple[str, ...] = ()
    packages: ClassVar[tuple[str, ...]] = ()
    is_fitted: bool = False

    def __init__(self, settings: AnalystSettings) -> None:
        """Store the settings; all work waits for `fit`."""
        self.settings = settings

    @property
    def horizons(self) -> tuple[int, ...]:
        """Sessions ahead that are forecast, `[H]`."""
        return self.settings.horizons

    @property
    def context_length(self) -> int:
        """Bars that a forecast reads, C."""
        return self.settings.context_length

    @property
    def min_history(self) -> int:
        """Tradable sessions that a window must end with to be forecast; the whole context unless overridden."""
        return self.context_length

    @abstractmethod
    def fit(self, market: Market) -> Self:
        """Learn from a market that ends at the refit date; a second call starts from nothing.

        Args:
            market: Everything that may be known. Labels that need a later price do not exist in it, so that no
                further purge is needed.

        Raises:
            DataError: The history is too short; the text says how much is needed.
        """

    @abstractmethod
    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window on its own: the same window gives the same answer in any batch.

        Args:
            contexts: Windows with this analyst's `fields` and `context_length`.

        Raises:
            NotFittedError: `fit` was not called before.
        """

    def reduce(self, contexts: Contexts) -> FloatArray:
        """Return what the analyst makes of each window, reduced to components, `[B, own_components]`.

        Args:
            contexts: Windows with this analyst's `fields` and `context_length`.

        Raises:
            ConfigError: This analyst has none to offer.
        """
        raise ConfigError(f"analyst '{self.settings.label}' offers no components; only kind: extractor does")

    def save_pretrained(self, folder: Path | str) -> None:
        """Write `settings.json` and the weights (safetensors or JSON) into a folder.

        Raises:
            NotFittedError: There is nothing to save yet.
        """
        self.require_fitted()
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self._save_weights(target)
        text = self.settings.model_dump_json(indent=2)
        write_atomically(target / "settings.json", lambda path: path.write_text(text, encoding="utf-8"))

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read what `save_pretrained` wrote; no code of the folder is run.

        Raises:
            CheckpointError: A file is missing or damaged.
        """
        source = Path(folder)
        try:
            raw = read_json(source / "settings.json")
            analyst = cls(cls.settings_class.model_validate(raw))
            analyst._load_weights(source)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{source} does not hold a saved {cls.__name__}: {explain_briefly(error)}") from error
        analyst.is_fitted = True
        return analyst

    @abstractmethod
    def _save_weights(self, folder: Path) -> None:
        """Write what `fit` learnt."""

    @abstractmethod
    def _load_weights(self, folder: Path) -> None:
        """Read what `_save_weights` wrote."""

    def require_fitted(self) -> None:
        """Raise unless the analyst is ready to forecast.

        Raises:
            NotFittedError: Neither `fit` nor `from_pretrained` was called.
        """
        if not self.is_fitted:
            raise NotFittedError(f"analyst '{self.settings.label}' is not fitted; call fit(market) first")
