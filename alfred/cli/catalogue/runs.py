"""`alfred runs`: the runs of a folder listed, described, removed and cleaned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli.options import AsJson, Root, one_line_errors, print_json
from alfred.errors import ConfigError

if TYPE_CHECKING:
    from alfred.training.catalogue.cleaning import Cleaning
    from alfred.training.catalogue.description import RunDescription
    from alfred.training.catalogue.entries import Entry

app = typer.Typer(help="List, describe, remove and clean the runs of a folder.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, or its directory.")]
# Below this width two facts share a cell, so that names keep their room.
_NARROW = 90
_LEAST_NAME = 20  # letters


@app.command("list")
@one_line_errors
def list_(
    root: Annotated[Path, typer.Argument(help="The folder of all runs.")] = Path("runs"), as_json: AsJson = False
) -> None:
    """List what lies in a folder of runs: state, verdict, dates that were tested, size."""
    from alfred.training.catalogue.entries import list_entries

    found = list_entries(root)
    if as_json:
        print_json([entry.to_json() for entry in found])
        return
    from alfred.console import results

    if not found:
        results.print(f"there is nothing in {root}", highlight=False, markup=False)
        return
    _print_runs([entry for entry in found if entry.kind == "run"])
    for entry in found:
        if entry.kind != "run":
            results.print(f"{entry.name}: {entry.reason} ({_write_size(entry.size)})", highlight=False, markup=False)
        elif entry.reason:
            results.print(f"{entry.name}: {entry.state}, {entry.reason}", highlight=False, markup=False)


@app.command()
@one_line_errors
def show(run: Named, as_json: AsJson = False, root: Root = Path("runs")) -> None:
    """Show one run whole: settings that are not the defaults, stages, sizes, verdict, trials."""
    from alfred.training.catalogue.description import describe_run

    found = describe_run(run, _find_root(run, root))
    if as_json:
        print_json(found.to_json())
    else:
        _print_run(found)


@app.command()
@one_line_errors
def remove(
    run: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Delete a run that nobody is writing to. What it tried stays in the log of trials."""
    from alfred.training.catalogue.removal import plan_removal, remove_run

    planned = plan_removal(run, _find_root(run, root))
    if as_json and not yes:
        raise ConfigError("--json asks nothing; say --yes to remove the run")
    stay = f"its trials ({planned.n_trials}) stay in the log, and later verdicts pay for them"
    for account in planned.followers:
        typer.echo(f"the paper account {account} follows it, and cannot be stepped without it", err=True)
    if not yes:
        _ask(f"Remove {planned.path} ({_write_size(planned.size)})? {stay[0].upper()}{stay[1:]}.")
    remove_run(planned)
    if as_json:
        told = {"removed": str(planned.path), "bytes": planned.size, "trials_kept": planned.n_trials}
        print_json(told | {"followers": list(planned.followers)})
        return
    from alfred.console import results

    results.print(
        f"removed {planned.path}, {_write_size(planned.size)}; {stay}", highlight=False, markup=False, soft_wrap=True
    )


