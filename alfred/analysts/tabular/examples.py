"""A market as a table to learn from: features, standardised labels, and the purged split.

Axes legend: E examples, F features, H horizons, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alfred.analysts.tabular.features import compute_features
from alfred.analysts.tabular.settings import TableSettings, TabularSettings
from alfred.analysts.windows import compute_window_volatility, iterate_labelled, scale_by_horizon
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.learning.split import split_by_session
from alfred.typing import Float

Names = tuple[str, ...]
"""Names of features, `[F]`."""


@dataclass(frozen=True, eq=False)
class Examples:
    """What an analyst learns from.

    Attributes:
        names: Names of the features, `[F]`.
        values: Features, `[E, F]`; NaN where unknown.
        labels: Forward log returns over `scales`, clipped, `[E, H]`.
        scales: Volatility of each window over each horizon, `[E, H]`.
        sessions: Row of the market at which each was forecast, `[E]`.
        train: Rows before the validation part whose labels are known before it begins.
        validation: Rows of the validation part.
    """

    names: Names
    values: Float
    labels: Float
    scales: Float
    sessions: npt.NDArray[np.integer]
    train: npt.NDArray[np.intp]
    validation: npt.NDArray[np.intp]


def choose_fields(market: Market, settings: TabularSettings) -> tuple[str, ...]:
    """Return the fields that a context must hold: close, volume where it is known, and the chosen columns.

    Raises:
        DataError: The market lacks a column.
    """
    for name in settings.columns:
        market.field(name)
    return ("close", *(("volume",) if market.volume is not None else ()), *settings.columns)


def compute_scales(contexts: Contexts, horizons: tuple[int, ...]) -> Float:
    """Return the volatility of each window over each horizon, `[B, H]`."""
    return scale_by_horizon(compute_window_volatility(contexts), horizons).astype(np.float64)


def read_columns(contexts: Contexts, settings: TabularSettings) -> tuple[Float, Names]:
    """Return the features of each window and the chosen columns at its last bar, `[B, F]`, and their names."""
    values, names = compute_features(contexts, settings.features)
    columns = [contexts.field(name)[:, -1].astype(np.float64) for name in settings.columns]
    table = np.column_stack([values, *columns])
    # Neither a linear model nor a bin of a tree has a place for the infinite.
    return np.where(np.isfinite(table), table, np.nan), (*names, *settings.columns)


def make_examples(
    market: Market, settings: TableSettings, fields: tuple[str, ...], read: Callable[[Contexts], tuple[Float, Names]]
) -> Examples:
    """Return every window with a known label as an example, ordered by date.

    Args:
        market: Everything that may be known.
        settings: Horizons, context length, and the share that validates.
        fields: Fields of a window.
        read: Returns the features of windows, `[B, F]`, and their names.

    Raises:
        DataError: The history is too short.
    """
    values, labels, scales, rows = [], [], [], []
    names: tuple[str, ...] = ()
    for windows in iterate_labelled(market, settings, fields):
        table, names = read(windows.contexts)
        values.append(table[windows.known])
        labels.append(windows.labels.astype(np.float64))
        scales.append(windows.scales.astype(np.float64))
        rows.append(windows.rows)
    order = np.concatenate(rows)
    train, validation = split_by_session(
        order, horizon=max(settings.horizons), validation_fraction=settings.validation_fraction
    )
    return Examples(
        names, np.concatenate(values), np.concatenate(labels), np.concatenate(scales), order, train, validation
    )


def drop_constant(examples: Examples) -> tuple[Examples, Names]:
    """Return the examples without features that are the same in all of them, and the names of those."""
    dropped = tuple(
        name for name, values in zip(examples.names, examples.values.T, strict=True) if _is_constant(values)
    )
    kept = [position for position, name in enumerate(examples.names) if name not in dropped]
    names = tuple(examples.names[position] for position in kept)
    return replace(examples, names=names, values=examples.values[:, kept]), dropped


def check_dropped(examples: Examples, dropped: Names, settings: TabularSettings) -> None:
    """Refuse to learn from nothing.

    Args:
        examples: Before anything was dropped.
        dropped: Names of the features that do not move.
        settings: Names the columns.

    Raises:
        DataError: A column that was chosen by name is one of them, or nothing is left.
    """
    for name in settings.columns:
        if name in dropped:
            known = examples.values[:, examples.names.index(name)]
            known = known[np.isfinite(known)]
            what = f"constant ({known[0]:g})" if len(known) else "unknown"
            raise DataError(
                f"column '{name}' of analyst '{settings.label}' is {what} in all {len(examples.values)} training "
                "windows: it cannot be standardised and says nothing; leave it out of columns, or give a history in "
                "which it moves"
            )
    if len(dropped) == len(examples.names):
        raise DataError(
            f"every feature of analyst '{settings.label}' is constant in the training windows: the prices do not move"
        )


def _is_constant(values: Float) -> bool:
    known = values[np.isfinite(values)]
    # What is left of a constant by rounding counts as one.
    return not len(known) or float(np.ptp(known)) <= 1e-9 * float(np.abs(known).max())
