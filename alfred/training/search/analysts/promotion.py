"""New bests against the registry, on sessions that neither was chosen on: only what is credibly better replaces.

The best of many trials on a validation range flatters. So the new one and the one that stands are both walked forward
over a later holdout, and their losses are compared window by window (Diebold and Mariano, 1995, with a variance that
allows for overlapping outcomes). Where nothing stands yet, naive persistence does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from alfred.analysts.chosen.entries import BestEntry, Scores
from alfred.analysts.settings import AnalystSettings, NaiveSettings
from alfred.data.market import Market
from alfred.errors import AlfredError, ConfigError
from alfred.evaluation.forecasts.by_date import estimate_by_date
from alfred.training.jobs import Job, run_jobs
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import compute_digest
from alfred.training.search.analysts.history import History, Look
from alfred.training.search.analysts.objective import Errors, Walk, forecast_symbol

Decision = Literal["better", "not credibly better", "worse", "the same"]
LEVEL = 0.95


@dataclass(frozen=True)
class Promotion:
    """A new best beside what stands in the registry.

    Attributes:
        symbol: Whom they forecast.
        old: Settings of what stands; naive persistence where nothing does.
        new: Settings of the new best.
        old_scores: On the holdout.
        new_scores: On the same windows.
        gain_pct: How much smaller the error of the new one is, in per cent of that of the old one.
        low: Lower end of the 95 % interval of the gain.
        high: Upper end.
        p: Probability of such a gain, or a larger one, where there is none (one-sided).
        n_looks: Comparisons of this symbol that were made on overlapping sessions, this one included; p has to be at
            most 5 % divided by this number.
        decision: What follows.
    """

    symbol: str
    old: AnalystSettings
    new: AnalystSettings
    old_scores: Scores
    new_scores: Scores
    gain_pct: float
    low: float
    high: float
    p: float
    n_looks: int
    decision: Decision

    @property
    def prices_disagree(self) -> bool:
        """Whether the error in the unit of prices would choose otherwise."""
        by_return = self.new_scores.mae_pct < self.old_scores.mae_pct
        return by_return != (self.new_scores.price_mae < self.old_scores.price_mae)


class _Pair(NamedTuple):
    symbol: str
    old: AnalystSettings
    new: AnalystSettings
    walk: Walk


def compare_bests(
    market: Market,
    candidates: Mapping[str, BestEntry],
    standing: Mapping[str, BestEntry],
    history: History,
    *,
    since: pd.Timestamp | None,
    every: int,
    refit_every: int,
    cache: Path | None,
    n_jobs: int,
    reporter: Reporter,
) -> tuple[list[Promotion], dict[str, str]]:
    """Compare each new best with what stands, on a common later holdout; every comparison is a look, and is noted.

    Args:
        market: The whole market, with the holdout.
        candidates: New bests by symbol.
        standing: The registry.
        history: Earlier looks.
        since: First session of the holdout; the one after all validation ranges when None.
        every: Sessions from one forecast to the next.
        refit_every: Sessions from one fit to the next.
        cache: Folder that keeps fits.
        n_jobs: Processes.
        reporter: Progress callback.

    Returns:
        The comparisons, and why a symbol could not be compared.

    Raises:
        ConfigError: The holdout begins inside a range that one was chosen on, or holds too few sessions; or a symbol is
            not in the data. This is found out before anything is forecast.
    """
    pairs = [
        _plan(market, entry, standing.get(symbol), since, every, refit_every) for symbol, entry in candidates.items()
    ]
    jobs = [Job(f"promotion {pair.symbol}", partial(_walk, market, pair, cache)) for pair in pairs]
    found, failures = list[Promotion](), dict[str, str]()
    for pair, walked in zip(pairs, run_jobs(jobs, n_jobs, reporter), strict=True):
        if isinstance(walked, str):
            failures[pair.symbol] = walked
        else:
            found.append(_judge(market, pair, *walked, history))
    return found, failures


def _plan(
    market: Market, entry: BestEntry, own: BestEntry | None, since: pd.Timestamp | None, every: int, refit_every: int
) -> _Pair:
    if entry.symbol not in market.symbols:
        raise ConfigError(f"there is no '{entry.symbol}' in the data; name the data that it was tuned on")
    new = entry.settings
    old = NaiveSettings(horizons=new.horizons) if own is None else own.settings
    horizon = new.horizons[0]
    if horizon not in old.horizons:
        raise ConfigError(
            f"the new best of {entry.symbol} forecasts {horizon} session(s) ahead, what stands {old.horizons}; tune "
            "for the same horizon, or use another --registry"
        )
    entries = [entry, *([] if own is None else [own])]
    return _Pair(entry.symbol, old, new, _place_holdout(market, entries, horizon, since, every, refit_every))


def _walk(
    market: Market, pair: _Pair, cache: Path | None, *, progress: Callable[[int], None]
) -> tuple[Errors, Errors] | str:
    """Return the errors of both, or why one of them cannot forecast the holdout: the others go on."""
    try:
        old, new = (forecast_symbol(market, pair.symbol, item, pair.walk, cache) for item in (pair.old, pair.new))
        for errors in (old, new):
            errors.score(market, pair.walk.horizon)
    except AlfredError as error:
        return str(error)
    progress(1)
    return old, new


def _place_holdout(
    market: Market, entries: list[BestEntry], horizon: int, since: pd.Timestamp | None, every: int, refit_every: int
) -> Walk:
    chosen_until = max(pd.Timestamp(entry.validation.last) for entry in entries)
    first = pd.Timestamp(chosen_until) + pd.Timedelta(days=1) if since is None else since
    symbol = entries[0].symbol
    if first <= chosen_until:
        raise ConfigError(
            f"the holdout begins on {first.date()}, but an analyst of {symbol} was chosen on sessions until "
            f"{chosen_until.date()}; choose a later --since"
        )
    row = int(market.dates.searchsorted(first))
    if row + horizon + 2 * every >= market.n_dates:
        raise ConfigError(
            f"{max(market.n_dates - row, 0)} sessions after {chosen_until.date()} are too few to compare analysts of "
            f"{symbol}; load a longer history, or tune with an earlier --test-from"
        )
    return Walk(row, market.n_dates - 1, horizon, every, refit_every)


def _judge(market: Market, pair: _Pair, standing: Errors, challenger: Errors, history: History) -> Promotion:
    symbol, old, new, walk = pair
    horizon = walk.horizon
    old_scores, new_scores = standing.score(market, horizon), challenger.score(market, horizon)
    known = np.isfinite(standing.outcome)
    gains = np.where(known, standing.losses - challenger.losses, 0.0)
    gain = estimate_by_date(gains, known.astype(np.float64), standing.rows, horizon=horizon, level=LEVEL)
    same = old.model_dump(exclude={"name"}) == new.model_dump(exclude={"name"})
    p = float(gain.p / 2 if gain.value > 0 else 1 - gain.p / 2) if np.isfinite(gain.p) else 1.0
    how = compute_digest(old.model_dump(mode="json", exclude={"name"}), walk.every, walk.refit_every)
    look = Look(symbol, new.model_dump_json(exclude={"name"}), new_scores.first, new_scores.last, how)
    n_looks = history.count(look) if same else history.note(look)
    decision: Decision = "not credibly better"
    if same:
        decision = "the same"
    elif gain.value <= 0:
        decision = "worse"
    elif p <= (1 - LEVEL) / n_looks:
        decision = "better"
    scale = 100 / old_scores.mae_pct
    return Promotion(
        symbol=symbol,
        old=old,
        new=new,
        old_scores=old_scores,
        new_scores=new_scores,
        gain_pct=gain.value * scale,
        low=gain.low * scale,
        high=gain.high * scale,
        p=p,
        n_looks=n_looks,
        decision=decision,
    )
