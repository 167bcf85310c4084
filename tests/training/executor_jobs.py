"""Jobs that the tests of executors give to other processes, which import them from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from alfred.errors import AlfredError

Progress = Callable[[int], None]


def add_up(values: np.ndarray, seed: int, *, progress: Progress) -> dict[str, object]:
    """Return numbers whose last bits depend on the order of sums, and who computed them."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(values.shape[1], generator=generator)
    product = torch.from_numpy(values.astype(np.float32)) @ weights
    progress(1)
    return {
        "values": product.numpy(),
        "sum": float(values.sum()),
        "pid": os.getpid(),
        "threads": torch.get_num_threads(),
    }


def write_then_die(folder: Path, name: str, deaths: int, *, progress: Progress) -> int:
    """Keep a line for each time that it is begun, and be killed the first times."""
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    if len((folder / name).read_text(encoding="utf-8").splitlines()) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    progress(1)
    return deaths


def overwrite(values: np.ndarray, *, progress: Progress) -> float:
    """Change what was handed over, as a careless job may."""
    values[:] += 1.0
    progress(1)
    return float(values[0, 0])


def refuse(text: str, *, progress: Progress) -> None:
    """End in an error of ours."""
    raise AlfredError(text)


def wait_for_file(begun: Path, wanted: Path, *, progress: Progress) -> str:
    """Say that it is begun, then wait until a file is there."""
    with begun.open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    end = time.monotonic() + 300
    done = 0
    while not wanted.exists():
        if time.monotonic() > end:
            raise AlfredError(f"{wanted} never came")
        done += 1
        progress(done)
        time.sleep(0.05)
    return begun.name


class AskedTwiceError(AlfredError):
    """An error that cannot be made from its text alone, as many a class of a user's own."""

    def __init__(self, asked: str, answer: str) -> None:
        super().__init__(f"{asked}: {answer}")


class TalkativeError(ValueError):
    """The same of what is no error of ours."""

    def __init__(self, asked: str, answer: str) -> None:
        super().__init__(f"{asked}: {answer}")


def refuse_oddly(path: Path, ours: bool, *, progress: Progress) -> None:
    """Keep a line for each time that it is begun, and raise what does not survive the way to another process."""
    with path.open("a", encoding="utf-8") as file:
        file.write("begun\n")
    raise (AskedTwiceError if ours else TalkativeError)("why", "so")


class Spread:
    """A number that is an array while it is packed."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __getstate__(self) -> dict[str, np.ndarray]:
        return {"values": np.full(20_000, self.value)}

    def __setstate__(self, state: dict[str, np.ndarray]) -> None:
        self.value = float(state["values"][0])


def read_value(spread: Spread, *, progress: Progress) -> float:
    """Return the number that arrived."""
    return spread.value


def leave(code: int, *, progress: Progress) -> None:
    """End the process, as a library does that gives up."""
    os._exit(code)
