"""What may be decided from numbers: intervals decide, not returns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.settings import IntervalSettings
from alfred.training.experiments.registry import resolve_experiments
from alfred.training.experiments.robustness import Cell, describe_neighbours, list_neighbours
from alfred.training.experiments.settings import GridSettings
from alfred.training.experiments.table import ExperimentRow, tabulate

N = 1500
DATES = pd.bdate_range("2015-01-05", periods=N)
EVERY = resolve_experiments(())
RNG = np.random.default_rng(0)
MARKET = RNG.normal(4e-4, 0.01, N)


def draw(size: float, seed: int) -> np.ndarray:
    """Noise whose mean is zero to the last digit, so that an edge is what it says."""
    noise = np.random.default_rng(seed).normal(0, size, N)
    return noise - noise.mean()


EQUAL = MARKET + draw(0.002, 99)


def record(name: str, edge: float, seed: int, noise: float = 0.002) -> Backtest:
    net = EQUAL + edge + draw(noise, seed)
    weights = np.tile([0.5, 0.5, 0.0], (N, 1))
    zeros = np.zeros(N)
    return Backtest(name, DATES, ("A", "B"), weights, net, zeros, net, zeros, MARKET)


def judge(edges: dict[str, float], n_trials: int = 3) -> dict[str, ExperimentRow]:
    chosen = [item for item in EVERY if item.name in edges]
    records = [record(item.name, edges[item.name], place) for place, item in enumerate(chosen)]
    held = [
        replace(record("SPY", 0, 0), net=MARKET, gross=MARKET),
        replace(record("equal weight", 0, 0), net=EQUAL, gross=EQUAL),
    ]
    rows = tabulate(chosen, records, held, IntervalSettings(n_replicates=500), n_trials, [0.5, 0.6, 0.7])
    return {row.name: row for row in rows}


def test_a_clear_gain_is_kept_a_clear_loss_rejected_and_the_rest_cannot_be_told() -> None:
    rows = judge({"baseline": 0.0, "inversion": -4e-4, "stop-loss": 6e-4, "combined": 2e-5})
    assert rows["inversion"].decision == "reject"
    assert "Worse than" in rows["inversion"].reason
    assert rows["stop-loss"].decision == "keep"
    assert "Beats SPY and equal weight" in rows["stop-loss"].reason
    assert rows["combined"].decision == "cannot tell"
    assert "zero is inside" in rows["combined"].reason
    assert "would show on these sessions" in rows["combined"].reason
    assert rows["SPY"].decision is None
    assert rows["baseline"].sharpe_minus_parent is None


def test_what_beats_both_but_is_worse_than_what_it_changes_is_rejected() -> None:
    rows = judge({"baseline": 9e-4, "stop-loss": 4e-4})
    assert rows["stop-loss"].decision == "reject"
    assert rows["stop-loss"].reason.startswith("Worse than baseline")
    low, high = rows["stop-loss"].parent_ci or (0, 0)
    assert low < high < 0


def test_many_trials_take_a_gain_away() -> None:
    edges = {"baseline": 0.0, "stop-loss": 4e-4}
    assert judge(edges)["stop-loss"].decision == "keep"
    assert judge(edges, n_trials=100_000)["stop-loss"].decision == "cannot tell"


def test_the_numbers_are_those_of_the_records() -> None:
    rows = judge({"baseline": 1e-4})
    row, own = rows["baseline"], record("baseline", 1e-4, 0)
    assert row.total_return == pytest.approx(np.prod(1 + own.net) - 1)
    assert row.return_minus_benchmark == pytest.approx(np.prod(1 + own.net) - np.prod(1 + MARKET))
    weekly = pd.Series(1 + own.net, index=DATES).resample("W").prod() - 1
    assert row.win_rate_weeks == pytest.approx((weekly > 0).mean())
    assert row.names_held == 2
    assert row.undecided == 0.0


def test_more_names_than_places_are_said_to_be_undecided() -> None:
    baseline = replace(EVERY[0], strategy=EVERY[0].strategy.model_copy(update={"top_n": 1}))
    held = [record("SPY", 0, 5), record("equal weight", 0, 6)]
    [row, *_] = tabulate([baseline], [record("baseline", 0, 1)], held, IntervalSettings(n_replicates=100), 1, [0.1])
    assert row.undecided == 1.0
    assert "On 100% of the sessions the score did not tell the symbols apart" in row.reason


def test_neighbours_are_the_grid_and_the_experiment_itself() -> None:
    grid = GridSettings(top_n=(5, 15), stop_loss_pct=("none", 12.0))
    found = list_neighbours(EVERY[5].strategy, grid)
    assert [(item.top_n, item.stop_loss_pct) for item in found] == [
        (top, stop) for top in (5, 10, 15) for stop in (8.0, 12.0, None)
    ]
    assert {item.trees for item in found} == {EVERY[5].strategy.trees}


@pytest.mark.parametrize(
    ("sharpes", "share", "adjacent", "words"),
    [
        ([1.1] * 9, 1.0, 1.0, "the sign does not hang"),
        ([1.1, 1.1, 1.1, 1.1, 1.1, 0.9, 0.9, 0.9, 0.9], 0.5, 0.6, "hangs on the choice"),
        ([1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 0.9], 0.875, 1.0, "most neighbours agree"),
    ],
)
def test_the_share_that_keeps_the_sign(sharpes, share, adjacent, words) -> None:
    grid = GridSettings(top_n=(5, 10, 15), stop_loss_pct=("none", 8.0, 12.0))
    places = [(item.top_n, item.stop_loss_pct) for item in list_neighbours(EVERY[5].strategy, grid)]
    cells = [Cell(top, stop, 0.1, sharpe) for (top, stop), sharpe in zip(places, sharpes, strict=True)]
    # The experiment itself is the cell of ten symbols and 8 %: in the middle of one axis, at the edge of the other.
    [found] = describe_neighbours(EVERY[5], grid, cells, {"SPY": 1.0})
    assert (found.n_cells, found.n_adjacent) == (8, 5)
    assert found.same_sign == share
    assert found.adjacent_same_sign == adjacent
    assert words in found.finding
