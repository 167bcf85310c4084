from __future__ import annotations

import itertools

import pandas as pd
import pytest
from pydantic import ValidationError

from alfred.data.settings import SplitSettings
from alfred.data.splits import make_folds
from alfred.errors import DataError

DATES = pd.bdate_range("2020-01-01", periods=60)


def test_expanding_folds_are_these_dates() -> None:
    settings = SplitSettings(n_folds=3, min_train_days=20, validation_days=5, embargo_days=1)
    assert [str(fold) for fold in make_folds(DATES, settings, horizon=2)] == [
        "fold 0  train 2020-01-01..2020-01-28  validation 2020-02-04..2020-02-10  test 2020-02-17..2020-02-27",
        "fold 1  train 2020-01-01..2020-02-10  validation 2020-02-17..2020-02-21  test 2020-02-28..2020-03-11",
        "fold 2  train 2020-01-01..2020-02-21  validation 2020-02-28..2020-03-05  test 2020-03-12..2020-03-24",
    ]


def test_rolling_folds_between_two_dates_are_these_dates() -> None:
    settings = SplitSettings(
        n_folds=2,
        min_train_days=10,
        train_days=10,
        validation_days=4,
        embargo_days=0,
        test_start="2020-02-17",
        test_end="2020-03-13",
    )
    assert [str(fold) for fold in make_folds(DATES, settings, horizon=2)] == [
        "fold 0  train 2020-01-20..2020-01-31  validation 2020-02-06..2020-02-11  test 2020-02-17..2020-02-28",
        "fold 1  train 2020-02-03..2020-02-14  validation 2020-02-20..2020-02-25  test 2020-03-02..2020-03-13",
    ]


@pytest.mark.parametrize(
    ("n_folds", "horizon", "lag", "embargo", "train_days"),
    list(itertools.product((1, 4), (1, 5), (0, 1), (0, 3), (None, 12))),
)
def test_no_label_reaches_the_next_range_and_tests_touch(
    n_folds: int, horizon: int, lag: int, embargo: int, train_days: int | None
) -> None:
    settings = SplitSettings(
        n_folds=n_folds, min_train_days=10, validation_days=6, embargo_days=embargo, train_days=train_days
    )
    folds = make_folds(DATES, settings, horizon, lag)
    position = {day: row for row, day in enumerate(DATES)}
    for fold in folds:
        for before, after in ((fold.train, fold.validation), (fold.validation, fold.test)):
            known = position[before[1]] + lag + horizon
            assert known + embargo < position[after[0]]
            # Nothing is wasted: one session less would break the line above.
            assert known + embargo + 1 == position[after[0]]
        assert position[fold.validation[1]] - position[fold.validation[0]] + 1 == 6
        n_train = position[fold.train[1]] - position[fold.train[0]] + 1
        assert n_train >= 10 if train_days is None else n_train <= train_days
    tests = [(position[fold.test[0]], position[fold.test[1]]) for fold in folds]
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(tests))
    assert tests[-1][1] == len(DATES) - 1


def test_a_short_history_says_what_is_there_and_what_is_needed() -> None:
    text = r"there are 60 sessions from 2020-01-01 to 2020-03-24.*needed are 97 before \(80 to train, 5 to validate, 6"
    with pytest.raises(DataError, match=text):
        make_folds(DATES, SplitSettings(min_train_days=80, validation_days=5, embargo_days=3), horizon=2)
    with pytest.raises(DataError, match="of which 10 before the first test and 50 to test on"):
        make_folds(DATES, SplitSettings(min_train_days=20, validation_days=5, test_start="2020-01-15"), horizon=2)
    with pytest.raises(DataError, match="there are no sessions"):
        make_folds(DATES[:0], SplitSettings(), horizon=1)


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="train_days 5 is below min_train_days 10"):
        SplitSettings(train_days=5, min_train_days=10)
    with pytest.raises(ValidationError, match="is after test_end"):
        SplitSettings(test_start="2021-01-01", test_end="2020-01-01")
