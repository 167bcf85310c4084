"""The whole of yfinance runs; only the wire is ours."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.data.prices import yahoo
from alfred.data.prices.yahoo import FetchResult, fetch_yahoo
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import DataError, EndpointError

yfinance = pytest.importorskip("yfinance")
requests = pytest.importorskip("requests")

DAYS = pd.bdate_range("2020-01-06", periods=5)
CLOSES = {"SPY": [300.0, 301.0, 302.0, 303.0, 304.0], "AAA": [10.0, 11.0, None, 13.0, 14.0]}


class Wire(requests.adapters.BaseAdapter):
    """Answers as Yahoo's chart service does, from `CLOSES`; fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, int] = {}
        self.charts: list[str] = []

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        response = requests.Response()
        response.request, response.url, response.status_code = request, request.url, 200
        path = urlparse(request.url).path
        content = "crumb"
        if "/chart/" in path:
            symbol = path.rsplit("/", 1)[1]
            self.charts.append(symbol)
            if self.failures.get(symbol, 0) > 0:
                self.failures[symbol] -= 1
                raise requests.exceptions.ConnectionError("the line is down")
            content = json.dumps(make_chart(symbol))
            response.status_code = 200 if symbol in CLOSES else 404
        response._content = content.encode()
        return response

    def close(self) -> None:
        pass


def make_chart(symbol: str) -> dict[str, object]:
    if symbol not in CLOSES:
        error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
        return {"chart": {"result": None, "error": error}}
    closes = CLOSES[symbol]
    stamps = [int(day.tz_localize("America/New_York").timestamp()) + 34_200 for day in DAYS]
    meta = {
        "currency": "USD",
        "symbol": symbol,
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EST",
        "gmtoffset": -18000,
        "instrumentType": "EQUITY",
        "regularMarketTime": stamps[-1] + 23_400,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "max"],
        "currentTradingPeriod": {
            "regular": {"timezone": "EST", "start": stamps[-1], "end": stamps[-1] + 23_400, "gmtoffset": -18000}
        },
    }
    bars = {
        "open": closes,
        "high": [None if close is None else close + 1 for close in closes],
        "low": [None if close is None else close - 1 for close in closes],
        "close": closes,
        "volume": [None if close is None else 1000 for close in closes],
    }
    halves = [None if close is None else close / 2 for close in closes]
    result = {"meta": meta, "timestamp": stamps, "indicators": {"quote": [bars], "adjclose": [{"adjclose": halves}]}}
    return {"chart": {"result": [result], "error": None}}


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    yfinance.set_tz_cache_location(str(tmp_path / "cache"))
    # yfinance keeps answers in memory; a test must not hear those of another.
    yfinance.data.YfData.cache_get.cache_clear()
    yield Wire()


def fetch(wire: Wire, symbols: list[str], folder: Path, **settings: object) -> FetchResult:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, wire)
    return fetch_yahoo(
        symbols, folder, session=session, **{"backoff_seconds": 0.0, "start": DAYS[0].date(), **settings}
    )


