"""Where markets come from: the embedded tables, files of yours, or a source of your own."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.data.market import FIELDS, Market
from alfred.data.point_in_time.fundamentals import join_fundamentals
from alfred.data.point_in_time.macro import join_macro
from alfred.data.point_in_time.members import join_members
from alfred.data.point_in_time.news import join_news
from alfred.data.prices.alignment import build_market
from alfred.data.prices.long_table import read_price_table
from alfred.data.prices.registry import BUILT_IN_SOURCES, SOURCES
from alfred.data.prices.sp500 import load_embedded_market
from alfred.data.prices.symbols import find_members_file, read_delistings, read_investable, read_sectors
from alfred.data.settings import DataSettings
from alfred.errors import AlfredError, DataError
from alfred.settings import Settings


def load_market(settings: DataSettings) -> Market:
    """Load and validate a market.

    Args:
        settings: Which one.

    Raises:
        DataError: The files cannot be read or hold something that would make a result wrong; the text names the file,
            the symbol, the date, the value and the fix.
    """
    if settings.path is not None:
        market = _load_files(settings, settings.path)
    elif settings.source in BUILT_IN_SOURCES:
        market = _narrow(load_embedded_market(settings.dtype), settings)
    else:
        market = _narrow(_load_own(settings), settings)
    market = _choose_investable(market, settings)
    members = settings.members or (None if settings.path is None else find_members_file(settings.path))
    if members is not None:
        market = join_members(market, members)
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
    if market.headlines is not None:
        days = market.headlines.known.to_numpy().astype("datetime64[s]").astype(np.int64)
        told = zip(days, market.headlines.symbols, market.headlines.texts, strict=True)
        digest.update("\n".join(f"{day} {symbol} {text!r}" for day, symbol, text in told).encode())
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


def _load_own(settings: DataSettings) -> Market:
    """Return the market of a source of the user's own, in the storage type that is asked for.

    Raises:
        DataError: It cannot be loaded, or is no market, or not a valid one.
    """
    source = SOURCES.load(settings.source)
    try:
        market: object = source(settings.options or Settings()).load()
    except AlfredError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's source does wrong
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DataError(f"source '{settings.source}' cannot be loaded: {reason}; correct its load()") from error
    if not isinstance(market, Market):
        raise DataError(f"source '{settings.source}' must load a Market, got {type(market).__name__}")
    market.validate()
    held = {name: getattr(market, name) for name in FIELDS if getattr(market, name) is not None}
    return replace(market, **{name: panel.astype(settings.dtype, copy=False) for name, panel in held.items()})


def _narrow(market: Market, settings: DataSettings) -> Market:
    """Return the dates and symbols that are asked for."""
    market = market if settings.start is None else market.since(pd.Timestamp(settings.start))
    market = market if settings.end is None else market.until(pd.Timestamp(settings.end))
    if settings.symbols is not None or settings.benchmark is not None:
        wanted = market.symbols if settings.symbols is None else settings.symbols
        market = market.select(wanted, benchmark=settings.benchmark)
    return market
