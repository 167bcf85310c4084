"""The contracts of a feature and of a source of markets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.analysts.checks import rescale_market
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.sources import compute_market_checksum
from alfred.errors import ContractError, require_promise
from alfred.typing import FloatArray

_SPLITS = (0.5, 8.0, 1.0, 32.0)
_ROUNDING = 1e-6
_CUTS = 50  # dates at which a market is cut; one of each remainder, so that no habit of every few rows is missed
# The calendar repeats after 28 years: the same day of the month, and of the week.
_YEARS = 28
_SHIFT_DAYS = 7 * 1461


def check_feature(feature: Callable[[Market], FloatArray], market: Market) -> None:
    """Check a feature against the contract.

    It must return a number a session and symbol, the same twice; never write to the market; read nothing later than the
    row that it writes, which is tested by cutting the market at fifty dates; be free of the unit of a price, for a
    later split divides all earlier prices and so would tell of itself; and read nothing but the market: a table of its
    own would answer for these names and dates only, or for any market alike. What it knows beside the market and looks
    up by the number of the row, mixed with what it reads, is beyond this.

    Args:
        feature: The function, called with markets whose symbols have other names and whose dates lie years earlier.
        market: With the fields that it reads.

    Raises:
        ContractError: A promise is broken.
    """
    before = compute_market_checksum(market)
    values = np.asarray(feature(market))
    require_promise(values.shape == market.close.shape, "a feature must return [T, N]")
    require_promise(np.issubdtype(values.dtype, np.number), "a feature must return numbers")
    require_promise(bool(np.isfinite(values).any()), "a feature must know something")
    require_promise(np.array_equal(values, feature(market), equal_nan=True), "a feature must return the same twice")
    require_promise(compute_market_checksum(market) == before, "a feature must not write to the market")
    for number, share in enumerate((0.3, 0.6, 0.9)):
        row = int(share * market.n_dates)
        date = market.dates[row]
        # Notes tell of the whole range.
        _compare_past(feature, replace(scramble_after(market, date, seed=number), notes=()), values, row)
    for row in _choose_rows(market.n_dates):
        _compare_past(feature, replace(market.until(market.dates[row]), notes=()), values, row)
    _check_splits(feature, market, values)
    _check_own_data(feature, market, values)


def _choose_rows(n_dates: int) -> list[int]:
    """Return the rows to cut at, anywhere but in the first tenth, where little is known."""
    first = n_dates // 10
    rng = np.random.default_rng(0)
    if n_dates - first <= _CUTS:
        return list(range(first, n_dates - 1))
    blocks = (n_dates - 1 - first) // _CUTS
    return sorted(first + rest + _CUTS * int(rng.integers(blocks)) for rest in range(_CUTS))


def _compare_past(feature: Callable[[Market], FloatArray], market: Market, values: FloatArray, row: int) -> None:
    """Compute the feature where the market ends, or goes on otherwise, after a row."""
    found = np.asarray(feature(market))[: row + 1]
    require_promise(
        np.array_equal(values[: row + 1], found, equal_nan=True),
        f"row t of a feature must read nothing after t, and what came after {market.dates[row].date()} changes that "
        "row or earlier ones",
    )


def _check_splits(feature: Callable[[Market], FloatArray], market: Market, values: FloatArray) -> None:
    """Compute the feature as if every symbol had been split later; factors are powers of two, which round nothing."""
    factors = np.resize(_SPLITS, market.n_symbols)
    split = rescale_market(market, factors)
    if market.volume is not None:
        split = replace(split, volume=(market.volume / factors).astype(market.volume.dtype))
    found = np.asarray(feature(split))
    size = np.nanmax(np.abs(values), where=np.isfinite(values), initial=0.0)
    same = np.allclose(values, found, rtol=_ROUNDING, atol=_ROUNDING * size, equal_nan=True)
    require_promise(
        same,
        "a feature must not change when prices are divided, and volumes multiplied, by the ratio of a later split: "
        "divide by a price of the same symbol, and multiply volumes by a price",
    )


def _check_own_data(feature: Callable[[Market], FloatArray], market: Market, values: FloatArray) -> None:
    """Compute the feature of the same numbers under other names and dates, and of other numbers."""
    renamed = _rename(market)
    promise = "a feature must read nothing but the market: put what it knows beside it into the market's extras"
    try:
        found = np.asarray(feature(renamed))
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ContractError(
            f"{promise}; under other names and {_YEARS} years earlier it fails with {reason}"
        ) from error
    require_promise(
        np.array_equal(values, found, equal_nan=True),
        f"{promise}; under other names of the symbols and {_YEARS} years earlier the same numbers give another feature",
    )
    # Another day of the week as well, so that a calendar is no table of its own.
    other = replace(
        _rename(scramble_after(market, market.dates[0], seed=9)), dates=renamed.dates + pd.Timedelta(days=3)
    )
    require_promise(
        not np.array_equal(values, feature(other), equal_nan=True),
        f"{promise}; it gives the same for a market of other prices, names and dates",
    )


def _rename(market: Market) -> Market:
    """Return the same numbers under other names of the symbols, on the same days of the year 28 years earlier."""
    names = {symbol: f"RENAMED{number}" for number, symbol in enumerate(market.symbols)}
    gap = pd.Timedelta(days=_SHIFT_DAYS)
    return replace(
        market,
        dates=pd.DatetimeIndex(market.dates - gap),
        symbols=tuple(names.values()),
        benchmark=names[market.benchmark],
        sectors={names[symbol]: sector for symbol, sector in market.sectors.items() if symbol in names},
        delistings={
            names[symbol]: replace(item, date=item.date - gap)
            for symbol, item in market.delistings.items()
            if symbol in names
        },
        investable=None if market.investable is None else tuple(names[symbol] for symbol in market.investable),
    )


def check_source(load: Callable[[], Market]) -> None:
    """Check a source of markets against the contract.

    It must return a valid market with at least two sessions and the same bytes on a second call, in memory of its own.

    Args:
        load: The source.

    Raises:
        ContractError: A promise is broken.
        DataError: The market itself is not valid; the text names symbol, date and value.
    """
    market = load()
    require_promise(isinstance(market, Market), "a source must return a Market")
    market.validate()
    require_promise(market.n_dates >= 2, "a source must return two sessions at least")
    again = load()
    require_promise(
        compute_market_checksum(market) == compute_market_checksum(again), "a source must return the same data twice"
    )
    require_promise(not np.shares_memory(market.close, again.close), "each call must return memory of its own")
    require_promise(market.benchmark in market.symbols, "the benchmark must be one of the symbols")
