"""The tape: a market and its signals laid out for the simulator, shared by all portfolios and never written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.members import MEMBER, find_members
from alfred.data.point_in_time.payouts import DEFAULT_PAYOUT, find_delistings
from alfred.data.prices.rates import CashRate, resolve_cash_rate
from alfred.data.signals import Signals
from alfred.envs.market_features import BOUND, compute_impact_scale, compute_market_features
from alfred.envs.risk import Bars
from alfred.envs.settings import Execution, ImpactSettings
from alfred.errors import ConfigError, DataError, SignalError
from alfred.typing import Float


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
        delisted: Whether the holding of a symbol is paid out in cash at this execution, cash last, `[E, N+1]`; what
            the payout lacks to the last price is in `overnight` of the bar before.
        any_delisted: Whether any symbol is delisted, `[E]`.
        bars: Open, low and high inside the bar that is held through after the execution, for stops, each `[E, N+1]`;
            None when the market has closes only.
        impact_scale: Market impact of one unit of wealth, cash last, `[E, N+1]`, from sessions before the execution;
            None without impact.
        sectors: Sector of each symbol, empty where there is none, `[N]`.
        signals: Known at the decision, `[E, N, K]` float32, zero where missing.
        features: State of the market at the decision, `[E, M]` float32.
        tradable_then: Whether a symbol traded at the decision and may be held, `[E, N]` float32.
        holdable: One where a symbol may be held, else zero, `[N]` float32, or `[E, N]` where membership is dated; None
            when all may be.
        returns: Log returns of the last sessions before each decision are read from here, `[E + L, N]` float32: those
            of bar e are rows `e` to `e + L - 1`, oldest first.
        lookback: L.
        reference_growth: Growth of equal weights in the universe from one execution to the next, `[E]`.
        benchmark_growth: The same of the benchmark, `[E]`.
        benchmark_returns: Simple return of the benchmark from the close before to each marked close: those of the bars,
            then that of `final_mark` when there is one, `[E]` or `[E + 1]`; at the first from the execution, since no
            book can earn what came before it.
        cash_returns: What cash earned from the close before to each marked close, likewise; zero at the first.
        periods_per_year: Sessions in a year.
        final_mark: Date of a last mark at a close after the last bar, or None when the last bar marks itself.
        signal_names: `[K]`.
        spans: First bar and bar after the last of the ranges that episodes may lie in, whole ones; None is all bars.
    """

    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    benchmark: int
    lag: int
    intraday: Float | None
    overnight: Float
    tradable: npt.NDArray[np.bool_]
    all_tradable: npt.NDArray[np.bool_]
    delisted: npt.NDArray[np.bool_]
    any_delisted: npt.NDArray[np.bool_]
    bars: Bars | None
    impact_scale: Float | None
    sectors: tuple[str, ...]
    signals: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    tradable_then: npt.NDArray[np.float32]
    holdable: npt.NDArray[np.float32] | None
    returns: npt.NDArray[np.float32]
    lookback: int
    reference_growth: Float
    benchmark_growth: Float
    benchmark_returns: Float
    cash_returns: Float
    periods_per_year: int
    final_mark: pd.Timestamp | None
    signal_names: tuple[str, ...]
    spans: tuple[tuple[int, int], ...] | None = None

    @property
    def n_bars(self) -> int:
        """Number of executions E."""
        return len(self.dates)

    @cached_property
    def days(self) -> list[pd.Timestamp]:
        """The dates one by one, `[E]`: to ask the index for one takes as long as to book a bar."""
        return list(self.dates)

    @property
    def longest_span(self) -> int:
        """Bars of the longest range that an episode may lie in."""
        return max(stop - first for first, stop in self.spans or ((0, self.n_bars),))

    def get_growth(self, reference: str) -> Float:
        """Return the growth of `benchmark` or `equal_weight`, which rewards are measured against, `[E]`."""
        return self.benchmark_growth if reference == "benchmark" else self.reference_growth

    def find_holdable(self, bar: npt.NDArray[np.integer]) -> npt.NDArray[np.float32] | None:
        """Return `holdable` at the executions of some bars, `[P, N]`, in memory of its own."""
        if self.holdable is None or self.holdable.ndim == 2:
            return None if self.holdable is None else self.holdable.take(bar, axis=0, mode="clip")
        return np.repeat(self.holdable[None], len(bar), axis=0)

    def find_starts(self, length: int) -> npt.NDArray[np.int64]:
        """Return the bars at which an episode of `length` bars may begin; none when no range is long enough."""
        spans = self.spans or ((0, self.n_bars),)
        starts = [np.arange(first, stop - length + 1, dtype=np.int64) for first, stop in spans]
        return np.concatenate(starts)


