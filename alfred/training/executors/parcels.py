"""Jobs on their way to another process: text, and large arrays beside it that travel once, whoever reads them.

Text and arrays come from this command and go to its own workers; nothing that lies in a run or comes from elsewhere is
read this way.
"""

from __future__ import annotations

import hashlib
import mmap
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from filelock import FileLock, Timeout

Place = TypeVar("Place")

_LEAST_BYTES = 1 << 16  # below, an array is cheaper in the text than beside it
_PREFIX, _LOCK = "alfred-arrays-", "lock"


@dataclass(frozen=True)
class Parcel(Generic[Place]):
    """A value without its large arrays.

    Attributes:
        text: The pickled value.
        places: Where each array is, in the order of the text.
    """

    text: bytes
    places: tuple[Place, ...]


class Packer(Generic[Place]):
    """Packs values; arrays of the same content are kept once."""

    def __init__(self, keep: Callable[[str, memoryview], Place]) -> None:
        """Store what keeps the bytes of an array under their digest and returns where."""
        self._keep = keep
        self._places: dict[str, Place] = {}

    def pack(self, values: Sequence[object]) -> list[Parcel[Place]]:
        """Return the values as parcels."""
        digests: dict[tuple[int, int], str] = {}  # an array that many values share is hashed once

        def pack_one(value: object) -> Parcel[Place]:
            places: list[Place] = []

            def set_aside(buffer: pickle.PickleBuffer) -> bool:
                view = buffer.raw()
                if view.nbytes < _LEAST_BYTES:
                    return True
                where = (np.frombuffer(view, np.uint8).ctypes.data, view.nbytes)
                if where not in digests:
                    digests[where] = hashlib.blake2b(view, digest_size=20).hexdigest()
                digest = digests[where]
                if digest not in self._places:
                    self._places[digest] = self._keep(digest, view)
                places.append(self._places[digest])
                return False

            text = pickle.dumps(value, protocol=5, buffer_callback=set_aside)
            return Parcel(text, tuple(places))

        return [pack_one(value) for value in values]


def unpack(text: bytes, arrays: Iterable[Any]) -> Any:
    """Return a value from its text and its arrays."""
    return pickle.loads(text, buffers=arrays)  # noqa: S301  what this command packed itself


class ArrayFolder:
    """Arrays in files of a temporary folder, which the processes of this machine map into their memory."""

    def __init__(self) -> None:
        """Make the folder, and clear away those of processes that were killed."""
        for other in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if (other / _LOCK).exists():
                with suppress(Timeout, OSError), FileLock(other / _LOCK, timeout=0):
                    shutil.rmtree(other, ignore_errors=True)
        self._path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = FileLock(self._path / _LOCK)  # ends with this process, however that ends
        self._lock.acquire()

    def keep(self, digest: str, view: memoryview) -> Path:
        """Write an array, and return its file."""
        path = self._path / digest
        path.write_bytes(view)
        return path

    def close(self) -> None:
        """Delete the folder."""
        self._lock.release()
        shutil.rmtree(self._path, ignore_errors=True)


def read_array(path: Path) -> mmap.mmap:
    """Return the bytes of an array, shared with all who read the file; what is written to them stays private."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
