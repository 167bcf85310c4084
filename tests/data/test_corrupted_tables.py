"""Whatever happens to a table, the end is a valid market or an error that can be acted on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alfred.data.quality.summary import describe_market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import AlfredError, DataError
from tests.data.tables import make_rows, write_rows

ROWS = make_rows(("AAA", "BBB", "SPY"), days=6)
NUMBERS = ["", " ", "NaN", "inf", "-inf", "0", "-1", "1e400", "1e300", "1e-320", "n/a", "1,5", "1.0.0", "0x10", "TRUE"]
DATES = ["2020-01-08", "20200108", "2020-02-30", "0000-00-00", "9999-12-31", "01/02/2020"]
TEXTS = ["SPY", "é", "\x00", "'", '"', "\n"]
CELLS = st.sampled_from([*NUMBERS, *DATES, *TEXTS])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("cell"), st.integers(0, 17), st.sampled_from(list(ROWS)), CELLS),
        st.tuples(st.just("drop rows"), st.integers(0, 17), st.integers(1, 17)),
        st.tuples(st.just("repeat"), st.integers(0, 17)),
        st.tuples(st.just("move"), st.integers(0, 17), st.integers(0, 17)),
        st.tuples(st.just("drop column"), st.sampled_from(list(ROWS))),
        st.tuples(st.just("rename"), st.sampled_from(list(ROWS)), st.sampled_from(["Close", "ticker", "", "x"])),
        st.tuples(st.just("bytes"), st.integers(0, 1200), st.binary(min_size=0, max_size=4)),
        st.tuples(st.just("cut"), st.integers(0, 1200)),
    ),
    min_size=1,
    max_size=4,
)


def corrupt(table: pd.DataFrame, change: tuple) -> pd.DataFrame:
    kind, *details = change
    if kind == "cell" and details[1] in table and details[0] < len(table):
        column = table.columns.get_loc(details[1])
        if isinstance(column, int):
            table.isetitem(column, table.iloc[:, column].astype(object))
            table.iloc[details[0], column] = details[2]
    elif kind == "drop rows":
        table = table.drop(table.index[details[0] : details[0] + details[1]])
    elif kind == "repeat" and details[0] < len(table):
        table = pd.concat([table, table.iloc[[details[0]]]])
    elif kind == "move" and max(details) < len(table):
        order = list(range(len(table)))
        order.insert(details[1], order.pop(details[0]))
        table = table.iloc[order]
    elif kind == "drop column" and details[0] in table:
        table = table.drop(columns=details[0])
    elif kind == "rename":
        table = table.rename(columns={details[0]: details[1]})
    return table.reset_index(drop=True)


def write_corrupted(changes: list[tuple], path: Path) -> None:
    table = ROWS
    for change in changes:
        table = corrupt(table.copy(), change)
    content = write_rows(table, path).read_bytes()
    for kind, position, *insert in changes:
        if kind == "bytes":
            content = content[:position] + insert[0] + content[position + len(insert[0]) :]
        elif kind == "cut":
            content = content[:position]
    path.write_bytes(content)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES)
@example(changes=[("cell", 0, "close", "1e-320")])  # adj_close / close overflows
@example(changes=[("drop rows", 1, 12), ("cell", 0, "close", "1e-320")])
@example(
    changes=[("drop column", "open"), ("rename", "symbol", ""), ("cut", 194), ("bytes", 194, b"\xc2")]
)  # half a letter
def test_a_corrupted_table_is_a_market_or_a_clear_error(changes: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.csv"
        write_corrupted(changes, path)
        try:
            market = load_market(DataSettings(path=path))
        except AlfredError as error:
            assert len(str(error)) > 20
        else:
            market.validate()
            assert market.benchmark == "SPY"
        try:
            description = describe_market(DataSettings(path=path), calendar=None)
        except AlfredError as error:
            assert len(str(error)) > 20
        else:
            assert description.n_sessions > 0


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    """One byte of a Parquet file says how many rows a column has; every place is tried."""
    path = write_rows(ROWS[["date", "symbol", "close"]], tmp_path / "a.parquet")
    whole = path.read_bytes()
    found = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            lengths = {len(pq.read_table(path, columns=[name])) for name in ("date", "symbol", "close")}
        except (OSError, pa.ArrowException):
            continue
        if len(lengths) > 1:
            found += 1
            with pytest.raises(DataError, match="cannot be read"):
                load_market(DataSettings(path=path, benchmark="SPY"))
    assert found
