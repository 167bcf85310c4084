"""Which companies are learnt from and which are judged: mutually uncorrelated, and no company on both sides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.fundamentals import REPORT_AGE
from alfred.data.point_in_time.members import find_members
from alfred.data.quality.jumps import require_no_jumps
from alfred.data.universe import pick_uncorrelated
from alfred.errors import DataError
from alfred.training.quarterly.settings import QuarterlySettings

_SPLIT_SHARE = 0.6


@dataclass(frozen=True)
class Sides:
    """Two sets of symbols without a symbol in common.

    Attributes:
        train: Those that are learnt from.
        evaluate: Those that are judged.
        split: Last session that the choice and the first training read.
    """

    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    split: pd.Timestamp


def choose_sides(market: Market, settings: QuarterlySettings) -> Sides:
    """Choose the symbols of both sides by what is known at the split, and check their prices.

    Candidates have reported `min_reports` times until the split, the last time not too long ago. All symbols of both
    sides are picked greedily by their correlation with those before them (`pick_uncorrelated`) and dealt out in turn,
    so that the two sides are alike, and independent of each other as far as that goes.

    Args:
        market: The market up to the end of the test, joined with reports.
        settings: The experiment.

    Raises:
        DataError: There are no reports, too few symbols, an unknown symbol, or a price that is off by a factor.
    """
    if REPORT_AGE not in market.extras:
        raise DataError("this market has no reports; join them with data.fundamentals.path=...")
    for symbol in (*settings.exclude, *(settings.train_symbols or ()), *(settings.evaluate_symbols or ())):
        market.index_of(symbol)
    split = _find_split(market, settings)
    known = market.until(split)
    if settings.train_symbols is not None and settings.evaluate_symbols is not None:
        kept = [
            tuple(symbol for symbol in names if symbol not in settings.exclude)
            for names in (settings.train_symbols, settings.evaluate_symbols)
        ]
        for side, names in zip(("train_symbols", "evaluate_symbols"), kept, strict=True):
            if not names:
                raise DataError(f"exclude leaves nothing of {side}; name other symbols")
        require_no_jumps(market, [*kept[0], *kept[1]])
        return Sides(kept[0], kept[1], split)
    candidates = _find_candidates(known, settings)
    needed = settings.n_train + settings.n_evaluate
    if len(candidates) < needed:
        raise DataError(
            f"{len(candidates)} symbols have {settings.min_reports} reports and {settings.min_history_days} returns "
            f"until {split.date()}, and {settings.n_train} + {settings.n_evaluate} are asked for; ask for fewer, lower "
            "min_reports, or take a later split"
        )
    # Before anything is computed from them: a wrong price decides about correlations as well.
    require_no_jumps(market, candidates)
    first = settings.first or candidates[0]
    if first not in candidates:
        raise DataError(
            f"'{first}' is no candidate until {split.date()}; begin with one of {', '.join(candidates[:8])}"
        )
    # Correlations read closes alone: of a whole exchange, the other panels are not copied.
    slim = replace(known, open=None, high=None, low=None, volume=None, extras={})
    picks = pick_uncorrelated(slim.select(candidates), first, needed, settings.min_history_days)
    return Sides(*_deal([pick.symbol for pick in picks], settings), split)


def _deal(picked: list[str], settings: QuarterlySettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Deal symbols out in turn, until one side is full."""
    train: list[str] = []
    evaluate: list[str] = []
    for symbol in picked:
        ahead = len(train) / settings.n_train > len(evaluate) / settings.n_evaluate
        (evaluate if ahead else train).append(symbol)
    return tuple(train), tuple(evaluate)


def _find_split(market: Market, settings: QuarterlySettings) -> pd.Timestamp:
    rows, _ = np.nonzero((market.field(REPORT_AGE) == 0) & market.tradable)
    if not len(rows):
        raise DataError("no symbol of this market reports on any of its sessions; name other symbols or dates")
    if settings.split is None:
        return pd.Timestamp(market.dates[int(np.quantile(rows, _SPLIT_SHARE))])
    place = int(market.dates.searchsorted(pd.Timestamp(settings.split), side="right")) - 1
    if not 0 <= place < market.n_dates - settings.horizon - 1:
        raise DataError(
            f"the split {settings.split} leaves no quarter to judge: sessions go from {market.dates[0].date()} to "
            f"{market.dates[-1].date()}, and an outcome takes {settings.horizon}"
        )
    return pd.Timestamp(market.dates[place])


def _find_candidates(known: Market, settings: QuarterlySettings) -> list[str]:
    """Return the symbols that may be picked, the one with most reports first."""
    reports = ((known.field(REPORT_AGE) == 0) & known.tradable).sum(axis=0)
    recent = known.field(REPORT_AGE)[-1] < settings.analyst.stale_after_days
    returns = np.isfinite(known.log_returns()).sum(axis=0)
    member = find_members(known)[-1]
    fit = (
        member
        & (reports >= settings.min_reports)
        & recent
        & (returns >= settings.min_history_days)
        & known.tradable[-1]
    )
    universe = set(known.universe) - set(settings.exclude)
    found = [n for n in np.flatnonzero(fit) if known.symbols[n] in universe]
    return [known.symbols[n] for n in sorted(found, key=lambda n: (-reports[n], known.symbols[n]))]
