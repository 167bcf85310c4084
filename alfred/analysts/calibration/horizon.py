"""Calibration of one horizon.

A score says how far an outcome was from the centre of its forecast, in some scale: `|outcome - median| / scale`. The
radius of the interval that should hold a share c of outcomes is the quantile of past scores at the level c (split
conformal prediction, Vovk et al., 2005; Lei et al., 2018), times the scale of today. Three things are added:

- Three scales compete: the forecast's own dispersion and the trailing volatility at two speeds. Their radii are
  averaged with weights that fall exponentially with the past pinball loss of each (Cesa-Bianchi and Lugosi, 2006). A
  dispersion that says nothing loses its weight.
- The level is corrected until the share that was held is the share that was meant (adaptive conformal inference, Gibbs
  and Candes, 2021), on the logit of the level, where every correction is a level.
- Where the calibrated quantiles had the higher pinball loss in the past, the raw ones are used.

The intervals lie symmetrically around the median that was forecast. Where a rise of the past is learnt as well, as
from signed scores, forecasts of 20 sessions get worse: the drift of a few years is mostly luck.

Axes legend: B outcomes, N symbols, S scales, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfred.analysts.calibration.scores import ScoreDistribution
from alfred.analysts.settings import CalibrationSettings
from alfred.typing import Float, FloatArray, IntArray

N_SCALES = 3
"""Own dispersion, fast and slow volatility."""

_SHARPNESS = 100.0  # a scale whose loss is one per cent higher weighs 1/e as much
_HIGHEST = 1 - 1e-6  # level of a radius


@dataclass(frozen=True)
class _Issued:
    """What was forecast, until its outcome is known.

    Attributes:
        centre: Median as it was forecast, `[N]`.
        used: Median as it was used, `[N]`.
        scales: `[N, S]`; NaN where the forecast is not calibrated.
        raw: Quantiles as they were forecast, `[N, Q]`.
        radii: Radii of each scale, `[S, Q]`, or None before there are enough outcomes.
        calibrated: Calibrated quantiles, `[N, Q]`.
    """

    centre: FloatArray
    used: FloatArray
    scales: FloatArray
    raw: FloatArray
    radii: Float | None
    calibrated: FloatArray


class HorizonCalibrator:
    """Learns from the outcomes of one horizon and calibrates its forecasts.

    Attributes:
        n_outcomes: Outcomes that were learnt from.
        losses: Decayed pinball losses of the scales, `[S]`.
        loss_of_calibrated: That of the calibrated quantiles.
        loss_of_raw: That of the raw ones.
        corrections: Added to the logit of the level of each radius, `[Q]`.
    """

    def __init__(self, settings: CalibrationSettings, horizon: int, levels: FloatArray) -> None:
        """Start without outcomes."""
        self._settings, self._horizon, self._levels = settings, horizon, levels
        self._coverage = np.abs(2 * levels - 1)
        self._order = np.argsort(self._coverage, kind="stable")
        self._scores = ScoreDistribution(N_SCALES)
        self._pending: dict[int, _Issued] = {}
        self._first: int | None = None
        self._latest = 0
        self._moments = np.zeros(2)
        self.n_outcomes = 0
        self.losses = np.zeros(N_SCALES)
        self.loss_of_calibrated = 0.0
        self.loss_of_raw = 0.0
        self.corrections = np.zeros(len(levels))

    def learn(self, session: int, outcomes: FloatArray) -> None:
        """Learn from the outcomes of what was forecast `horizon` sessions ago, if anything was.

        Args:
            session: Number of the session of today.
            outcomes: Log returns of the last `horizon` sessions, `[N]`; NaN where a symbol did not trade.
        """
        issued = self._pending.pop(session - self._horizon, None)
        if issued is None:
            return
        known = np.isfinite(outcomes) & np.isfinite(issued.scales).all(axis=1)
        if not known.any():
            return
        outcome, scales = outcomes[known], issued.scales[known]
        self._forget(session)
        self._scores.add(np.abs(outcome - issued.used[known])[:, None] / scales)
        self.n_outcomes += len(outcome)
        # Per unit of volatility, so that a wild symbol counts as much as a calm one.
        unit = scales[:, -1]
        centre, move = issued.centre[known] / unit, outcome / unit
        self._moments += float(np.mean(centre * move)), float(np.mean(centre**2))
        if issued.radii is not None:
            self._judge(issued, issued.radii, np.flatnonzero(known), outcome, unit)

    def calibrate(
        self, session: int, mean: FloatArray, centre: FloatArray, scales: FloatArray, raw: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the calibrated mean `[N]` and quantiles `[N, Q]` of today, and keep them until the outcome is known.

        Args:
            session: Number of the session of today.
            mean: Expected log returns, `[N]`.
            centre: Medians, `[N]`.
            scales: Each scale in log returns over the horizon, `[N, S]`; NaN in rows that are not to be calibrated.
            raw: Quantiles as they were forecast, `[N, Q]`.
        """
        if not self._is_ready(session):
            self._pending[session] = _Issued(centre, centre, scales, raw, None, raw)
            return mean, raw
        shrinkage = self._find_shrinkage()
        used, radii = shrinkage * centre, self._find_radii()
        reach = (scales * self._weigh()) @ radii
        reached = used[:, None] + np.sign(self._levels - 0.5) * reach
        calibrated = np.where(np.isfinite(reached), reached, raw)
        self._pending[session] = _Issued(centre, used, scales, raw, radii, calibrated)
        result = raw if self.loss_of_raw < self.loss_of_calibrated else calibrated
        return shrinkage * mean, result

    def _is_ready(self, session: int) -> bool:
        enough = self.n_outcomes >= self._settings.min_outcomes
        return enough and self._first is not None and session - self._first >= self._settings.min_sessions

    def _forget(self, session: int) -> None:
        """Let everything so far count less, by the sessions that went by."""
        if self._first is None:
            self._first = self._latest = session
        factor = (1 - 1 / self._settings.window) ** (session - self._latest)
        self._latest = session
        self._scores.decay(factor)
        self._moments *= factor
        self.losses *= factor
        self.loss_of_calibrated *= factor
        self.loss_of_raw *= factor

    def _judge(self, issued: _Issued, radii: Float, rows: IntArray, outcome: FloatArray, unit: FloatArray) -> None:
        """Add the losses of what was issued, and correct the levels by the share of outcomes that it held."""
        used, calibrated = issued.used[rows], issued.calibrated[rows]
        # One candidate a scale, `[S, B, Q]`, then the calibrated quantiles and the raw ones.
        reach = issued.scales[rows].T[:, :, None] * (np.sign(self._levels - 0.5) * radii)[:, None, :]
        candidates = np.concatenate([used[:, None] + reach, calibrated[None], issued.raw[rows][None]])
        apart = (outcome[:, None] - candidates) / unit[:, None]
        losses = np.maximum(self._levels * apart, (self._levels - 1) * apart).mean(axis=(1, 2))
        self.losses += losses[:N_SCALES]
        self.loss_of_calibrated += float(losses[-2])
        self.loss_of_raw += float(losses[-1])
        held = np.mean(np.abs(outcome - used)[:, None] <= np.abs(calibrated - used[:, None]), axis=0)
        inside = self._coverage > 0
        slope = np.where(inside, self._coverage * (1 - self._coverage), 1.0)
        # Outcomes overlap over the horizon: as many of them in a row say the same.
        step = self._settings.rate / self._horizon
        self.corrections += np.where(inside, 2 * step * (self._coverage - held) / slope, 0.0)

    def _weigh(self) -> Float:
        """Return the weight of each scale, `[S]`."""
        best = self.losses.min()
        weights = np.exp(-_SHARPNESS * (self.losses / best - 1)) if best > 0 else np.ones(N_SCALES)
        return np.asarray(weights / weights.sum())

    def _find_radii(self) -> Float:
        """Return the radius of each scale and level, in scales, `[S, Q]`; wider intervals are never shorter."""
        coverage = self._coverage
        with np.errstate(over="ignore"):
            odds = coverage / (1 - coverage) * np.exp(np.clip(self.corrections, -20, 20))
        radii = self._scores.quantile(np.minimum(odds / (1 + odds), _HIGHEST))[:, self._order]
        result = np.empty_like(radii)
        result[:, self._order] = np.maximum.accumulate(radii, axis=1)
        return result

    def _find_shrinkage(self) -> float:
        """Return the factor of the centre, in [0, 1]: least squares of past outcomes on past centres."""
        if not self._settings.shrink_centre or self._moments[1] <= 0:
            return 1.0
        return float(np.clip(self._moments[0] / self._moments[1], 0.0, 1.0))
