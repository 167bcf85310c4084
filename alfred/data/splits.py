"""Walk-forward folds: what may be trained on, chosen on and judged on, in that order in time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pandas as pd

from alfred.data.settings import SplitSettings
from alfred.errors import DataError

Range = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Fold:
    """One fold; every range is inclusive at both ends.

    Attributes:
        index: Number of the fold, from 0.
        train: First and last session to train on.
        validation: First and last session to choose on.
        test: First and last session to judge on.
    """

    index: int
    train: Range
    validation: Range
    test: Range

    def __str__(self) -> str:
        """Return the fold on one line, for a reader."""
        parts = (("train", self.train), ("validation", self.validation), ("test", self.test))
        spelt = "  ".join(f"{name} {first.date()}..{last.date()}" for name, (first, last) in parts)
        return f"fold {self.index}  {spelt}"


def make_folds(dates: pd.DatetimeIndex, settings: SplitSettings, horizon: int, execution_lag: int = 1) -> list[Fold]:
    """Cut sessions into walk-forward folds.

    Between train and validation, and between validation and test, `horizon + execution_lag + embargo_days` sessions
    are dropped: a label made at the close of t is only known at the close of t + execution_lag + horizon, so that no
    label of one range reaches into the next. The test ranges touch each other and cover everything up to the end.

    Args:
        dates: Sessions, ascending, `[T]`.
        settings: How to cut.
        horizon: Longest horizon of any label or forecast, in sessions.
        execution_lag: Sessions from a decision to its trade.

    Raises:
        DataError: The history is too short; the text says what is there and what is needed.
    """
    gap = compute_gap(settings, horizon, execution_lag)
    needed = settings.min_train_days + gap + settings.validation_days + gap
    stop = len(dates)
    if settings.test_end is not None:
        stop = int(dates.searchsorted(pd.Timestamp(settings.test_end), side="right"))
    first = needed
    if settings.test_start is not None:
        first = int(dates.searchsorted(pd.Timestamp(settings.test_start), side="left"))
    if first < needed or stop - first < settings.n_folds:
        raise DataError(
            f"the history is too short for {settings.n_folds} fold(s): {_format(dates)}, of which {min(first, stop)} "
            f"before the first test and {max(stop - first, 0)} to test on; needed are {needed} before "
            f"({settings.min_train_days} to train, {settings.validation_days} to validate, {gap} dropped twice) and "
            f"{settings.n_folds} to test on. Load more data, or lower min_train_days, validation_days or n_folds"
        )
    edges = [first + (stop - first) * number // settings.n_folds for number in range(settings.n_folds + 1)]
    folds = []
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        folds.append(cut_fold(dates, settings, index, start, dates[start], dates[end - 1], gap))
    return folds


def cut_fold(
    dates: pd.DatetimeIndex,
    settings: SplitSettings,
    index: int,
    start: int,
    first: pd.Timestamp,
    last: pd.Timestamp,
    gap: int,
) -> Fold:
    """Return the fold that is judged from a row on.

    Args:
        dates: Sessions, ascending, `[T]`; those before `start` are enough.
        settings: How to cut.
        index: Number of the fold.
        start: Row of the first session to judge on.
        first: Its date.
        last: Last session to judge on.
        gap: Sessions dropped between train and validation, and between validation and test.
    """
    validation_start = start - gap - settings.validation_days
    train_stop = validation_start - gap
    train_start = 0 if settings.train_days is None else max(0, train_stop - settings.train_days)
    return Fold(
        index=index,
        train=(dates[train_start], dates[train_stop - 1]),
        validation=(dates[validation_start], dates[start - gap - 1]),
        test=(first, last),
    )


def compute_gap(settings: SplitSettings, horizon: int, execution_lag: int = 1) -> int:
    """Return the sessions that are dropped between ranges; see `make_folds`."""
    return horizon + execution_lag + settings.embargo_days


def _format(dates: pd.DatetimeIndex) -> str:
    if not len(dates):
        return "there are no sessions"
    return f"there are {len(dates)} sessions from {dates[0].date()} to {dates[-1].date()}"
