"""What takes a table takes that of polars, and gives bit by bit what the same table of pandas gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import alfred
from alfred.errors import AlfredError, DataError
from tests.conftest import make_random_market

MARKET = make_random_market(120, 4)
CLOSES = pd.DataFrame(MARKET.close, index=MARKET.dates, columns=list(MARKET.symbols)).rename_axis("date").reset_index()
LONG = CLOSES.melt("date", var_name="symbol", value_name="close")
FORMS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "as it is": lambda frame: frame,
    "dates": lambda frame: frame.with_columns(pl.col("date").cast(pl.Date)),
    "nanoseconds": lambda frame: frame.with_columns(pl.col("date").cast(pl.Datetime("ns"))),
    "text": lambda frame: frame.with_columns(pl.col("date").dt.strftime("%Y-%m-%d")),
    "zone": lambda frame: frame.with_columns(pl.col("date").dt.replace_time_zone("America/New_York")),
    "lazy": lambda frame: frame.lazy(),
    "chunks": lambda frame: pl.concat([frame.head(50), frame.tail(-50)], rechunk=False),
}
form = pytest.mark.parametrize("form", FORMS)


def put(frame: pd.DataFrame, form: str) -> Any:
    return FORMS[form](pl.from_pandas(frame))


@form
def test_closes_become_a_market(form: str) -> None:
    market = alfred.load_market(put(CLOSES, form), benchmark=MARKET.benchmark)
    pd.testing.assert_index_equal(market.dates, MARKET.dates, exact=False, check_names=False)
    np.testing.assert_array_equal(market.close, MARKET.close)


@form
@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum(list(MARKET.symbols))])
def test_a_long_table_becomes_a_market(form: str, kind: Any) -> None:
    table = put(LONG, form).with_columns(pl.col("symbol").cast(kind))
    market = alfred.load_market(table, benchmark=MARKET.benchmark)
    order = [market.symbols.index(symbol) for symbol in MARKET.symbols]
    np.testing.assert_array_equal(market.close[:, order], MARKET.close)


@form
def test_signals_and_weights_are_those_of_pandas(form: str) -> None:
    moves = CLOSES.set_index("date").pct_change().reset_index()
    mine, expected = (alfred.make_signals({"move": table}, MARKET) for table in (put(moves, form), moves))
    np.testing.assert_array_equal(mine.values, expected.values)
    weights = CLOSES[["date", "S0", "S1"]].assign(S0=np.linspace(0, 0.5, len(CLOSES)), S1=0.25)
    told, wanted = (alfred.backtest(table, MARKET, mine).weights for table in (put(weights, form), weights))
    pd.testing.assert_frame_equal(told, wanted)


def test_null_is_a_halt_in_prices_unknown_in_signals_and_zero_in_weights() -> None:
    gap = pl.from_pandas(CLOSES).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("S1")).alias("S1")
    )
    market = alfred.load_market(gap, benchmark=MARKET.benchmark)
    assert market.tradable.sum() == MARKET.tradable.sum() - 1 and not market.tradable[7, market.index_of("S1")]
    signals = alfred.make_signals(gap, MARKET)
    assert np.isnan(signals.values[7, signals.symbols.index("S1"), 0])
    weights = pl.DataFrame({"date": MARKET.dates.to_list()[:1], "S0": [0.5], "S1": [None]})
    assert alfred.backtest(weights, MARKET).weights["S1"].abs().max() == 0.0


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda: alfred.load_market(pl.Series("S0", [1.0, 2.0])), "Series is no table of named columns"),
        (lambda: alfred.load_market(pl.from_pandas(CLOSES).drop("date")), "the table has no dates"),
        (lambda: alfred.backtest(pl.DataFrame({"S0": [0.5]}), MARKET), "are numbered"),
        (
            lambda: alfred.backtest(lambda seen: pl.DataFrame({"symbol": ["S0"], "weight": [1.0]}), MARKET),
            "a strategy returned DataFrame, which is no row of numbers",
        ),
    ],
)
def test_what_cannot_be_read_is_told(use: Callable[[], object], said: str) -> None:
    with pytest.raises(AlfredError, match=said) as caught:
        use()
    assert isinstance(caught.value, DataError)


def test_a_function_may_answer_with_a_series_of_polars() -> None:
    weights = [0.25 * (symbol in MARKET.universe) for symbol in MARKET.symbols]
    mine = alfred.backtest(lambda seen: pl.Series(weights), MARKET, name="mine").returns
    expected = alfred.backtest(lambda seen: weights, MARKET, name="mine").returns
    pd.testing.assert_frame_equal(mine, expected)
