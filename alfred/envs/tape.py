"""The tape: a market and its signals laid out for the kernel, shared by all portfolios and never written to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.ledger import Float
from alfred.errors import ConfigError, DataError, SignalError

Execution = Literal["auto", "next_open", "next_close", "close"]
MARKET_FEATURES = ("return_5", "return_20", "volatility_20", "volatility_60", "drawdown_252", "dispersion_20")
BOUND = 10.0  # signals, features and returns are clipped to +-this, so that one bad tick cannot swamp a network
_WINDOW = 252


@dataclass(frozen=True, eq=False)
class Tape:
    """Everything that a step reads, indexed by the bar of its execution.

    Axes legend: E bars, N symbols, K signals, M market features, L lookback. Bar e executes the decision taken at the
    close of bar `e - lag`, so row e of `signals`, `features` and `tradable_then` is what was known at that close.

    Attributes:
        dates: Date of each bar, `[E]`.
        symbols: Names, `[N]`.
        benchmark: Column of the benchmark.
        lag: Bars from decision to execution: 1, or 0 when execution is `close`.
        intraday: Close over execution price of the bar, cash last, `[E, N+1]`; None when execution is at the close.
        overnight: Next execution price over this close, cash last, `[E, N+1]`.
        tradable: Whether a symbol can be traded at the execution, cash last, `[E, N+1]`.
        all_tradable: Whether all symbols can, `[E]`.
        signals: Known at the decision, `[E, N, K]` float32, zero where missing.
        features: State of the market at the decision, `[E, M]` float32.
        tradable_then: Whether a symbol traded at the decision, `[E, N]` float32.
        returns: Log returns of the last sessions before each decision are read from here, `[E + L, N]` float32: those
            of bar e are rows `e` to `e + L - 1`, oldest first.
        lookback: L.
        reference_growth: Growth of equal weights in the universe from one execution to the next, `[E]`.
        benchmark_returns: Simple return of the benchmark from the close before to each marked close: those of the bars,
            then that of `final_mark` when there is one, `[E]` or `[E + 1]`.
        final_mark: Date of a last mark at a close after the last bar, or None when the last bar marks itself.
        signal_names: `[K]`.
    """

    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    benchmark: int
    lag: int
    intraday: Float | None
    overnight: Float
    tradable: npt.NDArray[np.bool_]
    all_tradable: npt.NDArray[np.bool_]
    signals: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    tradable_then: npt.NDArray[np.float32]
    returns: npt.NDArray[np.float32]
    lookback: int
    reference_growth: Float
    benchmark_returns: Float
    final_mark: pd.Timestamp | None
    signal_names: tuple[str, ...]

    @property
    def n_bars(self) -> int:
        """Number of executions E."""
        return len(self.dates)


def make_tape(
    market: Market,
    signals: Signals | None,
    *,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    execution: Execution = "auto",
    lookback: int = 0,
    cash_rate_pct: float = 0.0,
) -> Tape:
    """Lay a market out for the kernel.

    Args:
        market: Prices; sessions before `start` serve as history only.
        signals: Forecasts on (at least) the dates from `start` to `end`, or None.
        start: Date of the first decision; the first date of the signals when left out.
        end: Last date that may be marked; the last date of the market when left out.
        execution: When a decision is traded; `auto` takes the next open, or the next close without open prices.
        lookback: Sessions of log returns in an observation, L.
        cash_rate_pct: Yearly rate that cash earns, in per cent.

    Raises:
        ConfigError: The execution needs open prices that the market does not have.
        DataError: There are fewer than three sessions from `start` to `end`.
        SignalError: The signals lack a date or have other symbols.
    """
    market = market if end is None else market.until(end)
    timing = _resolve_execution(execution, market)
    lag = 0 if timing == "close" else 1
    first = _first_row(market, signals, start)
    last = market.n_dates - (1 if timing == "next_open" else 2)  # the last execution that anything is earned after
    bars = np.arange(first + lag, last + 1)
    if len(bars) < 2:
        raise DataError(
            f"only {market.n_dates - first} sessions from {market.dates[first].date()} to "
            f"{market.dates[-1].date()}: an episode needs at least four; widen the range or load a longer history"
        )
    known = bars - lag
    close = _carry_forward(market.close)
    simple = np.vstack([np.zeros((1, market.n_symbols)), close[1:] / close[:-1] - 1.0])
    simple = np.nan_to_num(simple, nan=0.0, posinf=0.0)
    price = close
    if timing == "next_open":
        price = np.where(np.isfinite(market.field("open")), market.field("open"), np.vstack([close[:1], close[:-1]]))
    following = np.minimum(bars + 1, market.n_dates - 1)
    overnight = price[following] / close[bars]
    overnight[bars + 1 == market.n_dates] = 1.0  # nothing is earned after the last close
    cash = (1.0 + cash_rate_pct / 100.0) ** (1.0 / _WINDOW)
    intraday = _with_cash(close[bars] / price[bars], 1.0) if timing == "next_open" else None
    growth = overnight if intraday is None else overnight * intraday[:, :-1]
    padded = np.vstack([np.zeros((lookback, market.n_symbols)), np.log1p(simple)])
    universe = [market.index_of(symbol) for symbol in market.universe]
    tradable = market.tradable[bars]
    bench = market.index_of(market.benchmark)
    marks = [*bars] + ([] if timing == "next_open" else [last + 1])
    return Tape(
        dates=market.dates[bars],
        symbols=market.symbols,
        benchmark=bench,
        lag=lag,
        intraday=intraday,
        overnight=_with_cash(overnight, cash),
        tradable=np.hstack([tradable, np.ones((len(bars), 1), dtype=bool)]),
        all_tradable=np.asarray(tradable.all(axis=1)),
        signals=_signals_at(market, signals, market.dates[known]),
        features=_market_features(simple, bench, universe)[known],
        tradable_then=market.tradable[known].astype(np.float32),
        returns=np.clip(padded[known[0] + 1 : known[-1] + 1 + lookback], -BOUND, BOUND).astype(np.float32),
        lookback=lookback,
        reference_growth=_equal_weight_growth(growth[:, universe], tradable[:, universe]),
        benchmark_returns=simple[marks, bench],
        final_mark=None if timing == "next_open" else market.dates[last + 1],
        signal_names=() if signals is None else signals.names,
    )


def _resolve_execution(execution: Execution, market: Market) -> Execution:
    if execution == "auto":
        return "next_open" if market.open is not None else "next_close"
    if execution == "next_open" and market.open is None:
        raise ConfigError("execution 'next_open' needs open prices, and this market has closes only; use 'next_close'")
    return execution


def _first_row(market: Market, signals: Signals | None, start: pd.Timestamp | str | None) -> int:
    date = start if start is not None else (market.dates[0] if signals is None else signals.dates[0])
    return min(int(market.dates.searchsorted(pd.Timestamp(date), side="left")), market.n_dates - 1)


def _carry_forward(close: npt.NDArray[np.floating]) -> Float:
    """Fill gaps with the last close: a halted holding is marked at its last price. NaN before the listing."""
    return np.asarray(pd.DataFrame(np.asarray(close, dtype=np.float64)).ffill())


def _with_cash(factors: Float, cash: float) -> Float:
    clean = np.where(np.isfinite(factors), factors, 1.0)
    return np.ascontiguousarray(np.hstack([clean, np.full((len(clean), 1), cash)]))


def _equal_weight_growth(growth: Float, tradable: npt.NDArray[np.bool_]) -> Float:
    count = np.maximum(tradable.sum(axis=1), 1)
    excess = np.where(tradable & np.isfinite(growth), growth - 1.0, 0.0)
    return np.asarray(1.0 + excess.sum(axis=1) / count)


def _signals_at(market: Market, signals: Signals | None, dates: pd.DatetimeIndex) -> npt.NDArray[np.float32]:
    if signals is None:
        return np.zeros((len(dates), market.n_symbols, 0), dtype=np.float32)
    if signals.symbols != market.symbols:
        raise SignalError(
            f"the signals are for {', '.join(signals.symbols[:5])}..., but the market has "
            f"{', '.join(market.symbols[:5])}...: make the signals from this market"
        )
    rows = signals.dates.get_indexer(dates)
    if (rows < 0).any():
        missing = dates[int(np.argmax(rows < 0))].date()
        raise SignalError(
            f"there are no signals for {missing}; they cover {signals.dates[0].date()} to {signals.dates[-1].date()}: "
            "narrow the range or forecast more dates"
        )
    return np.asarray(np.clip(np.nan_to_num(signals.values[rows], nan=0.0), -BOUND, BOUND))


def _market_features(simple: Float, benchmark: int, universe: list[int]) -> npt.NDArray[np.float32]:
    """Return the trailing state of the market, `[T, M]`, each near unit size; see `MARKET_FEATURES`."""
    bench = pd.Series(np.log1p(simple[:, benchmark]))
    wealth = bench.cumsum()
    spread = pd.Series(simple[:, universe].std(axis=1))
    columns = [
        bench.rolling(5, min_periods=1).sum() / 0.02,
        bench.rolling(20, min_periods=1).sum() / 0.04,
        bench.rolling(20, min_periods=2).std() / 0.01 - 1.0,
        bench.rolling(60, min_periods=2).std() / 0.01 - 1.0,
        np.expm1(wealth - wealth.rolling(_WINDOW, min_periods=1).max()) / 0.1,
        spread.rolling(20, min_periods=1).mean() / 0.01 - 1.0,
    ]
    return np.asarray(np.clip(np.nan_to_num(np.stack(columns, axis=1)), -BOUND, BOUND), dtype=np.float32)
