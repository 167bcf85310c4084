"""What lies in a folder of runs: runs with their state, and whatever else alfred keeps there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from alfred.analysts.settings import CARD_FILE
from alfred.data.files import read_json, read_text
from alfred.errors import ConfigError, suggest
from alfred.evaluation.side_by_side.configuration import name_entry
from alfred.keys.yaml_text import parse_yaml
from alfred.training.catalogue.status import digest_config, read_status
from alfred.training.cross_fitting.folds import SCORES_FILE, locate_training
from alfred.training.locks import is_held
from alfred.training.provenance.stages import STAGE_FILE
from alfred.training.provenance.trials import TrialLog
from alfred.training.runs import RunFolder, read_manifest

State = Literal["running", "finished", "trained", "forecast", "failed", "interrupted"]
Kind = Literal[
    "run", "searches", "experiments", "quarterly", "sweeps", "paper account", "analysts", "page", "link", "other"
]

_CONTAINERS: dict[str, Kind] = {
    "tuning": "searches",
    "experiments": "experiments",
    "quarterly": "quarterly",
    "sweeps": "sweeps",
}
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()  # a file may say that it was written later
_TESTED = re.compile(r"test (\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class Entry:
    """One thing in a folder of runs.

    Attributes:
        name: Of the file or folder.
        path: Where it stands.
        kind: What it is; only a `run` has the fields below `size`.
        when: When it was last written to, in universal time.
        size: Bytes of its files.
        state: How far the run is: `trained` and `forecast` were not asked to be judged, or not as they are now.
        reason: Why it failed or where it stopped, on one line; of what is no run, what there is to say of it.
        verdict: On its first agent, in a few words; empty while the run is not finished.
        tested: First and last date of its test, ISO, or None before folds are cut.
        n_trials: Lines that it has in the log of trials.
    """

    name: str
    path: str
    kind: Kind
    when: str
    size: int
    state: State | None = None
    reason: str = ""
    verdict: str = ""
    tested: tuple[str, str] | None = None
    n_trials: int = 0

    def to_json(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


def list_entries(root: Path | str) -> list[Entry]:
    """Return what lies in a folder of runs, runs first, the latest of each kind first.

    Raises:
        ConfigError: It is no folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise ConfigError(f"{root} is not a folder; run `alfred demo` first, or name the folder of your runs")
    counts: dict[str, int] = {}
    for trial in TrialLog(folder).read():
        counts[trial.run] = counts.get(trial.run, 0) + 1
    places = [
        path for path in folder.iterdir() if not path.name.startswith(".") and (path.is_dir() or path.is_symlink())
    ]
    entries = [describe_entry(path, counts.get(path.name, 0)) for path in sorted(places)]
    entries.sort(key=lambda entry: entry.when, reverse=True)
    return sorted(entries, key=lambda entry: entry.kind != "run")


def describe_entry(path: Path, n_trials: int = 0) -> Entry:
    """Return what a folder is and, of a run, how far it is.

    Args:
        path: The folder.
        n_trials: Lines that it has in the log of trials.
    """
    kind, reason = _find_kind(path)
    if kind != "run":
        return Entry(path.name, str(path), kind, _find_time(path), measure_size(path), reason=reason)
    run = RunFolder(path)
    state, reason = find_state(run)
    return Entry(
        path.name,
        str(path),
        kind,
        _find_time(path),
        measure_size(path),
        state,
        reason,
        # That of an earlier configuration is no verdict on this one.
        read_verdict(run) if state == "finished" else "",
        find_tested(run),
        n_trials,
    )


def is_run(path: Path) -> bool:
    """Say whether a folder is a run of alfred: it has a configuration and a manifest that alfred wrote."""
    run = RunFolder(path)
    if path.is_symlink() or not path.is_dir() or not run.config.is_file():
        return False
    try:
        return "alfred" in read_manifest(run)
    except ConfigError:
        return False


def locate(name: Path | str, root: Path | str) -> Path:
    """Return the run of a name, or at a place, in a folder of runs.

    Args:
        name: Name of the run, or the path of its directory.
        root: The folder of runs.

    Raises:
        ConfigError: It is not there, lies elsewhere, is a link, or is no run.
    """
    told, folder = Path(name), Path(root)
    place = told if len(told.parts) > 1 or told.is_absolute() else folder / told
    if not place.name or place.name == ".." or place.parent.resolve() != folder.resolve():
        raise ConfigError(f"{name} does not lie in {root}; name the folder of its runs with --runs")
    if place.is_symlink():
        raise ConfigError(f"{place} is a link to {place.readlink()}; name the run itself, and its folder with --runs")
    if not place.is_dir():
        known = [entry.name for entry in folder.iterdir() if is_run(entry)] if folder.is_dir() else []
        raise ConfigError(
            f"there is no run '{place.name}' in {root}.{suggest(place.name, known)} See `alfred runs list`"
        )
    if not is_run(place):
        kind, reason = _find_kind(place)
        what = "has no manifest of alfred" if kind in ("run", "other") else f"holds {reason}"
        raise ConfigError(f"{place} is not a run of alfred: it {what}")
    return place


