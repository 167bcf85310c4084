"""Files that are small and would take all memory: refused on one line, before they are unpacked."""

from __future__ import annotations

import gzip
import io
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alfred.agents.base import NetworkPolicy
from alfred.agents.registry import make_agent
from alfred.data.files import MOST_TIMES, read_array
from alfred.data.prices.parsing import read_csv_text
from alfred.data.settings import DataSettings
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.errors import CheckpointError, DataError, SignalError
from alfred.evaluation.outside.table import read_outside_table
from tests.agents.tasks import ENVIRONMENT, make_task, make_tiny
from tests.conftest import make_random_market
from tests.training.small import write_market

HEADER = b"date,symbol,close\n"


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """Give this process two gigabytes more than it has: what unpacks one of these bombs ends it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (2 << 30), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def write_bomb(path: Path, head: bytes, row: bytes) -> Path:
    """Write a file of gzip that unpacks to 384 MiB: members one after another are one file."""
    piece = gzip.compress(row * ((1 << 24) // len(row)))
    path.write_bytes(gzip.compress(head) + piece * 24)
    return path


@pytest.mark.parametrize("row", [b"2020-01-02,A,1.0\n", b"\x00", b"0,", b"\n"])
def test_packed_prices(row: bytes, tmp_path: Path) -> None:
    path = write_bomb(tmp_path / "prices.csv.gz", HEADER if row[-1:] == b"\n" else b"", row)
    with pytest.raises(DataError, match=r"prices\.csv\.gz (cannot be read|has no)"):
        load_market(DataSettings(path=path))


def test_packed_tables_beside_the_prices_and_of_other_tools(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"it unpacks to more than .* MiB, {MOST_TIMES} times its size"):
        read_csv_text(write_bomb(tmp_path / "rates.csv.gz", b"date,rate\n", b"2020-01-02,1\n"), ("date",))
    with pytest.raises(DataError, match="it unpacks to more than"):
        read_outside_table(write_bomb(tmp_path / "returns.csv.gz", b"date,returns\n", b"2020-01-02,0.01\n"))


def test_tables_that_pack_well_are_read(tmp_path: Path) -> None:
    market = make_random_market(3_000, 3)
    path = tmp_path / "prices.csv"
    write_market(path, market)
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load_market(DataSettings(path=packed)).n_dates == 3_000


def write_rows(path: Path, text: str, n_rows: int) -> Path:
    """Write a Parquet file of equal rows in the way that takes next to no room: a dictionary, and a count."""
    dates = pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int8), [text])
    numbers = pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int8), [1.0])
    table = pa.table({"date": dates, "close": numbers, "open": numbers, "high": numbers, "low": numbers})
    with pq.ParquetWriter(path, table.schema, compression="gzip") as writer:
        for _ in range(20):
            writer.write_table(table)
    return path


def test_tables_of_parquet(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "prices.parquet", "2020-01-02", 2_000_000)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(
        DataError, match=r"prices\.parquet cannot be read \(it unpacks to \d+ MiB; \d+ MiB are accepted"
    ):
        load_market(DataSettings(path=path))
    with pytest.raises(DataError, match="it unpacks to"):
        read_outside_table(path)
    (tmp_path / "signals.parquet").write_bytes(path.read_bytes())
    (tmp_path / "signals.json").write_text("{}")
    with pytest.raises(SignalError, match="it unpacks to"):
        Signals.load(tmp_path / "signals.parquet")


def test_a_text_that_many_rows_share_is_unpacked_once(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "prices.parquet", "x" * 1_000_000, 500)
    with pytest.raises(DataError, match="a date has more than 100 letters"):
        load_market(DataSettings(path=path))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": [1_000_000, 1_000_000]},
        {"hidden": [1] * 1_000_000},
        {"hidden": [10**18, 10**18]},
        {"state_size": 1_000_000},
        {"kind": "flat", "n_assets": 10**9},
        {"shape": {"n_signals": 10**10, "n_market": 0, "lookback": 0}},
    ],
)
def test_networks_that_are_larger_than_their_weights(changes: dict[str, object], tmp_path: Path) -> None:
    make_agent(make_tiny("ppo", network="shared")).start(make_task(tmp_path / "task").tape, ENVIRONMENT).save(tmp_path)
    NetworkPolicy.load(tmp_path)
    raw = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps({**raw, "network": {**raw["network"], **changes}}))
    with pytest.raises(CheckpointError, match="does not hold a saved policy"):
        NetworkPolicy.load(tmp_path)


def test_an_array_that_claims_any_size(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (1 << 44,)})
    (tmp_path / "a.npy").write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="array"):
        read_array(tmp_path / "a.npy")
