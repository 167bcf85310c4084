"""Technical indicators of one symbol, through TA-Lib, made free of the price level.

Every indicator reads the symbol's own tradable sessions in order, so that a halt neither breaks nor stretches it, and
its value at a bar depends on that bar and earlier ones only. Windows are the customary ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import talib

from alfred.data.market import Market
from alfred.typing import FloatArray

Values = npt.NDArray[np.float64]
Bars = Mapping[str, Values]

_MONTH = 20


@dataclass(frozen=True)
class Indicator:
    """One indicator.

    Attributes:
        fields: Fields of the market that it reads.
        compute: From the bars of one symbol, each `[t]`, to its values `[t]`.
    """

    fields: tuple[str, ...]
    compute: Callable[[Bars], Values]


def _compute_macd(part: int) -> Callable[[Bars], Values]:
    return lambda bars: talib.MACD(bars["close"], 12, 26, 9)[part] / bars["close"]


def _compute_bollinger(part: int) -> Callable[[Bars], Values]:
    return lambda bars: talib.BBANDS(bars["close"], _MONTH, 2.0, 2.0)[part] / bars["close"] - 1


def _compute_bollinger_width(bars: Bars) -> Values:
    upper, middle, lower = talib.BBANDS(bars["close"], _MONTH, 2.0, 2.0)
    width: Values = (upper - lower) / middle
    return width


def _compute_obv_flow(bars: Bars) -> Values:
    """Return the change of on-balance volume over 20 bars over the volume traded in them: between -1 and 1."""
    balance = talib.OBV(bars["close"], bars["volume"])
    flow: Values = talib.MOM(balance, _MONTH) / (talib.SMA(bars["volume"], _MONTH) * _MONTH)
    return flow


def _compute_vwap_ratio(bars: Bars) -> Values:
    """Return close over the volume-weighted mean of the typical price (h + l + c) / 3 over 20 bars, minus 1."""
    typical = talib.TYPPRICE(bars["high"], bars["low"], bars["close"])
    vwap = talib.SMA(typical * bars["volume"], _MONTH) / talib.SMA(bars["volume"], _MONTH)
    ratio: Values = bars["close"] / vwap - 1
    return ratio


def _compute_stochastic(part: int) -> Callable[[Bars], Values]:
    """Return one of the slow lines %K and %D: 14 bars, each smoothed over 3."""
    return lambda bars: talib.STOCH(bars["high"], bars["low"], bars["close"], fastk_period=14)[part]


_HLC = ("high", "low", "close")

INDICATORS: Mapping[str, Indicator] = {
    "rsi": Indicator(("close",), lambda bars: talib.RSI(bars["close"], 14)),
    "macd": Indicator(("close",), _compute_macd(0)),
    "macd_signal": Indicator(("close",), _compute_macd(1)),
    "macd_histogram": Indicator(("close",), _compute_macd(2)),
    "bollinger_upper": Indicator(("close",), _compute_bollinger(0)),
    "bollinger_lower": Indicator(("close",), _compute_bollinger(2)),
    "bollinger_width": Indicator(("close",), _compute_bollinger_width),
    "atr": Indicator(_HLC, lambda bars: talib.ATR(bars["high"], bars["low"], bars["close"], 14) / bars["close"]),
    "obv": Indicator(("close", "volume"), _compute_obv_flow),
    "vwap_ratio": Indicator((*_HLC, "volume"), _compute_vwap_ratio),
    "roc": Indicator(("close",), lambda bars: talib.ROCP(bars["close"], 10)),
    "stochastic_k": Indicator(_HLC, _compute_stochastic(0)),
    "stochastic_d": Indicator(_HLC, _compute_stochastic(1)),
    "adx": Indicator(_HLC, lambda bars: talib.ADX(bars["high"], bars["low"], bars["close"], 14)),
    "cci": Indicator(_HLC, lambda bars: talib.CCI(bars["high"], bars["low"], bars["close"], 14)),
}
"""Bollinger bands and MACD are relative to the close, ATR too; RSI, Stochastic and ADX run from 0 to 100."""


def compute_indicators(market: Market, names: tuple[str, ...]) -> dict[str, FloatArray]:
    """Return indicators by name, each `[T, N]`; NaN while a window is not full and off the tradable sessions.

    Args:
        market: A market with the fields that the indicators read.
        names: Keys of `INDICATORS`.

    Raises:
        DataError: The market lacks a field.
    """
    needed = sorted({field for name in names for field in INDICATORS[name].fields})
    panels = {field: market.field(field) for field in needed}
    result = {name: np.full(market.close.shape, np.nan) for name in names}
    for n in range(market.n_symbols):
        rows = np.flatnonzero(market.tradable[:, n])
        if not len(rows):
            continue
        bars = {field: panel[rows, n].astype(np.float64) for field, panel in panels.items()}
        with np.errstate(invalid="ignore", divide="ignore"):
            for name in names:
                values = INDICATORS[name].compute(bars)
                result[name][rows, n] = np.where(np.isfinite(values), values, np.nan)
    return result
