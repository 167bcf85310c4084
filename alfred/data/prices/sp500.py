"""The embedded market: 20 US stocks, the S&P 500 with its dividends, and what cash earned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.prices.parsing import parse_days, parse_numbers, read_csv_text
from alfred.data.prices.rates import align_rates, read_rates
from alfred.errors import DataError
from alfred.typing import FloatArray

BENCHMARK = "SP500TR"
NOTES = (
    "The embedded prices are adjusted closes only: no open, high, low or volume.",
    "The 20 stocks were chosen in 2022 among survivors: beating the index with them proves nothing by itself.",
    f"The benchmark {BENCHMARK} is the S&P 500 as a total return, approximated: the price index plus Shiller's "
    "dividends, about 0.2 percentage points a year off, standing in for SPY.",
    "Cash earns the yield of 3-month US Treasury bills.",
)

_FOLDER = Path(__file__).parents[1] / "embedded"
_DIVIDENDS, _BILLS = _FOLDER / "sp500_dividends_monthly.csv", _FOLDER / "tbill_3m_daily.csv"
_SESSIONS_A_YEAR = 252


def load_embedded_market(dtype: str = "float64") -> Market:
    """Return 20 US stocks and the S&P 500 with dividends, 1990 to 2022, with the Treasury bill as its cash rate.

    Args:
        dtype: Storage of the prices.
    """
    # skfolio takes a second to import and only this needs it.
    from skfolio.datasets import load_sp500_dataset, load_sp500_index

    stocks, index = load_sp500_dataset(), load_sp500_index()
    table = stocks.join(index.rename(columns={index.columns[0]: BENCHMARK}), how="inner")
    dates = pd.DatetimeIndex(table.index.to_numpy())
    table[BENCHMARK] = add_dividends(table[BENCHMARK].to_numpy(dtype=np.float64), dates)
    return Market.from_arrays(
        dates,
        [str(symbol) for symbol in table.columns],
        table.to_numpy(dtype=dtype),
        benchmark=BENCHMARK,
        notes=NOTES,
        cash_rate=align_rates(read_rates(_BILLS), dates, str(_BILLS)),
    )


def add_dividends(index: FloatArray, dates: pd.DatetimeIndex) -> FloatArray:
    """Return the total-return index of the S&P 500's price index, `[T]`: equal on the first day.

    A day earns its price return and `dividend / 252 / close before`, the dividend being that of its month over the last
    four quarters. Those are published after their month: they serve to book the benchmark, and must not reach a signal.

    Args:
        index: Closes of the price index, `[T]`.
        dates: Sessions, `[T]`.

    Raises:
        DataError: A session lies outside the table of dividends.
    """
    table = read_csv_text(_DIVIDENDS, ("month", "dividend"))
    months = parse_days(table["month"], "month", _DIVIDENDS).to_period("M")
    dividends = pd.Series(parse_numbers(table["dividend"], "dividend", _DIVIDENDS), index=months)
    yearly = dividends.reindex(dates.to_period("M")).to_numpy(dtype=np.float64)
    if np.isnan(yearly).any():
        missing = dates[int(np.argmax(np.isnan(yearly)))].date()
        raise DataError(f"there is no dividend of the S&P 500 for {missing}; the table ends in {months[-1]}")
    growth = index[1:] / index[:-1] + yearly[1:] / _SESSIONS_A_YEAR / index[:-1]
    return np.concatenate([index[:1], index[0] * np.cumprod(growth)])
