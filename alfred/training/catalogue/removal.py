"""Removing a run: its directory and nothing else; what was tried stays in the log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alfred.data.files import read_json
from alfred.errors import StorageError
from alfred.training.catalogue.entries import locate, measure_size
from alfred.training.live.account import ACCOUNT_FILE
from alfred.training.locks import hold_run
from alfred.training.provenance.trials import TrialLog

PAPER = "paper"
"""Where accounts stand by custom, beside the runs."""
GONE = ".removed"
"""Ending of the hidden name under which a run waits to be deleted."""


@dataclass(frozen=True)
class Removal:
    """What removing a run does.

    Attributes:
        path: Directory of the run.
        size: Bytes that it takes.
        n_trials: Its lines in the log of trials, which stay.
        followers: Paper accounts that follow it, and would no longer know what to do: those in the same folder, and in
            `paper` where the command is given or beside the folder.
    """

    path: Path
    size: int
    n_trials: int
    followers: tuple[str, ...]


def plan_removal(name: Path | str, root: Path | str) -> Removal:
    """Return what would be removed.

    Args:
        name: Name of the run, or its directory, which lies in the folder itself.
        root: The folder of runs.

    Raises:
        ConfigError: It is no run of that folder.
    """
    path = locate(name, root)
    trials = sum(trial.run == path.name for trial in TrialLog(root).read())
    return Removal(path, measure_size(path), trials, tuple(_find_followers(path, Path(root))))


def remove_run(removal: Removal) -> None:
    """Delete the directory of a run.

    It is first given a hidden name, so that a crash on the way leaves no half of a run; `alfred runs clean` deletes
    what is left then.

    Raises:
        AlfredError: Another process is writing to the run, or the files cannot be deleted.
    """
    path = removal.path
    with hold_run(path):
        locate(path, path.parent)  # it may have been replaced since it was looked at
        hidden = path.with_name(f".{path.name}.{os.getpid()}{GONE}")
        try:
            path.rename(hidden)
            shutil.rmtree(hidden)
        except OSError as error:
            raise StorageError(f"{path} cannot be deleted ({error.strerror or error}); give the rights") from error


def _find_followers(path: Path, root: Path) -> Iterator[str]:
    """Yield the accounts that follow a run."""
    folders = {place.resolve(): place for place in (root, root.resolve().parent / PAPER, Path(PAPER))}
    for place in [place for folder in folders.values() for place in sorted(folder.glob(f"*/{ACCOUNT_FILE}"))]:
        try:
            followed = read_json(place)["run"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(followed, str) and Path(followed).resolve() == path.resolve():
            yield str(place.parent)
