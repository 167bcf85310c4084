"""A journal: a file to which whole lines are added and nothing else, each on the disk before the next one is made.

A line holds JSON, the digest of the line before and its own, so that a line that was changed, doubled or lost (before
the last one) is found. A crash while a line is written leaves a torn one at the end; it was never booked, and the next
line takes its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alfred.data.files import parse_json, read_bytes
from alfred.errors import CheckpointError

_LINK = "previous"
# The end of a line, with the digest of all before it; lines of an older journal lack it.
_OWN = re.compile(rb',"digest":"([0-9a-f]{16})"\}$')
_FIRST = "0" * 16


class Journal:
    """The lines of one file.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        """Store the path."""
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return all whole lines, oldest first.

        Raises:
            CheckpointError: A line was changed or lost.
        """
        return self._read()[0]

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            CheckpointError: An earlier line was changed or lost.
        """
        _, end, link = self._read()
        body = json.dumps({**entry, _LINK: link}, allow_nan=False, separators=(",", ":"))[:-1]
        text = f'{body},"digest":"{_digest(body.encode())}"}}\n'
        existed = self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, end)  # what a crash tore off was never a line
            os.lseek(descriptor, end, os.SEEK_SET)
            _write_all(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not existed:
            sync_folder(self.path.parent)

    def _read(self) -> tuple[list[dict[str, Any]], int, str]:
        """Return the lines, where the last whole one ends, and its digest."""
        try:
            content = read_bytes(self.path)
        except FileNotFoundError:
            return [], 0, _FIRST
        end = content.rfind(b"\n") + 1
        lines, link = [], _FIRST
        for number, line in enumerate(content[:end].splitlines(), start=1):
            entry = self._parse(line, number)
            if entry.pop(_LINK, None) != link:
                raise CheckpointError(
                    f"line {number} of {self.path} does not follow the line before: one of them was changed or lost; "
                    "restore the file from a copy"
                )
            lines.append(entry)
            link = _digest(line)
        return lines, end, link

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = parse_json(line)
        except ValueError as error:
            raise CheckpointError(f"line {number} of {self.path} is damaged; restore the file from a copy") from error
        if not isinstance(entry, dict):
            raise CheckpointError(f"line {number} of {self.path} is damaged; restore the file from a copy")
        if entry.pop("digest", None) is not None:
            own = _OWN.search(line)
            if own is None or own[1].decode() != _digest(line[: own.start()]):
                raise CheckpointError(f"line {number} of {self.path} was changed; restore the file from a copy")
        return entry


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def sync_folder(folder: Path) -> None:
    """Have the operating system keep the names in a folder; Windows opens none, and keeps them by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
