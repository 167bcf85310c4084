"""Folds never touch, rewards are what their formula says, and no text of a file ends in anything but a clear error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.data.settings import DataSettings, SplitSettings
from alfred.data.sources import load_market
from alfred.data.splits import make_folds
from alfred.envs.rewards import RewardState, compute_reward
from alfred.envs.settings import RewardSettings
from alfred.errors import AlfredError, DataError
from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.evaluation.statistics.significance import compare_sharpe

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


@QUICK
@given(
    st.integers(50, 900),
    st.integers(1, 5),
    st.integers(2, 200),
    st.integers(2, 100),
    st.integers(0, 30),
    st.integers(1, 25),
    st.integers(0, 2),
    st.one_of(st.none(), st.integers(0, 300)),
)
def test_folds_are_apart_by_the_purge_and_cover_the_test_once(
    n_dates: int, n_folds: int, train: int, validation: int, embargo: int, horizon: int, lag: int, more: int | None
) -> None:
    dates = pd.bdate_range("2000-01-03", periods=n_dates)
    kept = None if more is None else train + more
    chosen = SplitSettings(
        n_folds=n_folds, min_train_days=train, validation_days=validation, embargo_days=embargo, train_days=kept
    )
    gap = horizon + lag + embargo
    try:
        folds = make_folds(dates, chosen, horizon, lag)
    except DataError:
        assert n_dates - (train + validation + 2 * gap) < n_folds
        return
    places = [[int(dates.get_loc(end)) for part in (f.train, f.validation, f.test) for end in part] for f in folds]
    for train_first, train_last, first, last, test_first, test_last in places:
        assert train_last + 1 >= train and last - first + 1 == validation
        assert train_first == (0 if kept is None else max(0, train_last + 1 - kept))
        # A label of the last row that is trained on is known before the next range begins.
        assert first - train_last - 1 == gap and test_first - last - 1 == gap and test_last >= test_first
    tested = [row for place in places for row in range(place[4], place[5] + 1)]
    assert tested == list(range(places[0][4], n_dates))


def test_one_session_a_fold_is_enough_and_one_less_is_not() -> None:
    chosen = SplitSettings(n_folds=3, min_train_days=20, validation_days=10, embargo_days=0)
    dates = pd.bdate_range("2000-01-03", periods=20 + 10 + 2 * 2 + 3)
    assert [fold.test[0] for fold in make_folds(dates, chosen, 1)] == list(dates[-3:])
    for few in (dates[:-1], dates[:5]):
        with pytest.raises(DataError, match=rf"{max(len(few) - 34, 0)} to test on; needed are 34 before"):
            make_folds(few, chosen, 1)


@QUICK
@given(st.integers(0, 10_000), st.floats(0, 50), st.floats(0.1, 100))
def test_excess_is_the_difference_of_two_growths(seed: int, aversion: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    growth, other = 1 + rng.normal(0, 0.02, 5), 1 + rng.normal(0, 0.02, 5)
    excess = RewardSettings(kind="excess", risk_aversion=aversion, scale=scale)
    plain = RewardSettings(kind="growth", risk_aversion=aversion, scale=scale)
    expected = compute_reward(growth, other, plain) - compute_reward(other, growth, plain)
    np.testing.assert_allclose(compute_reward(growth, other, excess), expected, atol=1e-9 * scale)
    np.testing.assert_allclose(compute_reward(growth, growth, excess), 0.0, atol=1e-12 * scale)


@QUICK
@given(st.integers(0, 10_000), st.floats(0.01, 5), st.floats(0.01, 5))
def test_penalties_only_take(seed: int, drawdown: float, turnover: float) -> None:
    rng = np.random.default_rng(seed)
    free = RewardState(RewardSettings(), 3)
    strict = RewardState(RewardSettings(drawdown_penalty=drawdown, turnover_penalty=turnover), 3)
    wealth = np.ones(3)
    for _ in range(5):
        after = wealth * (1 + rng.normal(0, 0.05, 3))
        traded = rng.random(3)
        paid = [state.pay(wealth, after, np.ones(3), traded) for state in (free, strict)]
        assert (paid[1] <= paid[0] - 100 * turnover * traded + 1e-9).all()
        wealth = after


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=5), min_size=1, max_size=6), st.booleans())
def test_whatever_a_file_holds_it_is_a_market_or_a_clear_error(cells: list[list[str]], headed: bool) -> None:
    lines = [",".join(row) for row in cells]
    if headed:
        lines.insert(0, "date,symbol,close")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.csv"
        path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
        try:
            load_market(DataSettings(source="files", path=path))
        except AlfredError as error:
            assert str(error).strip()


@QUICK
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_a_sharpe_difference_turns_with_its_sides_and_has_no_unit(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(5e-4, 0.01, (2, 300))
    one, other, scaled = (
        compare_sharpe(*pair, 252) for pair in ((first, second), (second, first), (unit * first, unit * second))
    )
    np.testing.assert_allclose(one.difference, -other.difference, atol=1e-12)
    np.testing.assert_allclose([one.error, one.p_value], [other.error, other.p_value], rtol=1e-9)
    np.testing.assert_allclose([scaled.difference, scaled.error], [one.difference, one.error], rtol=1e-6)
    assert 0.0 <= one.p_value <= 1.0
    assert compute_block_lengths(first).stationary >= 1.0
