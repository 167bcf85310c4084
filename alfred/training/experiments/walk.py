"""One experiment, walked forward: forecasts in pieces that share a cache, then one book through the test range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.agents.strategies.registry import make_baselines
from alfred.analysts.tabular.settings import TreesSettings
from alfred.config import ForecastSettings
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.training.experiments.phases import PhasePlan
from alfred.training.experiments.picking import PickPolicy, make_terms
from alfred.training.experiments.score import make_score
from alfred.training.experiments.settings import StrategySettings
from alfred.training.forecasting import forecast_walk_forward
from alfred.training.jobs import Job, run_jobs
from alfred.training.progress import Reporter

# Jobs that the refits of one forecaster are shared out to at most: enough to keep a few processes busy, and few enough
# to show a bar for each.
_MOST_JOBS, _FEWEST_REFITS = 8, 4


@dataclass(frozen=True)
class _Piece:
    """A part of a walk.

    Attributes:
        trees: The forecaster.
        first_row: First row that is forecast.
        last_row: Last row that is.
    """

    trees: TreesSettings
    first_row: int
    last_row: int


def list_forecasters(strategies: Sequence[StrategySettings]) -> list[TreesSettings]:
    """Return every forecaster that some strategies read, each once."""
    return list(dict.fromkeys(item.trees for item in strategies if item.score == "trees"))


def forecast_shared(
    plan: PhasePlan,
    forecasters: Sequence[TreesSettings],
    *,
    cache: Path | None,
    n_jobs: int,
    reporter: Reporter,
    fresh: bool = False,
) -> dict[TreesSettings, Signals]:
    """Forecast the test range of a phase with several forecasters, each refitted on schedule.

    The first refit reads the session before the first decision and earlier ones; every row is forecast by a model
    whose training ended before it. Finished pieces lie in the cache, so that a killed run goes on.

    Args:
        plan: Dates and schedule.
        forecasters: Who forecasts.
        cache: Folder of finished pieces, or None to keep none.
        n_jobs: Processes.
        reporter: Progress callback.
        fresh: Compute everything, whatever is kept.
    """
    pieces = [piece for trees in forecasters for piece in _cut(plan, trees)]
    jobs = []
    for piece in pieces:
        schedule = ForecastSettings(
            min_train_days=piece.first_row,
            refit_every_days=plan.refit_every_days,
            max_train_days=plan.max_train_days,
            cache=cache,
        )
        visible = plan.market.until(plan.market.dates[piece.last_row])
        first = plan.market.dates[piece.first_row].date()
        name = f"forecasts, {piece.trees.features} features, from {first}"
        walk = partial(forecast_walk_forward, visible, piece.trees, schedule, fresh=fresh)
        jobs.append(Job(name, walk, piece.last_row - piece.first_row + 1))
    parts = list(zip(pieces, run_jobs(jobs, n_jobs, reporter), strict=True))
    return {trees: _join([found for piece, found in parts if piece.trees == trees]) for trees in forecasters}


def walk_strategy(
    name: str, strategy: StrategySettings, plan: PhasePlan, terms: PortfolioSettings, forecasts: Signals | None
) -> Backtest:
    """Walk one strategy through the test range of a phase, in the one ledger, at the market terms of everybody.

    Args:
        name: Name of the record.
        strategy: The strategy.
        plan: Dates.
        terms: Costs, execution, rates and constraints.
        forecasts: Of its trees; None when it reads none.

    Raises:
        ConfigError: The terms have risk rules of their own.
    """
    policy = PickPolicy(name, strategy, plan.market)
    score = make_score(plan.market, strategy, forecasts)
    walk = make_walk(plan.market, score, make_terms(strategy, terms), policy, start=plan.decided, end=plan.end)
    return backtest(policy, walk)


def walk_baselines(plan: PhasePlan, terms: PortfolioSettings) -> list[Backtest]:
    """Walk the benchmark, bought and held, and equal weights of the universe through the same dates."""
    records = []
    for policy in make_baselines((), plan.market, ()):
        walk = make_walk(plan.market, None, terms, policy, start=plan.decided, end=plan.end)
        records.append(backtest(policy, walk))
    return records


def walk_and_save(
    name: str,
    strategy: StrategySettings,
    plan: PhasePlan,
    terms: PortfolioSettings,
    forecasts: Signals | None,
    save: Callable[[Backtest], None],
    progress: Callable[[int], None],
) -> Backtest:
    """Walk one strategy and keep its record; see `walk_strategy`."""
    record = walk_strategy(name, strategy, plan, terms, forecasts)
    save(record)
    progress(1)
    return record


def _cut(plan: PhasePlan, trees: TreesSettings) -> list[_Piece]:
    """Cut the rows of a plan at its refits."""
    last = int(plan.market.dates.searchsorted(plan.end, side="right")) - 1
    refits = -(-(last + 1 - plan.first_row) // plan.refit_every_days)
    length = max(_FEWEST_REFITS, -(-refits // _MOST_JOBS)) * plan.refit_every_days
    starts = range(plan.first_row, last + 1, length)
    return [_Piece(trees, row, min(row + length - 1, last)) for row in starts]


def _join(parts: Sequence[Signals]) -> Signals:
    """Put the signals of consecutive dates behind one another."""
    first = parts[0]
    return Signals(
        dates=pd.DatetimeIndex(np.concatenate([part.dates.to_numpy() for part in parts])),
        symbols=first.symbols,
        names=first.names,
        values=np.concatenate([part.values for part in parts]),
        trained_until=np.concatenate([part.trained_until for part in parts]),
        horizons=first.horizons,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
