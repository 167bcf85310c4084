"""The command that puts runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli.options import AsJson, one_line_errors, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from alfred.evaluation.side_by_side.comparison import ComparedRow, Comparison

# Below this width intervals go on a line of their own, so that names keep their room.
_NARROW = 90
_KEY_WIDTH, _VALUE_WIDTH = 24, 14


@one_line_errors
def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directories of runs, such as runs/*.")],
    to: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Compare with this run or row, SPY for instance, and not with the first."),
    ] = None,
    strategies: Annotated[
        list[str] | None, typer.Option("--strategy", metavar="NAME", help="Show this strategy of each run. Repeatable.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all strategies of all runs.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PAGE", help="Write a page (.html) as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put runs side by side on the sessions that they share: numbers, paired differences, settings.

    The first agent of each run is shown, with the benchmark and equal weight. All comparisons pay for one another and
    for every logged trial.
    """
    from alfred.training.catalogue.comparing import compare_runs

    found = compare_runs(paths, to=to, strategies=strategies or (), everything=everything)
    if output is not None:
        from alfred.data.files import write_atomically
        from alfred.evaluation.report.comparison_page import render_comparison

        page = render_comparison(found)
        if not output.suffix and not output.is_dir():
            output = output.with_name(f"{output.name}.html")  # a browser goes by it
        write_atomically(output, lambda path: path.write_text(page, encoding="utf-8"))
    if as_json:
        print_json(found.to_json() | ({} if output is None else {"page": str(output)}))
        return
    from alfred.console import results

    _print(found, results)
    if output is not None:
        results.print(f"page: {output}", highlight=False, markup=False)


def _print(found: Comparison, console: Console) -> None:
    from rich import box
    from rich.table import Table

    from alfred.evaluation.formatting import (
        format_difference,
        format_interval,
        format_number,
        format_p_value,
        format_percent,
    )

    narrow = console.width < _NARROW
    between = "\n" if narrow else " "
    first, last = found.dates[0].date(), found.dates[-1].date()

    def begin(title: str, *headings: str) -> Table:
        padding = (0, 1, 0, 0) if narrow else (0, 1)
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
        table.add_column(headings[0], overflow="fold")
        for heading in headings[1:]:
            table.add_column(heading, justify="right", no_wrap=True)
        return table

    def name(row: ComparedRow) -> str:
        if row.name.endswith(row.strategy):
            return _escape(row.name)
        return _escape(f"{row.name}\n{row.strategy}" if narrow else f"{row.name} ({row.strategy})")

    table = begin(
        f"{len(found.dates)} shared sessions, {first} to {last}", "row", "Sharpe", "CAGR", "max DD", "turns/y"
    )
    for position, row in enumerate(found.rows):
        low, high = row.numbers.sharpe_ci
        table.add_row(
            name(row),
            f"{format_number(row.numbers.sharpe)}{between}\\[{format_number(low)}, {format_number(high)}]",
            format_percent(row.numbers.cagr),
            format_percent(row.numbers.max_drawdown),
            format_number(row.numbers.turnover, 1),
            style="bold" if position == 0 else None,
        )
    console.print(table)
    table = begin(f"Sharpe less that of {_escape(found.reference)}", "row", "difference", "p adj.", "verdict")
    for row in found.rows[1:]:
        pair = row.versus
        known = pair.p_adjusted is not None and pair.p_adjusted == pair.p_adjusted
        table.add_row(
            name(row),
            f"{format_difference(pair.difference)}{between}\\[{format_interval(*pair.interval, between=', ')}]",
            format_p_value(pair.p_adjusted or 0.0).removeprefix("p ") if known else "–",
            pair.outcome,
        )
    console.print(table)
    _print_settings(found, console)
    console.print(
        f"{len(found.rows) - 1} comparisons as one family, after {found.trials.total} trials "
        f"({len(found.trials.sharpes)} logged); {found.intervals.level:.0%} intervals",
        highlight=False,
    )
    for caveat in found.caveats:
        console.print(f"note: {caveat}", highlight=False, markup=False)


def _print_settings(found: Comparison, console: Console) -> None:
    """Print a column a run where that fits, else the runs behind each value."""
    from rich import box
    from rich.table import Table

    if len(found.runs) == 1:
        return
    if not found.settings:
        console.print("settings: the same but for the names", highlight=False)
        return
    table = Table(title="Settings that differ", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("key", overflow="fold")
    wide = _KEY_WIDTH + _VALUE_WIDTH * len(found.runs) <= console.width
    for heading in found.runs if wide else ("values, and the runs that have them",):
        table.add_column(_escape(heading), overflow="fold")
    for item in found.settings:
        if wide:
            table.add_row(_escape(item.key), *map(_escape, item.values))
            continue
        behind: dict[str, list[str]] = {}
        for run, value in zip(found.runs, item.values, strict=True):
            behind.setdefault(value, []).append(run)
        lines = [f"{value} ({', '.join(names)})" for value, names in behind.items()]
        table.add_row(_escape(item.key), _escape("\n".join(lines)))
    console.print(table)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
