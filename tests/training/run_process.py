"""A run in a process of its own: what the tests of locks and of lost parents start and kill.

Like the command line it imports nothing heavy at the top: a worker loads that before anything else.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path


def work(folder: Path, number: int, seconds: float, progress: Callable[[int], None]) -> int:
    """Say who does it, spend some time, and say that it is done."""
    (folder / f"{number}.begun").write_text(str(os.getpid()))
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        done += 1
        progress(done)
    (folder / f"{number}.done").write_text("done")
    return number


def main(action: str, folder: Path, seconds: float) -> None:
    from functools import partial

    from alfred.training.jobs import Job, run_jobs
    from alfred.training.locks import hold_run
    from alfred.training.progress import Silence

    if action == "hold":
        with hold_run(folder):
            sys.stdout.write("held\n")
            sys.stdout.flush()
            time.sleep(seconds)
    else:
        jobs = [Job(str(n), partial(work, folder, n, seconds)) for n in range(2)]
        run_jobs(jobs, 2, Silence())


if __name__ == "__main__":
    # A shell without job control starts what runs in its background with interrupts ignored; Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
