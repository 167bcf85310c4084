"""Which part of the history each stage may see: three in a row, and behind them what no search is handed.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pandas as pd

from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.sources import load_market
from alfred.data.splits import Range
from alfred.errors import DataError
from alfred.training.prepared import cut_folds
from alfred.training.search.two_stage.settings import TwoStageSettings

FEWEST = 20
"""Sessions that a fold has at least: a Sharpe ratio of fewer is noise."""


@dataclass(frozen=True)
class ModelFold:
    """A rolling-origin fold of the first stage; all sessions are inclusive.

    ```
    fitted on ........ | purge | calibration | purge | validation
    first to fit_end            calibration           validation
    ```

    Attributes:
        fit_end: Last session that the fit may read; labels that need a later one do not exist in it.
        calibration: First and last session of the tail that calibrates the calls.
        validation: First and last session that is scored; nothing before its first session knows a later close.
    """

    fit_end: pd.Timestamp
    calibration: Range
    validation: Range


@dataclass(frozen=True)
class Segments:
    """The three parts of a searched market, in the order of time, without overlap.

    Attributes:
        model: First and last session of the first stage.
        strategy: First and last session that the second stage trades on.
        locked: First and last session that the winner is judged on, once.
        model_folds: Folds of the first stage.
        strategy_folds: Ranges of the second stage.
        refit_every_days: Sessions between refits after the first stage.
    """

    model: Range
    strategy: Range
    locked: Range
    model_folds: tuple[ModelFold, ...]
    strategy_folds: tuple[Range, ...]
    refit_every_days: int

    def describe(self) -> dict[str, tuple[str, str]]:
        """Return first and last date of each part."""
        parts = {"model": self.model, "strategy": self.strategy, "locked": self.locked}
        return {name: (str(first.date()), str(last.date())) for name, (first, last) in parts.items()}


def load_searched(experiment: Experiment) -> Market:
    """Return the market of an experiment as it was known before its first test, in memory of its own.

    The test part does not exist in what is returned: no search can be led by it.

    Raises:
        DataError: The history is too short for the folds of the experiment.
    """
    market = load_market(experiment.data)
    test = cut_folds(market, experiment)[0].test[0]
    last = int(market.dates.searchsorted(test, side="left")) - 1
    return cut_copy(market, market.dates[last])


def cut_copy(market: Market, date: pd.Timestamp) -> Market:
    """Return a market that ends at the close of a date, in memory of its own and without notes of what comes later."""
    return replace(market.until(date).copy(), notes=())


def cut_segments(market: Market, settings: TwoStageSettings) -> Segments:
    """Cut a searched market into its parts and their folds.

    Args:
        market: Cut before the test.
        settings: Shares and numbers of folds.

    Raises:
        DataError: A fold would be too short.
    """
    dates, horizon = market.dates, settings.horizon
    model_stop = int(len(dates) * settings.model_share)
    locked_start = len(dates) - int(len(dates) * settings.locked_share)
    if settings.objective != "two_stage":
        model_stop = locked_start  # there is one stage, and it may see all that is not locked
    strategy_start = model_stop
    # What the decision of the last session before earned is known a horizon and a trade later: parts do not share it.
    gap = horizon + 1
    model_folds = _cut_model_folds(dates, model_stop, settings)
    strategy_folds: tuple[Range, ...] = ()
    if settings.objective == "two_stage":
        strategy_folds = _cut_evenly(
            dates, strategy_start + gap, locked_start, settings.n_strategy_folds, "second stage"
        )
    locked = _cut_evenly(dates, locked_start + gap, len(dates), 1, "locked part")[0]
    length = (locked_start - strategy_start - gap) // settings.n_strategy_folds
    return Segments(
        model=(dates[0], dates[model_stop - 1]),
        strategy=(strategy_folds[0][0], strategy_folds[-1][1]) if strategy_folds else (dates[0], dates[model_stop - 1]),
        locked=locked,
        model_folds=model_folds,
        strategy_folds=strategy_folds,
        refit_every_days=settings.refit_every_days or max(length, FEWEST),
    )


def _cut_model_folds(dates: pd.DatetimeIndex, stop: int, settings: TwoStageSettings) -> tuple[ModelFold, ...]:
    first = int(stop * settings.min_train_share)
    edges = [first + (stop - first) * k // settings.n_model_folds for k in range(settings.n_model_folds + 1)]
    purge, folds = settings.horizon, []
    for start, end in itertools.pairwise(edges):
        calibration_start = start - int(start * settings.calibration_share)
        fit_stop = calibration_start - purge
        if min(end - start - purge, start - calibration_start) < FEWEST + purge:
            raise DataError(
                f"the history is too short for the first stage: {stop} sessions for {settings.n_model_folds} folds "
                f"leave {end - start} to a fold, of which {purge} are purged, and {start - calibration_start} to its "
                f"calibration; each needs {FEWEST + purge} at least. Load more data, or lower n_model_folds or horizon"
            )
        folds.append(
            ModelFold(
                fit_end=dates[fit_stop - 1],
                calibration=(dates[calibration_start], dates[start - 1]),
                validation=(dates[start + purge], dates[end - 1]),
            )
        )
    return tuple(folds)


def _cut_evenly(dates: pd.DatetimeIndex, start: int, stop: int, count: int, what: str) -> tuple[Range, ...]:
    if stop - start < count * FEWEST:
        raise DataError(
            f"the history is too short for the {what}: {max(stop - start, 0)} sessions are left to {count} fold(s) of "
            f"{FEWEST} at least. Load more data, or change model_share, locked_share or n_strategy_folds"
        )
    edges = [start + (stop - start) * k // count for k in range(count + 1)]
    return tuple((dates[a], dates[b - 1]) for a, b in itertools.pairwise(edges))
