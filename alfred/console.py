"""What the command line shows: progress, tables and errors."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
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

# Progress and errors go to standard error, so that standard output holds results alone.
messages = Console(stderr=True)
# In a pipe or a file there is no screen to fit, and a table folded to 80 columns is hard to read.
results = Console(width=None if sys.stdout.isatty() else 120)

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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=messages) as progress:
        yield RichReporter(progress)


def print_results(rows: Sequence[ResultRow], benchmark: str) -> None:
    """Print one line a strategy, with the interval beside each Sharpe ratio, and the verdict on the first."""
    table = Table(
        title="Out of sample, net of costs, Sharpe ratios in excess of cash",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("strategy", overflow="fold")
    for heading in ("Sharpe", "CAGR", "max DD", "turns/y", f"Sharpe − {benchmark}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for position, row in enumerate(rows):
        difference, interval = row.sharpe_minus_benchmark, row.sharpe_minus_benchmark_ci
        table.add_row(
            row.name,
            f"{format_number(row.sharpe)} [{format_number(row.sharpe_ci[0])}, {format_number(row.sharpe_ci[1])}]",
            format_percent(row.cagr),
            format_percent(row.max_drawdown),
            format_number(row.turnover, 1),
            f"{format_difference(difference)} [{format_interval(*interval, between=', ')}]",
            style="bold" if position == 0 else None,
        )
    results.print(table)
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


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table, the first column to the left and the others to the right."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    results.print(table)
