"""How long earlier work took on this machine, beside the runs: the measure of an estimate."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Generic, TypeVar

from filelock import FileLock

from alfred.data.files import parse_json, read_text, require_file

Result = TypeVar("Result")

_waited: ContextVar[float] = ContextVar("waited", default=0.0)

TIMINGS_FILE = ".timings.jsonl"
# Timings of a kind that count. What was read from a cache among them took no time, and the longest is taken.
_LATEST = 5


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """What a piece of work gave, and how long it took.

    Attributes:
        value: What it gave.
        seconds: Wall time, without what it waited for others.
    """

    value: Result
    seconds: float


def time_call(function: Callable[..., Result], *, progress: Callable[[int], None]) -> Timed[Result]:
    """Call a function of a job and time it; at the top of a module, so that another process finds it."""
    token, began = _waited.set(0.0), perf_counter()
    try:
        value = function(progress=progress)
        return Timed(value, perf_counter() - began - _waited.get())
    finally:
        _waited.reset(token)


@contextmanager
def wait_for(lock: FileLock) -> Iterator[None]:
    """Hold a lock; the time until it is free is nobody's work, and `time_call` does not count it."""
    began = perf_counter()
    with lock:
        _waited.set(_waited.get() + perf_counter() - began)
        yield


def write_timing(root: Path, what: str, units: float, seconds: float) -> None:
    """Add how long some work took; an estimate that cannot be kept is no reason to stop.

    Args:
        root: Folder of all runs.
        what: `analyst lstm`, `agent ppo`.
        units: How much work it was, as `alfred.training.effort.count` expects it in seconds.
        seconds: How long it took.
    """
    if units <= 0 or not root.is_dir():
        return
    line = json.dumps({"what": what, "units": round(units, 3), "seconds": round(seconds, 3)}) + "\n"
    try:
        if (root / TIMINGS_FILE).exists():
            require_file(root / TIMINGS_FILE)  # a pipe would have us wait for a reader
        with (root / TIMINGS_FILE).open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return


def read_factors(root: Path) -> Mapping[str, float]:
    """Return how many times longer than expected work of each kind took here; kinds without a timing are left out."""
    found: dict[str, list[float]] = {}
    try:
        lines = read_text(root / TIMINGS_FILE).splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for line in lines:
        try:
            raw = parse_json(line)
            found.setdefault(str(raw["what"]), []).append(float(raw["seconds"]) / float(raw["units"]))
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            continue  # half of a line, of a process that was killed
    return {what: max(values[-_LATEST:]) for what, values in found.items()}
