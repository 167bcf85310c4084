"""Phases: which dates are tested, which are locked away, and when models are refitted."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from alfred.training.experiments.score import check_daily, find_week_ends
from alfred.training.experiments.settings import Phase, PhaseSettings, RegistrySettings


@dataclass(frozen=True)
class PhasePlan:
    """One phase laid out on the dates of a market.

    Attributes:
        phase: Which one.
        market: All that the phase may know: but for `holdout`, it ends before the holdout segment begins.
        first_row: Row of the first decision: the last session of a week.
        end: Last date of the test.
        refit_every_days: Sessions from one refit to the next; more than there are for a single fit.
        max_train_days: Sessions that a refit reads at most; None for all.
    """

    phase: Phase
    market: Market
    first_row: int
    end: pd.Timestamp
    refit_every_days: int
    max_train_days: int | None

    @property
    def start(self) -> pd.Timestamp:
        """First date of the test: the session on which the first decision is traded."""
        return self.market.dates[self.first_row + 1]

    @property
    def decided(self) -> pd.Timestamp:
        """Date of the first decision."""
        return self.market.dates[self.first_row]


def find_holdout(market: Market, registry: RegistrySettings) -> pd.Timestamp:
    """Return the first date of the holdout segment.

    Raises:
        DataError: The data are no longer than the segment.
    """
    if registry.holdout_days >= market.n_dates:
        raise DataError(
            f"holdout_days is {registry.holdout_days}, but the market has {market.n_dates} sessions: load a longer "
            "history or lower holdout_days"
        )
    return market.dates[market.n_dates - registry.holdout_days]


def plan_phase(market: Market, registry: RegistrySettings, phase: Phase) -> PhasePlan:
    """Lay a phase out; what lies in the holdout segment is cut off for all others.

    Raises:
        ConfigError: The test reaches into the holdout segment, or does not lie inside the data.
        DataError: The history is too short, or not daily.
    """
    check_daily(market)
    locked = find_holdout(market, registry)
    if phase == "holdout":
        first = int(market.dates.searchsorted(locked))
        return _lay_out(phase, market, first, market.dates[-1], None, registry)
    settings: PhaseSettings = getattr(registry, phase)
    for name, day in (("start", settings.start), ("end", settings.end)):
        if day is not None and pd.Timestamp(day) >= locked:
            raise ConfigError(
                f"{phase}.{name} is {day}, inside the holdout segment, which begins on {locked.date()}: choose an "
                "earlier date, or lower holdout_days"
            )
    known = market.until(locked - pd.Timedelta(days=1))
    if settings.end is not None:
        known = known.until(pd.Timestamp(settings.end))
    if settings.start is None:
        first = known.n_dates - settings.test_days
    else:
        first = int(known.dates.searchsorted(pd.Timestamp(settings.start)))
    return _lay_out(phase, known, first, known.dates[-1], settings.refit_every_days, registry)


def _lay_out(
    phase: Phase, known: Market, first: int, end: pd.Timestamp, refit: int | None, registry: RegistrySettings
) -> PhasePlan:
    """Return the plan whose first decision is at the first end of a week from the session before row `first` on."""
    week_ends = find_week_ends(known.dates)
    row = max(first - 1, 0)
    while row < known.n_dates - 1 and not week_ends[row]:
        row += 1
    least = 2 * 252 if registry.max_train_days is None else min(registry.max_train_days, 2 * 252)
    if row + 1 < least:
        raise DataError(
            f"the {phase} phase would test from row {max(first, 0)} of {known.n_dates} on, which leaves fewer than "
            f"{least} sessions to train on: load a longer history, or choose a later {phase}.start or fewer test_days"
        )
    if known.n_dates - row < 10:
        raise DataError(
            f"the {phase} phase has {known.n_dates - row - 1} sessions to test on until {end.date()}: choose an "
            f"earlier {phase}.start"
        )
    return PhasePlan(phase, known, row, end, refit or known.n_dates, registry.max_train_days)
