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

from alfred.errors import AlfredError

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
        # An array that many values share is hashed once. The views keep what was made only to be packed: its memory
        # would go to the next such array, which would pass for the one before.
        digests: dict[tuple[int, int], tuple[str, memoryview]] = {}

        def pack_one(value: object) -> Parcel[Place]:
            places: list[Place] = []

            def set_aside(buffer: pickle.PickleBuffer) -> bool:
                view = buffer.raw()
                if view.nbytes < _LEAST_BYTES:
                    return True
                where = (np.frombuffer(view, np.uint8).ctypes.data, view.nbytes)
                if where not in digests:
                    digests[where] = hashlib.blake2b(view, digest_size=20).hexdigest(), view
                digest, _ = digests[where]
                if digest not in self._places:
                    try:
                        self._places[digest] = self._keep(digest, view)
                    except OSError:  # no room beside the text, or no right to write there
                        return True
                places.append(self._places[digest])
                return False

            text = pickle.dumps(value, protocol=5, buffer_callback=set_aside)
            return Parcel(text, tuple(places))

        return [pack_one(value) for value in values]


def unpack(text: bytes, arrays: Iterable[Any]) -> Any:
    """Return a value from its text and its arrays."""
    return pickle.loads(text, buffers=arrays)  # noqa: S301  what this command packed itself


def work_off(text: bytes, arrays: Iterable[Any], progress: Callable[[int], None]) -> bytes:
    """Do the job of a parcel in a worker, and return what came of it on its way back.

    Raises:
        Exception: What the job raises; where it cannot be packed and unpacked, one with its name and text instead.
    """
    try:
        return pickle.dumps(unpack(text, arrays)(progress=progress), protocol=5)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  made here
        except Exception:  # whatever a class of somebody else's does
            if isinstance(error, AlfredError):
                raise AlfredError(str(error)) from error
            raise RuntimeError(f"{type(error).__qualname__}: {error}") from error
        raise


class ArrayFolder:
    """Arrays in files of a temporary folder, which the processes of this machine map into their memory."""

    def __init__(self) -> None:
        """Clear away the folders of processes that were killed; that of this one is made for the first array."""
        self._path: Path | None = None
        self._lock: FileLock | None = None
        with suppress(OSError):  # there may be no temporary folder at all
            for other in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
                with suppress(Timeout, OSError):  # such as those of other users
                    if (other / _LOCK).exists():
                        with FileLock(other / _LOCK, timeout=0):
                            shutil.rmtree(other, ignore_errors=True)

    def keep(self, digest: str, view: memoryview) -> Path:
        """Write an array, and return its file.

        Raises:
            OSError: It cannot be written.
        """
        path = (self._path or self._make()) / digest
        try:
            path.write_bytes(view)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def close(self) -> None:
        """Delete the folder."""
        if self._lock is not None:
            self._lock.release()
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    def _make(self) -> Path:
        # Held before it has the name by which others find it: between the two they would take it for a killed one's.
        path = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        lock = FileLock(path / _LOCK)  # ends with this process, however that ends
        lock.acquire()
        self._lock, self._path = lock, path.rename(path.with_name(path.name[1:]))
        return self._path


def read_array(path: Path) -> mmap.mmap:
    """Return the bytes of an array, shared with all who read the file; what is written to them stays private."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
