"""Walking trained agents through the test: who decides when, and from when on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from alfred.agents.base import EnsemblePolicy
from alfred.agents.crew import CrewPolicy, find_crew
from alfred.agents.settings import AgentSettings
from alfred.data.splits import Fold
from alfred.envs.policy import Policy
from alfred.evaluation.backtest import Backtest, Stage, Walk, backtest, backtest_books
from alfred.training.cross_fitting.folds import TrainedAgent
from alfred.training.judging.seeds import name_seed
from alfred.training.prepared import Prepared

_MOST_CELLS = 1024  # weights of a session that are recorded at once: books side by side cost memory


@dataclass(frozen=True)
class Book:
    """A book that is walked through the whole test.

    Attributes:
        name: Of its record.
        stages: Who decides for it, in order of their dates.
    """

    name: str
    stages: Sequence[Stage]


def find_first_decision(prepared: Prepared) -> pd.Timestamp:
    """Return the session before the test: what is decided at its close is executed on the first session of the test."""
    dates = prepared.market.dates
    return dates[dates.get_loc(prepared.folds[0].test[0]) - 1]


def make_stages(settings: AgentSettings, trained: Sequence[TrainedAgent], folds: Sequence[Fold]) -> list[Stage]:
    """Return one ensemble of all seeds a fold, each taking over on the first day of its test."""
    return [
        Stage(
            fold.test[0],
            EnsemblePolicy([item.policy for item in trained if item.fold == fold.index], settings.label),
        )
        for fold in folds
    ]


def list_seed_books(settings: AgentSettings, trained: Sequence[TrainedAgent], folds: Sequence[Fold]) -> list[Book]:
    """Return the book of every seed, named by `name_seed`."""
    books = []
    for seed in sorted({item.seed for item in trained}):
        policies = {item.fold: item.policy for item in trained if item.seed == seed}
        stages = [Stage(fold.test[0], policies[fold.index]) for fold in folds]
        books.append(Book(name_seed(settings.label, seed), stages))
    return books


def walk_books(
    books: Sequence[Book],
    n_symbols: int,
    prepare: Callable[[Policy, int], Walk],
    progress: Callable[[int], None],
) -> list[Backtest]:
    """Walk books, those whose networks can be asked together side by side; a record is the same either way.

    Args:
        books: What to walk, all with stages that begin on the same dates.
        n_symbols: Width of a book.
        prepare: Makes the range for a policy and a number of books.
        progress: Told the books walked so far.
    """
    most = max(_MOST_CELLS // (n_symbols + 1), 1)
    records: dict[int, Backtest] = {}
    for group in _group(books, most):
        first = books[group[0]]
        if len(group) == 1:
            record = backtest(first.stages, prepare(first.stages[0].policy, 1))
            records[group[0]] = replace(record, name=first.name)
        else:
            columns = zip(*(books[number].stages for number in group), strict=True)
            stages = [Stage(row[0].start, CrewPolicy([stage.policy for stage in row], first.name)) for row in columns]
            found = backtest_books(
                stages, prepare(stages[0].policy, len(group)), [books[number].name for number in group]
            )
            records.update(zip(group, found, strict=True))
        progress(len(records))
    return [records[number] for number in range(len(books))]


def _group(books: Sequence[Book], most: int) -> list[list[int]]:
    """Return the numbers of books that can be walked together, `most` of them at once."""
    groups: list[list[int]] = []
    latest: dict[Hashable, list[int]] = {}
    for number, book in enumerate(books):
        crew = find_crew([stage.policy for stage in book.stages])
        if crew is not None and len(latest.get(crew, [])) in range(1, most):
            latest[crew].append(number)
            continue
        groups.append([number])
        if crew is not None:
            latest[crew] = groups[-1]
    return groups
