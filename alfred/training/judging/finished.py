"""A run that is finished, given again: its result is printed as it stands while nothing has changed.

Going through all stages asks each of them whether it still holds, and writes the report again. That is not needed
while the configuration, the code, the packages, the data, the log of trials and every file of the run are what they
were when the report was written; files are compared by size and time of change. Whatever differs sends the run through
its stages, which find out for themselves what holds. Nothing here loads torch before it is needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic

import alfred
from alfred.config import Experiment
from alfred.data.files import write_atomically
from alfred.data.prices.registry import BUILT_IN_SOURCES
from alfred.evaluation.results import ResultRow
from alfred.plugins import describe_plugins
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


def summarise(prepared: Prepared, rows: Sequence[ResultRow]) -> Finished:
    """Return what is printed of a run that was judged just now."""
    from alfred.training.judging.judge import list_caveats, tabulate
    from alfred.training.judging.seeds import describe_seeds

    notes = [f"note: {note}" for note in (*prepared.market.notes, *list_caveats(prepared))]
    lines = [*describe_seeds(tabulate(prepared)), *notes]
    return Finished(prepared.run, prepared.market.benchmark, rows, lines)


def keep_finished(finished: Finished, experiment: Experiment) -> None:
    """Write what is printed of a run, and what it holds for. The last file of a run: all others are listed in it."""
    stamp = _stamp(finished.run, experiment)
    if stamp is None:
        return
    text = json.dumps(
        {
            "stamp": stamp,
            "benchmark": finished.benchmark,
            "lines": list(finished.lines),
            "rows": json.loads(_ROWS.dump_json(list(finished.rows))),
        }
    )
    path = finished.run.path / SUMMARY_FILE
    write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))


def read_finished(experiment: Experiment, root: Path | str) -> Finished | None:
    """Return what is printed of a run; None when it is not finished, or something that it was made from has changed."""
    run = locate_run(experiment, root)
    try:
        kept = json.loads((run.path / SUMMARY_FILE).read_text(encoding="utf-8"))
        if kept["stamp"] != _stamp(run, experiment):
            return None
        return Finished(run, kept["benchmark"], _ROWS.validate_json(json.dumps(kept["rows"])), kept["lines"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp(run: RunFolder, experiment: Experiment) -> str | None:
    """Return a digest of all that the result of a run hangs on, or None where that cannot be told from files."""
    if experiment.data.source not in BUILT_IN_SOURCES:
        return None  # a source of one's own may have other bars at any time
    digest = hashlib.sha256()
    for part in (experiment.to_yaml(), json.dumps(read_versions()), json.dumps(describe_plugins())):
        digest.update(part.encode())
    for path in sorted(Path(str(alfred.__file__)).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    log = TrialLog(run.root).path
    digest.update(log.read_bytes() if log.is_file() else b"")
    own = [path for path in _walk(run.path) if path.name != SUMMARY_FILE]
    if len(own) < 2 or run.report not in own or run.results not in own:
        return None
    read = [path for place in _find_paths(experiment.model_dump(mode="json")) for path in _walk(place)]
    if len(read) > _MOST_FILES:
        return None
    for path in (*own, *read):
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _find_paths(value: object) -> Iterator[Path]:
    """Yield every text of a configuration that is a path which is there, and what stands beside a file."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key != "cache":  # what is in it can be made again, and changes no result
                yield from _find_paths(item)
    elif isinstance(value, list):
        for item in value:
            yield from _find_paths(item)
    elif isinstance(value, str) and ("/" in value or "\\" in value or "." in value):
        path = Path(value).expanduser()
        if path.is_dir():
            yield path
        elif path.is_file():
            yield path
            # `symbols.csv` and `members.csv` are read without being named.
            yield from (beside for beside in path.parent.glob("*.csv*") if beside != path)


def _walk(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
