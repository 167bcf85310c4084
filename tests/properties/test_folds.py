"""Folds between a first and a last date that somebody named."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.data.settings import SplitSettings
from alfred.data.splits import make_folds
from alfred.errors import DataError

DATES = pd.bdate_range("2001-01-01", periods=500)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.one_of(st.none(), st.integers(-40, 720)),
    st.one_of(st.none(), st.integers(-40, 720)),
    st.integers(1, 6),
    st.integers(0, 10),
    st.integers(1, 20),
)
def test_tests_begin_and_end_where_they_were_told_to(
    start: int | None, end: int | None, n_folds: int, embargo: int, horizon: int
) -> None:
    if start is not None and end is not None:
        start, end = min(start, end), max(start, end)
    # Any day of the calendar may be named, weekends and days outside the history among them.
    first_day, last_day = (None if day is None else (DATES[0] + pd.Timedelta(days=day)).date() for day in (start, end))
    chosen = SplitSettings(
        test_start=first_day,
        test_end=last_day,
        n_folds=n_folds,
        min_train_days=60,
        validation_days=30,
        embargo_days=embargo,
    )
    gap = horizon + 1 + embargo
    judged = [
        row
        for row, day in enumerate(DATES)
        if (first_day is None or day.date() >= first_day) and (last_day is None or day.date() <= last_day)
    ]
    if first_day is None:
        judged = [row for row in judged if row >= 90 + 2 * gap]
    if len(judged) < n_folds or judged[0] < 90 + 2 * gap:
        with pytest.raises(DataError, match="too short"):
            make_folds(DATES, chosen, horizon)
        return
    folds = make_folds(DATES, chosen, horizon)
    assert [fold.index for fold in folds] == list(range(n_folds))
    rows = [[tuple(DATES.get_loc(day) for day in part) for part in (f.train, f.validation, f.test)] for f in folds]
    tested = [row for _, _, (first, last) in rows for row in range(first, last + 1)]
    assert tested == judged
    sizes = [last - first + 1 for _, _, (first, last) in rows]
    assert max(sizes) - min(sizes) <= 1
    for train, validation, test in rows:
        assert train[0] == 0 and train[1] + gap + 1 == validation[0]
        assert validation[1] == validation[0] + 29 and validation[1] + gap + 1 == test[0]


def test_a_fold_is_told_on_one_line() -> None:
    fold = make_folds(DATES, SplitSettings(n_folds=1, min_train_days=100, validation_days=50, embargo_days=0), 1)[0]
    ends = [f"{name} {first.date()}..{last.date()}" for name, (first, last) in (
        ("train", fold.train), ("validation", fold.validation), ("test", fold.test)
    )]  # fmt: skip
    assert str(fold) == "fold 0  " + "  ".join(ends)
    with pytest.raises(DataError, match="there are no sessions, of which 0 before"):
        make_folds(DATES[:0], SplitSettings(), 1)
