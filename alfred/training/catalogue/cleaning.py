"""What a folder of runs does not need any more: found first, deleted when asked.

`evaluate`, `report`, `explain`, `ablate`, `update`, `allocate` and `compare` give the same after it. What a run that
was interrupted needs in order to go on is no waste.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alfred.config import Experiment
from alfred.errors import AlfredError, ConfigError, StorageError
from alfred.training.catalogue.entries import find_state, is_run, is_trained, locate, measure_size
from alfred.training.catalogue.removal import GONE
from alfred.training.cross_fitting.folds import SCORES_FILE, locate_training
from alfred.training.cross_fitting.held_out import FILE as HELD_OUT_FILE
from alfred.training.locks import hold_run, is_held
from alfred.training.runs import RunFolder, list_seeds, load_run, read_manifest

Why = Literal["half-written", "removed before", "checkpoints", "no longer used", "cache"]

CACHE = ".cache"
"""Where forecasts are kept by default, below the folder of all runs."""
_OLD_SECONDS = 3600.0
# Names that `write_atomically` and `remove_run` give; a file of somebody else may end likewise.
_PART = re.compile(r"\..+\.\d+\.part")
_GONE = re.compile(rf"\..+\.\d+{re.escape(GONE)}")


@dataclass(frozen=True)
class Waste:
    """Something that is not needed any more.

    Attributes:
        path: File or folder.
        why: Of what kind it is.
        size: Bytes.
        run: Name of the run that it belongs to; `beside` or the name of the cache for what belongs to none.
    """

    path: Path
    why: Why
    size: int
    run: str


@dataclass(frozen=True)
class Cleaning:
    """What is or was not needed in a folder of runs.

    Attributes:
        waste: Each piece.
        passed_over: Runs that are left as they are, with the reason, a line each.
        cache: Bytes of the cache of forecasts, where it is kept.
    """

    waste: tuple[Waste, ...]
    passed_over: tuple[str, ...]
    cache: int

    @property
    def size(self) -> int:
        """Bytes of all waste."""
        return sum(item.size for item in self.waste)


def find_waste(root: Path | str, names: Sequence[str] = (), *, cache: bool = False) -> Cleaning:
    """Return what a folder of runs does not need.

    | what | where | why it is not needed |
    | --- | --- | --- |
    | half-written | `.NAME.PID.part` | what a kill left of a file; a run that is being written to is passed over |
    | removed before | `.NAME.PID.removed` | what a kill left of a run that was removed |
    | checkpoints | `agents/*/fold*/seed*/block*`, `whole` | state and held-out records of a training that is finished |
    | no longer used | `agents/*`, `forecasts/*` | what the configuration does not have |
    | cache | `.cache` | only when asked for: everything in it can be forecast again, which may take long |

    Args:
        root: The folder of runs.
        names: Only these runs; all of the folder, and what lies beside them, when left out.
        cache: Whether the cache of forecasts is waste.

    Raises:
        ConfigError: There is no such run.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise ConfigError(f"{root} is not a folder; name the folder of your runs")
    places = [locate(name, folder) for name in names] or [path for path in sorted(folder.iterdir()) if is_run(path)]
    waste, passed_over, busy = list[Waste](), list[str](), False
    for place in places:
        if is_held(place):
            busy = True
            passed_over.append(f"{place}: a process is writing to it")
            continue
        found, reason = _look_through(RunFolder(place))
        waste += found
        if reason:
            passed_over.append(f"{place}: {reason}")
    if not names:
        waste += _find_beside(folder)
        if cache and (folder / CACHE).is_dir():
            if busy:
                passed_over.append(f"{folder / CACHE}: a run is going on, and may read it")
            else:
                waste.append(_weigh(folder / CACHE, "cache", CACHE))
    kept = 0 if any(item.why == "cache" for item in waste) else measure_size(folder / CACHE)
    return Cleaning(tuple(waste), tuple(passed_over), kept)


def delete_waste(found: Cleaning) -> None:
    """Delete what was found.

    Raises:
        AlfredError: A process began to write to a run meanwhile, or something cannot be deleted.
    """
    for item in found.waste:
        run = _find_run(item.path)
        if run is None:
            _delete(item.path)
            continue
        with hold_run(run):
            _delete(item.path)


