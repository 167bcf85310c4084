"""Kronos as an analyst: one temperature, or an ensemble of several in one pass."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from torch import nn

from alfred.analysts.aggregation import aggregate_samples
from alfred.analysts.base import Analyst
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.kronos.candles import Candles
from alfred.analysts.kronos.checkpoint import KronosPair, load_pair, make_pair, save_pair
from alfred.analysts.kronos.config import COLUMNS, RELEASE_CUTOFF, RELEASES
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.analysts.kronos.settings import KronosBaseSettings, KronosEnsembleSettings, KronosSettings
from alfred.analysts.kronos.training import Loss, adapt, make_model_loss, make_tokenizer_loss
from alfred.analysts.kronos.windows import REBUILT_NOTE, WindowExamples, choose_fields, make_candles, split_windows
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts
from alfred.data.files import write_atomically
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from alfred.learning.fitting import fit_module
from alfred.learning.settings import FittingSettings
from alfred.typing import FloatArray

logger = logging.getLogger(__name__)
_STATE_FILE = "kronos.json"
# Least decoded price as a part of the last close, so that the logarithm exists.
_MIN_RATIO = 0.01
_CLOSE = COLUMNS.index("close")


class KronosAnalyst(Analyst):
    """Forecasts candles with Kronos and reads log returns off their closes.

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
            self._train(pair, market)
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
        n_samples = self.settings.samples * len(self.settings.drawn_temperatures)
        returns = np.full((len(contexts), n_samples, len(self.horizons)), np.nan)
        candles, rows = make_candles(contexts)
        if candles is not None:
            # Full windows need no mask and those with gaps do, which rounds differently: they never share a pass.
            is_full = candles.lengths == self.context_length
            for part in (np.flatnonzero(is_full), np.flatnonzero(~is_full)):
                for start in range(0, len(part), self.settings.batch_size):
                    chunk = part[start : start + self.settings.batch_size]
                    returns[rows[chunk]] = self._forecast_returns(candles, chunk)
        mean = aggregate_samples(returns, self.settings.aggregation, axis=1)
        return replace(Forecast.from_samples(returns, self.horizons, DEFAULT_LEVELS), mean=mean)

    def _forecast_returns(self, candles: Candles, rows: np.ndarray) -> FloatArray:
        """Return sampled log returns of at most `batch_size` windows, `[B, S, H]`."""
        s, forecaster = self.settings, self._require_forecaster()
        filled = np.resize(rows, s.batch_size)
        batch = Candles(candles.values[filled], candles.timestamps[filled], candles.lengths[filled])
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
        return returns[: len(rows)]

    def _train(self, pair: KronosPair, market: Market) -> None:
        s = self.settings
        method: Literal["full", "lora"] = "lora" if s.checkpoint is not None and s.fine_tune == "lora" else "full"
        train, validation = split_windows(
            market,
            history=s.context_length,
            horizon=max(s.horizons),
            validation_fraction=s.validation_fraction,
            max_validation=s.max_validation,
        )
        plan: list[tuple[nn.Module, Loss, FittingSettings, str]] = [
            (
                pair.model,
                make_model_loss(pair.model, pair.tokenizer, sampled_s1=s.sampled_s1),
                s.model_fitting,
                "model",
            )
        ]
        if s.checkpoint is None or s.fine_tune_tokenizer:
            plan.insert(0, (pair.tokenizer, make_tokenizer_loss(pair.tokenizer), s.tokenizer_fitting, "tokenizer"))
        for network, loss, fitting, name in plan:
            with adapt(network, method, s.lora, s.seed):
                report = fit_module(
                    network,
                    loss,
                    train=train,
                    validation=validation,
                    settings=fitting,
                    seed=s.seed,
                    checkpoint=self._find_checkpoint(name, train),
                )
            logger.info("%s: loss %.4f at step %d of %d", name, report.best_loss, report.best_step, report.steps)

    def _find_checkpoint(self, network: str, train: WindowExamples) -> Path | None:
        """Return the checkpoint of this training: its name holds what is trained and the data that it is trained on."""
        if self.settings.training_folder is None:
            return None
        content = hashlib.sha256(self.settings.model_dump_json().encode())
        content.update(train.values.tobytes())
        return Path(self.settings.training_folder) / f"{network}-{content.hexdigest()[:16]}.safetensors"

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
        text = json.dumps({"fields": self.fields, "notes": self.notes}, indent=2)
        write_atomically(folder / _STATE_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def _load_weights(self, folder: Path) -> None:
        state = json.loads((folder / _STATE_FILE).read_text(encoding="utf-8"))
        self.fields, self.notes = tuple(state["fields"]), tuple(state["notes"])
        pair = load_pair(folder)
        pair.tokenizer.to(self.settings.device)
        pair.model.to(self.settings.device)
        self._use(pair)


def _find_cutoff(settings: KronosBaseSettings) -> pd.Timestamp | None:
    """Return what the settings say, else what is known of a released checkpoint, else None."""
    if settings.knowledge_cutoff is not None:
        return pd.Timestamp(settings.knowledge_cutoff)
    return pd.Timestamp(RELEASE_CUTOFF) if settings.checkpoint in RELEASES else None


class KronosEnsemble(KronosAnalyst):
    """Kronos at several temperatures in one pass, reduced by a robust mean."""

    settings_class: ClassVar[type[AnalystSettings]] = KronosEnsembleSettings
