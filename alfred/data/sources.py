"""Where markets come from: the embedded tables, or files of yours."""

from __future__ import annotations

import hashlib
import zoneinfo
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import field_validator, model_validator

from alfred.data.market import FIELDS, Market
from alfred.data.point_in_time.fundamentals import FundamentalsSettings, join_fundamentals
from alfred.data.point_in_time.macro import MacroSettings, join_macro
from alfred.data.point_in_time.news import NewsSettings, join_news
from alfred.data.prices.alignment import build_market
from alfred.data.prices.long_table import read_price_table
from alfred.data.prices.sp500 import load_embedded_market
from alfred.data.prices.symbols import read_delistings, read_investable, read_sectors
from alfred.errors import DataError, suggest
from alfred.settings import Settings


class DataSettings(Settings):
    """Which market.

    Attributes:
        source: `embedded` (20 US stocks and the S&P 500 index, 1990 to 2022, from skfolio) or `files`.
        path: A price table or a folder of them; naming one makes the source `files`.
        symbols: Symbols to keep; all when left out.
        benchmark: The symbol to be judged against; SPY (SP500TR in the embedded data) when left out.
        start: First date.
        end: Last date.
        investable: The symbols that agents and baselines may hold, or `all`. Left out, the column `investable` of
            `symbols.csv` says it; where that is silent, everything but the benchmark, for an index cannot be bought.
        dtype: Storage of the prices; `float32` halves the memory of a large universe.
        time_zone: Zone on whose clock time stamps with a zone, epochs and UTC stamps are dated, such as
            America/New_York; when left out, a stamp's own date counts, and UTC stamps that may be another day are
            refused.
        sunday_sessions: Whether the exchange trades from Sunday to Thursday (Tel Aviv, Riyadh); otherwise such days are
            refused, as they are what midnights written in the wrong zone look like.
        fundamentals: Reports to join as extra fields, or None.
        macro: Macroeconomic series to join as extra fields, or None.
        news: Headlines whose daily count to join as an extra field, or None.
    """

    source: Literal["embedded", "files"] = "embedded"
    path: Path | None = None
    symbols: tuple[str, ...] | None = None
    benchmark: str | None = None
    start: date | None = None
    end: date | None = None
    investable: Literal["all"] | tuple[str, ...] | None = None
    dtype: Literal["float64", "float32"] = "float64"
    time_zone: str | None = None
    sunday_sessions: bool = False
    fundamentals: FundamentalsSettings | None = None
    macro: MacroSettings | None = None
    news: NewsSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_means_files(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("path") is not None and "source" not in values:
            return {**values, "source": "files"}
        return values

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in (known := zoneinfo.available_timezones()):
            raise ValueError(f"unknown time zone '{zone}'; New York is America/New_York.{suggest(zone, known)}")
        return zone

    @model_validator(mode="after")
    def _check_together(self) -> DataSettings:
        if (self.source == "files") != (self.path is not None):
            raise ValueError(
                "source 'files' needs a path to a price table or a folder of them"
                if self.path is None
                else f"source 'embedded' reads no path, but path is {self.path}; drop one of the two"
            )
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}; swap them")
        if self.symbols is not None and not self.symbols:
            raise ValueError("symbols is empty; name at least one, or leave it out for all")
        if self.investable is not None and not self.investable:
            raise ValueError("investable is empty; name at least one symbol, or 'all'")
        return self


def load_market(settings: DataSettings) -> Market:
    """Load and validate a market.

    Args:
        settings: Which one.

    Raises:
        DataError: The files cannot be read or hold something that would make a result wrong; the text names the file,
            the symbol, the date, the value and the fix.
    """
    market = _load_files(settings, settings.path) if settings.path is not None else _load_embedded(settings)
    market = _choose_investable(market, settings)
    if settings.fundamentals is not None:
        market = join_fundamentals(market, settings.fundamentals)
    if settings.macro is not None:
        market = join_macro(market, settings.macro)
    if settings.news is not None:
        market = join_news(market, settings.news)
    return market


def _choose_investable(market: Market, settings: DataSettings) -> Market:
    """Return the market with the symbols that agents and baselines may hold.

    Raises:
        DataError: `data.investable` or `symbols.csv` names a symbol that is not there, or nothing can be held.
    """
    if settings.investable == "all":
        return replace(market, investable=market.symbols)
    if settings.investable is not None:
        chosen = replace(market, investable=settings.investable)
        chosen.validate()
        return chosen
    stated = {} if settings.path is None else read_investable(settings.path)
    if not stated:
        return market
    held = tuple(symbol for symbol in market.symbols if stated.get(symbol, symbol != market.benchmark))
    if not held:
        raise DataError(f"symbols.csv beside {settings.path} leaves nothing that is investable; mark a symbol with yes")
    return replace(market, investable=held)


def compute_market_checksum(market: Market) -> str:
    """Return the SHA-256, in hexadecimal, over all that a market holds except its notes.

    Two markets with the same checksum have the same dates, symbols, benchmark, sectors and panels, bit by bit, in the
    same storage type.
    """
    digest = hashlib.sha256()

    def add(name: str, array: np.ndarray[Any, Any]) -> None:
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        for row in array:
            digest.update(np.ascontiguousarray(row).data)

    add("dates", market.dates.to_numpy().astype("datetime64[s]").astype(np.int64)[:, None])
    texts = [*market.symbols, "|", market.benchmark, "|"]
    texts += [f"{symbol}={sector}" for symbol, sector in sorted(market.sectors.items())]
    texts += ["|", *market.universe]
    texts += [f"{symbol} until {item.date} {item.payout}" for symbol, item in sorted(market.delistings.items())]
    digest.update("\n".join(texts).encode())
    add("tradable", market.tradable.view(np.uint8))
    for name in FIELDS:
        if getattr(market, name) is not None:
            add(name, market.field(name))
    if market.cash_rate is not None:
        add("cash_rate", market.cash_rate[:, None])
    for name in sorted(market.extras):
        add(name, market.extras[name])
    return digest.hexdigest()


def _load_files(settings: DataSettings, path: Path) -> Market:
    table = read_price_table(path, settings.time_zone)
    sectors, delistings = read_sectors(path), read_delistings(path)
    try:
        return build_market(
            table,
            symbols=settings.symbols,
            benchmark=settings.benchmark,
            start=None if settings.start is None else pd.Timestamp(settings.start),
            end=None if settings.end is None else pd.Timestamp(settings.end),
            dtype=settings.dtype,
            sectors=sectors,
            delistings=delistings,
            sundays=settings.sunday_sessions,
        )
    except DataError as error:
        # A bad row names its own file already; everything else gets the path that it is about.
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error


def _load_embedded(settings: DataSettings) -> Market:
    market = load_embedded_market(settings.dtype)
    market = market if settings.start is None else market.since(pd.Timestamp(settings.start))
    market = market if settings.end is None else market.until(pd.Timestamp(settings.end))
    if settings.symbols is not None or settings.benchmark is not None:
        wanted = market.symbols if settings.symbols is None else settings.symbols
        market = market.select(wanted, benchmark=settings.benchmark)
    return market
