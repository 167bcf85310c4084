"""The contracts of a feature and of a source of markets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.sources import compute_market_checksum
from alfred.errors import require_promise
from alfred.typing import FloatArray


def check_feature(feature: Callable[[Market], FloatArray], market: Market) -> None:
    """Check a feature against the contract.

    It must return a number a session and symbol, the same twice; never write to the market; and read nothing later
    than the row that it writes, which is tested at several dates.

    Args:
        feature: The function.
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
        cut = np.asarray(feature(market.until(date)))
        other = np.asarray(feature(scramble_after(market, date, seed=number)))
        for found in (cut[: row + 1], other[: row + 1]):
            require_promise(
                np.array_equal(values[: row + 1], found, equal_nan=True),
                f"row t of a feature must read nothing after t, and what came after {date.date()} changes earlier rows",
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
