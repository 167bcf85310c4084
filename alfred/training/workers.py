"""The life of a worker process: it ends with the process that started it, however that one ends.

This module is what a worker loads first, so it imports nothing heavy: a worker whose parent is killed while torch is
still being loaded must end as well.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOST_PARENT = 1  # exit code that nobody is left to read

counter: Any = None
"""Units done of the job at hand, which the parent reads; set once in each worker."""


def begin_worker(shared: Any) -> None:
    """Tie this process to its parent, then get ready for work.

    Args:
        shared: Its counter, or None where nobody reads one.
    """
    global counter  # noqa: PLW0603  a worker process has one counter for its whole life
    _end_with_parent()
    counter = shared
    import torch  # not above: it takes seconds, and the tie comes first

    from alfred.errors import AlfredError
    from alfred.learning.events import hush_writers
    from alfred.plugins import load_plugins

    hush_writers()
    torch.set_num_threads(1)
    with suppress(AlfredError):  # a process that ends here could not say why; its first job can
        load_plugins()


@contextmanager
def shield_from_interrupts() -> Iterator[None]:
    """Start processes that do not receive Ctrl-C: the parent does, afterwards, and ends them.

    A terminal sends it to all of them. One that is still loading would answer with a traceback.
    """
    known_signals: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    # Here it waits: a process whose start is broken off halfway ends with a traceback of its own.
    before = signal.signal(signal.SIGINT, lambda number, _frame: known_signals.append(number)) if in_main else None
    # A child inherits the mask. On Windows there is none: there the worker turns the signal off itself, a moment later.
    has_mask = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_mask else set()
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
        if has_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if known_signals:
        raise KeyboardInterrupt


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The sentinel becomes ready when the parent ends, on every system.
    threading.Thread(target=_wait_for_end, args=(parent.sentinel,), daemon=True).start()
    if sys.platform == "linux":
        # At once, even while compiled code keeps the thread from running.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it ended before the request
            os._exit(_LOST_PARENT)


def _wait_for_end(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(_LOST_PARENT)
