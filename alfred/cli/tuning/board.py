"""The live table of a search: the best so far of each symbol and family, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.live import Live
from rich.table import Table

from alfred.console import messages

if TYPE_CHECKING:
    from optuna import Study

_LINE_SECONDS = 30


@contextmanager
def show_board(total: int, what: str = "MAE %") -> Iterator[Callable[[Sequence[Study]], None]]:
    """Show studies while they run: a table on a screen, a line now and then elsewhere.

    Args:
        total: Trials that are asked for in all.
        what: The value that is shown.
    """
    board = _Board(total, what)
    if not messages.is_terminal:
        yield board.print_line
        return
    with Live(console=messages, refresh_per_second=2, transient=True) as live:
        yield lambda studies: live.update(board.draw(studies))


class _Board:
    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._began = total, what, time.monotonic()
        self._at_start: int | None = None
        self._last_line, self._told = self._began, -1

    def print_line(self, studies: Sequence[Study]) -> None:
        done, now = _count(studies), time.monotonic()
        if self._at_start is None:
            self._at_start = done
        is_new = done > self._told and (done >= self._total or now - self._last_line > _LINE_SECONDS)
        if is_new:
            self._told, self._last_line = done, now
            messages.print(self._describe(done), highlight=False, soft_wrap=True)

    def draw(self, studies: Sequence[Study]) -> Table:
        from alfred.training.search.study import find_best_by_family

        done = _count(studies)
        self._at_start = done if self._at_start is None else self._at_start
        bests = {
            study.study_name.rpartition("@")[0].rpartition(".")[2]: find_best_by_family(study) for study in studies
        }
        choose = {
            symbol: max if study.direction.name == "MAXIMIZE" else min
            for symbol, study in zip(bests, studies, strict=True)
        }
        families = list(dict.fromkeys(family for best in bests.values() for family in best))
        table = Table(title=self._describe(done), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("symbol", *families):
            table.add_column(heading, justify="left" if heading == "symbol" else "right")
        for symbol, best in bests.items():
            least = choose[symbol](best.values(), default=None)
            cells = []
            for family in families:
                value = best.get(family)
                text = "" if value is None else f"{value:.3f}"
                cells.append(f"[bold]{text}[/bold]" if value is not None and value == least else text)
            table.add_row(symbol, *cells)
        return table

    def _describe(self, done: int) -> str:
        elapsed = time.monotonic() - self._began
        own = done - (self._at_start or 0)
        left = (
            f", about {_format_time(elapsed / own * (self._total - done))} left" if own and done < self._total else ""
        )
        return f"{done} of {self._total} trials after {_format_time(elapsed)}{left}; {self._what} so far"


def _count(studies: Sequence[Study]) -> int:
    from alfred.training.search.claims import is_cut_off

    return sum(
        trial.state.is_finished() and not is_cut_off(trial)
        for study in studies
        for trial in study.get_trials(deepcopy=False)
    )


def _format_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
