"""What the pages say about searches: their studies, trial by trial, while they go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from alfred.errors import AlfredError
from alfred.keys.mistakes import explain_briefly
from alfred.serve.shelf import MIB, NotServed, Shelf
from alfred.training.search.opened import list_names
from alfred.training.search.storage import JOURNAL_FILE, open_storage
from alfred.training.search.study import load_study
from alfred.training.search.summary import StudySummary, summarise_study

REPORT_FILE = "report.html"
_JOURNAL_BYTES = 64 * MIB
_DEPTH = 3
_MOST_SEARCHES = 200
_STATES = ("complete", "running", "waiting", "pruned", "failed", "duplicate", "cut off")
COLUMNS = ("best", "plateau", "best trial", *_STATES)


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        name: Where its folder stands below that of the runs, or what its storage is called.
        href: Path of its page.
        summaries: Its studies.
        fault: Why they cannot be read; empty when they were.
        has_report: Whether `alfred tune report` has written its page.
    """

    name: str
    href: str
    summaries: tuple[StudySummary, ...] = ()
    fault: str = ""
    has_report: bool = False

    @property
    def live(self) -> str:
        """Path of what its page asks for again and again."""
        return f"/live{self.href}"

    def count(self, *states: str) -> int:
        """Return the trials of all studies in these states."""
        return sum(item.counts.get(state, 0) for item in self.summaries for state in states)


class Searches:
    """The searches of a folder, and of one storage besides; each is read again only when its journal has changed.

    Args:
        shelf: The folder of runs.
        storage: Address of a database, or path of a journal, whose studies are shown as well.
    """

    def __init__(self, shelf: Shelf, storage: str | None = None) -> None:
        """Keep both; nothing is read yet."""
        self._shelf = shelf
        self._storage = storage
        self._read: dict[tuple[str, ...], tuple[tuple[int, int], Search]] = {}

    @property
    def has_storage(self) -> bool:
        """Whether a storage is shown besides the folder."""
        return self._storage is not None

    def list_searches(self) -> list[Search]:
        """Return all searches, by their names."""
        places = self._find_places((), _DEPTH)[:_MOST_SEARCHES]
        found = [self.read(place) for place in places]
        return [*found, self.read_storage()] if self.has_storage else found

    def read(self, place: Sequence[str]) -> Search:
        """Return the search in a folder.

        Args:
            place: Names of the folders that lead to it.

        Raises:
            NotServed: There is none.
        """
        parts = tuple(place)
        name = "/".join(parts)
        href = "/searches/" + "/".join(quote(part, safe="") for part in parts)
        if not self._shelf.has_file(*parts, JOURNAL_FILE):
            raise NotServed(f"there is no search '{name}' in this folder")
        journal = self._shelf.find(*parts, JOURNAL_FILE)
        if fault := self._shelf.find_fault(journal.parent, {JOURNAL_FILE: _JOURNAL_BYTES}):
            return Search(name, href, fault=fault)
        found = journal.stat()
        version = (found.st_mtime_ns, found.st_size)
        if self._read.get(parts, ((0, 0), None))[0] != version:
            self._read[parts] = (version, self._summarise(name, href, str(journal)))
        return replace(self._read[parts][1], has_report=self._shelf.has_file(*parts, REPORT_FILE))

    def read_storage(self) -> Search:
        """Return the studies of the storage as one search.

        Raises:
            NotServed: There is no storage.
        """
        if self._storage is None:
            raise NotServed("no storage is shown; name one with --storage")
        return self._summarise("storage", "/storage", self._storage)

    def _find_places(self, above: tuple[str, ...], depth: int) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        for name in self._shelf.list_folders(*above):
            place = (*above, name)
            if self._shelf.has_file(*place, JOURNAL_FILE):
                found.append(place)
            elif depth > 1 and not self._shelf.has_file(*place, "config.yaml"):  # a run holds no search
                found += self._find_places(place, depth - 1)
        return found

    def _summarise(self, name: str, href: str, place: str) -> Search:
        try:
            opened = open_storage(place, reading=True)
            studies = [load_study(opened, item) for item in list_names(opened)]
            return Search(name, href, tuple(map(summarise_study, studies)))
        # A journal that somebody wrote by hand can fail in any way in the library that reads it.
        except Exception as error:
            text = explain_briefly(error)
            return Search(name, href, fault=text if isinstance(error, AlfredError) else f"it is damaged ({text})")


def describe_live(search: Search) -> dict[str, Any]:
    """Return the cells of a search's page by their names, for a page that asks again and again."""
    fields = {"fault": search.fault}
    for place, item in enumerate(search.summaries):
        fields |= {f"{place}.{state}": str(item.counts.get(state, 0)) for state in _STATES}
        fields |= {f"{place}.best": format_value(item.best), f"{place}.plateau": format_value(item.plateau)}
        fields[f"{place}.best trial"] = "–" if item.best_trial is None else str(item.best_trial)
    return {"running": search.count("running") > 0, "studies": len(search.summaries), "fields": fields}


def format_value(value: float | None) -> str:
    """Return a value of a trial as it is shown."""
    return "–" if value is None else f"{value:.5g}".replace("-", "−")
