"""Short names of runs: a folder of links to event files, for TensorBoard names a run by the folders that it stands in.

The event files stay with what they are about, so that they are deleted with it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alfred.data.files import read_text
from alfred.keys.yaml_text import parse_yaml
from alfred.learning.events import EventFile, is_event_file, read_events
from alfred.training.tensorboard.layout import COLUMNS, RESULT

# Folders that say where files of a run stand, and nothing about them.
_SILENT = {"agents", "forecasts", "curves", ".curves", "tensorboard", "summary"}
_FOLD, _SEED = re.compile(r"fold(\d+)"), re.compile(r"seed(\d+)")
_CONFIG = "config.yaml"
_LINES = {".line", ".trial"}  # kinds of event files with a line of the hparams tab
_ALWAYS = ("run", "agent", "fold", "seed")  # columns, whether they differ or not


class LinkFarm:
    """A temporary folder that shows the event files below a folder under short names.

    | where it stands | its name |
    | --- | --- |
    | `demo/summary` | `demo` |
    | `demo/agents/ppo/fold0` | `demo/ppo/f0` |
    | `demo/agents/ppo/fold0/seed1` | `demo/ppo/f0s1` |
    | `demo/agents/ppo/fold0/seed1/block2` | `demo/ppo/f0s1/block2`, until the training is finished |
    | `demo/forecasts/lstm/curves/2014-12-30/0` | `demo/lstm/2014-12-30`, and `/0` where a refit trains several |

    What the configuration of a run does not name any more is not shown: trainings of other seeds, folds and agents are
    kept on disk, for they can be used again.

    It also says which columns the hparams tab has: the settings that differ between the lines that are there.

    Args:
        folder: A run, or the folder of all runs.
        inner: Whether the trainings inside finished ones, on held-out blocks and on everything, are shown.

    Attributes:
        place: Where the links are; the folder itself where links cannot be made.
    """

    def __init__(self, folder: Path, *, inner: bool = False) -> None:
        """Make the links."""
        self._folder, self._inner = folder.resolve(), inner
        self._lines: dict[Path, Path] = {}
        self._columns = EventFile(None)
        self.place = Path(tempfile.mkdtemp(prefix="alfred-tensorboard-"))
        self._temporary = self.place
        self.refresh()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the links."""
        shutil.rmtree(self._temporary, ignore_errors=True)

    def refresh(self) -> None:
        """Link what is new, and drop the links of what is gone."""
        if self.place != self._temporary:
            return
        wanted = {self.place / name: target for name, target in _name_all(self._folder, self._inner)}
        for path in [path for path in self.place.rglob("*") if path.is_symlink()]:
            if wanted.get(path) != path.readlink():
                path.unlink()
        for path, target in wanted.items():
            if not path.is_symlink():
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    path.symlink_to(target)
                except OSError:  # not everybody may make links
                    self.place = self._folder
                    return
        lines = {path: target for path, target in wanted.items() if target.suffix in _LINES}
        if lines != self._lines:
            self._lines = lines
            self._columns.clear()
            if not lines:
                return
            # Beside one of them: in a folder of their own they would be a run.
            self._columns = EventFile(min(lines).parent, "columns")
            with self._columns as events:
                events.add_columns(*find_columns(sorted(lines.values())))


def _name_all(folder: Path, inner: bool) -> Iterator[tuple[Path, Path]]:
    """Yield a short name and its event file, for all below a folder."""
    found = [(Path(top), name) for top, _, names in _walk(folder) for name in names if is_event_file(name)]
    places = {top for top, _ in found}
    alone = {top for top in places if not any(other != top and other.parent == top.parent for other in places)}
    finished = {top for top, name in found if name.endswith(".result")}
    shown: dict[Path, _Shown | None] = {}
    # A run is served under its own name as well.
    root = folder.parent if (folder / _CONFIG).is_file() else folder
    for top, name in found:
        run = next((path for path in (top, *top.parents) if path in shown or (path / _CONFIG).is_file()), None)
        if run is not None and run not in shown:
            shown[run] = _Shown.read(run)
        limits = None if run is None else shown[run]
        if run is not None and limits is not None and not limits.includes(top.relative_to(run).parts):
            continue
        if not inner and finished.intersection(top.parents):
            continue
        yield _shorten(top.relative_to(root).parts, top in alone) / name, top / name


def find_columns(paths: Sequence[Path]) -> tuple[dict[str, Any], list[str]]:
    """Return what differs between lines of the hparams tab, and the scalars that are shown beside it.

    Args:
        paths: Event files, each with a line.

    Returns:
        Settings of which lines of the same kind of agent have different values, each with one of them, and what tells
        lines apart; tags.
    """
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    values: dict[str, dict[str, dict[Any, None]]] = {}
    tags: dict[str, None] = {}
    for path in paths:
        for event in read_events(path):
            for item in event.summary.value:
                if item.tag == "_hparams_/session_start_info":
                    line = HParamsPluginData.FromString(item.metadata.plugin_data.content).session_start_info.hparams
                    kind = line["kind"].string_value if "kind" in line else ""
                    for name, value in line.items():
                        seen = values.setdefault(name, {}).setdefault(kind, {})
                        seen[getattr(value, value.WhichOneof("kind"))] = None
                elif item.HasField("simple_value"):
                    tags[item.tag] = None
    differing = {
        name: next(iter(next(iter(kinds.values()))))
        for name, kinds in values.items()
        if name in _ALWAYS or any(len(seen) > 1 for seen in kinds.values())
    }
    searched = [tag for tag in tags if not tag.startswith(f"{RESULT}/")]
    return differing, [*(COLUMNS if len(searched) < len(tags) else ()), *searched]


def _walk(folder: Path) -> Iterable[tuple[str, list[str], list[str]]]:
    """Walk through links as well, but through no folder twice."""
    seen = set()
    for top, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name != ".cache"]  # many files, and none for TensorBoard
        yield top, folders, names


def _shorten(parts: tuple[str, ...], alone: bool) -> Path:
    if alone and parts[-1].isdigit() and ("curves" in parts or ".curves" in parts):
        parts = parts[:-1]  # the number of the only network of a fit
    kept: list[str] = []
    for part in parts:
        if match := _FOLD.fullmatch(part):
            kept.append(f"f{match[1]}")
        elif (match := _SEED.fullmatch(part)) and kept and kept[-1].startswith("f"):
            kept[-1] += f"s{match[1]}"
        elif part not in _SILENT:
            kept.append(part)
    return Path(*kept)


class _Shown:
    """What the configuration of a run names."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.agents = {item.get("name") or item["kind"] for item in config["agents"]}
        self.analysts = {item.get("name") or item["kind"] for item in config["analysts"]}
        first = int(config["seed"])
        self.seeds = {f"seed{seed}" for seed in range(first, first + int(config["training"]["n_seeds"]))}
        self.folds = {f"fold{fold}" for fold in range(int(config["splits"]["n_folds"]))}

    @classmethod
    def read(cls, run: Path) -> _Shown | None:
        """Return it, or None, which shows everything, where the configuration says nothing of the kind."""
        try:
            return cls(parse_yaml(read_text(run / _CONFIG)))
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def includes(self, parts: tuple[str, ...]) -> bool:
        """Say whether event files in a folder of the run, given by its parts, are shown."""
        match parts:
            case ("forecasts", label, *_):
                return label in self.analysts
            case ("agents", label, fold, *below):
                seeded = not below or not _SEED.fullmatch(below[0]) or below[0] in self.seeds
                return label in self.agents and fold in self.folds and seeded
            case _:
                return True
