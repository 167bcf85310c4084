"""Scores on disk by the hash of the headline, and what they cost: SQLite files, safe with several processes."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from alfred.errors import StorageError

_SCORES = ("CREATE TABLE IF NOT EXISTS scores (hash TEXT PRIMARY KEY, sentiment REAL NOT NULL, outlook REAL)",)
_SPENT = (
    "CREATE TABLE IF NOT EXISTS spent (id INTEGER PRIMARY KEY CHECK (id = 1), calls INTEGER, tokens INTEGER)",
    "INSERT OR IGNORE INTO spent VALUES (1, 0, 0)",
)
_AGAIN, _ANEW = "have the headlines scored again", "begin with a fresh budget"
_PATIENCE_S = 60.0
_AT_ONCE = 500  # SQLite takes 999 unknowns a statement


class ScoreStore:
    """The scores that one scorer gave, a file each. Headlines themselves are not stored."""

    def __init__(self, folder: Path, identity: str) -> None:
        """Name the file; it is made when something is written.

        Args:
            folder: Where the files of all scorers stand.
            identity: What the scores depend on besides the headline.
        """
        self.path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.sqlite"

    def read(self, items: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[float, float]]:
        """Return the scores of those headlines, pairs of symbol and text, that have one.

        Raises:
            StorageError: The file is damaged.
        """
        if not self.path.exists():
            return {}
        by_hash = {_hash(item): item for item in items}
        hashes, found = list(by_hash), {}
        with _open(self.path, _SCORES, _AGAIN) as connection:
            for start in range(0, len(hashes), _AT_ONCE):
                part = hashes[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT * FROM scores WHERE hash IN ({marks})", part)  # noqa: S608  marks only
                for key, sentiment, outlook in rows:
                    found[by_hash[key]] = (float(sentiment), math.nan if outlook is None else float(outlook))
        return found

    def write(self, scores: Iterable[tuple[tuple[str, str], tuple[float, float]]]) -> None:
        """Keep scores, pairs of a headline and its score: all of them, or none when the process dies.

        Raises:
            StorageError: The file cannot be written, or is damaged.
        """
        rows = [(_hash(item), s, None if math.isnan(o) else o) for item, (s, o) in scores]
        with _open(self.path, _SCORES, _AGAIN) as connection:
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)


class Ledger:
    """What all scorers of a folder have cost, over all runs."""

    def __init__(self, folder: Path) -> None:
        """Name the file; it is made when something is spent.

        Args:
            folder: Where the files of all scorers stand.
        """
        self.path = folder / "spent.sqlite"

    def read(self) -> tuple[int, int]:
        """Return the calls and tokens that were spent so far.

        Raises:
            StorageError: The file is damaged.
        """
        if not self.path.exists():
            return 0, 0
        with _open(self.path, _SPENT, _ANEW) as connection:
            calls, tokens = connection.execute("SELECT calls, tokens FROM spent").fetchone()
        return int(calls), int(tokens)

    def spend(self, calls: int, tokens: int) -> None:
        """Add to what was spent.

        Raises:
            StorageError: The file cannot be written, or is damaged.
        """
        with _open(self.path, _SPENT, _ANEW) as connection:
            connection.execute("UPDATE spent SET calls = calls + ?, tokens = tokens + ?", (calls, tokens))


@contextlib.contextmanager
def _open(path: Path, tables: Sequence[str], outcome: str) -> Iterator[sqlite3.Connection]:
    """Open a file for one transaction."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as connection, connection:
            for statement in tables:
                connection.execute(statement)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"{path} cannot be used ({error}); delete the file to {outcome}, or name another folder in `cache`"
        ) from error


def _hash(item: tuple[str, str]) -> str:
    return hashlib.blake2b("\x00".join(item).encode(), digest_size=20).hexdigest()
