"""What the command line shows: progress, tables and errors."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from alfred.evaluation.formatting import (
    format_difference,
    format_interval,
    format_number,
    format_percent,
    write_verdict,
)
from alfred.evaluation.headline import Tone, find_tone
from alfred.evaluation.results import ResultRow
from alfred.training.progress import Reporter


class PlainConsole(Console):
    """A console that prints texts as they are: brackets in a path, a symbol or a message are no markup."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts literally; in tables, cells are escaped by whoever makes them."""
        if all(isinstance(item, str) for item in objects):
            options.setdefault("markup", False)
        super().print(*objects, **options)


# Progress and errors go to standard error, so that standard output holds results alone.
messages = PlainConsole(stderr=True)
# In a pipe or a file there is no screen to fit, and a table folded to 80 columns is hard to read; whoever says a width
# in COLUMNS gets it there as well.
results = PlainConsole(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else 120)

_LEAST_TEXT = 24  # letters that a name or a sentence has on a line; with less, a table is no table any more
_LONGEST_FIGURE = 32  # letters; longer cells are sentences
_GAP, _EDGES = 3, 2  # blanks between two columns, and at both ends

_COLOURS: dict[Tone, str] = {"green": "green", "amber": "yellow", "red": "red", "grey": "default"}


class RichReporter:
    """Shows progress bars; see `alfred.training.progress.Reporter`."""

    def __init__(self, progress: Progress) -> None:
        """Take the bars to draw on."""
        self._progress = progress

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        """Add a bar."""
        task = self._progress.add_task(name, total=total, start=False)
        started = False

        def update(done: int) -> None:
            nonlocal started
            if done > 0 and not started:
                started = True
                self._progress.start_task(task)
            self._progress.update(task, completed=min(done, total))

        return update

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self._progress.console.print(text, highlight=False)


class LineReporter:
    """Prints a line when a piece of work is done: for pipes and log files, where bars cannot move."""

    def __init__(self) -> None:
        """Note the time."""
        self._began = time.monotonic()

    def begin(self, name: str, total: int) -> Callable[[int], None]:
        """Wait for the last unit; the line comes with it."""
        finished = False

        def update(done: int) -> None:
            nonlocal finished
            if done >= total and not finished:
                finished = True
                self.say(f"{time.monotonic() - self._began:5.0f} s  {name}")

        return update

    def say(self, text: str) -> None:
        """Print one line."""
        messages.print(text, highlight=False, soft_wrap=True)


@contextmanager
def show_progress() -> Iterator[Reporter]:
    """Show what long work does: bars on a screen, a line for each finished piece elsewhere."""
    if not messages.is_terminal:
        yield LineReporter()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=messages) as progress:
        yield RichReporter(progress)


def print_results(rows: Sequence[ResultRow], benchmark: str) -> None:
    """Print one line a strategy, with the interval beside each Sharpe ratio, and the verdict on the first."""
    cells = [
        (
            row.name,
            f"{format_number(row.sharpe)} [{format_number(row.sharpe_ci[0])}, {format_number(row.sharpe_ci[1])}]",
            format_percent(row.cagr),
            format_percent(row.max_drawdown),
            format_number(row.turnover, 1),
            f"{format_difference(row.sharpe_minus_benchmark)} "
            f"[{format_interval(*row.sharpe_minus_benchmark_ci, between=', ')}]",
        )
        for row in rows
    ]
    headings = ("strategy", "Sharpe", "CAGR", "max DD", "turns/y", f"Sharpe − {benchmark}")
    print_table("Out of sample, net of costs, Sharpe ratios in excess of cash", headings, cells, first_bold=True)
    row = rows[0]
    for place, verdict in enumerate((row.versus_benchmark, row.versus_equal_weight)):
        if verdict is None:
            continue
        if place == 0 and row.headline is not None:
            line, tone = row.headline.text, row.headline.tone
        else:
            line = write_verdict(verdict, row.name)
            tone = "grey" if row.headline is None else find_tone(verdict, row.headline)
        results.print(line, style=f"bold {_COLOURS[tone]}", highlight=False)
        results.print(f"  {verdict.explain()}", highlight=False)
    for warning in row.warnings:
        results.print(f"too good to be true: {warning}", style=_COLOURS["red"], highlight=False)
    for item in rows:
        if item.trainings:
            results.print(f"{item.name}: {item.versus_benchmark.trainings}", highlight=False)


def print_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, first_bold: bool = False
) -> None:
    """Print a plain table, the first column to the left and the others to the right.

    Figures are never broken, and the first column keeps a width in which names can be read. Where the screen is too
    narrow for both, each row is a name with its figures below it.
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(headings)
    widths = [max(map(cell_len, column), default=0) for column in columns]
    # A column of sentences is folded as names are; one of figures is as wide as its widest figure.
    least = [min(width, _LEAST_TEXT) if i == 0 or width > _LONGEST_FIGURE else width for i, width in enumerate(widths)]
    gaps = _GAP * (len(headings) - 1) + _EDGES
    shown = [
        heading if sum(widths) + gaps <= results.width and cell_len(heading) <= width else fold_words(heading, width)
        for heading, width in zip(headings, widths, strict=True)
    ]
    heads = [max(map(cell_len, heading.split("\n")), default=0) for heading in shown]
    if sum(map(max, least, heads)) + gaps > results.width:
        _print_records(title, headings, rows, first_bold=first_bold)
        return
    results.print(title, style="italic", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(shown):
        table.add_column(
            escape(heading),
            justify="left" if i == 0 else "right",
            overflow="fold",
            no_wrap=least[i] == widths[i],
            min_width=least[i],
        )
    for position, row in enumerate(rows):
        table.add_row(*(escape(cell) for cell in row), style="bold" if first_bold and position == 0 else None)
    results.print(table)


def fold_words(text: str, width: int) -> str:
    """Return a text with a line break between words wherever a line would be wider than a width."""
    return "\n".join(textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False))


def _print_records(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, first_bold: bool = False
) -> None:
    """Print each row as its first cell, and the others below it with their headings."""
    results.print(title, style="italic", highlight=False)
    widest = max(map(cell_len, headings[1:]), default=0)
    for position, (name, *figures) in enumerate(rows):
        results.print(name, style="bold" if first_bold and position == 0 else None, highlight=False)
        for heading, figure in zip(headings[1:], figures, strict=True):
            if figure:
                indent = f"  {heading}{' ' * (widest - cell_len(heading))}  "
                folded = fold_words(figure, results.width - cell_len(indent)).split("\n")
                shown = f"\n{' ' * cell_len(indent)}".join(folded)
                results.print(indent + shown, highlight=False, soft_wrap=True)
