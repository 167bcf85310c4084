"""Files that appear whole or not at all, and readers that neither wait without end nor unpack without end."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from alfred.errors import StorageError

if TYPE_CHECKING:  # a mistake in a configuration is answered without them
    import numpy as np
    import pandas as pd

MOST_TIMES = 100
"""What is packed may unpack to so many times its size; tables of prices do to five or ten times."""
_SMALL_TEXT, _SMALL_TABLE = 1 << 26, 1 << 30
# Bytes that a CSV and a Parquet file may always unpack to, however small they are.


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, never half of either.

    Args:
        path: The file; its folder is made when missing.
        write: Called with a temporary path in the same folder; it must write the whole file there.

    Raises:
        StorageError: The file cannot be written: no rights, no space, a file where a folder should be.
    """
    target = Path(path)
    try:
        _write(target, write)
    # safetensors has an error of its own for what is an OSError elsewhere.
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StorageError(
            f"{target} cannot be written ({reason}); make room or give the rights, or choose another place"
        ) from error


def _write(target: Path, write: Callable[[Path], object]) -> None:
    if target.is_dir():  # `.` has no name to write beside
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        write(temporary)
        descriptor = os.open(temporary, os.O_RDWR)  # Windows flushes only what may be written
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def require_file(path: Path | str) -> Path:
    """Return the path of a regular file, before a library opens it: nobody waits for a pipe that never ends.

    Raises:
        OSError: The file is missing, or is no regular one.
    """
    source = Path(path)
    if not stat.S_ISREG(source.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(source))
    return source


def read_bytes(path: Path | str) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: The file is missing, cannot be read, or is no regular one.
    """
    return require_file(path).read_bytes()


def read_text(path: Path | str) -> str:
    """Return the text of a regular file.

    Raises:
        OSError: See `read_bytes`.
        ValueError: It is not text in UTF-8.
    """
    return read_bytes(path).decode("utf-8")


def read_json(path: Path | str) -> Any:
    """Return what a regular file of JSON holds.

    Raises:
        OSError: See `read_bytes`.
        ValueError: It is not text in UTF-8, or not JSON; see `parse_json`.
    """
    return parse_json(read_text(path))


def parse_json(text: str | bytes) -> Any:
    """Return what a text of JSON holds.

    Raises:
        ValueError: It is not JSON, or nested deeper than anybody writes it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def open_unpacked(path: Path | str) -> gzip.GzipFile | io.BufferedReader:
    """Open a regular file for reading, unpacked where its name ends in `.gz`.

    Reading on raises an `OSError` once more is unpacked than `MOST_TIMES` its size, and than 64 MiB.

    Raises:
        OSError: The file is missing, cannot be read, or is no regular one.
    """
    source = require_file(path)
    return _Unpacked(source) if source.name.endswith(".gz") else source.open("rb")


class _Unpacked(gzip.GzipFile):
    """A file of gzip that is refused where it unpacks without end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._most = max(_SMALL_TEXT, MOST_TIMES * path.stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        return self._check(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._check(super().read1(size))

    def _check(self, piece: bytes) -> bytes:
        if self.tell() > self._most:
            raise OSError(f"it unpacks to more than {self._most >> 20} MiB, {MOST_TIMES} times its size or more")
        return piece


def check_parquet(path: Path | str) -> Path:
    """Return the path of a Parquet file that says what it unpacks to, before anything of it is unpacked.

    Raises:
        OSError: The file is missing, is no regular one, or unpacks to more than `MOST_TIMES` its size and 1 GiB.
        ValueError: It is not Parquet.
    """
    import pyarrow.parquet as pq

    source = require_file(path)
    facts = pq.read_metadata(source)
    told = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
    unpacked = max(told, 8 * facts.num_rows * facts.num_columns)
    most = max(_SMALL_TABLE, MOST_TIMES * source.stat().st_size)
    if unpacked > most:
        raise OSError(f"it unpacks to {unpacked >> 20} MiB; {most >> 20} MiB are accepted at its size")
    return source


def read_parquet(path: Path | str) -> pd.DataFrame:
    """Return the table of a Parquet file; see `check_parquet` for what is raised."""
    import pandas as pd

    return pd.read_parquet(check_parquet(path))


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write a plain array as `.npy`, whole or not at all.

    Raises:
        StorageError: See `write_atomically`.
    """
    import numpy as np

    content = io.BytesIO()  # numpy does not say why it cannot write to a file
    np.save(content, array, allow_pickle=False)
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getvalue()))


def read_array(path: Path | str) -> np.ndarray:
    """Return a plain array; not by `np.load`, which takes archives for arrays as well.

    Raises:
        OSError: The file is missing or is no regular one.
        ValueError: It does not hold one plain array, and nothing else.
    """
    import numpy as np

    content = io.BytesIO(read_bytes(path))
    try:
        array: np.ndarray = np.lib.format.read_array(content, allow_pickle=False)
    except (EOFError, MemoryError, OverflowError, SyntaxError) as error:  # a damaged header may ask for any size
        raise ValueError(f"no array ({type(error).__name__})") from error
    return array


def compute_checksum(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with require_file(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
