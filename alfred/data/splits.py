"""Walk-forward folds: what may be trained on, chosen on and judged on, in that order in time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date

import pandas as pd
from pydantic import Field, model_validator

from alfred.errors import DataError
from alfred.settings import Settings

Range = tuple[pd.Timestamp, pd.Timestamp]


class SplitSettings(Settings):
    """How the sessions are cut.

    Attributes:
        test_start: First date that is judged; the earliest that leaves `min_train_days` when left out.
        test_end: Last date that is judged; the end of the data when left out.
        n_folds: Test ranges, contiguous and of equal length up to one session.
        validation_days: Sessions before each test range on which checkpoints and parameters are chosen.
        min_train_days: Sessions that the first fold must have to train on.
        train_days: Sessions to train on at most (rolling); all earlier ones when left out (expanding).
        embargo_days: Sessions left out besides the purge, against serial correlation.
    """

    test_start: date | None = None
    test_end: date | None = None
    n_folds: int = Field(default=3, ge=1)
    validation_days: int = Field(default=252, ge=1)
    min_train_days: int = Field(default=756, ge=1)
    train_days: int | None = Field(default=None, ge=1)
    embargo_days: int = Field(default=5, ge=0)

    @model_validator(mode="after")
    def _check_together(self) -> SplitSettings:
        if self.train_days is not None and self.train_days < self.min_train_days:
            raise ValueError(f"train_days {self.train_days} is below min_train_days {self.min_train_days}; raise it")
        if self.test_start is not None and self.test_end is not None and self.test_start > self.test_end:
            raise ValueError(f"test_start {self.test_start} is after test_end {self.test_end}; swap them")
        return self


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
    gap = horizon + execution_lag + settings.embargo_days
    needed = settings.min_train_days + gap + settings.validation_days + gap
    stop = len(dates)
    if settings.test_end is not None:
        stop = int(dates.searchsorted(pd.Timestamp(settings.test_end), side="right"))
    first = needed
    if settings.test_start is not None:
        first = int(dates.searchsorted(pd.Timestamp(settings.test_start), side="left"))
    if first < needed or stop - first < settings.n_folds:
        raise DataError(
            f"the history is too short for {settings.n_folds} fold(s): {_spell(dates)}, of which {min(first, stop)} "
            f"before the first test and {max(stop - first, 0)} to test on; needed are {needed} before "
            f"({settings.min_train_days} to train, {settings.validation_days} to validate, {gap} dropped twice) and "
            f"{settings.n_folds} to test on. Load more data, or lower min_train_days, validation_days or n_folds"
        )
    edges = [first + (stop - first) * number // settings.n_folds for number in range(settings.n_folds + 1)]
    folds = []
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        validation_start = start - gap - settings.validation_days
        train_stop = validation_start - gap
        train_start = 0 if settings.train_days is None else max(0, train_stop - settings.train_days)
        folds.append(
            Fold(
                index=index,
                train=(dates[train_start], dates[train_stop - 1]),
                validation=(dates[validation_start], dates[start - gap - 1]),
                test=(dates[start], dates[end - 1]),
            )
        )
    return folds


def _spell(dates: pd.DatetimeIndex) -> str:
    if not len(dates):
        return "there are no sessions"
    return f"there are {len(dates)} sessions from {dates[0].date()} to {dates[-1].date()}"
