"""Which books are walked side by side."""

import pandas as pd

from alfred.agents.base import EnsemblePolicy, NetworkPolicy
from alfred.agents.networks import NetworkKind, NetworkSpec, ObservationShape, make_network
from alfred.envs.settings import ActionSettings
from alfred.evaluation.backtest import Stage
from alfred.training.judging import walking
from alfred.training.judging.walking import Book

DATE = pd.Timestamp("2020-01-01")


def _make_book(name: str, kind: NetworkKind = "shared", n_signals: int = 3) -> Book:
    network = make_network(NetworkSpec(ObservationShape(n_signals, 2, 0), kind))
    policy = EnsemblePolicy([NetworkPolicy(network, ActionSettings(), name=name)], name)
    return Book(name, [Stage(DATE, policy), Stage(DATE + pd.Timedelta(days=9), policy)])


def test_books_of_networks_alike_are_grouped_and_the_rest_stand_alone() -> None:
    books = [_make_book("a"), _make_book("b", "attention"), _make_book("c"), _make_book("d", n_signals=4)]
    books += [_make_book(name) for name in "efg"]
    assert walking._group(books, most=3) == [[0, 2, 4], [1], [3], [5, 6]]
    assert walking._group(books, most=1) == [[number] for number in range(7)]
    mixed = Book("mixed", [books[0].stages[0], books[1].stages[1]])
    assert walking._group([books[0], mixed, books[2]], most=9) == [[0, 2], [1]]
