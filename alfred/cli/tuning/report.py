"""`alfred tune report` and `alfred tune list`, and the dashboard: what searches found, read only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfred.cli.options import AsJson, one_line_errors, print_json
from alfred.cli.tuning.options import SEARCHES, Folder, SearchName, Storage, find_folder
from alfred.errors import ConfigError, import_extra, suggest

if TYPE_CHECKING:
    from optuna import Study


@one_line_errors
def report(name: SearchName, folder: Folder = SEARCHES, storage: Storage = None, as_json: AsJson = False) -> None:
    """Write a page, the ten best trials and pictures of a search into its folder.

    The page says what was found, how it went, which parameters mattered, and how often the search looked.
    """
    studies = _load(name, folder, storage)
    from alfred.training.search.page import write_search_report
    from alfred.training.search.summary import summarise_study

    files = write_search_report(find_folder(folder, name), name, studies)
    if as_json:
        told = [_to_json(summarise_study(study)) for study in studies]
        print_json({"files": [str(path) for path in files], "studies": told})
        return
    for path in files:
        typer.echo(str(path))


@one_line_errors
def list_(folder: Folder = SEARCHES, as_json: AsJson = False) -> None:
    """List the searches of a folder, with their trials so far."""
    from alfred.console import print_table, results
    from alfred.training.search.storage import JOURNAL_FILE
    from alfred.training.search.summary import summarise_study

    found = []
    for journal in sorted(folder.glob(f"*/{JOURNAL_FILE}")):
        studies = [summarise_study(study) for study in _load(journal.parent.name, folder, None)]
        found.append(
            {
                "search": journal.parent.name,
                "studies": len(studies),
                "trials": sum(item.n_looks for item in studies),
                "failed": sum(item.counts.get("failed", 0) for item in studies),
            }
        )
    if as_json:
        print_json(found)
    elif not found:
        results.print(f"no search in {folder}; begin one with alfred tune analysts", highlight=False, markup=False)
    else:
        headings = ("search", "studies", "trials", "failed")
        print_table(f"Searches in {folder}", headings, [tuple(map(str, item.values())) for item in found])


@one_line_errors
def dashboard(
    name: SearchName,
    folder: Folder = SEARCHES,
    storage: Storage = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
) -> None:
    """Open optuna-dashboard on a search (extra `dashboard`); it answers on this machine only."""
    run_server = import_extra("optuna_dashboard", "dashboard").run_server
    opened = _open(name, folder, storage)
    typer.echo(f"dashboard at http://127.0.0.1:{port} (stop with Ctrl-C)", err=True)
    try:
        run_server(opened, host="127.0.0.1", port=port)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


def _open(name: str, folder: Path, storage: str | None, *, reading: bool = True) -> Any:
    from alfred.training.search.storage import JOURNAL_FILE, open_storage

    place = storage or str(find_folder(folder, name) / JOURNAL_FILE)
    if "://" not in place and not Path(place).is_file():
        known = sorted(path.parent.name for path in folder.glob(f"*/{JOURNAL_FILE}"))
        raise ConfigError(
            f"there is no search '{name}' in {folder}; known: {', '.join(known) or 'none'}.{suggest(name, known)}"
        )
    return open_storage(place, reading=reading)


def _load(name: str, folder: Path, storage: str | None) -> list[Study]:
    """Return the latest study of each name in a storage.

    Raises:
        ConfigError: There is none.
    """
    from alfred.training.search.study import find_studies, load_study

    opened = _open(name, folder, storage)
    names = dict.fromkeys(item.rpartition("@")[0] for item in find_studies(opened))
    # Several searches may share a database; a journal in the folder of a search is its own.
    shared = storage is not None
    endings = (f"{name}.", f"{name}-models", f"{name}-strategies-", f"{name}-hybrid", f"{name}-pareto")
    own = [item for item in names if not shared or item == name or item.startswith(endings)]
    if not own:
        raise ConfigError(f"there is no study of '{name}' yet; known: {', '.join(names) or 'none'}")
    return [load_study(opened, item) for item in own]


def _to_json(item: Any) -> dict[str, Any]:
    return {
        "name": item.name,
        "best": item.best,
        "trial": item.best_trial,
        "plateau": item.plateau,
        "n_looks": item.n_looks,
        "counts": dict(item.counts),
        "params": dict(item.params),
        "importance": {family: dict(shares) for family, shares in item.importance.items()},
        "edges": list(item.edges),
    }
