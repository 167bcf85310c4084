"""The market: a validated panel of prices that can only be cut, never looked past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd

from alfred.data.arrays import as_floats, as_numbers, check_types
from alfred.data.delisting import Delisting, check_delistings
from alfred.data.features.cross_section import compute_levels
from alfred.data.features.names import LEVELS
from alfred.data.point_in_time.headlines import HEADLINES, Headlines, check_headlines
from alfred.data.sessions import infer_periods_per_year, to_day, to_session_dates
from alfred.errors import DataError, suggest
from alfred.typing import BoolArray, FloatArray

PRICE_FIELDS = ("open", "high", "low", "close")
FIELDS = (*PRICE_FIELDS, "volume")
_RESERVED = (*FIELDS, *LEVELS, HEADLINES)
# One part in a thousand: room for the rounding of adjusted prices, none for a swapped high and low.
RANGE_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Market:
    """Bars of a universe on the sessions of its benchmark, on a total-return basis.

    Axes legend: T dates, N symbols. Prices are NaN exactly where a symbol is not tradable (before its listing, after
    its delisting, on a halt). The benchmark is one of the symbols, so that it is held in the same ledger at the same
    costs as everything else.

    Attributes:
        dates: Sessions, ascending and unique, `[T]`.
        symbols: Names of the columns, `[N]`.
        close: Adjusted closes, `[T, N]`.
        tradable: Whether the symbol traded on the session, `[T, N]`.
        benchmark: The symbol that everything is judged against.
        open: Adjusted opens, `[T, N]`, or None when the source has closes only.
        high: Adjusted highs, `[T, N]`, or None.
        low: Adjusted lows, `[T, N]`, or None.
        volume: Shares traded, `[T, N]`, or None.
        sectors: Sector by symbol; symbols without one are left out.
        extras: Further point-in-time fields by name, each `[T, N]` and known at the close of its row (a fundamental
            joined by report date, a macro series with its publication lag); NaN where nothing is known yet.
        notes: Caveats of the source, one sentence each; they are printed in the report.
        periods_per_year: Sessions in a year, inferred from the dates: 252, 365, 52, 12, 4 or 1. Everything that is
            stated a year is scaled by it.
        cash_rate: What cash earns, known at each close, as a fraction a year, `[T]`; None where the source has none.
        delistings: Known delistings by symbol, those up to the last date.
        investable: The symbols that may be held; None where nothing says it. Agents and baselines then hold all but
            the benchmark, for an index cannot be bought; see `universe`. An environment of one's own holds any.
        headlines: News that became known at one of the sessions, or None.
    """

    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    close: FloatArray
    tradable: BoolArray
    benchmark: str
    open: FloatArray | None = None
    high: FloatArray | None = None
    low: FloatArray | None = None
    volume: FloatArray | None = None
    sectors: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, FloatArray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    periods_per_year: int = 252
    cash_rate: FloatArray | None = None
    delistings: Mapping[str, Delisting] = field(default_factory=dict)
    investable: tuple[str, ...] | None = None
    headlines: Headlines | None = None

    @classmethod
    def from_arrays(
        cls,
        dates: pd.DatetimeIndex | Sequence[str],
        symbols: Sequence[str],
        close: FloatArray,
        *,
        benchmark: str,
        tradable: BoolArray | None = None,
        open: FloatArray | None = None,  # noqa: A002  the field's word
        high: FloatArray | None = None,
        low: FloatArray | None = None,
        volume: FloatArray | None = None,
        sectors: Mapping[str, str] | None = None,
        extras: Mapping[str, FloatArray] | None = None,
        notes: Sequence[str] = (),
        cash_rate: FloatArray | None = None,
        delistings: Mapping[str, Delisting] | None = None,
        investable: Sequence[str] | None = None,
    ) -> Market:
        """Build a market and validate it once.

        Args:
            dates: Sessions, `[T]`; a time of day or a zone is dropped, as the bar belongs to the session of its date.
            symbols: Names, `[N]`.
            close: Adjusted closes, `[T, N]`; float32 and float64 are kept as they are.
            benchmark: One of `symbols`.
            tradable: `[T, N]`; taken from the finite closes when left out.
            open: `[T, N]` or None.
            high: `[T, N]` or None.
            low: `[T, N]` or None.
            volume: `[T, N]` or None.
            sectors: Sector by symbol.
            extras: Further point-in-time fields, each `[T, N]`.
            notes: Caveats of the source.
            cash_rate: What cash earns, known at each close, as a fraction a year, `[T]`.
            delistings: Known delistings by symbol; those after the last date are left out.
            investable: The symbols that may be held; see the class.

        Raises:
            DataError: Anything that would make a later result wrong; the text names symbol, date and value.
        """
        index = to_session_dates(dates)
        closes = as_floats(close, "close")
        check_types(symbols, benchmark, notes, sectors=sectors, extras=extras, delistings=delistings)
        check_delistings(delistings or {})
        # An infinite close is no missing one: it is tradable, and refused as such.
        mask = ~np.isnan(closes) if tradable is None else as_numbers(tradable, "tradable").astype(bool, copy=False)
        market = cls(
            dates=index,
            symbols=tuple(str(symbol) for symbol in symbols),
            close=closes,
            tradable=mask,
            benchmark=benchmark,
            open=None if open is None else as_floats(open, "open"),
            high=None if high is None else as_floats(high, "high"),
            low=None if low is None else as_floats(low, "low"),
            volume=None if volume is None else as_floats(volume, "volume"),
            sectors=dict(sectors or {}),
            extras={name: as_floats(array, f"extra field '{name}'") for name, array in (extras or {}).items()},
            notes=tuple(notes),
            cash_rate=None if cash_rate is None else as_floats(cash_rate, "cash_rate"),
            # One to come is the future.
            delistings={symbol: item for symbol, item in (delistings or {}).items() if item.date <= index[-1:].max()},
            investable=None if investable is None else tuple(str(symbol) for symbol in investable),
        )
        market.validate()
        return replace(market, periods_per_year=infer_periods_per_year(index))

    def validate(self) -> None:
        """Check every promise of the class docstring.

        Raises:
            DataError: The first promise that is broken, with symbol, date and value.
        """
        self._validate_axes()
        for name in FIELDS:
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != self.close.shape:
                raise DataError(f"{name} has shape {array.shape}, but close has {self.close.shape}: they must be equal")
            bad = self.tradable & (~np.isfinite(array) | (array < 0 if name == "volume" else array <= 0))
            if bad.any():
                t, n = np.argwhere(bad)[0]
                raise DataError(
                    f"{name} of '{self.symbols[n]}' is {array[t, n]} on {self.dates[t].date()} while it is tradable: "
                    "a price must be a positive number (a volume not negative); correct the value or drop the row"
                )
        for name, array in self.extras.items():
            if name in _RESERVED or array.shape != self.close.shape:
                raise DataError(
                    f"extra field '{name}' has shape {array.shape}: it needs shape {self.close.shape} and a name that "
                    f"is none of {', '.join(_RESERVED)}"
                )
        if self.high is not None and self.low is not None:
            with np.errstate(invalid="ignore"):
                bad = self.tradable & (self.high < self.low * (1 - RANGE_TOLERANCE))
            if bad.any():
                t, n = np.argwhere(bad)[0]
                raise DataError(
                    f"high of '{self.symbols[n]}' is {self.high[t, n]:.6g}, below its low {self.low[t, n]:.6g}, on "
                    f"{self.dates[t].date()}: the two columns look swapped; correct the row"
                )

    def _validate_axes(self) -> None:
        if self.close.shape != (len(self.dates), len(self.symbols)) or self.tradable.shape != self.close.shape:
            raise DataError(
                f"close has shape {self.close.shape} and tradable {self.tradable.shape}, but there are "
                f"{len(self.dates)} dates and {len(self.symbols)} symbols"
            )
        if not len(self.dates) or not self.symbols:
            raise DataError("the market is empty: it needs at least one date and one symbol")
        if self.dates.has_duplicates:
            raise DataError(f"date {self.dates[self.dates.duplicated()][0].date()} stands more than once; drop one")
        if not self.dates.is_monotonic_increasing:
            raise DataError("the dates are not in ascending order; sort the table by date")
        if len(set(self.symbols)) != len(self.symbols):
            twice = next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)
            raise DataError(f"symbol '{twice}' stands more than once; drop one of its columns")
        self.index_of(self.benchmark, what="benchmark")
        for symbol in self.investable or ():
            self.index_of(symbol, what="investable symbol")
        if self.investable is not None and not self.investable:
            raise DataError("no symbol is investable: name at least one that agents and baselines may hold")
        for symbol, item in self.delistings.items():
            self.index_of(symbol, what="delisted symbol")
            if item.payout is not None and not 0 <= item.payout < np.inf:
                raise DataError(
                    f"the payout of '{symbol}' on its delisting of {item.date.date()} is {item.payout}: it must be a "
                    "fraction of the last price, 0 at least; 0.7 is seventy per cent"
                )
        if self.headlines is not None:
            check_headlines(self.headlines, self.dates)
        if self.cash_rate is not None:
            if self.cash_rate.shape != (len(self.dates),):
                raise DataError(f"cash_rate has shape {self.cash_rate.shape}, but there are {len(self.dates)} dates")
            bad = ~(np.isfinite(self.cash_rate) & (self.cash_rate > -1.0) & (self.cash_rate <= 1.0))
            if bad.any():
                row = int(np.argmax(bad))
                raise DataError(
                    f"cash_rate is {self.cash_rate[row]} on {self.dates[row].date()}: it must be a fraction a year "
                    "between -1 and 1; 0.05 is five per cent"
                )

    @property
    def n_dates(self) -> int:
        """Number of sessions T."""
        return len(self.dates)

    @property
    def n_symbols(self) -> int:
        """Number of symbols N, the benchmark included."""
        return len(self.symbols)

    @property
    def has_ohlc(self) -> bool:
        """Whether open, high and low are known beside the close."""
        return self.open is not None and self.high is not None and self.low is not None

    @property
    def universe(self) -> tuple[str, ...]:
        """The symbols that agents and baselines may hold, in the order of the columns.

        They are those of `investable`; when it is None, all but the benchmark, or the benchmark when it stands alone.
        """
        if self.investable is not None:
            allowed = set(self.investable)
            return tuple(symbol for symbol in self.symbols if symbol in allowed)
        rest = tuple(symbol for symbol in self.symbols if symbol != self.benchmark)
        return rest or self.symbols

    def field(self, name: str) -> FloatArray:
        """Return one of open, high, low, close, volume, the extras or an index of all symbols or sectors, `[T, N]`.

        Raises:
            DataError: The field is unknown, or the source does not have it.
        """
        if name in self.extras:
            return self.extras[name]
        if name in LEVELS:
            return self._levels[name]
        if name not in FIELDS:
            known = (*FIELDS, *LEVELS, *self.extras)
            raise DataError(f"unknown field '{name}'; known: {', '.join(known)}.{suggest(name, known)}")
        if (array := cast("FloatArray | None", getattr(self, name))) is None:
            raise DataError(f"this market has no '{name}' (its source holds closes only); choose data with OHLCV")
        return array

    @cached_property
    def _levels(self) -> Mapping[str, FloatArray]:
        return compute_levels(self.close, self.tradable, [self.sectors.get(symbol, "") for symbol in self.symbols])

    def index_of(self, symbol: str, what: str = "symbol") -> int:
        """Return the column of a symbol.

        Raises:
            DataError: The symbol is unknown.
        """
        try:
            return self.symbols.index(symbol)
        except ValueError:
            shown = ", ".join(self.symbols[:8]) + (", ..." if self.n_symbols > 8 else "")
            raise DataError(
                f"unknown {what} '{symbol}'; the market has {shown}.{suggest(symbol, self.symbols)}"
            ) from None

    def until(self, date: pd.Timestamp | str) -> Market:
        """Return the market as it was known at the close of `date`: views, not copies.

        Raises:
            DataError: `date` is before the first session.
        """
        day = to_day(date)
        stop = int(self.dates.searchsorted(day, side="right"))
        if stop == 0:
            raise DataError(f"nothing is known until {day.date()}: the data start {self.dates[0].date()}")
        return self._rows(slice(0, stop))

    def since(self, date: pd.Timestamp | str) -> Market:
        """Return the sessions on and after `date`.

        Raises:
            DataError: `date` is after the last session.
        """
        day = to_day(date)
        start = int(self.dates.searchsorted(day, side="left"))
        if start == self.n_dates:
            raise DataError(f"there is no session from {day.date()}: the data end {self.dates[-1].date()}")
        return self._rows(slice(start, None))

    def select(self, symbols: Sequence[str], *, benchmark: str | None = None) -> Market:
        """Return the market of some symbols, in the given order.

        Args:
            symbols: Names to keep; the benchmark is added at the end when it is not among them.
            benchmark: Another benchmark, or None to keep the present one.

        Raises:
            DataError: A symbol is unknown or stands twice, or none of them is investable.
        """
        bench = benchmark or self.benchmark
        self.index_of(bench, what="benchmark")
        names = [*symbols] + ([] if bench in symbols else [bench])
        columns = [self.index_of(symbol) for symbol in names]
        if len(set(names)) != len(names):
            raise DataError(f"a symbol stands twice in {list(symbols)}; name each once")
        return replace(
            self._cut((slice(None), columns)),
            symbols=tuple(names),
            benchmark=bench,
            sectors={symbol: sector for symbol, sector in self.sectors.items() if symbol in names},
            delistings={symbol: item for symbol, item in self.delistings.items() if symbol in names},
            investable=self._select_investable(names),
            headlines=None if self.headlines is None else self.headlines.of(names),
        )

    def _select_investable(self, names: Sequence[str]) -> tuple[str, ...] | None:
        if self.investable is None:
            return None
        kept = tuple(symbol for symbol in self.investable if symbol in names)
        if not kept:
            raise DataError(
                f"none of {', '.join(names[:8])} is investable: name at least one that is, or set data.investable"
            )
        return kept

    def log_returns(self) -> FloatArray:
        """Return log(close_t / close_{t-1}), `[T, N]`: NaN in the first row and beside untradable sessions."""
        with np.errstate(invalid="ignore"):
            logs = np.log(self.close)
        return np.diff(logs, axis=0, prepend=np.full((1, self.n_symbols), np.nan, dtype=logs.dtype))

    def copy(self) -> Market:
        """Return the same market in memory of its own: nothing in it leads back to what it was cut from."""

        def own(array: FloatArray | None) -> FloatArray | None:
            return None if array is None else array.copy()

        return replace(
            self,
            dates=pd.DatetimeIndex(self.dates.to_numpy().copy()),
            close=self.close.copy(),
            tradable=self.tradable.copy(),
            open=own(self.open),
            high=own(self.high),
            low=own(self.low),
            volume=own(self.volume),
            extras={name: array.copy() for name, array in self.extras.items()},
            cash_rate=own(self.cash_rate),
            headlines=None if self.headlines is None else self.headlines.copy(),
        )

    def _rows(self, rows: slice) -> Market:
        dates = self.dates[rows]
        return replace(
            self._cut(rows),
            dates=dates,
            cash_rate=None if self.cash_rate is None else self.cash_rate[rows],
            # A delisting to come is the future.
            delistings={symbol: item for symbol, item in self.delistings.items() if item.date <= dates[-1]},
            headlines=None if self.headlines is None else self.headlines.since(dates[0]).until(dates[-1]),
        )

    def _cut(self, key: slice | tuple[slice, list[int]]) -> Market:
        """Return the market with every panel indexed by `key`; the axes are the caller's to set."""

        def optional(array: FloatArray | None) -> FloatArray | None:
            return None if array is None else array[key]

        return replace(
            self,
            close=self.close[key],
            tradable=self.tradable[key],
            open=optional(self.open),
            high=optional(self.high),
            low=optional(self.low),
            volume=optional(self.volume),
            extras={name: array[key] for name, array in self.extras.items()},
        )
