"""Tables of past forecasts: one for every session of a series, at the price of one token a session.

A causal pass over a series gives a forecast at the end of every patch. P passes that start on P different sessions give
one at the end of every session, each from all that was known by then. A batch of single windows would read C / P tokens
for each. The numbers differ from those of single windows only in the context, which here grows with the series.

Axes legend: T sessions, P steps of a patch, N patches, H horizons, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from alfred.analysts.toto.mixture import Mixture
from alfred.analysts.toto.v1.forecast import Toto1Forecaster
from alfred.analysts.toto.v2.forecast import Toto2Forecaster
from alfred.errors import ConfigError
from alfred.typing import BoolArray, FloatArray

# Tokens in one pass: enough to fill the matrices, few enough for the memory of a laptop at 151M parameters.
_TOKENS = 4096


def forecast_history(
    forecaster: Toto1Forecaster | Toto2Forecaster,
    series: FloatArray,
    observed: BoolArray,
    steps: Sequence[int],
    *,
    longest: int,
) -> tuple[FloatArray, FloatArray]:
    """Forecast from every session of one series.

    Args:
        forecaster: Of either version.
        series: Values, filled where not observed, `[T]`.
        observed: `[T]`.
        steps: Sessions ahead, 1 to P.
        longest: Longest context, in sessions. A longer series is read in stretches of this length, each beginning half
            of it before the first session that it is asked for, so that contexts hold between half and all of it.

    Returns:
        Mean `[T, H]` and quantiles `[T, H, Q]` of the value itself, float64; NaN before a first patch is full and
        observed.

    Raises:
        ConfigError: A step lies beyond the patch, or `longest` is shorter than two patches.
    """
    p = forecaster.patch_size
    if max(steps) > p or min(steps) < 1:
        raise ConfigError(f"a table forecasts 1 to {p} sessions ahead, the patch; got {tuple(steps)}")
    if longest < 2 * p:
        raise ConfigError(f"longest context {longest} must be at least two patches of {p} sessions")
    mean, quantiles = _make_blank(forecaster, len(series), len(steps))
    half = longest // 2
    for start in range(0, max(len(series) - half, 1), half):
        stretch = slice(start, start + longest)
        asked = 0 if start == 0 else half
        part = _forecast_stretch(forecaster, series[stretch], observed[stretch], steps, asked)
        mean[start + asked : start + longest] = part[0][asked:]
        quantiles[start + asked : start + longest] = part[1][asked:]
    return mean, quantiles


def _forecast_stretch(
    forecaster: Toto1Forecaster | Toto2Forecaster,
    series: FloatArray,
    observed: BoolArray,
    steps: Sequence[int],
    asked: int,
) -> tuple[FloatArray, FloatArray]:
    """Forecast from the sessions of one stretch from `asked` on: passes that start on each of its first P sessions."""
    p, n_sessions = forecaster.patch_size, len(series)
    mean, quantiles = _make_blank(forecaster, n_sessions, len(steps))
    n_patches = n_sessions // p
    if not n_patches:
        return mean, quantiles
    # The last passes reach up to P - 1 sessions past the end: those patches are thrown away below.
    padded = np.pad(series.astype(np.float32), (0, p - 1), mode="edge")
    starts = np.arange(min(p, n_sessions - p + 1))
    per_pass = max(1, _TOKENS // n_patches)
    for chunk in np.split(starts, range(per_pass, len(starts), per_pass)):
        rows = chunk[:, None] + np.arange(n_patches * p)
        inside = rows < n_sessions
        values = torch.from_numpy(padded[np.minimum(rows, n_sessions + p - 2)])[:, None]
        mask = torch.from_numpy(inside & observed[np.minimum(rows, n_sessions - 1)])[:, None]
        ends = chunk[:, None] + p * np.arange(1, n_patches + 1) - 1
        wanted = (ends >= asked) & (ends < n_sessions)
        places, piece_mean, piece_quantiles = _read_patches(forecaster, values, mask, steps, wanted)
        mean[ends[places]], quantiles[ends[places]] = piece_mean, piece_quantiles
    return mean, quantiles


def _read_patches(
    forecaster: Toto1Forecaster | Toto2Forecaster,
    values: torch.Tensor,
    mask: torch.Tensor,
    steps: Sequence[int],
    wanted: BoolArray,
) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Return which of the wanted patches `[B, N]` have enough behind them, their means `[M, H]` and quantiles."""
    if isinstance(forecaster, Toto1Forecaster):
        mixture, count = forecaster.predict_every_patch(values, mask, steps)
        places = wanted & (count[:, 0] >= forecaster.patch_size).numpy()
        chosen = Mixture(*(part[:, 0][torch.from_numpy(places)] for part in vars(mixture).values()))
        return places, chosen.mean().double().numpy(), chosen.quantiles(forecaster.levels)
    deciles, count = forecaster.predict_every_patch(values, mask, steps)
    places = wanted & (count[:, 0] >= forecaster.patch_size).numpy()
    quantiles = deciles[:, 0].double().numpy()[places]
    return places, quantiles.mean(axis=-1), quantiles


def _make_blank(
    forecaster: Toto1Forecaster | Toto2Forecaster, n_sessions: int, n_steps: int
) -> tuple[FloatArray, FloatArray]:
    shape = (n_sessions, n_steps)
    return np.full(shape, np.nan), np.full((*shape, len(forecaster.levels)), np.nan)
