"""What is minimised for a symbol: the error of its percentage return on sessions before the test."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from optuna import Trial
from optuna.trial import BaseTrial

from alfred.analysts.chosen.entries import Scores
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.evaluation.forecasts.errors import compute_percentage_errors
from alfred.training.forecasting import fit_or_load
from alfred.training.provenance.cache import Cache, Shelf
from alfred.training.provenance.stages import fingerprint_analyst
from alfred.training.search.analysts.families import make_settings
from alfred.training.search.space import Space, suggest_settings
from alfred.typing import Float

FAMILY = "family"
SETTINGS, SCORES, SECONDS = "settings", "scores", "seconds"
"""User attributes of a trial: the whole settings, what they scored, how long it took."""

_BATCH = 1024
_MEDIAN = 0.5


@dataclass(frozen=True)
class Walk:
    """Sessions that are forecast, and when models are fitted.

    Attributes:
        first: First session to forecast from, as a row of the market.
        last: Last session whose outcome counts, as a row.
        horizon: Sessions ahead.
        every: Sessions from one forecast to the next.
        refit_every: Sessions from one fit to the next.
    """

    first: int
    last: int
    horizon: int
    every: int
    refit_every: int

    def list_blocks(self) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Return for each fit the last row that it may read, and the rows after it that it forecasts."""
        rows = np.arange(self.first, self.last - self.horizon + 1, self.every)
        starts = range(self.first, self.last - self.horizon + 1, self.refit_every)
        blocks = [(start - 1, rows[(rows >= start) & (rows < start + self.refit_every)]) for start in starts]
        return [(fit, part) for fit, part in blocks if len(part)]


@dataclass(frozen=True, eq=False)
class Errors:
    """What was forecast for one symbol and what came.

    Attributes:
        rows: Rows of the market that were forecast from, `[T]`.
        forecast: Median log return, `[T]`; NaN where there is none.
        outcome: Log return, `[T]`; NaN where unknown.
        close: Closes at the rows, `[T]`.
    """

    rows: npt.NDArray[np.int64]
    forecast: Float
    outcome: Float
    close: Float

    @property
    def losses(self) -> Float:
        """Errors of the simple return in percentage points, `[T]`."""
        return compute_percentage_errors(self.forecast, self.outcome)

    @property
    def naive_losses(self) -> Float:
        """Those of naive persistence, `[T]`."""
        return compute_percentage_errors(np.zeros_like(self.outcome), self.outcome)

    def score(self, market: Market, horizon: int) -> Scores:
        """Return the scores over all windows.

        Raises:
            DataError: A window with an outcome was not forecast: its error cannot be compared with that of others.
        """
        known = np.isfinite(self.outcome)
        if not known.any():
            raise DataError("there is no window with an outcome: it is not traded there")
        missing = int((known & ~np.isfinite(self.forecast)).sum())
        if missing:
            raise DataError(
                f"{missing} of {int(known.sum())} windows could not be forecast; the history before them is shorter "
                "than this analyst needs"
            )
        losses = self.losses[known]
        last = int(self.rows[known][-1]) + horizon
        return Scores(
            mae_pct=float(losses.mean()),
            naive_mae_pct=float(self.naive_losses[known].mean()),
            price_mae=float((losses / 100 * self.close[known]).mean()),
            n_windows=int(known.sum()),
            first=market.dates[int(self.rows[known][0])].date(),
            last=market.dates[last].date(),
        )


def forecast_symbol(
    market: Market, symbol: str, settings: AnalystSettings, walk: Walk, cache: Path | None = None
) -> Errors:
    """Forecast one symbol walk-forward; every fit reads the whole market up to the session before its first forecast.

    Args:
        market: The market, cut at the last session whose outcome may be known.
        symbol: Whom to forecast.
        settings: The analyst.
        walk: Which sessions.
        cache: Folder that keeps fits, so that symbols which try the same settings share them.
    """
    column = market.index_of(symbol)
    shelves = None if cache is None else Cache(cache, fingerprint_analyst(settings))
    rows, medians = [], []
    for fit_row, part in walk.list_blocks():
        # A copy: the memory behind a cut goes on past its end. Notes are of the whole market, and may tell what comes.
        past = replace(market.until(market.dates[fit_row]).copy(), notes=())
        shelf = None if shelves is None else shelves.open(past, settings)
        # Of two symbols that try the same, one waits and reads what the other learnt.
        with _hold(shelf):
            analyst = fit_or_load(past, settings, shelf, resume=False)
        visible = market.until(market.dates[part[-1]])
        history = np.cumsum(visible.tradable[:, column])[part]
        asked = part[visible.tradable[part, column] & (history >= analyst.min_history)]
        median = np.full(len(part), np.nan)
        for start in range(0, len(asked), _BATCH):
            chunk = asked[start : start + _BATCH]
            contexts = make_contexts(
                visible, chunk, np.full(len(chunk), column), length=analyst.context_length, fields=analyst.fields
            )
            forecast = analyst.predict(contexts)
            middle = int(np.argmin(np.abs(np.asarray(forecast.levels) - _MEDIAN)))
            place = forecast.horizons.index(walk.horizon)
            median[np.searchsorted(part, chunk)] = forecast.quantiles[:, place, middle]
        rows.append(part)
        medians.append(median)
    every = np.concatenate(rows)
    close = np.where(market.tradable[:, column], market.close[:, column], np.nan).astype(np.float64)
    outcome = np.log(close[every + walk.horizon] / close[every])
    return Errors(every, np.concatenate(medians), outcome, close[every])


@contextmanager
def _hold(shelf: Shelf | None) -> Iterator[None]:
    if shelf is None:
        yield
        return
    shelf.folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(shelf.folder.with_name(f".{shelf.folder.name}.lock")):
        yield


@dataclass(frozen=True, eq=False)
class SymbolObjective:
    """The error of the percentage return of one symbol on its validation range.

    Attributes:
        market: Cut before the test: what comes later does not exist in the process that searches.
        symbol: Whom.
        walk: Which sessions.
        families: What is searched, by family.
        cache: Folder that keeps fits.
    """

    market: Market
    symbol: str
    walk: Walk
    families: Mapping[str, Space]
    cache: Path | None

    def suggest(self, trial: BaseTrial) -> AnalystSettings:
        """Choose a family, and then what is searched in it."""
        family = str(trial.suggest_categorical(FAMILY, list(self.families)))
        chosen = suggest_settings(trial, self.families[family], f"{family}.")
        return make_settings(family, chosen, self.walk.horizon)

    def evaluate(self, trial: Trial, chosen: AnalystSettings) -> float:
        """Return the error in percentage points.

        Raises:
            AlfredError: The analyst cannot be fitted, or does not forecast every window.
        """
        began = time.perf_counter()
        trial.set_user_attr(SETTINGS, chosen.model_dump_json())
        scores = forecast_symbol(self.market, self.symbol, chosen, self.walk, self.cache).score(
            self.market, self.walk.horizon
        )
        trial.set_user_attr(SCORES, scores.model_dump_json())
        trial.set_user_attr(SECONDS, time.perf_counter() - began)
        return scores.mae_pct
