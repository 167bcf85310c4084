"""What networks learn from: standardised windows of returns and standardised forward returns, as arrays.

Axes legend: B windows, C context length, F channels, E examples, H horizons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.analysts.settings import NetworkSettings
from alfred.analysts.windows import CLIP, compute_window_returns, compute_window_volatility, iterate_labelled
from alfred.data.contexts import Contexts
from alfred.data.features.names import LEVELS
from alfred.data.market import Market
from alfred.learning.split import split_by_session

_NO_TRADE = 0.01  # a session without trades counts as a hundredth of the usual volume, since its logarithm must exist

Single = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WindowExamples:
    """Windows with known outcomes, those to train on first.

    Attributes:
        inputs: Standardised windows, `[E, C-1, F]`.
        targets: Forward log returns in spreads of the window, `[E, H]`.
        n_train: Examples to train on; the rest, later and purged, validates.
    """

    inputs: Single
    targets: Single
    n_train: int


def standardise_windows(contexts: Contexts) -> Single:
    """Return the windows without units, one channel a field, `[B, C-1, F]`, each clipped to 8 either way.

    `close` becomes the percentage return of the bar over the window's volatility, `open`, `high` and `low` their
    percentage distance from the previous close over the same volatility, and `volume` its surprise: the logarithm of
    the volume over the mean volume of the window. An index of market or sector becomes its percentage return over the
    volatility of the symbol. A value beside a missing bar is 0. Every window is read alone.
    """
    volatility = compute_window_volatility(contexts)[:, None]
    close = contexts.field("close").astype(np.float64)
    channels = []
    for name in contexts.fields:
        if name == "close":
            channel = np.expm1(compute_window_returns(contexts)) / volatility
        elif name == "volume":
            channel = _compute_volume_surprise(contexts.field(name).astype(np.float64))[:, 1:]
        elif name in LEVELS:
            channel = np.diff(contexts.field(name).astype(np.float64), axis=1)
            channel = channel / contexts.field(name)[:, :-1] / volatility
        else:
            price = contexts.field(name).astype(np.float64)
            channel = (price[:, 1:] / close[:, :-1] - 1) / volatility
        channels.append(np.clip(np.nan_to_num(channel, nan=0.0), -CLIP, CLIP))
    return np.stack(channels, axis=2).astype(np.float32)


def make_examples(market: Market, settings: NetworkSettings) -> WindowExamples:
    """Return every window of a market whose outcome it still contains, split in time.

    Raises:
        DataError: The history is too short, or the market lacks a field.
    """
    inputs, targets, rows = [], [], []
    for windows in iterate_labelled(market, settings, settings.fields):
        inputs.append(standardise_windows(windows.contexts)[windows.known])
        targets.append(windows.labels.astype(np.float32))
        rows.append(windows.rows)
    train, validation = split_by_session(
        np.concatenate(rows), horizon=max(settings.horizons), validation_fraction=settings.validation_fraction
    )
    keep = np.concatenate([train, validation])
    return WindowExamples(np.concatenate(inputs)[keep], np.concatenate(targets)[keep], len(train))


def _compute_volume_surprise(volume: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log(volume / mean of the window), `[B, C]`; NaN where it is missing, 0 where nothing was ever traded."""
    known = np.isfinite(volume)
    usual = np.where(known, volume, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    relative = volume / np.where(usual > 0, usual, 1.0)[:, None]
    return np.asarray(np.log(np.maximum(relative, _NO_TRADE)) * (usual > 0)[:, None])
