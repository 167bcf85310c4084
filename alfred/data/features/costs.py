"""Features of what trading costs: estimates from daily bars, for who has no quotes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alfred.data.features.momentum import History, PanelFeature, compute_mean, shift
from alfred.typing import FloatArray

_WINDOW = 20


def _estimate_spread(history: History) -> FloatArray:
    """Return the effective bid-ask spread as a fraction of the price, averaged over 20 pairs of sessions.

    Closes lie on either side of the spread, while the middle of high and low hardly moves with it: of two sessions
    `s^2 = 4 (c_1 - m_1) (c_1 - m_2)`, with c the log close and m the middle of log high and log low. A pair whose
    estimate is negative counts as zero (Abdi and Ranaldo, 2017, "A simple estimation of bid-ask spreads from daily
    close, high, and low prices", the two-day corrected version). Sessions without a trade have no pair.
    """
    market = history.market
    traded = market.tradable
    close = np.log(np.where(traded, market.close, np.nan).astype(np.float64))
    high, low = (np.where(traded, market.field(name), np.nan).astype(np.float64) for name in ("high", "low"))
    middle = (np.log(high) + np.log(low)) / 2
    before = shift(close, 1)
    pairs = 4 * (before - shift(middle, 1)) * (before - middle)
    return compute_mean(np.sqrt(np.maximum(pairs, 0.0)), _WINDOW)


def _measure_illiquidity(history: History) -> FloatArray:
    """Return the log of the mean absolute daily return per unit of traded value, over 20 sessions (Amihud, 2002)."""
    market = history.market
    returns = np.abs(market.log_returns().astype(np.float64))
    value = market.field("volume").astype(np.float64) * market.close
    return np.log(compute_mean(np.where(value > 0, returns / value, np.nan), _WINDOW))


COST_FEATURES: Mapping[str, PanelFeature] = {
    "spread_20": PanelFeature(("high", "low"), _estimate_spread),
    "illiquidity_20": PanelFeature(("volume",), _measure_illiquidity),
}
