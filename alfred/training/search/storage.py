"""Where studies are kept: a journal file that several processes share, or a database."""

from __future__ import annotations

import itertools
import json
import time
import warnings
from pathlib import Path

from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from alfred.errors import CheckpointError, ConfigError, MissingExtraError
from alfred.keys.mistakes import explain_briefly

JOURNAL_FILE = "journal.log"
_HEARTBEAT_SECONDS, _MISSED_BEATS = 30, 4
_TURNS = 5
_DATABASES = ("sqlite:///", "postgresql://", "postgresql+psycopg://")


class _JournalLock:
    """The operating system's lock: it ends with the process that holds it, where a lock file of Optuna's would stay."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait until no other process writes."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Let others write."""
        self._lock.release()


def open_storage(place: str, *, reading: bool = False) -> BaseStorage:
    """Open the storage of a study.

    Args:
        place: Path of a journal file, or the address of a database: `sqlite:///file.db`,
            `postgresql://user@host/name`.
        reading: Leave a storage as it is, and make none.

    Raises:
        ConfigError: The address is not one of these, or the database refuses it.
        CheckpointError: The journal is damaged.
        MissingExtraError: The driver of the database is not installed.
    """
    if "://" not in place:
        # A link is the journal that it leads to, so that its locks are as well.
        return _open_journal(Path(place).resolve(), reading=reading)
    if not place.startswith(_DATABASES):
        raise ConfigError(
            f"--storage {hide_password(place)} is not known; give the path of a journal file, sqlite:///FILE or "
            "postgresql://USER@HOST/NAME"
        )
    file = place.removeprefix("sqlite:///") if place.startswith("sqlite:///") else ""
    if reading and file and not Path(file).is_file():
        raise ConfigError(f"--storage {place}: there is no such database")
    from sqlalchemy.exc import ArgumentError, DBAPIError

    try:
        return _open_database(place.replace("postgresql://", "postgresql+psycopg://", 1))
    except ImportError as error:
        raise MissingExtraError(
            "the driver of PostgreSQL is not installed; it comes with an extra: pip install 'alfred[postgresql]'"
        ) from error
    except (DBAPIError, ArgumentError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"--storage {hide_password(place)} cannot be opened ({reason}); is the database running, and does it exist?"
        ) from error


def _open_database(address: str) -> RDBStorage:
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    for turn in itertools.count(1):
        try:
            # What another machine left running is told by its heartbeat; it is queued again by `requeue_lost`.
            return RDBStorage(
                address, heartbeat_interval=_HEARTBEAT_SECONDS, grace_period=_MISSED_BEATS * _HEARTBEAT_SECONDS
            )
        except (IntegrityError, ProgrammingError):
            # Another process made the tables at the same moment.
            if turn == _TURNS:
                raise
            time.sleep(turn / 2)
    raise AssertionError  # the loop has no end of its own


def hide_password(place: str) -> str:
    """Return an address without the password that may stand in it."""
    scheme, separator, rest = place.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{host}" if at else place


def _open_journal(path: Path, *, reading: bool) -> JournalStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(path.with_name(f".{path.name}.lock"))
    _require_journal(path)
    if not reading:
        _cut_torn_line(path, lock)
    try:
        # Optuna's base class for locks is private; any object with these two methods will do.
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not a journal of studies, or is damaged ({type(error).__name__}: {explain_briefly(error)}); "
            "restore it, or name another file with --storage"
        ) from error


def _require_journal(path: Path) -> None:
    """Refuse a file that is something else before anything is written to it.

    Raises:
        CheckpointError: It is not a journal.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        head = file.read(1 << 16).split(b"\n", 1)[0]
    if head.startswith(b"SQLite format 3"):
        raise CheckpointError(f"{path} is a database of SQLite, not a journal; name it with --storage sqlite:///{path}")
    # A first line that a kill tore is a beginning of one.
    if not head.startswith(b'{"op_code":'[: len(head)]):
        raise CheckpointError(f"{path} is not a journal of studies; name another file with --storage")


def _cut_torn_line(path: Path, lock: _JournalLock) -> None:
    """Drop what a process wrote last before it was killed halfway: the next line would be glued to it."""
    if not path.is_file():
        return
    lock.acquire()
    try:
        with path.open("rb+") as file:
            end = file.seek(0, 2)
            size = min(end, 1 << 20)
            file.seek(end - size)
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            # A last line that says nothing, whole or not, was under way when the power went.
            while whole and not _is_entry(whole[:-1].rpartition(b"\n")[2]):
                whole = whole[: whole[:-1].rfind(b"\n") + 1]
            if whole != tail:
                file.truncate(end - size + len(whole))
    finally:
        lock.release()


def _is_entry(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return False
