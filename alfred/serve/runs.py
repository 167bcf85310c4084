"""What the pages say about runs, from what the catalogue of runs says."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alfred.errors import AlfredError
from alfred.evaluation.report.comparison_page import render_comparison
from alfred.keys.mistakes import explain_briefly
from alfred.serve.shelf import MIB, NotServed, Shelf
from alfred.training.catalogue.comparing import compare_runs
from alfred.training.catalogue.entries import Entry, describe_entry, read_results
from alfred.training.catalogue.status import STATUS_FILE
from alfred.training.progress import LOG_FILE, PROGRESS_FILE, parse_progress
from alfred.training.provenance.trials import LOG_FILE as TRIALS_FILE
from alfred.training.provenance.trials import TrialLog
from alfred.training.runs import RunFolder

REPORT_FILE = "report.html"
MOST_COMPARED = 12
_MOST_PIECES = 200
_LOG_BYTES, _TEXT_BYTES = 64 << 10, MIB
_TONES = ("green", "amber", "red", "grey")
# What is read of a run by its path, with the most bytes that are read.
_LIMITS = {
    "config.yaml": MIB,
    "manifest.json": 8 * MIB,
    "results.json": 32 * MIB,
    STATUS_FILE: MIB,
    "backtests/stage.json": 8 * MIB,
}
_RECORDS = (("backtests/*.parquet", 128 * MIB),)
_TRIALS = {TRIALS_FILE: 128 * MIB}
_COMPARING = threading.Lock()


@dataclass(frozen=True)
class RunCard:
    """A folder in the list.

    Attributes:
        name: Of the folder.
        href: Path of its page.
        entry: What it is; None where it must not be read.
        fault: Why not.
        headline: What may be said about its first agent; empty while the run is not finished.
        tone: Colour of the headline.
        has_report: Whether there is a report to show.
    """

    name: str
    href: str
    entry: Entry | None
    fault: str = ""
    headline: str = ""
    tone: str = "grey"
    has_report: bool = False

    @property
    def state(self) -> str:
        """How far the run is, in a word."""
        return "unreadable" if self.entry is None else str(self.entry.state or self.entry.kind)

    @property
    def is_other(self) -> bool:
        """Whether it is in no list of its own."""
        return self.entry is not None and self.entry.kind not in ("run", "searches", "paper account")

    @property
    def is_run(self) -> bool:
        """Whether it is listed among the runs."""
        return self.entry is None or self.entry.kind == "run"


def list_cards(shelf: Shelf) -> list[RunCard]:
    """Return every folder beside the runs and the runs themselves, the latest first."""
    counts = count_trials(shelf)
    cards = [read_card(shelf, name, counts) for name in shelf.list_folders()]
    return sorted(cards, key=lambda card: "" if card.entry is None else card.entry.when, reverse=True)


def read_card(shelf: Shelf, name: str, counts: Mapping[str, int] | None = None) -> RunCard:
    """Return what there is to say about a folder; one that is damaged is said to be so.

    Args:
        shelf: The folder of runs.
        name: Of the folder in it.
        counts: Lines of each run in the log of trials; read when left out.

    Raises:
        NotServed: There is no such folder.
    """
    path, href = shelf.find(name), f"/runs/{quote(name, safe='')}"
    if not path.is_dir():
        raise NotServed(f"there is no run '{name}' in this folder")
    fault = shelf.find_fault(path, _LIMITS) or shelf.find_fault(path.parent, {f".{path.name}.lock": MIB})
    if fault:
        return RunCard(name, href, None, fault)
    counted = count_trials(shelf) if counts is None else counts
    try:
        entry = describe_entry(path, counted.get(path.name, 0))
        # That of an earlier configuration is no verdict on this one.
        rows = read_results(RunFolder(path)) if entry.state == "finished" else []
    except (AlfredError, OSError, ValueError, RecursionError) as error:
        return RunCard(name, href, None, explain_briefly(error))
    row: dict[str, Any] = rows[0] if rows else {}
    headline = str(row.get("headline") or "")
    tone = str(row.get("headline_tone"))
    has_report = shelf.has_file(name, REPORT_FILE)
    return RunCard(name, href, entry, "", headline, tone if tone in _TONES else "grey", has_report)


def count_trials(shelf: Shelf) -> dict[str, int]:
    """Return the lines of each run in the log of trials; none where it must not be read or is damaged."""
    counts: dict[str, int] = {}
    if shelf.find_fault(shelf.root, _TRIALS):
        return counts
    try:
        for trial in TrialLog(shelf.root).read():
            counts[trial.run] = counts.get(trial.run, 0) + 1
    except (AlfredError, OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return counts


def read_live(shelf: Shelf, name: str) -> dict[str, Any]:
    """Return how far a run is, for a page that asks again and again.

    Keys: `state`, `reason`, `updated`, `n_done` and `n_pieces`, `pieces` (name, units done, units in all) that are
    under way, and `log`, the end of it.
    """
    card = read_card(shelf, name, {})
    progress = None
    with suppress(NotServed):  # made before there was such a file, or just begun
        progress = parse_progress(shelf.read(name, PROGRESS_FILE, limit=8 * MIB).text)
    pieces = () if progress is None else progress.pieces
    begun = [piece for piece in pieces if 0 < piece.done < piece.total]
    return {
        "state": card.state,
        "reason": card.fault if card.entry is None else card.entry.reason,
        "updated": "" if progress is None else progress.updated,
        "n_done": sum(piece.done >= piece.total for piece in pieces),
        "n_pieces": len(pieces),
        "pieces": [(piece.name, piece.done, piece.total) for piece in begun[:_MOST_PIECES]],
        "log": read_text(shelf, name, LOG_FILE, end=True),
    }


def read_text(shelf: Shelf, name: str, file: str, *, end: bool = False) -> str:
    """Return the text of a file of a run as it is shown: a line says so where something is left out; empty without one.

    Args:
        shelf: The folder of runs.
        name: Of the run.
        file: Of the file.
        end: Whether its end is what matters.
    """
    try:
        found = shelf.read(name, file, limit=_LOG_BYTES if end else _TEXT_BYTES, end=end)
    except NotServed:
        return ""
    if not found.cut:
        return found.text
    note = f"[{found.size:,} bytes in all; the rest is not shown]"
    # A first line that was cut says nothing.
    whole = found.text.partition("\n")[2]
    return f"{note}\n{whole}" if end else f"{found.text}\n{note}"


def compare(shelf: Shelf, names: Sequence[str]) -> str:
    """Return the page that shows runs side by side.

    Args:
        shelf: The folder of runs.
        names: Of the runs, the one to compare with first.

    Raises:
        AlfredError: They are too few or too many, or cannot be compared.
        NotServed: One is not there, or must not be read.
    """
    chosen = list(dict.fromkeys(names))
    if not 2 <= len(chosen) <= MOST_COMPARED:
        raise AlfredError(f"{len(chosen)} run(s) are chosen; choose 2 to {MOST_COMPARED} with the boxes of the list")
    places = list[Path]()
    for name in chosen:
        path = shelf.find(name)
        if fault := shelf.find_fault(path, _LIMITS, _RECORDS) or shelf.find_fault(path.parent, _TRIALS):
            raise NotServed(f"{name}: {fault}")
        places.append(path)
    with _COMPARING:  # seconds of work each: one after the other
        return render_comparison(compare_runs(places))
