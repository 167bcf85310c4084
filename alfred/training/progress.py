"""How long work tells how far it is, without knowing who listens; and how others can read it meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from alfred.data.files import require_file, write_atomically
from alfred.keys.mistakes import explain_briefly

PROGRESS_FILE, LOG_FILE = "progress.json", "log.txt"
_PAUSE_SECONDS = 1.0
_MOST_LOG_BYTES = 1 << 20


class Reporter(Protocol):
    """Shows the progress of several pieces of work."""

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        """Announce a piece of work; the result is told the units done so far."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


class Silence:
    """A reporter that shows nothing."""

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda _done: None

    def say(self, text: str) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Piece:
    """A piece of work.

    Attributes:
        name: What is done.
        done: Units done so far.
        total: Units in all.
    """

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Progress:
    """How far a command is.

    Attributes:
        began: When it began, in universal time, as `2026-11-27 14:31:04Z`.
        updated: When this was written, likewise.
        pieces: All pieces of work that were announced so far, in their order.
    """

    began: str
    updated: str
    pieces: tuple[Piece, ...]


@contextmanager
def record_progress(folder: Path, listener: Reporter) -> Iterator[Reporter]:
    """Write what a reporter is told into a folder as well: how far each piece is, and a log of the lines.

    `progress.json` is written once a second at most, by a thread of its own, so that work never waits for the disk;
    `log.txt` is added to. What cannot be written is left: the work does not depend on it.

    Args:
        folder: Of the run; it is there already.
        listener: Who is told besides.
    """
    recorder = _Recorder(folder, listener)
    recorder.start()
    try:
        yield recorder
    except BaseException as error:
        text = explain_briefly(error) if isinstance(error, Exception) else ""
        recorder.stop(f"ended by {type(error).__name__}{': ' if text else ''}{text}")
        raise
    recorder.stop("ended")


def parse_progress(text: str) -> Progress | None:
    """Read what `record_progress` wrote, or None when it is something else."""
    try:
        raw = json.loads(text)
        pieces = tuple(Piece(str(name), int(done), int(total)) for name, done, total in raw["pieces"])
        return Progress(str(raw["began"]), str(raw["updated"]), pieces)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


class _Recorder:
    """Keeps what it is told, passes it on, and writes it beside the work."""

    def __init__(self, folder: Path, listener: Reporter) -> None:
        self._folder, self._listener = folder, listener
        self._began = _now()
        self._pieces: list[tuple[str, int]] = []
        self._done: list[int] = []
        self._lock = threading.Lock()
        self._changed = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._write_repeatedly, name="progress", daemon=True)

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        told = self._listener.begin(name, total)
        with self._lock:
            place = len(self._pieces)
            self._pieces.append((name, total))
            self._done.append(0)
            self._changed = True

        def update(done: int) -> None:
            # Called for every unit of work: two assignments, and a line once.
            if self._done[place] < total <= done:
                self._log(f"done: {name}")
            self._done[place] = min(done, total)
            self._changed = True
            told(done)

        return update

    def say(self, text: str) -> None:
        self._log(text)
        self._listener.say(text)

    def start(self) -> None:
        self._shorten_log()
        self._log("began")
        self._write()
        self._thread.start()

    def stop(self, text: str) -> None:
        self._wake.set()
        self._thread.join()
        self._log(text)
        self._write()

    def _write_repeatedly(self) -> None:
        while not self._wake.wait(_PAUSE_SECONDS):
            if self._changed:
                self._write()

    def _write(self) -> None:
        self._changed = False
        with self._lock:
            pieces = [(name, done, total) for (name, total), done in zip(self._pieces, self._done, strict=True)]
        text = json.dumps({"began": self._began, "updated": _now(), "pieces": pieces})
        with suppress(OSError):
            write_atomically(self._folder / PROGRESS_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def _log(self, text: str) -> None:
        lines = "".join(f"{_now()}  {line}\n" for line in text.splitlines())
        path = self._folder / LOG_FILE
        with suppress(OSError):
            if path.exists():
                require_file(path)  # a pipe would have us wait for a reader
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(lines)

    def _shorten_log(self) -> None:
        """Keep the later half of a log that has become long."""
        path = self._folder / LOG_FILE
        with suppress(OSError):
            if path.stat().st_size > _MOST_LOG_BYTES:
                kept = path.read_bytes()[-_MOST_LOG_BYTES // 2 :].partition(b"\n")[2]
                write_atomically(path, lambda place: place.write_bytes(kept))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
