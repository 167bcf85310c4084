"""One writer a run directory."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from alfred.errors import AlfredError, OwnCodeError

ERROR_LOG = "error.log"
"""File of a run directory with the traceback of the last exception in a user's own code."""

# Longer than `is_held` keeps a lock, so that a look at a run never makes it fail.
_PATIENCE_SECONDS = 0.2
# Of two threads that look at once, each would take the other for a writer.
_LOOKING = threading.Lock()


@contextmanager
def hold_run(path: Path | str) -> Iterator[None]:
    """Keep other processes from writing to a run directory.

    The lock is the operating system's: it ends with the process that holds it, so that nothing is left to clean up
    after a kill. It stands beside the directory, which `--fresh` deletes; a link to a run is that run. A process that
    holds it may take it again. Its number and its computer stand in the lock, for whoever is refused. The traceback of
    an exception in a user's own code is kept in the directory.

    Raises:
        AlfredError: Another process holds it; the message says which, where that is known.
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_locate(target), timeout=_PATIENCE_SECONDS, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise AlfredError(
            f"another process is writing to {path}{_name_holder(target)}; wait until it is done, stop it, or choose "
            "another name with --set name=..."
        ) from error
    _sign(target, f"{os.getpid()} {socket.gethostname()}\n")
    try:
        yield
    except OwnCodeError as error:
        # The run directory keeps what the one line leaves out.
        if error.log or not target.is_dir():
            raise
        raise error.write_trace(target / ERROR_LOG) from error.__cause__
    finally:
        if lock.lock_counter == 1:
            _sign(target, "")
        lock.release()


def is_held(path: Path | str) -> bool:
    """Say whether a process is writing to a run directory now, this one included; nothing is made or waited for."""
    place = _locate(Path(path).resolve())
    if not place.exists():
        return False
    lock = FileLock(place, timeout=0)
    with _LOOKING:
        try:
            lock.acquire()
        except Timeout:
            return True
        except OSError:
            return False  # nobody can write where not even the lock can be opened
        except RuntimeError:
            return True  # this process holds it by another object
        lock.release()
    return False


def _sign(target: Path, text: str) -> None:
    with suppress(OSError):  # elsewhere than on Unix what is locked cannot be written to
        _locate(target).write_text(text, encoding="utf-8")


def _name_holder(target: Path) -> str:
    """Return who holds a run, in brackets, or nothing where the lock does not say."""
    with suppress(OSError, ValueError):
        found = re.fullmatch(r"(\d+) (\S+)\n", _locate(target).read_text(encoding="utf-8"))
        if found is not None:
            return f" (process {found[1]} on {found[2]})"
    return ""


def _locate(target: Path) -> Path:
    return target.parent / f".{target.name}.lock"
