"""The embedded S&P 500 as a benchmark for whoever brings none."""

from __future__ import annotations

import numpy as np

from alfred.data.prices.rates import resolve_cash_rate
from alfred.data.prices.sp500 import BENCHMARK, load_embedded_market
from alfred.errors import DataError
from alfred.evaluation.outside.judgement import Reference
from alfred.evaluation.outside.series import OutsideSeries


def load_embedded_reference(series: OutsideSeries) -> Reference:
    """Return the S&P 500 with dividends, 1990 to 2022, and Treasury bills as cash.

    Raises:
        DataError: The strategy's sessions are not all within these years, or are not those of New York.
    """
    market = load_embedded_market()
    first, last = market.dates[1], market.dates[-1]
    outside = (series.dates < first) | (series.dates > last)
    if outside.any() or series.periods_per_year != market.periods_per_year:
        reason = (
            f"the embedded S&P 500 has the sessions of New York from {first.date()} to {last.date()}, and "
            f"{series.name} covers {series.dates[0].date()} to {series.dates[-1].date()}, "
            f"{series.periods_per_year} sessions a year"
        )
        raise DataError(f"{reason}: give a benchmark with --benchmark, a file of prices or returns")
    close = market.close[:, market.index_of(BENCHMARK)].astype(np.float64)
    rate = resolve_cash_rate(market, None)[:-1]
    return Reference(
        name=BENCHMARK,
        dates=market.dates[1:],
        returns=close[1:] / close[:-1] - 1.0,
        source="the embedded S&P 500 with dividends; give another one with --benchmark",
        cash=(1.0 + rate) ** (1.0 / market.periods_per_year) - 1.0,
        notes=market.notes[2:],
    )
