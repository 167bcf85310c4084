"""What the command line shows: progress, tables and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from alfred.evaluation.report import format_number, format_percent
from alfred.evaluation.results import ResultRow

# Progress and errors go to standard error, so that standard output holds results alone.
messages = Console(stderr=True)
results = Console()


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


@contextmanager
def show_progress() -> Iterator[RichReporter]:
    """Draw progress bars while work goes on; in a pipe or a log file, each bar is a line when it is done."""
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
    """Print one line a strategy, with intervals beside the headline numbers."""
    table = Table(title="Out of sample, net of costs", title_justify="left")
    table.add_column("strategy")
    headings = (
        "Sharpe",
        "95 % interval",
        "CAGR",
        "max drawdown",
        "turnover/y",
        f"Sharpe − {benchmark}",
        "interval",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for position, row in enumerate(rows):
        low, high = row.sharpe_minus_benchmark_ci
        table.add_row(
            row.name,
            format_number(row.sharpe),
            f"{format_number(row.sharpe_ci[0])} to {format_number(row.sharpe_ci[1])}",
            format_percent(row.cagr),
            format_percent(row.max_drawdown),
            format_number(row.turnover, 1),
            format_number(row.sharpe_minus_benchmark, sign=True),
            f"{format_number(low, sign=True)} to {format_number(high, sign=True)}",
            style="bold" if position == 0 else None,
        )
    results.print(table)
