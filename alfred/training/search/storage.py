"""Where studies are kept: a journal file that several processes share, or a database."""

from __future__ import annotations

import itertools
import time
import warnings
from pathlib import Path

from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from alfred.errors import CheckpointError, ConfigError, MissingExtraError, explain_briefly

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


def open_storage(place: str) -> BaseStorage:
    """Open the storage of a study.

    Args:
        place: Path of a journal file, or the address of a database: `sqlite:///file.db`,
            `postgresql://user@host/name`.

    Raises:
        ConfigError: The address is not one of these, or the database refuses it.
        CheckpointError: The journal is damaged.
        MissingExtraError: The driver of the database is not installed.
    """
    if "://" not in place:
        return _open_journal(Path(place))
    if not place.startswith(_DATABASES):
        raise ConfigError(
            f"--storage {hide_password(place)} is not known; give the path of a journal file, sqlite:///FILE or "
            "postgresql://USER@HOST/NAME"
        )
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


def _open_journal(path: Path) -> JournalStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(path.with_name(f".{path.name}.lock"))
    _cut_torn_line(path, lock)
    try:
        # Optuna's base class for locks is private; any object with these two methods will do.
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not a journal of studies, or is damaged ({explain_briefly(error)}); restore it, or name "
            "another file with --storage"
        ) from error


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
            if tail and not tail.endswith(b"\n"):
                file.truncate(end - size + tail.rfind(b"\n") + 1)
    finally:
        lock.release()
