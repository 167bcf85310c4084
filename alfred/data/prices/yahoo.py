"""Daily bars from Yahoo Finance, cached with their provenance."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from alfred.data.files import compute_checksum, read_json, write_atomically
from alfred.errors import ConfigError, DataError, EndpointError, import_extra
from alfred.settings import check_name

_LOGGER = logging.getLogger(__name__)
# Besides letters, digits, dot and dash: ^GSPC is an index, EURUSD=X a currency.
_SIGNS = "^="
_COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adj_close",
    "Volume": "volume",
}
_PROBE = "https://query1.finance.yahoo.com/"
PROBE_SECONDS = 3.0
"""How long Yahoo may take to answer anything at all before it counts as out of reach."""

_ADJUSTMENTS = "open, high, low and close are adjusted for splits, adj_close for splits and dividends"


@dataclass(frozen=True)
class MissingSymbol:
    """A symbol that could not be fetched.

    Attributes:
        symbol: The symbol.
        reason: What Yahoo, or the network, said last.
    """

    symbol: str
    reason: str


@dataclass(frozen=True)
class FetchResult:
    """What a fetch left in its folder.

    Attributes:
        folder: One Parquet file a symbol, each with its provenance beside it (`.json`).
        fetched: Symbols downloaded now.
        cached: Symbols that were there already, unharmed.
        missing: Symbols that are not there; run the same fetch again to try only them.
    """

    folder: Path
    fetched: tuple[str, ...]
    cached: tuple[str, ...]
    missing: tuple[MissingSymbol, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the result as plain values for JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def fetch_yahoo(
    symbols: Sequence[str],
    folder: Path | str,
    *,
    start: date | None = None,
    end: date | None = None,
    refresh: bool = False,
    attempts: int = 4,
    backoff_seconds: float = 1.0,
    session: Any = None,
) -> FetchResult:
    """Download daily bars, one symbol after the other, into a folder that `load_market` reads.

    Each symbol is written as soon as it is there, whole or not at all, so that an interruption or a failure of another
    symbol loses nothing; a symbol whose file is unharmed and was fetched for the same dates is not fetched again.

    Args:
        symbols: Yahoo's symbols, such as SPY, BRK-B or BTC-USD.
        folder: Where to; made when missing.
        start: First date; the earliest there is when left out.
        end: Last date, included; today when left out.
        refresh: Whether to fetch again what is there.
        attempts: Tries for each symbol; one that Yahoo does not know is tried once.
        backoff_seconds: Pause after the first failure; it doubles with each further one.
        session: A curl_cffi or requests session to go through; yfinance's own when left out.

    Raises:
        DataError: A symbol cannot be a file name, or none is given.
        EndpointError: Yahoo cannot be reached at all; that is told once, within seconds, and not of each symbol.
        MissingExtraError: yfinance is not installed.
    """
    yfinance = import_extra("yfinance", "yahoo")
    if not symbols:
        raise DataError("there are no symbols to fetch; name at least one")
    for symbol in symbols:
        try:
            check_name(symbol, "symbol", also=_SIGNS)
        except ConfigError as error:
            raise DataError(f"'{symbol}' is not a symbol of Yahoo: {error}") from error
    target = Path(folder)
    span = {"start": None if start is None else str(start), "end": None if end is None else str(end)}
    fetched, cached, missing = [], [], []
    reached = session is not None  # whoever brings a session knows how it gets there
    for symbol in dict.fromkeys(symbols):
        if not refresh and _is_cached(target, symbol, span):
            cached.append(symbol)
            continue
        if not reached:
            _require_network()
            reached = True
        try:
            bars = _try_repeatedly(yfinance, symbol, start, end, attempts, backoff_seconds, session)
        except _FetchError as error:
            _LOGGER.warning("%s was not fetched: %s", symbol, error)
            missing.append(MissingSymbol(symbol, str(error)))
            reached = session is not None  # the network may have gone since
            continue
        _write(target, symbol, bars, {**span, "source": f"Yahoo Finance through yfinance {yfinance.__version__}"})
        fetched.append(symbol)
        _LOGGER.info("%s: %d rows", symbol, len(bars))
    return FetchResult(target, tuple(fetched), tuple(cached), tuple(missing))


def _require_network() -> None:
    """Ask Yahoo for anything, through the proxy that the environment names.

    Any answer will do, a refusal as well, and so does a certificate that Python does not trust, since yfinance brings
    certificates of its own.

    Raises:
        EndpointError: There is no answer within a few seconds.
    """
    found: list[str] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(_PROBE, timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            found.append("")
        except OSError as error:
            cause = getattr(error, "reason", error)
            found.append("" if isinstance(cause, ssl.SSLError) else " ".join(str(cause).split()))
        except Exception as error:  # an answer that is no HTTP is one of something else than Yahoo
            found.append(f"{type(error).__name__}: {error}")
        else:
            found.append("")

    # In a thread, since looking up a name has no timeout; it must not keep the process either.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    reason = found[0] if found else f"no answer within {PROBE_SECONDS:g} seconds"
    if reason:
        proxy = urllib.request.getproxies().get("https")
        through = f" through the proxy {_hide_password(proxy)}" if proxy else ""
        raise EndpointError(
            f"Yahoo cannot be reached{through} ({reason}); nothing was fetched from here on. Check the network"
            f"{' and HTTPS_PROXY' if proxy else ', or name a proxy in HTTPS_PROXY'}, and run the same command again"
        )


def _hide_password(proxy: str) -> str:
    head, separator, host = proxy.rpartition("@")
    return f"{head.partition('//')[0]}//***@{host}" if separator else proxy


class _FetchError(Exception):
    """A symbol could not be fetched; the text is the reason."""


def _try_repeatedly(
    yfinance: ModuleType,
    symbol: str,
    start: date | None,
    end: date | None,
    attempts: int,
    backoff_seconds: float,
    session: Any,
) -> pd.DataFrame:
    unknown = yfinance.exceptions.YFTickerMissingError
    for attempt in range(attempts):
        if attempt:
            time.sleep(backoff_seconds * 2 ** (attempt - 1))
        try:
            with _raise_errors(yfinance):
                return _download(yfinance, symbol, start, end, session)
        except _FetchError:
            raise
        except unknown as error:
            raise _FetchError(str(error)) from error
        # Yahoo answers in many broken ways, and yfinance lets most of them through as they come (KeyError, TypeError,
        # network errors of two libraries): all of them mean that this try failed.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            _LOGGER.info("%s, try %d of %d: %s", symbol, attempt + 1, attempts, reason)
    raise _FetchError(f"{attempts} tries failed, the last with {reason}")


def _download(yfinance: ModuleType, symbol: str, start: date | None, end: date | None, session: Any) -> pd.DataFrame:
    bars = yfinance.Ticker(symbol, session=session).history(
        period=None if start is not None else "max",
        start=None if start is None else str(start),
        # Yahoo's own end is exclusive.
        end=None if end is None else str((pd.Timestamp(end) + pd.Timedelta(days=1)).date()),
        interval="1d",
        auto_adjust=False,
        actions=False,
    )
    if bars is None or bars.empty:
        raise _FetchError("Yahoo has no prices for these dates")
    table = bars[list(_COLUMNS)].rename(columns=_COLUMNS).astype(np.float64)
    # The stamp is midnight on the exchange's clock: its date is the session.
    table.insert(0, "date", pd.DatetimeIndex(bars.index).tz_localize(None).normalize().as_unit("s"))
    return table.reset_index(drop=True)


@contextmanager
def _raise_errors(yfinance: ModuleType) -> Iterator[None]:
    """Let yfinance raise instead of logging and returning an empty table; its own setting comes back afterwards."""
    settings = yfinance.config.debug
    before = settings.hide_exceptions
    settings.hide_exceptions = False
    try:
        yield
    finally:
        settings.hide_exceptions = before


def _write(folder: Path, symbol: str, bars: pd.DataFrame, provenance: dict[str, object]) -> None:
    """Write the rows without an empty cell, and where they come from."""
    whole = bars.notna().all(axis=1)
    table = bars[whole].assign(symbol=symbol)
    path = folder / f"{symbol}.parquet"
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
    description = {
        **provenance,
        "symbol": symbol,
        "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "adjustments": _ADJUSTMENTS,
        "rows": len(table),
        "first": str(table["date"].iloc[0].date()) if len(table) else None,
        "last": str(table["date"].iloc[-1].date()) if len(table) else None,
        "dropped_for_empty_cells": [str(day.date()) for day in bars.loc[~whole, "date"]],
        "sha256": compute_checksum(path),
    }
    text = json.dumps(description, indent=2)
    # The provenance comes last: a table without one counts as not fetched.
    write_atomically(path.with_suffix(".json"), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _is_cached(folder: Path, symbol: str, span: dict[str, str | None]) -> bool:
    path = folder / f"{symbol}.parquet"
    try:
        provenance = read_json(folder / f"{symbol}.json")
        same = all(provenance.get(name) == value for name, value in span.items())
        return same and provenance.get("sha256") == compute_checksum(path)
    except (OSError, ValueError, AttributeError):
        return False
