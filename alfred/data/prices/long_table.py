"""Price tables as their files hold them: CSV or Parquet, one long table or one file a symbol."""

from __future__ import annotations

import csv
import io
import zlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from alfred.data.files import check_parquet, open_unpacked
from alfred.data.prices.columns import VALUE_COLUMNS, match_columns
from alfred.data.prices.date_parsing import read_stamps
from alfred.data.prices.parsing import convert_to_numbers, refuse_empty, take_codes
from alfred.data.prices.symbols import MEMBERS_FILE, SYMBOLS_FILE
from alfred.errors import DataError, suggest_path
from alfred.typing import FloatArray

IntArray = npt.NDArray[np.int64]

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_LONGEST_PIECE = 1 << 20  # letters
_LONGEST_DATE = 100


@dataclass(frozen=True, eq=False)
class TableFile:
    """One file with its columns found; a Parquet column is read only when it is asked for.

    Attributes:
        path: The file.
        columns: Name in the file by our name (`date`, `symbol`, `open`, ..., `volume`).
        table: The whole content of a CSV file; None for Parquet.
        texts: Further columns of text, in a file without a symbol column: one of them may be just that.
    """

    path: Path
    columns: dict[str, str]
    table: Any = None
    texts: tuple[str, ...] = ()

    def read(self, name: str) -> Any:
        """Return one column as a pyarrow `ChunkedArray`.

        Raises:
            DataError: The file is damaged.
        """
        column = self.columns.get(name, name)
        if self.table is not None:
            return self.table.column(column)
        try:
            # As a dictionary, a text that a million rows share is unpacked once.
            words = [column] if name in ("symbol", "date") else []
            found = pq.read_table(self.path, columns=[column], read_dictionary=words).column(column)
            found.validate(full=True)  # a damaged page may hold what is no text
            if len(found) != (expected := pq.read_metadata(self.path).num_rows):
                raise OSError(f"column '{column}' has {len(found)} rows of {expected}")
            return _unpack_dates(found) if name == "date" else found
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.path} cannot be read ({error}); write it again as CSV or Parquet") from error


