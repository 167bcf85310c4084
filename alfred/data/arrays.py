"""Arrays of numbers from what a caller hands over, or one clear error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from alfred.errors import DataError


def show_type(value: object) -> str:
    """Return the type and the beginning of a value, on one line, for a message."""
    return "None" if value is None else f"{type(value).__name__} {' '.join(repr(value).split()):.40}"


def as_floats(array: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
    """Return an array of numbers as float32 or float64, see `as_numbers`."""
    values = as_numbers(array, name)
    return values if values.dtype in (np.dtype(np.float32), np.dtype(np.float64)) else values.astype(np.float64)


def as_numbers(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return an array of numbers or truth values.

    Raises:
        DataError: It holds texts, complex numbers or objects, or its rows differ in length.
    """
    try:
        values = np.asarray(array)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name} is no array of numbers ({' '.join(str(error).split())}); give rows of one length"
        ) from error
    if values.dtype.kind not in "fiub":
        raise DataError(f"{name} must hold numbers, got an array of {values.dtype}; convert it to float64 first")
    return values


def check_types(symbols: object, benchmark: object, notes: object, **mappings: object) -> None:
    """Refuse what `Market.from_arrays` would stumble over, or take apart letter by letter.

    Raises:
        DataError: A list of texts is none, the benchmark is no text, or one of the mappings is none.
    """
    for name, value in (("symbols", symbols), ("notes", notes)):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise DataError(f"{name} must be a list of texts, got {show_type(value)}")
    if not isinstance(benchmark, str):
        raise DataError(f"the benchmark must be one of the symbols, got {show_type(benchmark)}; name it: 'SPY'")
    for name, value in mappings.items():
        if value is not None and not isinstance(value, Mapping):
            raise DataError(f"{name} must be a mapping with one entry a name, got {show_type(value)}")
