"""The folder that is shown: what a name in an address may lead to, and how much of a file is read.

Nothing outside the folder is ever opened: a part of an address is the name of something in it or nothing, and a link
that leads out of it is not followed. What is not a plain file, such as a pipe, is not opened either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from alfred.errors import ConfigError, suggest_path

MIB = 1 << 20
_SEPARATORS = frozenset("/\\\0")


class NotServed(Exception):  # noqa: N818  it is an answer, not a fault of the program
    """What an address names is not there, or is not shown; the text says why."""


@dataclass(frozen=True)
class Excerpt:
    """The text of a file, or as much of it as is shown.

    Attributes:
        text: Bytes that are no UTF-8 are replaced.
        size: Bytes of the whole file.
        cut: Whether something is left out.
    """

    text: str
    size: int
    cut: bool


class Shelf:
    """A folder of runs.

    Args:
        root: The folder.

    Raises:
        ConfigError: It is no folder.
    """

    def __init__(self, root: Path | str) -> None:
        """Resolve the folder: it may be a link itself."""
        if not Path(root).is_dir():
            raise ConfigError(
                f"{root} is not a folder; run `alfred demo` first, or name the folder of your runs.{suggest_path(root)}"
            )
        self.root = Path(root).resolve()

    def list_folders(self, *parts: str) -> list[str]:
        """Return the names of the folders in a folder, links to folders within included, in order.

        A name that is hidden, or that no address can hold because it is no text, is left out.
        """
        try:
            folder = self.find(*parts) if parts else self.root
            names = sorted(path.name for path in folder.iterdir())
        except (NotServed, OSError):
            return []
        return [name for name in names if is_servable(name) and self._is_folder(*parts, name)]

    def find(self, *parts: str) -> Path:
        """Return the place that parts of an address name, links resolved.

        Raises:
            NotServed: There is none in the folder.
        """
        if not parts or not all(map(is_servable, parts)):
            raise NotServed("there is no such place in this folder")
        return self._resolve(self.root.joinpath(*parts))

    def read(self, *parts: str, limit: int, end: bool = False) -> Excerpt:
        """Return the text of a file, at most so many bytes of it.

        Args:
            parts: Where it stands.
            limit: Bytes that are read.
            end: Read the last ones rather than the first.

        Raises:
            NotServed: There is no such plain file in the folder.
        """
        with self.open(*parts) as file:
            size = os.fstat(file.fileno()).st_size
            if end and size > limit:
                file.seek(size - limit)
            content = file.read(limit)
        return Excerpt(content.decode("utf-8", errors="replace"), size, cut=size > limit)

    def open(self, *parts: str) -> BinaryIO:
        """Open a plain file for reading.

        Raises:
            NotServed: There is no such plain file in the folder.
        """
        path = self.find(*parts)
        try:
            # Resolved above; what became a link or a pipe since is neither followed nor waited for.
            flags = (
                os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            )
            descriptor = os.open(path, flags)
        except OSError as error:
            raise NotServed(f"{parts[-1]} cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotServed(f"{parts[-1]} is not a plain file")
        return os.fdopen(descriptor, "rb")

    def has_file(self, *parts: str) -> bool:
        """Say whether there is a plain file in the folder."""
        try:
            return self.find(*parts).is_file()
        except NotServed:
            return False

    def find_fault(self, folder: Path, limits: Mapping[str, int], patterns: Iterable[tuple[str, int]] = ()) -> str:
        """Return why files that others will read by their path must not be read; empty when nothing is wrong.

        Args:
            folder: Where they stand, in this folder.
            limits: Most bytes of each, by its path below `folder`; a missing one is no fault.
            patterns: The same for all files that a pattern finds.
        """
        places = [(folder / name, limit) for name, limit in limits.items()]
        places += [(path, limit) for pattern, limit in patterns for path in folder.glob(pattern)]
        for path, limit in places:
            if not os.path.lexists(path):
                continue
            name = path.relative_to(folder)
            try:
                found = self._resolve(path).stat()
            except (NotServed, OSError):
                return f"{name} leads out of the folder"
            if not stat.S_ISREG(found.st_mode):
                return f"{name} is not a plain file"
            if found.st_size > limit:
                return f"{name} is larger than {limit // MIB} MiB"
        return ""

    def _is_folder(self, *parts: str) -> bool:
        try:
            return self.find(*parts).is_dir()
        except NotServed:
            return False

    def _resolve(self, path: Path) -> Path:
        try:
            place = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
            raise NotServed("there is no such place in this folder") from error
        if not place.is_relative_to(self.root):
            raise NotServed("it leads out of this folder")
        return place


def is_servable(name: str) -> bool:
    """Say whether a name may stand in an address: that of one thing in a folder, which is not hidden."""
    if not name or name.startswith(".") or _SEPARATORS & set(name):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
