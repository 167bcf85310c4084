"""The analyst around Toto: closes in, the distribution of log returns out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from alfred.analysts.aggregation import aggregate_samples
from alfred.analysts.base import Analyst
from alfred.analysts.baseline import Comparison, compare_with_naive
from alfred.analysts.forecast import Forecast
from alfred.analysts.toto.covariates import fill_forward, require_variate_layers
from alfred.analysts.toto.history import forecast_history
from alfred.analysts.toto.networks import load_checkpoint, load_network, make_fresh_network, save_network
from alfred.analysts.toto.settings import KNOWLEDGE_CUTOFFS, REVISIONS, TotoSettings, check_lengths
from alfred.analysts.toto.training import train_network
from alfred.analysts.toto.v1.forecast import Toto1Forecaster
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v2.forecast import Toto2Forecaster
from alfred.analysts.toto.v2.network import Toto2
from alfred.analysts.toto.windows import PERCENT, Windows, prepare_windows, split_windows
from alfred.analysts.windows import hash_moves
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import ConfigError
from alfred.learning.fitting import FittingReport
from alfred.learning.hub import resolve_checkpoint
from alfred.typing import FloatArray

logger = logging.getLogger(__name__)

_COMPARED_DATES = 12


class TotoAnalyst(Analyst):
    """Forecasts each symbol from its own closes, and covariates if asked for, with Toto 1.0 or 2.0.

    Without a checkpoint `fit` trains a small network from scratch. With one, `fit` loads it and, as `fine_tune` says,
    trains nothing, everything or low-rank adapters. A released model has read unknown data until its release, so every
    forecast before `knowledge_cutoff` is suspect, fine-tuned or not.

    Every `fit` ends with a comparison with naive persistence at the longest horizon, in `comparison_` and in the log.

    Toto forecasts levels; the log return at a horizon is the forecast level minus the last one. Each step of 1.0 is a
    mixture of Student-t distributions, whose quantiles are exact while the horizons lie within one patch; beyond it
    paths have to be sampled. 2.0 gives deciles of every step in one pass, and the expected return is their mean, each
    standing for a tenth.

    Covariates are further variates of the same group, read in the layers that attend across variates. A window is a
    row of its own, so that no symbol sees another; only the price is forecast and learnt from.

    The pitfalls of feeding it: its scaler adds 0.1 to the variance (1.0), so raw daily returns arrive as nothing;
    padding changes the forecast, so contexts are cut to whole patches; NaN is not understood, so gaps are filled
    forward and marked.
    """

    settings_class = TotoSettings
    settings: TotoSettings

    network_: Toto1 | Toto2
    report_: FittingReport | None = None
    comparison_: Comparison | None = None

    def __init__(self, settings: TotoSettings) -> None:
        """Store the settings; what a checkpoint may have seen is known before it is loaded."""
        super().__init__(settings)
        self.fields = ("close", *settings.covariates)
        if settings.checkpoint is not None:
            cutoff = settings.knowledge_cutoff or KNOWLEDGE_CUTOFFS[settings.version]
            self.knowledge_cutoff = pd.Timestamp(cutoff)

    def fit(self, market: Market) -> Self:
        """Load, train or both; see the base class.

        Args:
            market: Everything that may be known.

        Raises:
            ConfigError: Context, horizon or patch do not fit the history or each other; the text proposes what does.
            DataError: There is nothing to train or validate on.
            CheckpointError: The checkpoint is missing or is no Toto of this version.
        """
        settings = self.settings
        network = self._load_checkpoint() if settings.checkpoint else make_fresh_network(settings)
        self._check_horizons(network)
        self.report_ = None
        if settings.checkpoint is None or settings.fine_tune != "none":
            patch = network.config.patch_size
            context = self.context_length // patch * patch
            check_lengths(self.context_length, patch, market.n_dates)
            train, validation = split_windows(
                market,
                context=context,
                patch_size=patch,
                input_scaling=settings.input_scaling,
                covariates=settings.covariates,
                validation_fraction=settings.validation_fraction,
            )
            self.report_ = train_network(network, settings, train, validation)
            logger.info(
                "%s: %d windows, best validation loss %.4f at step %d",
                settings.label,
                len(train),
                self.report_.best_loss,
                self.report_.best_step,
            )
        self._use(network)
        self._compare(market)
        return self

    def _compare(self, market: Market) -> None:
        """Set the run beside naive persistence on a dozen dates of the part that it was not trained on."""
        self.comparison_ = None
        split = int(market.n_dates * (1 - self.settings.validation_fraction))
        horizon = max(self.horizons)
        n_outcomes = market.n_dates - horizon - split
        if n_outcomes < 1 or split < self.min_history:
            logger.info("%s: the history is too short to compare with naive persistence", self.settings.label)
            return
        every = -(-n_outcomes // _COMPARED_DATES)
        self.comparison_ = compare_with_naive(self, market, horizon, since=market.dates[split], every_days=every)
        logger.info("%s", self.comparison_.summarise())

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        self.require_fitted()
        settings = self.settings
        windows = prepare_windows(
            contexts, settings.input_scaling, self.network_.config.patch_size, settings.covariates
        )
        pieces = [
            self._predict_piece(Windows(windows.series[rows], windows.mask[rows], windows.unit[rows]))
            for start in range(0, max(len(contexts), 1), settings.batch_size)
            for rows in (slice(start, start + settings.batch_size),)
        ]
        return Forecast(
            horizons=self.horizons,
            levels=self._forecaster.levels,
            mean=np.concatenate([mean for mean, _ in pieces]),
            quantiles=np.concatenate([quantiles for _, quantiles in pieces]),
        )

    def predict_history(
        self, market: Market, *, longest: int | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Forecast]:
        """Forecast from every session of a market in a few passes: with a large network several times faster.

        Nothing leaks, since every forecast reads what came before it alone; but the weights must be older than the
        market, as in every forecast of the past. The contexts grow with the history instead of being `context_length`
        long, so the numbers are not those of `predict`.

        Args:
            market: The market.
            longest: Longest context in sessions; twice `context_length` when None.

        Returns:
            Row and column of each forecast, `[B]`, by symbol and date, and the forecasts; only sessions with at least
            `min_history` sessions of the symbol behind them.

        Raises:
            ConfigError: A horizon lies beyond the patch, there are covariates, or the input_scaling is not `log_price`:
                the units of `standardised` change from window to window.
        """
        self.require_fitted()
        if self.settings.covariates:
            raise ConfigError(
                f"a table of past forecasts reads closes alone, not covariates {', '.join(self.settings.covariates)}; "
                "use predict"
            )
        if self.settings.input_scaling != "log_price":
            raise ConfigError(
                f"a table of past forecasts needs input_scaling 'log_price', not '{self.settings.input_scaling}'"
            )
        with np.errstate(invalid="ignore"):
            logs = PERCENT * np.log(np.where(market.tradable, market.close, np.nan).astype(np.float64))
        rows, columns, means, quantiles = [], [], [], []
        for column in range(market.n_symbols):
            listed = int(np.argmax(market.tradable[:, column]))
            series, observed = fill_forward(logs[listed:, column])
            mean, levels = forecast_history(
                self._forecaster,
                series - series[0],
                observed,
                self.horizons,
                longest=longest or 2 * self.context_length,
            )
            keep = np.flatnonzero((observed.cumsum() >= self.min_history) & observed & np.isfinite(mean[:, 0]))
            now = (series - series[0])[keep]
            rows.append(listed + keep)
            columns.append(np.full(len(keep), column))
            means.append((mean[keep] - now[:, None]) / PERCENT)
            quantiles.append((levels[keep] - now[:, None, None]) / PERCENT)
        forecast = Forecast(
            horizons=self.horizons,
            levels=self._forecaster.levels,
            mean=np.concatenate(means),
            quantiles=np.concatenate(quantiles),
        )
        return np.concatenate(rows), np.concatenate(columns), forecast

    def _predict_piece(self, windows: Windows) -> tuple[FloatArray, FloatArray]:
        """Return mean `[B, H]` and quantiles `[B, H, Q]` of the log return."""
        method, unit = self.settings.aggregation, windows.unit[:, None]
        steps = torch.tensor(self.horizons) - 1
        if isinstance(self._forecaster, Toto2Forecaster):
            deciles = self._forecaster.predict_deciles(windows.series, max(self.horizons), windows.mask)
            quantiles = deciles[:, 0, steps].double().numpy()
            mean = aggregate_samples(quantiles, method, axis=2)
        elif self.settings.samples:
            paths = self._forecaster.sample_paths(
                windows.series, max(self.horizons), self._draw_noise(windows), windows.mask
            )
            samples = paths[:, 0, :, steps].double().numpy()
            quantiles = np.moveaxis(np.quantile(samples, np.asarray(self._forecaster.levels), axis=1), 0, -1)
            mean = aggregate_samples(samples, method, axis=1)
        else:
            mixture = self._forecaster.predict_marginals(
                windows.series, windows.mask, steps=self.horizons, n_forecast=1
            )
            quantiles = mixture.quantiles(self._forecaster.levels)[:, 0]
            middle = self._forecaster.levels.index(0.5)
            mean = mixture.mean()[:, 0].double().numpy() if method == "mean" else quantiles[:, :, middle]
        return mean * unit, quantiles * unit[:, :, None]

    def _draw_noise(self, windows: Windows) -> torch.Tensor:
        """Return uniform noise for each window, `[B, V, S, T, 3]`, that follows from the seed and the window alone."""
        patch = self.network_.config.patch_size
        n_variates = windows.series.shape[1]
        shape = (n_variates, self.settings.samples, -(-max(self.horizons) // patch) * patch, 3)
        noise = np.empty((len(windows.unit), *shape), dtype=np.float32)
        moves = np.diff(windows.series[:, 0].double().numpy(), axis=1) * windows.unit[:, None]
        for row, own in enumerate(moves):
            noise[row] = _make_generator(own, self.settings.seed).random(shape, dtype=np.float32)
        return torch.from_numpy(noise)

    def _load_checkpoint(self) -> Toto1 | Toto2:
        checkpoint = resolve_checkpoint(
            str(self.settings.checkpoint), revision=self.settings.revision, pinned=REVISIONS
        )
        network = load_checkpoint(checkpoint, self.settings.version)
        require_variate_layers(network.transformer.spacewise, self.settings.covariates, checkpoint.source)
        return network

    def _check_horizons(self, network: Toto1 | Toto2) -> None:
        patch, longest = network.config.patch_size, max(self.horizons)
        if self.context_length < patch:
            raise ConfigError(f"context_length {self.context_length} must be at least one patch of {patch} sessions")
        if isinstance(network, Toto1) and longest > patch and not self.settings.samples:
            raise ConfigError(
                f"horizon {longest} lies beyond the patch of {patch} sessions: set samples (for instance 128) to "
                "forecast by paths, or shorten the horizons"
            )

    def _use(self, network: Toto1 | Toto2) -> None:
        self.network_ = network
        self._forecaster = Toto1Forecaster(network) if isinstance(network, Toto1) else Toto2Forecaster(network)
        self.is_fitted = True

    @property
    def _is_released(self) -> bool:
        """Whether the weights are those of the checkpoint, untouched."""
        return self.settings.checkpoint is not None and self.settings.fine_tune == "none"

    def _save_weights(self, folder: Path) -> None:
        # Released weights stay where they are: a copy for every refit of a walk would fill the disk.
        if not self._is_released:
            save_network(self.network_, folder)

    def _load_weights(self, folder: Path) -> None:
        self._use(self._load_checkpoint() if self._is_released else load_network(folder, self.settings.version))


def _make_generator(moves: FloatArray, seed: int) -> np.random.Generator:
    digest = hash_moves(moves, seed, digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
