"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

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


def compute_checksum(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
