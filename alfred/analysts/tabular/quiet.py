"""Ridge regression that says nothing unless there is something to say.

Axes legend: E examples, F features, H horizons, B batch, S sessions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alfred.analysts.tabular.base import Arrays, TableAnalyst
from alfred.analysts.tabular.examples import Examples
from alfred.analysts.tabular.ridge import LinearModel
from alfred.analysts.tabular.settings import QuietSettings
from alfred.data.contexts import Contexts
from alfred.typing import Float, FloatArray

_FEWEST_SESSIONS = 20


class QuietAnalyst(TableAnalyst):
    """One linear model a horizon, kept only where its gain on held-out sessions is credible.

    The forecast is `scale_h sum_f b_hf (x_f - centre_f) / width_f`, with the volatility of the window over the horizon
    as scale. There is no intercept: the mean return of the past is not what these numbers say, so that all skill
    against persistence is theirs, and without them the forecast is no change. What is unknown counts as the mean of
    the past and adds nothing.

    The penalty of each horizon is the one with the smallest squared error on the validation part. The horizon is kept
    when the gain of that error over that of no forecast is at least `min_t` standard errors (by session, which counts
    symbols of a day once; Newey and West 1987, for labels that overlap). Otherwise its coefficients are zero and a note
    says so. What is kept is fitted again on everything.

    Attributes:
        evidence_: Gain on the validation part in standard errors, `[H]`; NaN where it cannot be measured.
        model_: The model; its coefficients are zero where the evidence does not suffice.
    """

    settings: QuietSettings

    evidence_: Float
    model_: LinearModel

    def reduce(self, contexts: Contexts) -> FloatArray:
        """Return what is read off each window, NaN where unknown, and its masks, `[B, own_components]`."""
        self.require_fitted()
        values, _ = self._read(contexts)
        return np.concatenate([values, np.isfinite(values)], axis=1) if self.settings.masks else values

    def _learn(self, examples: Examples) -> tuple[str, ...]:
        values, labels = examples.values, examples.labels
        train, validation = examples.train, examples.validation
        grid = np.sort(np.asarray(self.settings.penalties, dtype=np.float64))[::-1]
        drift = labels[train].mean(axis=0)
        truth = labels[validation] - drift
        forecasts = [
            LinearModel.fit(values[train], labels[train], np.full(labels.shape[1], penalty)).predict(values[validation])
            - drift
            for penalty in grid
        ]
        errors = np.stack([np.mean((truth - forecast) ** 2, axis=0) for forecast in forecasts])
        best = np.argmin(errors, axis=0)  # the largest penalty among equals
        self.spread_ = np.sqrt(np.mean(labels[validation] ** 2, axis=0))
        self.evidence_ = np.full(labels.shape[1], np.nan)
        for position, horizon in enumerate(self.horizons):
            forecast = forecasts[best[position]][:, position]
            gain = truth[:, position] ** 2 - (truth[:, position] - forecast) ** 2
            self.evidence_[position] = measure_gain(gain, examples.sessions[validation], horizon)
        kept = np.nan_to_num(self.evidence_, nan=-np.inf) >= self.settings.min_t
        # A gain that is none says nothing, however low the bar is.
        kept &= np.nan_to_num(self.evidence_, nan=0.0) > 0.0
        model = LinearModel.fit(values, labels, grid[best])
        self.model_ = replace(
            model,
            coefficients=np.where(kept[:, None], model.coefficients, 0.0),
            intercept=np.zeros_like(model.intercept),
        )
        return tuple(
            f"{self.settings.label} found nothing credible {horizon} session{'s' if horizon > 1 else ''} ahead in the "
            "held-out part of at least one history, and forecast no change from it."
            for horizon, is_kept in zip(self.horizons, kept, strict=True)
            if not is_kept
        )

    def _forecast(self, values: Float, scales: Float) -> Float:
        return self.model_.predict(values) * scales

    def _to_tensors(self) -> Arrays:
        return {"evidence": self.evidence_, **vars(self.model_)}

    def _from_tensors(self, arrays: Arrays) -> None:
        self.model_ = LinearModel.from_arrays(arrays, len(self.names_), len(self.horizons))
        self.evidence_ = arrays["evidence"]
        if self.evidence_.shape != (len(self.horizons),):
            raise ValueError(f"'evidence' has shape {self.evidence_.shape}, not {(len(self.horizons),)}")


def measure_gain(gains: Float, sessions: npt.NDArray[np.integer], horizon: int) -> float:
    """Return the mean gain a session in standard errors; NaN where there are fewer than 20 sessions or no spread.

    The standard error is that of Newey and West (1987) with Bartlett weights over `max(horizon - 1, 4 (S / 100)^(2/9))`
    lags: labels of neighbouring sessions overlap.

    Args:
        gains: Of each example, `[E]`.
        sessions: Row of the market at which each was forecast, `[E]`.
        horizon: Sessions that a label reaches ahead.
    """
    _, places = np.unique(sessions, return_inverse=True)
    counts = np.bincount(places)
    daily = np.bincount(places, weights=gains) / counts
    if len(daily) < _FEWEST_SESSIONS:
        return float("nan")
    lags = min(max(horizon - 1, int(4 * (len(daily) / 100) ** (2 / 9))), len(daily) - 1)
    apart = daily - daily.mean()
    variance = float(apart @ apart)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(apart[lag:] @ apart[:-lag])
    # A difference of rounding has no spread worth the name.
    if variance <= 1e-24 * len(daily):
        return float("nan")
    return float(daily.mean() * len(daily) / np.sqrt(variance))