def find_state(run: RunFolder) -> tuple[State, str]:
    """Return how far a run is, and why it is no further, on one line."""
    status = read_status(run.path)
    if is_held(run.path):
        return "running", "" if status is None else f"{status.command} since {status.began}"
    if status is not None and status.outcome == "failed":
        return "failed", f"{status.command}: {status.reason}"
    if status is not None and status.outcome != "finished":
        word = "was stopped" if status.outcome == "stopped" else "was killed"
        return "interrupted", f"{status.command} of {status.began} {word}; the same command goes on"
    judged = run.results.is_file() and (run.backtests / STAGE_FILE).is_file()
    if judged and (status is None or status.judged == digest_config(run.path)):
        return "finished", ""
    if is_trained(run):
        return "trained", f"not judged{' as it is now' if judged else ''}; `alfred evaluate {run.path}` does so"
    if run.signals.is_file() and status is not None:
        return "forecast", "not trained yet"
    return "interrupted", "not everything is there; the command that made it goes on"


def is_trained(run: RunFolder) -> bool:
    """Say whether every training that a run asks for is finished."""
    try:
        manifest = read_manifest(run)
    except ConfigError:
        return False
    seeds, folds = manifest.get("seeds"), manifest.get("folds")
    labels = list_labels(read_config(run), "agents")
    if not labels or not isinstance(seeds, list) or not isinstance(folds, list):
        return False
    return all(
        (locate_training(run.path / "agents" / label, fold, seed) / SCORES_FILE).is_file()
        for label in labels
        for fold in range(len(folds))
        for seed in seeds
    )


def read_config(run: RunFolder) -> dict[str, Any]:
    """Return the configuration as it is written, whatever plugins it needs; empty when it is damaged."""
    try:
        raw = parse_yaml(read_text(run.config))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def list_labels(config: dict[str, Any], part: str) -> list[str]:
    """Return the names of the entries of a list of a configuration, such as its agents."""
    entries = config.get(part)
    return [name_entry(item) for item in entries if isinstance(item, dict)] if isinstance(entries, list) else []


def read_results(run: RunFolder) -> list[dict[str, Any]]:
    """Return the numbers of a run's report, a mapping a strategy; none before it was judged."""
    try:
        rows = read_json(run.results)
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def read_verdict(run: RunFolder) -> str:
    """Return the verdict on a run's first agent in a few words; empty before there is one.

    A gain is stated as the headline states it: it may be shared by equal weight, or too good to be true.
    """
    rows = read_results(run)
    verdict, name, headline = (
        str(rows[0].get(key, "")) if rows else "" for key in ("benchmark_verdict", "name", "headline")
    )
    return headline.removeprefix(f"{name} ") if verdict == "beats" and headline else verdict


def find_tested(run: RunFolder) -> tuple[str, str] | None:
    """Return the first and the last date of a run's test, ISO, or None when nothing tells them."""
    try:
        folds = read_manifest(run).get("folds")
    except ConfigError:
        return None
    found = [_TESTED.search(str(fold)) for fold in folds] if isinstance(folds, list) and folds else []
    return (found[0][1], found[-1][2]) if found and found[0] and found[-1] else None


def measure_size(path: Path) -> int:
    """Return the bytes of all files below a place; links count as nothing and are not followed."""
    return sum(size for _, size in walk_files(path))


def walk_files(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file below a place with its bytes; links are not followed, and what cannot be read is passed over."""
    if path.is_symlink():
        return
    for folder, _, names in os.walk(path):
        for name in names:
            place = Path(folder) / name
            try:
                found = place.lstat()
            except OSError:
                continue  # deleted meanwhile
            if not place.is_symlink():
                yield place, found.st_size


def _find_kind(path: Path) -> tuple[Kind, str]:
    """Return what a folder is, and what there is to say of it."""
    if path.is_symlink():
        return "link", f"a link to {path.readlink()}"
    if (path / "account.json").is_file():
        return "paper account", "a paper account; see `alfred paper`"
    if (path / "config.yaml").is_file():
        return "run", ""
    if path.name in _CONTAINERS:
        count = sum(not item.name.startswith(".") for item in path.iterdir())
        return _CONTAINERS[path.name], f"{path.name}, {count} in it"
    if (path / "journal.log").is_file() or any(path.glob("*.journal")):
        return "searches", "a search; see `alfred tune report`"
    if any(path.glob(f"*/{CARD_FILE}")) or (path / CARD_FILE).is_file():
        return "analysts", "trained analysts; see `alfred analysts list`"
    if (path / "results.json").is_file() and (path / "report.html").is_file():
        return "page", "a report without a run"
    return "other", "nothing that alfred knows"


def _find_time(path: Path) -> str:
    """Return when the main files of a folder were last written."""
    files = [path / name for name in ("status.json", "results.json", "manifest.json", "config.yaml", "account.json")]
    times = []
    for place in (*files, path):
        try:
            times.append(place.lstat().st_mtime)
        except OSError:
            continue
    # The folder itself changes whenever a file in it is replaced, and counts where it is all there is.
    latest = min(max(0.0, *(times[:-1] or times)), _LATEST)
    return datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds")
