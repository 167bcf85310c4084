"""What the network is fed: units, gaps, and which windows are learnt from."""

import numpy as np
import pytest
import torch

from alfred.analysts.toto.covariates import fill_forward
from alfred.analysts.toto.windows import prepare_windows, split_windows
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from tests.conftest import make_random_market

MARKET = make_random_market(300, 3, late_listing=True)
OPTIONS = {"context": 32, "patch_size": 16, "input_scaling": "log_price", "validation_fraction": 0.2}


def make_windows(rows, columns, length=40):
    return make_contexts(MARKET, np.asarray(rows), np.asarray(columns), length=length)


def test_log_prices_are_counted_in_per_cent_from_the_last_close() -> None:
    contexts = make_windows([150, 200], [1, 2])
    windows = prepare_windows(contexts, "log_price", 16)
    close = contexts.field("close")[:, -32:]
    expected = 100 * np.log(close / close[:, -1:])
    np.testing.assert_allclose(windows.series[:, 0], expected, atol=1e-4)
    assert windows.series.shape == (2, 1, 32)  # cut to two patches, not padded to three
    assert windows.unit.tolist() == [0.01, 0.01]
    assert windows.mask.all()


def test_standardised_prices_have_moves_of_size_one() -> None:
    windows = prepare_windows(make_windows([150, 200], [1, 2], length=32), "standardised", 16)
    moves = windows.series[:, 0].diff(dim=-1)
    np.testing.assert_allclose(moves.square().mean(-1).sqrt(), [1, 1], rtol=1e-4)


def test_gaps_are_filled_forward_and_marked() -> None:
    contexts = make_windows([110], [0], length=32)  # listed on row 100
    windows = prepare_windows(contexts, "log_price", 16)
    assert windows.mask[0, 0].tolist() == [False] * 21 + [True] * 11
    assert windows.series[0, 0, :21].tolist() == [0.0] * 21
    filled, observed = fill_forward(np.array([[np.nan, 1.0, np.nan, np.nan, 4.0]]))
    assert filled.tolist() == [[0.0, 1.0, 1.0, 1.0, 4.0]]
    assert observed.tolist() == [[False, True, False, False, True]]


def test_a_context_shorter_than_a_patch_is_refused() -> None:
    with pytest.raises(ConfigError, match="context_length 8 is shorter than a patch of 16"):
        prepare_windows(make_windows([150], [1], length=8), "log_price", 16)


@pytest.mark.parametrize("input_scaling", ["log_price", "standardised"])
def test_examples_equal_contexts_and_what_follows_them(input_scaling) -> None:
    train, _ = split_windows(MARKET, **{**OPTIONS, "input_scaling": input_scaling})
    series, mask = train[torch.arange(len(train))]
    last = 0
    for row, (start, column) in enumerate(zip(train._starts.tolist(), train._columns.tolist(), strict=True)):
        contexts = make_contexts(MARKET, np.array([start + 31]), np.array([column]), length=32)
        windows = prepare_windows(contexts, input_scaling, 16)
        np.testing.assert_allclose(series[row, :, :32], windows.series[0], atol=2e-4)
        close = MARKET.close[:, column]
        future = np.log(close[start + 32 : start + 48] / close[start + 31]) / windows.unit[0]
        np.testing.assert_allclose(series[row, 0, 32:], future, atol=2e-4)
        last = max(last, start + 47)
    assert mask.all()
    assert last == 239  # the last training window ends before the first session that validation asks for, 240


def test_validation_asks_for_later_sessions_only() -> None:
    _, validation = split_windows(MARKET, **OPTIONS)
    assert int(validation._starts.min()) + 32 == 240
    assert int(validation._starts.max()) + 48 == 300


def test_a_history_without_windows_is_refused() -> None:
    with pytest.raises(DataError, match="no window of 48 sessions to train on in 50 sessions"):
        split_windows(MARKET.until(MARKET.dates[49]), **OPTIONS)
    closed = np.zeros(MARKET.tradable.shape, dtype=bool)
    closed[:200] = MARKET.tradable[:200]
    market = Market.from_arrays(MARKET.dates, MARKET.symbols, MARKET.close, benchmark="SPY", tradable=closed)
    with pytest.raises(DataError, match="no window of 48 sessions to validate on"):
        split_windows(market, **OPTIONS)
