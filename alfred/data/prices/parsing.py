"""From the cells of a file to days and numbers; the first cell that is neither is named."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from alfred.data.files import open_unpacked
from alfred.errors import DataError, suggest, suggest_path
from alfred.typing import FloatArray

_EMPTY_WORDS = pacsv.ConvertOptions().null_values


def read_csv_text(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """Read a small CSV with every cell as text and an empty text where a cell is empty.

    Args:
        path: A `.csv` or `.csv.gz` file.
        needed: Columns that must be there.

    Raises:
        DataError: The file is absent or damaged, or a column is missing.
    """
    try:
        with open_unpacked(path) as file:
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}; name a CSV with a header.{suggest_path(path)}") from error
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); it must be a CSV with a header") from error
    for column in needed:
        if column not in table:
            raise DataError(f"{path} has no column '{column}'.{suggest(column, table.columns)}")
    return table


def parse_days(texts: pd.Series, column: str, path: Path) -> pd.DatetimeIndex:
    """Return the days of a column of texts as YYYY-MM-DD.

    Raises:
        DataError: A cell is not a date.
    """
    days = pd.to_datetime(texts, format="%Y-%m-%d", errors="coerce")
    _refuse(days.isna().to_numpy(), texts, column, path, "a date; write it as YYYY-MM-DD")
    return pd.DatetimeIndex(days)


def parse_numbers(texts: pd.Series, column: str, path: Path) -> FloatArray:
    """Return the numbers of a column of texts, NaN where a cell is empty.

    Raises:
        DataError: A cell is not a number.
    """
    numbers: FloatArray = pd.to_numeric(texts.mask(texts == ""), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    _refuse(np.isnan(numbers) & (texts != "").to_numpy(), texts, column, path, "a number; correct or empty it")
    return numbers


def _refuse(bad: npt.NDArray[np.bool_], texts: pd.Series, column: str, path: Path, what: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"'{texts.iloc[row]}' in row {row + 1} of column '{column}' of {path} is not {what}")


def take_codes(table: npt.NDArray[np.int32], encoded: Any) -> npt.NDArray[np.int32]:
    """Return the entry of `table` for each row of a dictionary-encoded column."""
    positions: npt.NDArray[np.int32] = encoded.indices.to_numpy()
    return table[positions] if len(table) else np.empty(0, dtype=np.int32)


def refuse_empty(n_empty: int, column: str, path: Path) -> None:
    """Refuse a column in which cells are empty.

    Raises:
        DataError: `n_empty` is not 0.
    """
    if n_empty:
        raise DataError(f"column '{column}' of {path} has {n_empty} empty cell(s); fill them or drop the rows")


def convert_to_numbers(column: Any, name: str, path: Path) -> FloatArray:
    """Return a pyarrow column as float64, NaN where empty, `[R]`.

    Raises:
        DataError: A cell is not a number.
    """
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values: FloatArray = column.cast(pa.float64()).to_numpy()
        return values
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise DataError(f"column '{name}' of {path} holds bytes that are not UTF-8; write the file again as UTF-8")
    texts = pd.Series(column.to_pandas()).astype("string").fillna("").str.strip()
    # What a column of numbers would take for empty is empty here too, lest it be blamed for the cell that is not.
    return parse_numbers(texts.mask(texts.isin(_EMPTY_WORDS), ""), name, path)
