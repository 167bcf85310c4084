"""Kronos as an analyst: one temperature, or an ensemble of several in one pass."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.analysts.aggregation import aggregate_samples
from alfred.analysts.base import Analyst
from alfred.analysts.extractors.heads import Head
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.kronos.candles import Candles
from alfred.analysts.kronos.checkpoint import KronosPair, load_pair, make_pair, save_pair
from alfred.analysts.kronos.config import COLUMNS, RELEASE_CUTOFF, RELEASES
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.analysts.kronos.return_head import forecast_returns, load_head, save_head
from alfred.analysts.kronos.return_training import train_head
from alfred.analysts.kronos.settings import KronosBaseSettings, KronosEnsembleSettings, KronosSettings
from alfred.analysts.kronos.training import train_tokens
from alfred.analysts.kronos.windows import REBUILT_NOTE, choose_fields, iterate_passes, make_candles
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from alfred.typing import FloatArray

logger = logging.getLogger(__name__)
_STATE_FILE = "kronos.json"
# Least decoded price as a part of the last close, so that the logarithm exists.
_MIN_RATIO = 0.01
_CLOSE = COLUMNS.index("close")


class KronosAnalyst(Analyst):
    """Forecasts candles with Kronos and reads log returns off their closes, or returns at once with `head: return`.

    `fit` decides by the market which fields are read: all prices and volume where they are known, else closes, from
    which candles are rebuilt; `notes` then holds the caveat for the report.

    Attributes:
        notes: Caveats of the fit, one sentence each.
    """

    settings_class: ClassVar[type[AnalystSettings]] = KronosSettings
    settings: KronosBaseSettings

    def __init__(self, settings: AnalystSettings) -> None:
        """Store the settings; all work waits for `fit`.

        Raises:
            ConfigError: The settings belong to another analyst.
        """
        if not isinstance(settings, KronosBaseSettings) or not isinstance(settings, self.settings_class):
            raise ConfigError(
                f"{type(self).__name__} needs {self.settings_class.__name__}, not {type(settings).__name__}"
            )
        super().__init__(settings)
        self.notes: tuple[str, ...] = ()
        self.knowledge_cutoff = _find_cutoff(settings)
        self._pair: KronosPair | None = None
        self._forecaster: KronosForecaster | None = None
        self._head: Head | None = None

    def fit(self, market: Market) -> Self:
        """Load the checkpoint, and train it or a fresh pair on a market that ends at the refit date.

        Args:
            market: Everything that may be known.

        Raises:
            DataError: The history is too short to train on.
            CheckpointError: The checkpoint is missing, damaged, or not a pair.
            ConfigError: A checkpoint that alfred does not know has no `knowledge_cutoff`.
        """
        s = self.settings
        self.fields = choose_fields(market)
        self.notes = () if market.has_ohlc else (REBUILT_NOTE,)
        for note in self.notes:
            logger.info("%s", note)
        if s.checkpoint is None:
            pair = make_pair(s.tokenizer_size, s.model_size, s.seed)
        else:
            if self.knowledge_cutoff is None:
                raise ConfigError(
                    f"nobody says until when '{s.checkpoint}' was trained; set knowledge_cutoff to the last date that "
                    "it may have seen, so that the report can keep the dates before it apart"
                )
            pair = load_pair(s.checkpoint, s.tokenizer, revision=s.revision, tokenizer_revision=s.tokenizer_revision)
        pair.tokenizer.to(s.device)
        pair.model.to(s.device)
        if s.checkpoint is None or s.fine_tune != "none":
            train_tokens(pair, market, s)
        self._head = None if s.own_return_head is None else train_head(pair, market, s, s.own_return_head)
        self._use(pair)
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window on its own: the same window gives the same answer in any batch.

        Chance is drawn by the seed and the content of a window. Windows run in passes of exactly `batch_size`, filled
        up by repetition, since a matrix product of another shape may round differently and flip a draw. A window with
        fewer than two traded bars is forecast as NaN.

        Args:
            contexts: Windows with this analyst's `fields` and `context_length`.

        Raises:
            NotFittedError: `fit` was not called before.
            DataError: The contexts have other fields or another length.
        """
        self.require_fitted()
        if contexts.fields != self.fields or contexts.context_length != self.context_length:
            raise DataError(
                f"contexts hold {', '.join(contexts.fields)} over {contexts.context_length} bars, but "
                f"'{self.settings.label}' reads {', '.join(self.fields)} over {self.context_length}"
            )
        return self._draw(contexts) if self._head is None else self._read(contexts, self._head)

    def _read(self, contexts: Contexts, head: Head) -> Forecast:
        """Forecast with a return head: one pass, nothing drawn."""
        mean = np.full((len(contexts), len(self.horizons)), np.nan)
        quantiles = np.full((*mean.shape, len(DEFAULT_LEVELS)), np.nan)
        candles, rows = make_candles(contexts)
        for chunk, batch in () if candles is None else self._iterate(candles):
            found = forecast_returns(self._require_forecaster(), head, batch, self.horizons)
            mean[rows[chunk]], quantiles[rows[chunk]] = (part[: len(chunk)] for part in found)
        return Forecast(self.horizons, DEFAULT_LEVELS, mean, quantiles)

    def _draw(self, contexts: Contexts) -> Forecast:
        """Forecast by paths of tokens."""
        n_samples = self.settings.samples * len(self.settings.drawn_temperatures)
        returns = np.full((len(contexts), n_samples, len(self.horizons)), np.nan)
        candles, rows = make_candles(contexts)
        for chunk, batch in () if candles is None else self._iterate(candles):
            returns[rows[chunk]] = self._draw_returns(batch)[: len(chunk)]
        mean = aggregate_samples(returns, self.settings.aggregation, axis=1)
        return replace(Forecast.from_samples(returns, self.horizons, DEFAULT_LEVELS), mean=mean)

    def _iterate(self, candles: Candles) -> Iterator[tuple[npt.NDArray[np.intp], Candles]]:
        return iterate_passes(candles, context_length=self.context_length, batch_size=self.settings.batch_size)

    def _draw_returns(self, batch: Candles) -> FloatArray:
        """Return sampled log returns of one pass, `[B, S, H]`."""
        s, forecaster = self.settings, self._require_forecaster()
        forecast = forecaster.forecast(
            batch,
            max(self.horizons),
            samples=s.samples,
            temperature=s.drawn_temperatures,
            top_k=s.top_k,
            top_p=s.top_p,
            seed=s.seed,
            batch_invariant=True,
            unit_free=True,
            with_anchors=s.anchored,
        )
        bases = batch.last_closes if forecast.anchors is None else forecast.anchors[:, _CLOSE]
        floor = _MIN_RATIO * batch.last_closes.astype(np.float64)
        ends = [horizon - 1 for horizon in self.horizons]
        closes = np.maximum(forecast.paths[:, :, ends, _CLOSE].astype(np.float64), floor[:, None, None])
        returns: FloatArray = np.log(closes / np.maximum(bases, floor)[:, None, None])
        return returns

    def _use(self, pair: KronosPair) -> None:
        self._pair = pair
        self._forecaster = KronosForecaster(
            pair.tokenizer,
            pair.model,
            max_context=self.settings.max_context,
            precision=self.settings.precision,
            knowledge_cutoff=self.knowledge_cutoff,
        )

    def _require_forecaster(self) -> KronosForecaster:
        self.require_fitted()
        if self._forecaster is None:
            raise RuntimeError("a fitted Kronos analyst has a forecaster")
        return self._forecaster

    def _save_weights(self, folder: Path) -> None:
        if self._pair is not None:
            save_pair(folder, self._pair.tokenizer, self._pair.model)
        if self._head is not None:
            save_head(folder, self._head, self.settings)
        text = json.dumps({"fields": self.fields, "notes": self.notes}, indent=2)
        write_atomically(folder / _STATE_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def _load_weights(self, folder: Path) -> None:
        state = read_json(folder / _STATE_FILE)
        self.fields, self.notes = tuple(state["fields"]), tuple(state["notes"])
        pair = load_pair(folder)
        pair.tokenizer.to(self.settings.device)
        pair.model.to(self.settings.device)
        if self.settings.own_return_head is not None:
            self._head = load_head(folder, pair.model.settings.d_model, self.settings, self.settings.own_return_head)
        self._use(pair)


def _find_cutoff(settings: KronosBaseSettings) -> pd.Timestamp | None:
    """Return what the settings say, else what is known of a released checkpoint, else None."""
    if settings.knowledge_cutoff is not None:
        return pd.Timestamp(settings.knowledge_cutoff)
    return pd.Timestamp(RELEASE_CUTOFF) if settings.checkpoint in RELEASES else None


class KronosEnsemble(KronosAnalyst):
    """Kronos at several temperatures in one pass, reduced by a robust mean."""

    settings_class: ClassVar[type[AnalystSettings]] = KronosEnsembleSettings
