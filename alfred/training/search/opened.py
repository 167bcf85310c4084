"""Searches that are there already, opened to be read."""

from __future__ import annotations

from pathlib import Path

from optuna import Study
from optuna.storages import BaseStorage

from alfred.errors import ConfigError, suggest
from alfred.settings import check_name
from alfred.training.search.storage import JOURNAL_FILE, open_storage
from alfred.training.search.study import find_studies, load_study


def open_search(name: str, folder: Path, storage: str | None = None) -> BaseStorage:
    """Open the storage of a search, to be read.

    Args:
        name: Of the search, and of its folder.
        folder: Of all searches.
        storage: Where its trials are kept, when that is not a journal in its folder.

    Raises:
        AlfredError: There is no such search, or its storage cannot be read.
    """
    place = storage or str(folder / check_name(name, "search") / JOURNAL_FILE)
    if "://" not in place and not Path(place).is_file():
        known = sorted(path.parent.name for path in folder.glob(f"*/{JOURNAL_FILE}"))
        raise ConfigError(
            f"there is no search '{name}' in {folder}; known: {', '.join(known) or 'none'}.{suggest(name, known)}"
        )
    return open_storage(place, reading=True)


def load_search(name: str, folder: Path, storage: str | None = None) -> list[Study]:
    """Return the latest study of each name in a search; see `open_search`.

    Raises:
        AlfredError: There is none, or its storage cannot be read.
    """
    opened = open_search(name, folder, storage)
    names = list_names(opened)
    # Several searches may share a database; a journal in the folder of a search is its own.
    endings = (f"{name}.", f"{name}-models", f"{name}-strategies-", f"{name}-hybrid", f"{name}-pareto")
    own = [item for item in names if storage is None or item == name or item.startswith(endings)]
    if not own:
        raise ConfigError(f"there is no study of '{name}' yet; known: {', '.join(names) or 'none'}")
    return [load_study(opened, item) for item in own]


def list_names(storage: BaseStorage) -> list[str]:
    """Return what people call the studies of a storage, the oldest first."""
    return list(dict.fromkeys(item.rpartition("@")[0] or item for item in find_studies(storage)))
