"""When agents are refitted after the end of a run: its folds go on, each as long as the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from alfred.config import Experiment
from alfred.data.splits import Fold, compute_gap, cut_fold
from alfred.training.prepared import find_longest_horizon


def extend_folds(folds: Sequence[Fold], dates: pd.DatetimeIndex, experiment: Experiment) -> list[Fold]:
    """Return the folds of a run as they go on over later sessions.

    The folds of the run stay as they are. A new one begins each time that as many sessions have passed as the last
    fold of the run had to test on: its policy decides from the close before its first session on, and is trained on
    what was known then. The last fold goes on to the end of the data.

    Args:
        folds: Of the run.
        dates: All sessions that are known now, `[T]`.
        experiment: The configuration of the run.
    """
    known = dates[experiment.forecast.min_train_days :]
    last = folds[-1]
    length = find_length(last, dates)
    gap = compute_gap(experiment.splits, find_longest_horizon(experiment))
    start = int(known.searchsorted(last.test[0])) + length
    found = list(folds)
    while start <= len(known):
        # The first session may not be known yet; the day after the decision stands before it, whenever that is.
        first = known[start - 1] + pd.Timedelta(days=1)
        end = known[min(start + length, len(known)) - 1]
        found.append(cut_fold(known, experiment.splits, len(found), start, first, max(first, end), gap))
        start += length
    found[-1] = replace(found[-1], test=(found[-1].test[0], max(found[-1].test[1], dates[-1])))
    return found


def find_length(fold: Fold, dates: pd.DatetimeIndex) -> int:
    """Return the sessions that a fold tests on."""
    first, last = fold.test
    return int(dates.searchsorted(last, side="right") - dates.searchsorted(first, side="left"))


def count_until_refit(folds: Sequence[Fold], base: Sequence[Fold], dates: pd.DatetimeIndex) -> int:
    """Return the sessions until the next fold begins.

    Args:
        folds: As they go on.
        base: Those of the run.
        dates: All sessions that are known.
    """
    passed = len(dates) - int(dates.searchsorted(folds[-1].test[0], side="left"))
    return find_length(base[-1], dates) - passed
