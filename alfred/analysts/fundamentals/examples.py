"""What the network learns from: one example a report, standardised, with a mask beside every value.

Axes legend: E examples, Q quarters, F columns, H horizons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from alfred.analysts.fundamentals.quarters import Quarters, find_reports, list_fields, read_quarters
from alfred.analysts.fundamentals.settings import FundamentalsAnalystSettings
from alfred.analysts.windows import CLIP, compute_forward_returns, scale_by_horizon
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.learning.split import split_by_session
from alfred.typing import Float

_PIECE = 512  # windows at once: each holds a thousand sessions or more
_FEWEST = 20  # examples to train on: with fewer a network learns their order
_NORMAL = 1.4826  # standard deviation of a normal over its median absolute deviation
_CLIP = 5.0
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Scale:
    """How columns become numbers without units: less `centre`, over `width`, each `[F]`.

    Both are of the reports that are trained on. The width is the median absolute deviation in units of a normal's, for
    a surprise in per cent of almost nothing must not set the scale; it is the standard deviation where half of the
    values are equal.
    """

    centre: Float
    width: Float

    @classmethod
    def fit(cls, values: Float) -> Self:
        """Measure the scale of values `[., F]`; the width of a column that does not move is 0."""
        centre, width = np.zeros(values.shape[1]), np.zeros(values.shape[1])
        for column, cells in enumerate(values.T):
            known = cells[np.isfinite(cells)]
            if not len(known):
                continue
            centre[column] = np.median(known)
            # What is left of a constant by rounding counts as one.
            if np.ptp(known) <= _NOTHING * np.abs(known).max():
                continue
            spread = _NORMAL * float(np.median(np.abs(known - centre[column])))
            width[column] = spread if spread > _NOTHING * np.ptp(known) else known.std()
        return cls(centre, width)

    def apply(self, quarters: Quarters) -> npt.NDArray[np.float32]:
        """Return what the network reads, `[B, Q, 2 F + 1]`: values, whether each is known, whether there was a report.

        What is unknown is 0 and marked so; what is known and average is 0 as well, and marked as known.
        """
        known = np.isfinite(quarters.values)
        scaled = np.clip((quarters.values - self.centre) / self.width, -_CLIP, _CLIP)
        parts = [np.where(known, scaled, 0.0), known, quarters.present[:, :, None]]
        return np.concatenate(parts, axis=2).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ReportExamples:
    """Reports with known outcomes, those to train on first.

    Attributes:
        inputs: `[E, Q, 2 F + 1]`.
        targets: Log returns after the report over the volatility before it, clipped, `[E, H]`.
        n_train: Examples to train on; the rest, later and purged, validates.
        columns: What is read at each report; those that do not move are not among them, `[F]`.
        dropped: Columns that do not move.
        scale: Of the columns.
    """

    inputs: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    n_train: int
    columns: tuple[str, ...]
    dropped: tuple[str, ...]
    scale: Scale


def make_examples(market: Market, settings: FundamentalsAnalystSettings, columns: tuple[str, ...]) -> ReportExamples:
    """Return every report of a market whose outcome it still contains, split in time.

    Raises:
        DataError: There are too few reports, or a column that was named does not move.
    """
    quarters, labels, sessions = _read_all(market, settings, columns)
    if not len(sessions):
        raise _refuse(0, market, settings)
    train, validation = split_by_session(
        sessions, horizon=max(settings.horizons), validation_fraction=settings.validation_fraction
    )
    if len(train) < _FEWEST:
        raise _refuse(len(train), market, settings)
    scale = Scale.fit(quarters.values[train].reshape(-1, len(columns)))
    moving = scale.width > 0
    dropped = tuple(name for name, moves in zip(columns, moving, strict=True) if not moves)
    if settings.columns is not None and dropped:
        cells = quarters.values[train][:, :, columns.index(dropped[0])]
        known = cells[np.isfinite(cells)]
        raise DataError(
            f"column '{dropped[0]}' of analyst '{settings.label}' is {'constant' if len(known) else 'unknown'}"
            f"{f' ({known[0]:g})' if len(known) else ''} in all {len(train)} reports that are trained on: it has no "
            "scale; leave it out of columns, or give a history in which it moves"
        )
    if not moving.any():
        raise DataError(f"nothing that analyst '{settings.label}' could read moves in this history")
    keep = np.concatenate([train, validation])
    chosen = Quarters(
        quarters.values[keep][:, :, moving], quarters.present[keep], quarters.standing[keep], quarters.volatility[keep]
    )
    scale = Scale(scale.centre[moving], scale.width[moving])
    names = tuple(name for name in columns if name not in dropped)
    targets = labels[keep].astype(np.float32)
    return ReportExamples(scale.apply(chosen), targets, len(train), names, dropped, scale)


def _read_all(
    market: Market, settings: FundamentalsAnalystSettings, columns: tuple[str, ...]
) -> tuple[Quarters, Float, npt.NDArray[np.integer]]:
    """Return all reports with a known outcome in order of date, their labels `[E, H]` and their sessions `[E]`."""
    rows, symbols = find_reports(market)
    forward = compute_forward_returns(market, settings.horizons)[rows, symbols]
    known = np.isfinite(forward).all(axis=1)
    rows, symbols, forward = rows[known], symbols[known], forward[known]
    parts, fields = [], list_fields(columns)
    for start in range(0, len(rows), _PIECE):
        piece = slice(start, start + _PIECE)
        windows = make_contexts(market, rows[piece], symbols[piece], length=settings.context_length, fields=fields)
        parts.append(read_quarters(windows, columns, settings))
    shape = (0, settings.quarters)
    empty = Quarters(np.empty((*shape, len(columns))), np.empty(shape, bool), np.empty(0, bool), np.empty(0))
    names = ("values", "present", "standing", "volatility")
    whole = Quarters(*(np.concatenate([getattr(part, name) for part in (*parts, empty)]) for name in names))
    labels = np.clip(forward / scale_by_horizon(whole.volatility, settings.horizons), -CLIP, CLIP)
    stands = np.flatnonzero(whole.standing)
    kept = Quarters(*(getattr(whole, name)[stands] for name in names))
    return kept, labels[stands], rows[stands]


def _refuse(count: int, market: Market, settings: FundamentalsAnalystSettings) -> DataError:
    return DataError(
        f"analyst '{settings.label}' has {count} reports to train on until {market.dates[-1].date()}, needed are "
        f"{_FEWEST}: a report needs {max(settings.horizons)} sessions after it, and the last "
        f"{settings.validation_fraction:.0%} validate; start later, add symbols, or shorten horizons"
    )