@app.command()
@one_line_errors
def clean(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Only these runs; the whole folder when left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Delete the cache of forecasts as well; making it again may take long.")
    ] = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Delete what finished runs do not need: checkpoints, unused stages, half-written files.

    Every command works as before; a run that goes on or was interrupted keeps what it needs.
    """
    from alfred.training.catalogue.cleaning import delete_waste, find_waste

    if runs and cache:
        raise ConfigError("--cache belongs to the whole folder; leave the names of runs out")
    found = find_waste(_find_root(runs[0], root) if runs else root, runs or (), cache=cache)
    if not dry_run:
        delete_waste(found)
    if as_json:
        told = [{"path": str(item.path), "why": item.why, "bytes": item.size} for item in found.waste]
        print_json(
            {"deleted": not dry_run, "bytes": found.size, "waste": told, "passed_over": list(found.passed_over)}
            | {"cache_bytes": found.cache}
        )
        return
    _print_cleaning(found, dry_run=dry_run)


def _find_root(run: str, root: Path) -> Path:
    """Return the folder of a run that is named by its place; the one that is told where it is named by its name.

    Only a folder that was told may be left: `--runs` and a place elsewhere contradict each other.
    """
    place = Path(run)
    return place.parent if len(place.parts) > 1 and root == Path("runs") else root


def _ask(question: str) -> None:
    """Ask, and go on with a yes.

    Raises:
        ConfigError: The answer is no, or nobody answers.
    """
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise ConfigError("nothing was removed; answer y, or say --yes")


def _print_runs(entries: list[Entry]) -> None:
    from rich import box
    from rich.table import Table

    from alfred.console import results

    if not entries:
        return
    narrow = results.width < _NARROW
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0) if narrow else (0, 1))
    # Names keep a width in which they can be read; what is said of a run is broken between words.
    longest = max(len(entry.name) for entry in entries)
    table.add_column("run", overflow="fold", min_width=min(longest, _LEAST_NAME))
    headings = ("state", "tested", "written") if narrow else ("state", "verdict", "tested", "trials", "written", "size")
    for heading in headings:
        words = heading == "verdict" or (narrow and heading == "state")
        table.add_column(heading, no_wrap=not words, justify="right" if heading in ("trials", "size") else "left")
    for entry in entries:
        state, verdict, size = str(entry.state), entry.verdict, _write_size(entry.size)
        tested = "" if entry.tested is None else (("\n" if narrow else " to ").join(entry.tested))
        when = entry.when[:16].replace("T", " ")
        if narrow:
            table.add_row(_escape(entry.name), f"{state}\n{verdict}", tested, f"{when[:10]}\n{size}")
        else:
            table.add_row(_escape(entry.name), state, verdict, tested, str(entry.n_trials), when, size)
    results.print(table)


def _print_run(found: RunDescription) -> None:
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_number

    entry = found.entry
    lines = {
        "run": entry.path,
        "state": f"{entry.state}{f': {entry.reason}' if entry.reason else ''}",
        "verdict": found.headline or entry.verdict or "none yet",
        "tested": "" if entry.tested is None else " to ".join(entry.tested),
        "written": f"{entry.when[:16].replace('T', ' ')} UTC",
        **found.made_with,
    }
    for label, text in lines.items():
        if text:
            results.print(f"{label}: {text}", highlight=False, markup=False)
    print_table("Stages", ("stage", "done"), [(item.name, f"{item.done} of {item.asked}") for item in found.stages])
    sizes = [(name, _write_size(size)) for name, size in found.sizes.items()]
    print_table("Sizes", ("part", "size"), [*sizes, ("all", _write_size(entry.size))])
    if found.settings:
        rows = [(item.key, item.values[1], item.values[0]) for item in found.settings]
        print_table("Settings that are not the defaults", ("key", "value", "default"), rows)
    if found.trials:
        rows = [
            (item.strategy, f"{item.start} to {item.end}", "" if item.sharpe is None else format_number(item.sharpe))
            for item in found.trials
        ]
        print_table("Trials", ("strategy", "test", "Sharpe in excess of cash"), rows)


def _print_cleaning(found: Cleaning, *, dry_run: bool) -> None:
    from alfred.console import print_table, results

    pieces: dict[tuple[str, str], list[int]] = {}
    for item in found.waste:
        pieces.setdefault((item.run, item.why), []).append(item.size)
    if pieces:
        rows = [(run, why, str(len(sizes)), _write_size(sum(sizes))) for (run, why), sizes in pieces.items()]
        title = "Would be deleted" if dry_run else "Deleted"
        whole = ("all", "", str(len(found.waste)), _write_size(found.size))
        print_table(title, ("where", "what", "pieces", "size"), [*rows, whole])
    else:
        results.print("there is nothing to clean", highlight=False)
    for line in found.passed_over:
        results.print(f"note: {line}", highlight=False, markup=False)
    results.print(
        "`alfred evaluate` and all other commands work as before: configurations, signals, policies, records and "
        "curves stay",
        highlight=False,
        markup=False,
    )
    if found.cache:
        results.print(
            f"the cache of forecasts takes {_write_size(found.cache)} more; --cache deletes it as well, and what reads "
            "it, such as `alfred update`, then forecasts again",
            highlight=False,
            markup=False,
        )


def _write_size(size: int) -> str:
    from rich.filesize import decimal

    return decimal(size)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