@dataclass(frozen=True, eq=False)
class PriceTable:
    """All rows of a source, nothing corrected and nothing refused yet.

    Axes legend: R rows.

    Attributes:
        files: The files behind the rows.
        starts: First row of each file, and R at the end.
        days: Date of each row in days since 1970-01-01, `[R]` int32.
        codes: Position in `symbols` of each row, `[R]` int32.
        symbols: Names, in order of first appearance.
        kept: Rows of the files that are kept, `[R]`; None when all of them are.
        seconds: Time of day of each row, `[R]` int32; None where no row has one.
        utc: Whether day and time of each row stand on a UTC clock, `[R]`; None where no row has a time.
        notes: How the dates were read, where they were not just dates; one sentence each.
    """

    files: tuple[TableFile, ...]
    starts: IntArray
    days: npt.NDArray[np.int32]
    codes: npt.NDArray[np.int32]
    symbols: tuple[str, ...]
    kept: IntArray | None = None
    seconds: npt.NDArray[np.int32] | None = None
    utc: npt.NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows R."""
        return len(self.days)

    @property
    def fields(self) -> tuple[str, ...]:
        """The value columns that the files have."""
        return tuple(name for name in VALUE_COLUMNS if name in self.files[0].columns)

    def column(self, name: str) -> FloatArray:
        """Return one value column, `[R]` float64; NaN where a cell is empty.

        Raises:
            DataError: A cell is not a number.
        """
        parts = [convert_to_numbers(file.read(name), name, file.path) for file in self.files]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values if self.kept is None else values[self.kept]

    @property
    def hint(self) -> str:
        """What to say when a symbol is missed: the column of text that may be the symbols, where none was found."""
        texts = sorted({name for file in self.files for name in file.texts})
        if not texts:
            return ""
        named = ", ".join(repr(name) for name in texts)
        return f" There is not a symbol column; if {named} names the instrument, call it 'symbol'."

    def keep(self, mask: npt.NDArray[np.bool_]) -> PriceTable:
        """Return the table of the rows where `mask` `[R]` is true."""
        rows = np.flatnonzero(mask)
        kept = rows if self.kept is None else self.kept[rows]
        return replace(
            self,
            days=self.days[rows],
            codes=self.codes[rows],
            kept=kept,
            seconds=None if self.seconds is None else self.seconds[rows],
            utc=None if self.utc is None else self.utc[rows],
        )

    def date_of(self, row: int) -> pd.Timestamp:
        """Return the date of a row."""
        return pd.Timestamp(np.datetime64(int(self.days[row]), "D"))

    def path_of(self, row: int) -> Path:
        """Return the file that a row came from."""
        position = row if self.kept is None else int(self.kept[row])
        return self.files[int(np.searchsorted(self.starts, position, side="right")) - 1].path


def read_price_table(path: Path | str, time_zone: str | None = None) -> PriceTable:
    """Read a file, or all tables of a folder, without judging a single price.

    Args:
        path: A CSV, CSV.GZ or Parquet file, or a folder of them. A table without a symbol column holds one symbol,
            named as its file. `symbols.csv` and `members.csv` in a folder describe symbols and are no price tables.
        time_zone: Zone on whose clock instants are dated; see `alfred.data.prices.date_parsing.read_stamps`.

    Raises:
        DataError: There is nothing to read, a file is damaged or empty, a column is missing, or a date is not a date.
    """
    files = [_open_file(file) for file in find_table_files(Path(path))]
    first = files[0]
    for file in files[1:]:
        differing = sorted(set(file.columns) ^ set(first.columns))
        if differing:
            raise DataError(
                f"{file.path} and {first.path} differ in column '{differing[0]}'; give all files the same columns"
            )
    stamps, codes, known = [], [], dict[str, int]()
    for file in files:
        part = read_stamps(file.read("date"), file.path, time_zone)
        if not len(part.days):
            raise DataError(f"{file.path} is empty: it needs at least one row below the header")
        stamps.append(part)
        codes.append(_to_codes(file, len(part.days), known))
        _refuse_unnamed_symbols(file, part.days)
    sizes = [len(part.days) for part in stamps]
    timed = any(part.seconds is not None for part in stamps)
    times = [np.zeros(len(part.days), np.int32) if part.seconds is None else part.seconds for part in stamps if timed]
    return PriceTable(
        tuple(files),
        np.cumsum([0, *sizes]),
        np.concatenate([part.days for part in stamps]),
        np.concatenate(codes),
        tuple(known),
        seconds=np.concatenate(times) if timed else None,
        utc=np.repeat([part.utc for part in stamps], sizes) if timed else None,
        notes=tuple(dict.fromkeys(part.note for part in stamps if part.note)),
    )


def find_table_files(path: Path) -> list[Path]:
    """Return the table files that `path` stands for, sorted by name.

    Raises:
        DataError: The path does not exist or may not be read, has another ending, or is a folder without tables.
    """
    try:
        return _list_files(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give the rights, or name another place") from error


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(
            file
            for file in path.iterdir()
            if file.name.endswith(SUFFIXES)
            and file.name not in (SYMBOLS_FILE, MEMBERS_FILE)
            and not file.name.startswith(".")
        )
        if not found:
            raise DataError(f"folder {path} holds no price table; it needs files ending in {', '.join(SUFFIXES)}")
        return found
    if not path.is_file():
        raise DataError(
            f"there is no file or folder {path}; set data.path to a price table or a folder of them."
            f"{suggest_path(path)}"
        )
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path} has an unknown ending; accepted are {', '.join(SUFFIXES)}")
    return [path]


def _open_file(path: Path) -> TableFile:
    try:
        if path.name.endswith(".parquet"):
            schema = pq.read_schema(check_parquet(path))
            columns = match_columns(schema.names, path)
            return TableFile(path, columns, texts=_find_texts(schema, columns))
        with io.TextIOWrapper(open_unpacked(path), encoding="utf-8-sig", newline="") as file:
            # In pieces: what has no ends of lines would be one line, as long as the file.
            header = next(csv.reader(iter(partial(file.readline, _LONGEST_PIECE), "")), [])
        if not header:
            raise DataError(f"{path} is empty: it needs a header and at least one row")
        columns = match_columns(header, path)
        # Symbols and dates stay text: a ticker such as TRUE or 1234 must not turn into a truth value or a number.
        texts = {columns[name]: pa.string() for name in ("date", "symbol") if name in columns}
        wanted = list(columns.values())
        if "symbol" not in columns:
            wanted += [name for name in dict.fromkeys(header) if name not in wanted and header.count(name) == 1]
        # The header is given, not read again, so that a byte order mark cannot become part of a name.
        reading = pacsv.ReadOptions(column_names=header, skip_rows=1)
        converting = pacsv.ConvertOptions(column_types=texts, include_columns=wanted)
        with open_unpacked(path) as file:
            source = file if path.name.endswith(".gz") else path  # arrow reads a plain file faster by itself
            table = pacsv.read_csv(source, reading, convert_options=converting)
        return TableFile(path, columns, table, _find_texts(table.schema, columns))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read ({error}); write it again as CSV or Parquet") from error


def _unpack_dates(column: Any) -> Any:
    """Return a column as it was written, where it was read as a dictionary.

    Raises:
        OSError: A text is too long for a date.
    """
    if not pa.types.is_dictionary(column.type):
        return column
    for chunk in column.chunks:
        if (pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0) > _LONGEST_DATE:
            raise OSError(f"a date has more than {_LONGEST_DATE} letters")
    return column.cast(column.type.value_type)


def _find_texts(schema: Any, columns: dict[str, str]) -> tuple[str, ...]:
    """Return the columns of text that mean nothing to us, where none holds the symbols."""
    if "symbol" in columns:
        return ()
    found = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and field.name not in columns.values():
            found.append(field.name)
    return tuple(found)


def _refuse_unnamed_symbols(file: TableFile, days: npt.NDArray[np.int32]) -> None:
    """Refuse a file of several symbols whose column of symbols is called something that we do not know."""
    if not file.texts or len(np.unique(days)) == len(days):
        return
    varying = [name for name in file.texts if len(file.read(name).unique()) > 1]
    if varying:
        raise DataError(
            f"{file.path} has no symbol column, and dates that stand more than once; its column(s) of text "
            f"{', '.join(repr(name) for name in varying)} are not used: call the one that names the instrument 'symbol'"
        )


def _to_codes(file: TableFile, n_rows: int, known: dict[str, int]) -> npt.NDArray[np.int32]:
    """Return the position of each row's symbol in `known`, which grows by the symbols of this file."""
    if "symbol" not in file.columns:
        suffix = next(ending for ending in sorted(SUFFIXES, key=len, reverse=True) if file.path.name.endswith(ending))
        name = file.path.name.removesuffix(suffix)
        return np.full(n_rows, known.setdefault(name, len(known)), dtype=np.int32)
    column = file.read("symbol")
    refuse_empty(column.null_count, "symbol", file.path)
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # what an empty or very long column stays
        encoded = pa.concat_arrays(encoded.chunks)
    names = [str(name).strip() for name in encoded.dictionary.to_pylist()]
    used = np.unique(encoded.indices.to_numpy())
    if any(not names[position] for position in used):
        refuse_empty(1, "symbol", file.path)
    table = np.zeros(len(names), dtype=np.int32)
    for position in used:
        table[position] = known.setdefault(names[position], len(known))
    return take_codes(table, encoded)