def make_tape(
    market: Market,
    signals: Signals | None,
    *,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    execution: Execution = "auto",
    lookback: int = 0,
    cash_rate_pct: CashRate = None,
    impact: ImpactSettings | None = None,
    delisting_after: int | None = None,
    delisting_payout: float = DEFAULT_PAYOUT,
    holdable: Sequence[str] | None = None,
) -> Tape:
    """Lay a market out for the simulator.

    Args:
        market: Prices; sessions before `start` serve as history only.
        signals: Forecasts on (at least) the dates from `start` to `end`, or None.
        start: Date of the first decision; the first date of the signals when left out.
        end: Last date that may be marked; the last date of the market when left out.
        execution: When a decision is traded; `auto` takes the next open, or the next close without open prices.
        lookback: Sessions of log returns in an observation, L.
        cash_rate_pct: Yearly rate that cash earns, in per cent; see `alfred.data.prices.rates.resolve_cash_rate`.
        impact: Market impact, or None without.
        delisting_after: Sessions without a trade after which a symbol counts as delisted; half a year when left out.
        delisting_payout: What is paid for it then, as a fraction of the last price.
        holdable: Symbols that may be held; those that the market says are investable when left out, and all of them
            where it says nothing.

    Raises:
        ConfigError: The execution needs open prices that the market does not have.
        DataError: There are too few sessions from `start` to `end`, impact needs volume that the market lacks, or the
            cash rates cannot be read.
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
            f"only {market.n_dates - first} sessions from {market.dates[first].date()} to {market.dates[-1].date()}: "
            f"an episode needs at least {lag + (3 if timing != 'next_open' else 2)}; widen the range or load a longer "
            "history"
        )
    known = bars - lag
    close = _carry_forward(market.close)
    simple = np.vstack([np.zeros((1, market.n_symbols)), close[1:] / close[:-1] - 1.0])
    known_return = np.isfinite(simple) & market.tradable
    simple = np.nan_to_num(simple, nan=0.0, posinf=0.0)
    price = close
    if timing == "next_open":
        price = np.where(np.isfinite(market.field("open")), market.field("open"), np.vstack([close[:1], close[:-1]]))
    following = np.minimum(bars + 1, market.n_dates - 1)
    overnight = price[following] / close[bars]
    cash = (1.0 + resolve_cash_rate(market, cash_rate_pct)[bars]) ** (1.0 / market.periods_per_year)
    over = bars + 1 == market.n_dates
    overnight[over], cash[over] = 1.0, 1.0  # nothing is earned after the last close
    intraday = _with_cash(close[bars] / price[bars], 1.0) if timing == "next_open" else None
    growth = overnight if intraday is None else overnight * intraday[:, :-1]
    delisted, payout, _ = find_delistings(market, delisting_after, delisting_payout)
    # The reference is held in what trades, so that only the books lose what a payout lacks to the last price.
    paid = np.where(over[:, None], overnight, overnight * payout[following])
    padded = np.vstack([np.zeros((lookback, market.n_symbols)), np.log1p(simple)])
    universe = [market.index_of(symbol) for symbol in market.universe]
    members = find_members(market)
    allowed = np.isin(market.symbols, holdable or market.investable or market.symbols)
    allowed = allowed & members[known] if MEMBER in market.extras else allowed
    tradable = market.tradable[bars]
    bench = market.index_of(market.benchmark)
    marks = [*bars] + ([] if timing == "next_open" else [last + 1])
    delisted = delisted[bars]
    return Tape(
        dates=market.dates[bars],
        symbols=market.symbols,
        benchmark=bench,
        lag=lag,
        intraday=intraday,
        overnight=_with_cash(paid, cash),
        tradable=np.hstack([tradable, np.ones((len(bars), 1), dtype=bool)]),
        all_tradable=np.asarray(tradable.all(axis=1)),
        delisted=np.hstack([delisted, np.zeros((len(bars), 1), dtype=bool)]),
        any_delisted=np.asarray(delisted.any(axis=1)),
        bars=_lay_out_bars(market, close, bars, timing),
        impact_scale=_lay_out_impact(market, simple, bars - 1, impact),
        sectors=tuple(market.sectors.get(symbol, "") for symbol in market.symbols),
        signals=_signals_at(market, signals, market.dates[known]),
        features=compute_market_features(simple, known_return, bench, universe, market.periods_per_year)[known],
        tradable_then=(market.tradable[known] & allowed).astype(np.float32),
        holdable=None if allowed.all() else allowed.astype(np.float32),
        returns=np.clip(padded[known[0] + 1 : known[-1] + 1 + lookback], -BOUND, BOUND).astype(np.float32),
        lookback=lookback,
        reference_growth=_equal_weight_growth(growth[:, universe], (tradable & members[known])[:, universe]),
        benchmark_growth=_equal_weight_growth(growth[:, [bench]], tradable[:, [bench]]),
        benchmark_returns=np.concatenate(
            [[0.0 if intraday is None else intraday[0, bench] - 1.0], simple[marks[1:], bench]]
        ),
        cash_returns=np.concatenate([[0.0], cash[: len(marks) - 1] - 1.0]),
        periods_per_year=market.periods_per_year,
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


def _with_cash(factors: Float, cash: Float | float, missing: float = 1.0) -> Float:
    clean = np.where(np.isfinite(factors), factors, missing)
    return np.ascontiguousarray(np.hstack([clean, np.broadcast_to(cash, len(clean))[:, None]]))


def _lay_out_bars(market: Market, close: Float, bars: npt.NDArray[np.integer], timing: Execution) -> Bars | None:
    """Return the bar that is held through after each execution, relative to the execution price.

    That is the rest of the same session after an open, and the whole next session after a close.
    """
    if not market.has_ohlc:
        return None
    held = bars if timing == "next_open" else np.minimum(bars + 1, market.n_dates - 1)
    base = market.field("open")[held] if timing == "next_open" else close[bars]
    # A market in single precision is divided in double, like everything else on the tape.
    names = ("open", "low", "high", "close")
    opened, low, high, closed = (market.field(name)[held].astype(np.float64) / base for name in names)
    # Rounding of adjusted prices may leave open or close outside low and high; the wider range is the true one.
    low, high = np.minimum(np.minimum(low, opened), closed), np.maximum(np.maximum(high, opened), closed)
    return Bars(
        open=_with_cash(opened, 1.0),
        low=_with_cash(low, np.inf, missing=np.inf),
        high=_with_cash(high, -np.inf, missing=-np.inf),
    )


def _lay_out_impact(
    market: Market, simple: Float, known: npt.NDArray[np.integer], impact: ImpactSettings | None
) -> Float | None:
    if impact is None or impact.kind == "none":
        return None
    scale = compute_impact_scale(market, simple, impact)
    # Before the first session nothing is known, and nothing is charged.
    return _with_cash(np.where((known < 0)[:, None], 0.0, scale[known]), 0.0)


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
    # Rows are taken one by one, and `take` would copy all of an array that is laid out otherwise each time.
    values = np.ascontiguousarray(signals.values[rows])
    values[np.isnan(values)] = 0.0
    return np.clip(values, -BOUND, BOUND, out=values)
