"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from alfred.errors import StorageError


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
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read_bytes(path: Path | str) -> bytes:
    """Return what a regular file holds: nobody waits for a pipe that never ends.

    Raises:
        OSError: The file is missing, cannot be read, or is no regular one.
    """
    source = Path(path)
    if not stat.S_ISREG(source.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(source))
    return source.read_bytes()


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


def compute_checksum(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
