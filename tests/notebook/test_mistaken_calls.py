"""Arguments of notebook functions that cannot be meant: one clear error each, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import alfred
from alfred.errors import ConfigError, DataError
from tests.conftest import make_random_market

MARKET = make_random_market(120, 4)
NAMED = MARKET.symbols[0]
CLOSES = pd.DataFrame(MARKET.close, index=MARKET.dates, columns=list(MARKET.symbols)).ffill().bfill()
WEIGHTS = pd.DataFrame({NAMED: 0.5}, index=MARKET.dates)


def load(**settings: Any) -> Any:
    return alfred.load_market(settings.pop("table", CLOSES), benchmark=MARKET.benchmark, **settings)


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda: load(symbols=[NAMED, "TYPO"]), DataError, "no column 'TYPO'"),
        (lambda: load(symbols=NAMED), ConfigError, f"symbols must be a list of names, got '{NAMED}'"),
        (lambda: load(investable=NAMED), ConfigError, "investable must be a list of names"),
        (lambda: load(strat="2018"), ConfigError, "no key 'strat'.*Did you mean 'start'"),
        (lambda: alfred.load_market(strat="2018"), ConfigError, "load_market: unknown key 'strat'"),
        (
            lambda: load(table=CLOSES.astype(object).assign(**{NAMED: "x"})),
            DataError,
            f"the close of '{NAMED}' on 2010",
        ),
        (
            lambda: alfred.make_signals(WEIGHTS.astype(object).assign(**{NAMED: "x"}), MARKET),
            DataError,
            f"signal 'signal' of '{NAMED}' on 2010-01-04 is 'x', which is no number",
        ),
        (lambda: alfred.make_signals({1: WEIGHTS, "1": WEIGHTS}, MARKET), ConfigError, "two signals are called '1'"),
        (lambda: alfred.make_signals(WEIGHTS, MARKET, horizon=0), ConfigError, "horizon is 0"),
        (lambda: alfred.make_signals(WEIGHTS, MARKET, horizon=-1), ConfigError, "horizon is -1"),
        (lambda: alfred.make_signals(WEIGHTS, MARKET, horizon=1.5), ConfigError, "horizon is 1.5"),  # type: ignore[arg-type]
        (lambda: alfred.backtest(WEIGHTS.iloc[:0], MARKET), DataError, "weights has no rows"),
        (lambda: alfred.backtest(WEIGHTS.astype(object).assign(**{NAMED: "x"}), MARKET), DataError, "is no number"),
        (lambda: alfred.backtest(WEIGHTS, MARKET, n_trials=1.5), ConfigError, "n_trials is 1.5"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_is_refused(ask: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ask()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (pd.Series({NAMED: 0.5, "cash": 0.1}), "sum to 0.6 with their cash"),
        (pd.Series({NAMED: np.nan}), f"NaN as the weight of '{NAMED}'"),
        (pd.Series([0.5, 0.5], index=[NAMED, NAMED]), f"'{NAMED}' more than once"),
        (pd.Series({NAMED: "x"}), "no row of numbers"),
    ],
)
def test_a_series_that_cannot_be_meant_is_refused(answer: pd.Series, text: str) -> None:
    with pytest.raises(DataError, match=text):
        alfred.backtest(lambda _: answer, MARKET)


def test_a_series_by_symbol_leaves_the_rest_in_cash() -> None:
    told = alfred.backtest(lambda _: pd.Series({NAMED: 0.5, "cash": 0.5}), MARKET).weights
    pd.testing.assert_frame_equal(told, alfred.backtest(lambda _: pd.Series({NAMED: 0.5}), MARKET).weights)
    assert told.iloc[0][NAMED] == pytest.approx(0.5, abs=0.01)


def test_symbols_are_chosen_by_their_whole_names() -> None:
    longer = CLOSES.assign(**{NAMED[:1]: CLOSES[NAMED]})
    assert set(load(table=longer, symbols=[NAMED]).symbols) == {NAMED, MARKET.benchmark}
