"""The quarterly view of a company: its reports, where its price and volume stand, and the state of the economy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from alfred.data.features.momentum import History, PanelFeature, compute_mean, compute_panels, shift
from alfred.data.labels import QUARTER_DAYS, make_labels
from alfred.data.market import Market
from alfred.data.point_in_time.fundamentals import JOINED_FIELDS, REPORT_AGE
from alfred.errors import DataError
from alfred.typing import FloatArray

AVERAGES_DAYS = (7, 30, 90, 180)
"""Sessions in the averages that price and volume are compared with."""

MACRO_FIELDS = ("vix", "yield_3m", "yield_2y", "yield_5y", "yield_10y", "wti", "brent")
"""Series that a macro table is expected to have."""


def _compute_distance(field: str, days: int) -> Callable[[History], FloatArray]:
    """Return the field over its mean of some sessions, minus 1."""

    def compute(history: History) -> FloatArray:
        values = history.close if field == "close" else history.market.field(field).astype(np.float64)
        return values / compute_mean(values, days) - 1

    return compute


def _compute_benchmark_return(history: History) -> FloatArray:
    """Return the benchmark's return over a quarter, the same for all symbols."""
    close = history.close[:, [history.market.index_of(history.market.benchmark)]]
    return np.broadcast_to(close / shift(close, QUARTER_DAYS) - 1, history.close.shape)


def _read_extra(name: str) -> Callable[[History], FloatArray]:
    return lambda history: history.market.field(name)


ROLLUP_FEATURES: Mapping[str, PanelFeature] = {
    **{name: PanelFeature((name,), _read_extra(name)) for name in JOINED_FIELDS},
    **{f"price_distance_{d}": PanelFeature(("close",), _compute_distance("close", d)) for d in AVERAGES_DAYS},
    **{f"volume_distance_{d}": PanelFeature(("volume",), _compute_distance("volume", d)) for d in AVERAGES_DAYS},
    **{name: PanelFeature((name,), _read_extra(name)) for name in MACRO_FIELDS},
    "benchmark_return": PanelFeature(("close",), _compute_benchmark_return),
}
"""Features of the family `quarterly`; those of reports and of the economy need `data.fundamentals` and `data.macro`."""


def make_quarterly_table(market: Market, horizon: int = QUARTER_DAYS) -> pd.DataFrame:
    """Return one row a symbol and earnings report, as it was known on the session that learnt of it.

    Args:
        market: A market joined with fundamentals; macro series are taken along where it has them.
        horizon: Sessions of the label.

    Returns:
        Columns `date`, `symbol`, every feature of the family that the market can give, and the labels `magnitude` (per
        cent) and `direction` over the horizon, which are NaN where they are not known yet. Sorted by date.

    Raises:
        DataError: The market has no reports.
    """
    if REPORT_AGE not in market.extras:
        raise DataError("this market has no reports; join them with data.fundamentals.path=...")
    known = {*market.extras, "close"} | ({"volume"} if market.volume is not None else set())
    features = {name: feature for name, feature in ROLLUP_FEATURES.items() if set(feature.fields) <= known}
    t, n = np.nonzero((market.field(REPORT_AGE) == 0) & market.tradable)
    labels = make_labels(market, horizon)
    table = pd.DataFrame({"date": market.dates[t], "symbol": np.array(market.symbols)[n]})
    for name, panel in compute_panels(market, features).items():
        table[name] = panel[t, n]
    return table.assign(magnitude=labels.magnitude[t, n], direction=labels.direction[t, n])