def _look_through(run: RunFolder) -> tuple[list[Waste], str]:
    """Return what a run does not need, and why not everything was looked at; empty when it was."""
    found = [_weigh(path, "half-written", run.name) for path in sorted(run.path.rglob(".*.part")) if _is_part(path)]
    state, _ = find_state(run)
    if state not in ("finished", "trained") or not is_trained(run):
        return found, f"{state}; only half-written files are looked for, the rest it needs to go on"
    try:
        _, experiment = load_run(run.path)
        folds = read_manifest(run)["folds"]
    except (AlfredError, KeyError) as error:
        return found, f"only half-written files are looked for: {error}"
    if not isinstance(folds, list):
        return found, "only half-written files are looked for: its manifest is damaged"
    unused = list(_find_unused(run, experiment, len(folds)))
    found += [_weigh(path, "no longer used", run.name) for path in unused]
    for agent in (*sorted((run.path / "agents").glob("*")), *sorted((run.live / "agents").glob("*"))):
        if agent in unused:
            continue
        for training in sorted(agent.glob("fold*/seed*")):
            if training in unused or training.parent in unused or not (training / SCORES_FILE).is_file():
                continue
            found += [_weigh(path, "checkpoints", run.name) for path in _find_checkpoints(training)]
    inside = [item for item in found if not _is_behind_link(item.path, run.path)]
    return [item for item in inside if not any(path in item.path.parents for path in unused)], ""


def _find_checkpoints(training: Path) -> Iterator[Path]:
    """Yield what a finished training wrote in order to go on; its curves stay."""
    for block in (*sorted(training.glob("block*")), training / "whole"):
        if (held_out := block / HELD_OUT_FILE).is_file():
            yield held_out
        if (checkpoints := block / "checkpoints").is_dir():
            yield checkpoints


def _find_unused(run: RunFolder, experiment: Experiment, n_folds: int) -> Iterator[Path]:
    """Yield the folders of stages that the configuration does not have."""
    agents = {settings.label for settings in experiment.agents}
    analysts = {settings.label for settings in experiment.analysts}
    analysts |= set() if experiment.blend is None else {experiment.blend.label}
    for path in _list_folders(run.forecasts):
        if path.name not in analysts:
            yield path
    for path in _list_folders(run.path / "agents"):
        if path.name not in agents:
            yield path
            continue
        used = [locate_training(path, fold, seed) for fold in range(n_folds) for seed in list_seeds(experiment)]
        for fold in sorted(path.glob("fold*")):
            if fold not in (place.parent for place in used):
                yield fold
            else:
                yield from (seed for seed in sorted(fold.glob("seed*")) if seed not in used)


def _find_beside(folder: Path) -> Iterator[Waste]:
    """Yield what kills left beside the runs; no lock guards it, so that only what is old counts."""
    for path in sorted(folder.glob(f".*{GONE}")):
        if path.is_dir() and not path.is_symlink() and _GONE.fullmatch(path.name):
            yield _weigh(path, "removed before", "beside")
    for place in (folder, folder / ".trials", folder / CACHE):
        pattern = ".*.part" if place.name != CACHE else "**/.*.part"
        for path in sorted(place.glob(pattern)):
            if _is_part(path) and time.time() - path.lstat().st_mtime > _OLD_SECONDS:
                yield _weigh(path, "half-written", "beside")


def _is_part(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and _PART.fullmatch(path.name) is not None


def _is_behind_link(path: Path, run: Path) -> bool:
    """Say whether a link inside a run leads to a place: what is behind it belongs to somebody else."""
    return any(place.is_symlink() for place in path.parents if run in place.parents)


def _list_folders(path: Path) -> list[Path]:
    return [item for item in sorted(path.iterdir()) if item.is_dir() and not item.is_symlink()] if path.is_dir() else []


def _find_run(path: Path) -> Path | None:
    return next((place for place in path.parents if is_run(place)), None)


def _weigh(path: Path, why: Why, run: str) -> Waste:
    return Waste(path, why, measure_size(path) if path.is_dir() else path.lstat().st_size, run)


def _delete(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # somebody else did
    except OSError as error:
        raise StorageError(f"{path} cannot be deleted ({error.strerror or error}); give the rights") from error
