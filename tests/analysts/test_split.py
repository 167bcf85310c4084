"""The one split of learners: last part validates, labels of the first part never reach into it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alfred.errors import DataError
from alfred.learning.split import split_by_session


def test_it_is_the_split_written_out_by_hand() -> None:
    sessions = np.repeat(np.arange(20), 2)
    train, validation = split_by_session(sessions, horizon=3, validation_fraction=0.25)
    # Three quarters of 40 examples end in session 14; sessions 11 to 13 have labels that end in 14 or later.
    assert sessions[train].tolist() == np.repeat(np.arange(11), 2).tolist()
    assert sessions[validation].tolist() == np.repeat(np.arange(14, 20), 2).tolist()


@hypothesis_settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 200), min_size=30, max_size=120), st.integers(1, 20), st.floats(0.05, 0.6))
def test_no_label_that_is_trained_on_ends_in_validation(sessions: list[int], horizon: int, fraction: float) -> None:
    order = np.array(sessions)
    try:
        train, validation = split_by_session(order, horizon=horizon, validation_fraction=fraction)
    except DataError:
        # Refused only when every example is validated on or too near: also by the plainest reading.
        first = np.quantile(order, 1 - fraction)
        assert order.min() + horizon >= int(first)
        return
    assert len(validation)
    assert order[train].max() + horizon < order[validation].min()
    # Nothing is dropped beyond what the label needs: a session earlier than the gap is trained on.
    first = int(np.quantile(order, 1 - fraction))
    assert set(range(len(order))) - set(train) - set(validation) == set(
        np.flatnonzero((order >= first - horizon) & (order < first))
    )


def test_too_short_a_history_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="no example is left to train on"):
        split_by_session(np.arange(10), horizon=20, validation_fraction=0.2)
    with pytest.raises(DataError, match="no examples"):
        split_by_session(np.array([], dtype=np.int64), horizon=1, validation_fraction=0.2)
