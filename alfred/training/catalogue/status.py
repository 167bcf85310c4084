"""How the last command on a run ended: one small file in its directory, written when it begins and when it ends.

A command that is killed leaves the line that it began; who holds the lock of the run says whether it still goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from alfred.data.files import read_bytes, read_json, write_atomically
from alfred.errors import AlfredError, StorageError
from alfred.keys.mistakes import explain_briefly
from alfred.training.runs import RunFolder

STATUS_FILE = "status.json"

Outcome = Literal["began", "finished", "failed", "stopped"]
Command = Literal["forecast", "train", "run", "evaluate", "report"]
_JUDGING = ("run", "evaluate", "report")


@dataclass(frozen=True)
class Status:
    """What is known about the last command on a run.

    Attributes:
        command: Which one.
        outcome: `began` until it ends; `stopped` by whoever started it.
        began: When, in universal time.
        ended: When, or None.
        reason: Why it failed, on one line; empty otherwise.
        judged: Digest of the configuration that the records and the report are of; None while there are none.
    """

    command: Command
    outcome: Outcome
    began: str
    ended: str | None = None
    reason: str = ""
    judged: str | None = None


@contextmanager
def record_outcome(run: RunFolder, command: Command) -> Iterator[None]:
    """Write that a command begins, and how it ends; the run is held by this process meanwhile.

    Args:
        run: The run; its configuration is written already.
        command: The command.
    """
    earlier = read_status(run.path)
    status = Status(command, "began", _now(), judged=None if earlier is None else earlier.judged)
    _write(run.path, status)
    try:
        yield
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        ended = replace(
            status,
            outcome="stopped" if stopped else "failed",
            ended=_now(),
            reason="" if stopped else explain_failure(error),
        )
        with suppress(StorageError):  # a full disk is the reason already
            _write(run.path, ended)
        raise
    _write(run.path, _finish(run.path, status))


def record_judgement(run: RunFolder, command: Command) -> None:
    """Write that a command that leaves nothing half done has finished."""
    _write(run.path, _finish(run.path, Status(command, "began", _now())))


def read_status(path: Path) -> Status | None:
    """Return how the last command on the run in a directory ended, or None when nothing tells it."""
    try:
        status = Status(**read_json(path / STATUS_FILE))
    except (OSError, ValueError, TypeError):
        return None  # made before there was such a file, or damaged
    texts = (status.began, status.reason)
    known = status.outcome in get_args(Outcome) and status.command in get_args(Command)
    return status if known and all(isinstance(text, str) for text in texts) else None


def digest_config(path: Path) -> str | None:
    """Return a digest of the configuration of the run in a directory, or None without one."""
    try:
        return hashlib.sha256(read_bytes(RunFolder(path).config)).hexdigest()[:24]
    except OSError:
        return None


def explain_failure(error: BaseException) -> str:
    """Return why something failed, on one line; what is no refusal of ours is named by its kind."""
    text = explain_briefly(error) if isinstance(error, Exception) else ""
    return text if isinstance(error, AlfredError) else f"{type(error).__name__}{': ' if text else ''}{text}"


def _finish(path: Path, status: Status) -> Status:
    judged = digest_config(path) if status.command in _JUDGING else status.judged
    return replace(status, outcome="finished", ended=_now(), judged=judged)


def _write(path: Path, status: Status) -> None:
    text = json.dumps(asdict(status), indent=2)
    write_atomically(path / STATUS_FILE, lambda file: file.write_text(text, encoding="utf-8"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
