"""Robustness: an experiment beside its neighbours, and how many of them tell the same story.

A difference that holds for ten symbols and a stop of 8 % but not for twelve, or for 10 %, was found in the noise.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alfred.data.files import read_json, write_atomically
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.experiments.phases import PhasePlan
from alfred.training.experiments.registry import NamedStrategy
from alfred.training.experiments.settings import GridSettings, StrategySettings
from alfred.training.experiments.walk import walk_strategy
from alfred.training.provenance.stages import STAGE_FILE, Parts, explain_change, read_stage, write_stage
from alfred.training.provenance.trials import TrialLog

CELLS_FILE = "cells.json"


@dataclass(frozen=True)
class Cell:
    """One neighbour.

    Attributes:
        top_n: Symbols held at most.
        stop_loss_pct: Stop, or None for none.
        total_return: Net return over the test.
        sharpe: Annual Sharpe ratio in excess of cash; None where it does not exist.
    """

    top_n: int
    stop_loss_pct: float | None
    total_return: float
    sharpe: float | None


@dataclass(frozen=True)
class Neighbourhood:
    """What the neighbours of one experiment say.

    Attributes:
        name: The experiment.
        against: What its Sharpe ratio is compared with.
        difference: Its own Sharpe ratio less that of the other.
        same_sign: Share of all cells, itself left out, whose difference has the same sign.
        n_cells: How many cells that is.
        adjacent_same_sign: The same among the cells one step away.
        n_adjacent: How many those are.
        lowest: Smallest difference of any cell.
        highest: Largest difference of any cell.
        finding: What that means, in words.
    """

    name: str
    against: str
    difference: float
    same_sign: float
    n_cells: int
    adjacent_same_sign: float
    n_adjacent: int
    lowest: float
    highest: float
    finding: str

    def to_json(self) -> dict[str, object]:
        """Return a flat mapping that JSON can hold."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in dataclasses.asdict(self).items()
        }


def list_neighbours(strategy: StrategySettings, grid: GridSettings) -> list[StrategySettings]:
    """Return every strategy of the grid around one, itself among them, in the order of the grid."""
    tops, stops = _list_axes(strategy, grid)
    return [strategy.model_copy(update={"top_n": top, "stop_loss_pct": stop}) for top in tops for stop in stops]


def walk_neighbours(
    item: NamedStrategy,
    grid: GridSettings,
    plan: PhasePlan,
    terms: PortfolioSettings,
    forecasts: Signals | None,
    enter: Callable[[Backtest, StrategySettings], object],
    keep: Callable[[Sequence[Cell]], object],
    progress: Callable[[int], None],
) -> list[Cell]:
    """Walk all neighbours of an experiment; each of them is a trial.

    Args:
        item: The experiment.
        grid: The neighbourhood.
        plan: Dates.
        terms: Market terms.
        forecasts: Of its trees; None when it reads none.
        enter: Enters a record in the log of trials.
        keep: Keeps the finished cells.
        progress: Told the cells done so far.
    """
    cells = []
    for number, strategy in enumerate(list_neighbours(item.strategy, grid)):
        stop = strategy.stop_loss_pct
        label = f"{item.name}, {strategy.top_n} symbols, {'no stop' if stop is None else f'stop {stop:g} %'}"
        record = walk_strategy(label, strategy, plan, terms, forecasts)
        enter(record, strategy)
        sharpe = compute_sharpe(record.excess, record.periods_per_year)
        known = sharpe if math.isfinite(sharpe) else None
        cells.append(Cell(strategy.top_n, stop, float(record.wealth[-1]) - 1.0, known))
        progress(number + 1)
    keep(cells)
    return cells


@dataclass(frozen=True)
class TrialDesk:
    """Enters the records of neighbours from whatever process walks them.

    Attributes:
        root: Folder of the log of trials.
        plan: Names the market.
        run: Name of the run in the log.
        choices: Hash of what was chosen, by the strategy's own text.
    """

    root: Path
    plan: PhasePlan
    run: str
    choices: Mapping[str, str]

    def __call__(self, record: Backtest, strategy: StrategySettings) -> None:
        """Enter one record."""
        TrialLog(self.root).add(record, self.plan.market, self.choices[strategy.model_dump_json()], self.run)


def read_cells(folder: Path, now: Parts) -> list[Cell] | None:
    """Return the finished cells of an experiment, or None when there are none of what stands there now."""
    if explain_change(read_stage(folder), now):
        return None
    try:
        raw = read_json(folder / CELLS_FILE)
        return [Cell(**cell) for cell in raw]
    except (OSError, ValueError, TypeError):
        return None  # damaged cells are walked again


def save_cells(folder: Path, now: Parts, cells: Sequence[Cell]) -> None:
    """Keep finished cells; the description comes last."""
    (folder / STAGE_FILE).unlink(missing_ok=True)
    text = json.dumps([dataclasses.asdict(cell) for cell in cells], indent=2)
    write_atomically(folder / CELLS_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    write_stage(folder, now)


def describe_neighbours(
    item: NamedStrategy, grid: GridSettings, cells: Sequence[Cell], references: Mapping[str, float]
) -> list[Neighbourhood]:
    """Return what the neighbours say about the differences to each reference.

    Args:
        item: The experiment.
        grid: The neighbourhood.
        cells: All of them, itself among them.
        references: Sharpe ratios by name.
    """
    tops, stops = _list_axes(item.strategy, grid)
    own = (tops.index(item.strategy.top_n), stops.index(item.strategy.stop_loss_pct))
    places = {(tops.index(cell.top_n), stops.index(cell.stop_loss_pct)): cell for cell in cells}
    found = []
    for against, reference in references.items():
        known = {place: cell.sharpe - reference for place, cell in places.items() if cell.sharpe is not None}
        if own not in known:
            continue
        centre = known.pop(own)
        near = [value for place, value in known.items() if max(abs(place[0] - own[0]), abs(place[1] - own[1])) == 1]
        same, adjacent = _share_same_sign(centre, list(known.values())), _share_same_sign(centre, near)
        every = [centre, *known.values()]
        found.append(
            Neighbourhood(
                name=item.name,
                against=against,
                difference=centre,
                same_sign=same,
                n_cells=len(known),
                adjacent_same_sign=adjacent,
                n_adjacent=len(near),
                lowest=min(every),
                highest=max(every),
                finding=_write_finding(centre, against, same, adjacent),
            )
        )
    return found


def _list_axes(strategy: StrategySettings, grid: GridSettings) -> tuple[list[int], list[float | None]]:
    """Return the values of both axes in order, no stop first, those of the strategy among them."""
    stops = {None if stop == "none" else float(stop) for stop in grid.stop_loss_pct} | {strategy.stop_loss_pct}
    ordered = sorted(stop for stop in stops if stop is not None)
    # No stop is a stop at an infinite loss: it stands beside the widest one.
    return sorted({*grid.top_n, strategy.top_n}), [*ordered, *([None] if None in stops else [])]


def _share_same_sign(centre: float, others: Sequence[float]) -> float:
    if not others:
        return math.nan
    return sum((value > 0) == (centre > 0) for value in others) / len(others)


def _write_finding(centre: float, against: str, same: float, adjacent: float) -> str:
    side = "above" if centre > 0 else "not above"
    if math.isnan(same):
        return f"{side} {against}; it has no neighbours"
    if same >= 0.9 and not adjacent < 1.0:
        return f"{side} {against}, and its neighbours agree: the sign does not hang on the choice of the cell"
    if same >= 0.7:
        return f"{side} {against}, and most neighbours agree"
    return f"{side} {against} here, but the sign hangs on the choice of the cell"
