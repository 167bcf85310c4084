"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, never half of either.

    Args:
        path: The file; its folder is made when missing.
        write: Called with a temporary path in the same folder; it must write the whole file there.

    Raises:
        OSError: The operating system refuses, for instance since the disk is full; it names the file. What a library
            makes of that is turned back into it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _write(target, temporary, write)
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _write(target: Path, temporary: Path, write: Callable[[Path], object]) -> None:
    try:
        write(temporary)
    except Exception as error:
        # safetensors wraps what the system said into an exception of its own.
        found = _SYSTEM_ERROR.search(str(error))
        code = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
        if code is None:
            raise
        raise OSError(code, os.strerror(code), str(target)) from error


def compute_checksum(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
