"""A run that is finished, given again: its result is printed as it stands while nothing has changed.

Going through all stages asks each of them whether it still holds, and writes the report again. That is not needed
while the configuration, the code, the packages, the data, the log of trials and every file of the run are what they
were when the report was written; files are compared by size and time of change. Whatever differs sends the run through
its stages, which find out for themselves what holds. Nothing here loads torch before it is needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic

import alfred
from alfred.config import Experiment
from alfred.data.files import read_json, write_atomically
from alfred.data.prices.registry import BUILT_IN_SOURCES
from alfred.errors import AlfredError
from alfred.evaluation.results import ResultRow
from alfred.plugins import describe_announced, describe_plugins
from alfred.training.locks import hold_run
from alfred.training.provenance.trials import TrialLog
from alfred.training.runs import RunFolder, locate_run, read_versions

if TYPE_CHECKING:  # it loads torch, and a finished run is printed without
    from alfred.training.prepared import Prepared

SUMMARY_FILE = "summary.json"
_MOST_FILES = 100_000  # below a path of the configuration; beyond, nobody waits for the comparison
# A number that does not exist is NaN in the rows, and JSON has no word for it.
_ROWS = pydantic.TypeAdapter(
    list[ResultRow], config=pydantic.ConfigDict(ser_json_inf_nan="constants", arbitrary_types_allowed=True)
)


@dataclass(frozen=True)
class Finished:
    """What is printed of a finished run.

    Attributes:
        run: The run.
        benchmark: The symbol that it was judged against.
        rows: The numbers, the judged strategy first.
        lines: What a reader must know beside them, a line each.
    """

    run: RunFolder
    benchmark: str
    rows: Sequence[ResultRow]
    lines: Sequence[str]

    def to_json(self) -> dict[str, object]:
        """Return what is printed, for JSON."""
        rows = json.loads(_ROWS.dump_json(list(self.rows)))
        return {"benchmark": self.benchmark, "lines": list(self.lines), "rows": rows}


def summarise(prepared: Prepared, rows: Sequence[ResultRow]) -> Finished:
    """Return what is printed of a run that was judged just now."""
    from alfred.training.judging.judge import list_caveats, tabulate
    from alfred.training.judging.seeds import describe_seeds

    notes = [f"note: {note}" for note in (*prepared.market.notes, *list_caveats(prepared))]
    lines = [*describe_seeds(tabulate(prepared)), *notes]
    return Finished(prepared.run, prepared.market.benchmark, rows, lines)


def digest_inputs(experiment: Experiment) -> str | None:
    """Return a digest of all that a result is made from, or None where that cannot be told from files.

    Args:
        experiment: The run; its plugins are loaded.
    """
    if experiment.data.source not in BUILT_IN_SOURCES:
        return None  # a source of one's own may have other bars at any time
    digest = hashlib.sha256()
    known = (read_versions(), describe_plugins(), describe_announced())
    for part in (experiment.to_yaml(), *map(json.dumps, known)):
        digest.update(part.encode())
    own = Path(str(alfred.__file__)).parent
    try:
        for path in _walk(own):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(own)}\n".encode() + path.read_bytes())
        read = [path for place in _find_paths(experiment.model_dump(mode="json")) for path in _walk(place)]
        if len(read) > _MOST_FILES:
            return None
        _add_files(digest, read)
    except OSError:
        return None
    return digest.hexdigest()


def keep_finished(finished: Finished, experiment: Experiment, made_from: str | None) -> None:
    """Write what is printed of a run, and what it holds for. The last file of a run: all others are listed in it.

    Args:
        finished: The run.
        experiment: Its configuration.
        made_from: `digest_inputs` from before the run began.
    """
    if made_from is None or made_from != digest_inputs(experiment):
        return
    try:
        with hold_run(finished.run.path):
            told = read_json(finished.run.results)
            if told != json.loads(json.dumps([row.to_json() for row in finished.rows])):
                return  # another process has judged it meanwhile
            stamp = _stamp(finished.to_json(), finished.run, made_from)
            text = json.dumps({"stamp": stamp, **finished.to_json()})
            path = finished.run.path / SUMMARY_FILE
            if stamp is not None:
                write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))
    except (AlfredError, OSError, ValueError):
        return  # another process is at it, or files come and go: the next command goes through the stages


def read_finished(experiment: Experiment, root: Path | str) -> Finished | None:
    """Return what is printed of a run; None when it is not finished, or something that it was made from has changed."""
    run = locate_run(experiment, root)
    try:
        kept = read_json(run.path / SUMMARY_FILE)
        stamp = kept.pop("stamp")
        made_from = digest_inputs(experiment)
        if made_from is None or stamp is None or stamp != _stamp(kept, run, made_from):
            return None
        return Finished(run, kept["benchmark"], _ROWS.validate_json(json.dumps(kept["rows"])), kept["lines"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _stamp(told: Mapping[str, object], run: RunFolder, made_from: str) -> str | None:
    """Return a digest of what is printed, what it was made from and the files of the run; None where one is missing."""
    digest = hashlib.sha256(f"{json.dumps(told, sort_keys=True)}\n{made_from}\n".encode())
    log = TrialLog(run.root).path
    digest.update(log.read_bytes() if log.is_file() else b"")
    own = [path for path in _walk(run.path) if path.name != SUMMARY_FILE]
    if run.report not in own or run.results not in own:
        return None
    _add_files(digest, own)
    return digest.hexdigest()


def _add_files(digest: hashlib._Hash, paths: Iterable[Path]) -> None:
    """Add sizes and times of files; the time of any last change (ctime) cannot be set, as that of the content can."""
    for path in paths:
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}\n".encode())


def _find_paths(value: object) -> Iterator[Path]:
    """Yield every text of a configuration that is a path which is there, and what stands beside a file.

    A word such as `files` may happen to be the name of a folder as well: then that folder counts, which does no harm.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key != "cache":  # what is in it can be made again, and changes no result
                yield from _find_paths(item)
    elif isinstance(value, list):
        for item in value:
            yield from _find_paths(item)
    elif isinstance(value, str) and value:
        path = Path(value).expanduser()
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
        except (OSError, ValueError):
            return  # a text that is no path
        if is_folder:
            yield path
        elif is_file:
            yield path
            # `symbols.csv` and `members.csv` are read without being named.
            yield from (beside for beside in path.parent.glob("*.csv*") if beside != path)


def _walk(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
