"""`alfred tune report` and `alfred tune list`, and the dashboard: what searches found, read only."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from alfred.cli.options import AsJson, one_line_errors, print_json
from alfred.cli.tuning.options import SEARCHES, Folder, SearchName, Storage, find_folder
from alfred.errors import import_extra


@one_line_errors
def report(name: SearchName, folder: Folder = SEARCHES, storage: Storage = None, as_json: AsJson = False) -> None:
    """Write a page, the ten best trials and pictures of a search into its folder.

    The page says what was found, how it went, which parameters mattered, and how often the search looked.
    """
    from alfred.training.search.opened import load_search

    studies = load_search(name, folder, storage)
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
    from alfred.training.search.opened import load_search
    from alfred.training.search.storage import JOURNAL_FILE
    from alfred.training.search.summary import summarise_study

    found = []
    for journal in sorted(folder.glob(f"*/{JOURNAL_FILE}")):
        studies = [summarise_study(study) for study in load_search(journal.parent.name, folder)]
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
    from alfred.training.search.opened import open_search

    opened = open_search(name, folder, storage)
    typer.echo(f"dashboard at http://127.0.0.1:{port} (stop with Ctrl-C)", err=True)
    try:
        run_server(opened, host="127.0.0.1", port=port)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


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
