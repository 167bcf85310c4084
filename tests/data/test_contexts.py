import numpy as np
import pytest

from alfred.data.contexts import iterate_contexts, make_contexts
from alfred.errors import DataError
from tests.conftest import make_random_market


def test_windows_equal_a_plain_loop() -> None:
    market = make_random_market(50, late_listing=True)
    rows, columns = np.array([4, 20, 49]), np.array([0, 1, 3])
    contexts = make_contexts(market, rows, columns, length=6, fields=("open", "close"))
    for b, (row, column) in enumerate(zip(rows, columns, strict=True)):
        for step in range(6):
            source = row - 5 + step
            expected = [np.nan, np.nan] if source < 0 else [market.open[source, column], market.close[source, column]]
            np.testing.assert_array_equal(contexts.values[b, step], expected)
            stamp = contexts.timestamps[b, step]
            assert np.isnat(stamp) if source < 0 else stamp == market.dates[source].to_numpy()
        assert contexts.dates[b] == market.dates[row]
        assert contexts.symbols[b] == market.symbols[column]


def test_windows_are_copies() -> None:
    market = make_random_market(30)
    contexts = make_contexts(market, np.array([20]), np.array([0]), length=5)
    contexts.values[:] = 0
    assert market.close.min() > 0


def test_iteration_covers_each_tradable_pair_once_and_waits_for_history() -> None:
    market = make_random_market(60, late_listing=True)
    seen = []
    for row, column, contexts in iterate_contexts(market, np.arange(10, 60), length=8, batch_size=17):
        assert len(contexts) == len(row) <= 17
        assert np.isfinite(contexts.values).all()
        seen += list(zip(row.tolist(), column.tolist(), strict=True))
    listed = 60 // 3
    expected = {(t, n) for t in range(10, 60) for n in range(4) if n > 0 or t >= listed + 7}
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_outside_and_missing_fields_are_refused() -> None:
    market = make_random_market(30, ohlc=False)
    with pytest.raises(DataError, match="outside the market of 30 dates"):
        make_contexts(market, np.array([30]), np.array([0]), length=5)
    with pytest.raises(DataError, match="no 'open'"):
        make_contexts(market, np.array([10]), np.array([0]), length=5, fields=("open",))
    contexts = make_contexts(market, np.array([10]), np.array([0]), length=5)
    with pytest.raises(DataError, match="these contexts hold close, not 'volume'"):
        contexts.field("volume")