def test_what_is_fetched_is_a_market_with_its_provenance(wire: Wire, tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    result = fetch(wire, ["SPY", "AAA"], folder)
    assert result.fetched == ("SPY", "AAA")
    assert result.missing == ()
    market = load_market(DataSettings(path=folder))
    assert market.dates.equals(DAYS.as_unit("s"))
    np.testing.assert_allclose(market.close[:, 1], [150, 150.5, 151, 151.5, 152])
    assert market.tradable[:, 0].tolist() == [True, True, False, True, True]
    provenance = json.loads((folder / "AAA.json").read_text())
    assert provenance["source"].startswith("Yahoo Finance through yfinance")
    assert (provenance["rows"], provenance["first"], provenance["last"]) == (4, "2020-01-06", "2020-01-10")
    assert len(provenance["sha256"]) == 64
    assert "dividends" in provenance["adjustments"]


def test_a_second_fetch_takes_only_what_is_not_there(wire: Wire, tmp_path: Path) -> None:
    fetch(wire, ["SPY"], tmp_path)
    wire.charts.clear()
    result = fetch(wire, ["SPY", "AAA"], tmp_path)
    assert (result.cached, result.fetched) == (("SPY",), ("AAA",))
    assert set(wire.charts) == {"AAA"}
    (tmp_path / "SPY.parquet").write_bytes(b"harmed")
    assert fetch(wire, ["SPY", "AAA"], tmp_path).fetched == ("SPY",)
    assert fetch(wire, ["SPY"], tmp_path, end=DAYS[3].date()).fetched == ("SPY",)
    assert fetch(wire, ["AAA"], tmp_path, refresh=True).fetched == ("AAA",)


def test_a_failure_is_tried_again_and_a_lasting_one_listed(wire: Wire, tmp_path: Path) -> None:
    wire.failures = {"SPY": 2, "AAA": 1000}
    result = fetch(wire, ["AAA", "SPY"], tmp_path)
    assert result.fetched == ("SPY",)
    assert [item.symbol for item in result.missing] == ["AAA"]
    assert "4 tries failed" in result.missing[0].reason
    assert not list(tmp_path.glob("AAA*"))
    wire.failures.clear()
    again = fetch(wire, ["AAA", "SPY"], tmp_path)
    assert (again.cached, again.fetched, again.missing) == (("SPY",), ("AAA",), ())


def test_a_symbol_that_yahoo_does_not_know_is_listed_at_once(wire: Wire, tmp_path: Path) -> None:
    result = fetch(wire, ["NOPE", "SPY"], tmp_path)
    assert result.fetched == ("SPY",)
    assert result.missing[0].symbol == "NOPE"
    assert "delisted" in result.missing[0].reason
    assert json.loads(json.dumps(result.to_dict()))["missing"][0]["symbol"] == "NOPE"


def test_the_pause_doubles(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("alfred.data.prices.yahoo.time.sleep", pauses.append)
    wire.failures = {"SPY": 1000}
    fetch(wire, ["SPY"], tmp_path, backoff_seconds=0.5, attempts=4)
    assert pauses == [0.5, 1.0, 2.0]


def test_yfinance_keeps_its_own_settings(wire: Wire, tmp_path: Path) -> None:
    before = yfinance.config.debug.hide_exceptions
    fetch(wire, ["NOPE"], tmp_path)
    assert yfinance.config.debug.hide_exceptions == before


def test_symbols_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'\.\./x' is not a symbol of Yahoo"):
        fetch_yahoo(["../x"], tmp_path)
    with pytest.raises(DataError, match="there are no symbols"):
        fetch_yahoo([], tmp_path)


@pytest.mark.network
def test_the_real_yahoo(tmp_path: Path) -> None:
    result = fetch_yahoo(
        ["SPY"], tmp_path, start=pd.Timestamp("2020-01-02").date(), end=pd.Timestamp("2020-01-31").date()
    )
    assert result.missing == ()
    assert load_market(DataSettings(path=tmp_path)).n_dates == 21


def test_a_network_that_is_not_there_is_told_once_and_soon(tmp_path, monkeypatch) -> None:
    """A proxy that takes the connection and never answers is the worst case: only a timeout ends it."""
    monkeypatch.setattr(yahoo, "PROBE_SECONDS", 0.3)
    began = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://me:secret@localhost:{silent.getsockname()[1]}")
        result = CliRunner().invoke(app, ["data", "fetch", "SPY", "AAA", "--folder", str(tmp_path / "prices")])
    assert time.monotonic() - began < 5
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: Yahoo cannot be reached through the proxy http://***@localhost:")
    assert "secret" not in line
    with socket.socket() as free:  # nobody listens here
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://localhost:{port}")
    with pytest.raises(EndpointError, match="refused"):
        fetch_yahoo(["SPY"], tmp_path)
    assert yahoo.PROBE_SECONDS < 5
