"""Analysts against naive persistence: each walked forward, judged on the windows that all of them forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from alfred.analysts.baseline import Comparison
from alfred.analysts.improvements import ImprovementTracker
from alfred.analysts.settings import AnalystSettings, NaiveSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.forecasts.shared_windows import ALL, NAIVE
from alfred.evaluation.forecasts.skill_table import compare_forecasts
from alfred.training.forecasting import forecast_walk_forward, specialise
from alfred.training.jobs import Job, run_jobs
from alfred.training.progress import Reporter
from alfred.training.recalibration import Recorder

_CREDIBLE_T = 2.0


@dataclass(frozen=True)
class AnalystComparison:
    """Analysts beside naive persistence.

    Attributes:
        settings: What each analyst was told, by its name; naive persistence is always among them, first.
        records: What each of them forecast on the judged dates.
        table: One row an analyst, horizon and symbol; see `compare_forecasts`. `may_know` says that the analyst was
            trained elsewhere on data into the judged dates.
        notes: What to know of the analysts, one sentence each.
    """

    settings: Mapping[str, AnalystSettings]
    records: Mapping[str, ForecastRecord]
    table: pd.DataFrame
    notes: tuple[str, ...]

    def track(self, path: Path | str) -> dict[str, tuple[str, ...]]:
        """Enter all but naive persistence in the tracker; return the symbols on which each is the best yet."""
        tracker = ImprovementTracker(path)
        improved: dict[str, tuple[str, ...]] = {}
        first, last = (str(self.records[NAIVE].dates[place].date()) for place in (0, -1))
        for name, settings in self.settings.items():
            # What may be memory is no improvement.
            if name == NAIVE or self.table.loc[self.table["analyst"] == name, "may_know"].any():
                continue
            told, found = settings.model_dump(mode="json", exclude={"name"}), dict[str, None]()
            for horizon in sorted(set(self.table["horizon"])):
                errors = self.compare_with_naive(name, int(horizon))
                if len(errors.table):
                    n = int(errors.table["n_windows"].sum())
                    found |= dict.fromkeys(tracker.record(name, errors, told, judged=f"{first} to {last}, {n} windows"))
            improved[name] = tuple(found)
        return improved

    def compare_with_naive(self, name: str, horizon: int) -> Comparison:
        """Return the errors of one analyst at one horizon by symbol, easiest first."""
        at = self.table[(self.table["horizon"] == horizon) & (self.table["symbol"] != ALL) & (self.table["n"] > 0)]
        own, naive = (at[at["analyst"] == who].set_index("symbol") for who in (name, NAIVE))
        table = pd.DataFrame(
            {
                "naive_mae_pct": naive["mae_pct"],
                "mae_pct": own["mae_pct"],
                "improvement_pct": own["skill_pct"],
                "n_windows": own["n"],
            }
        )
        return Comparison(name, horizon, table)


class _Walked(NamedTuple):
    record: ForecastRecord
    cutoff: pd.Timestamp | None
    notes: tuple[str, ...]


def compare_analysts(
    market: Market,
    analysts: Sequence[AnalystSettings],
    schedule: ForecastSettings,
    *,
    since: pd.Timestamp | str,
    n_jobs: int,
    reporter: Reporter,
) -> AnalystComparison:
    """Walk each analyst forward as a run does, and judge what it forecast from a date on.

    Forecasts before that date only calibrate later ones. Finished pieces lie in the cache of the schedule, where runs
    find them as well.

    Args:
        market: The whole market.
        analysts: Who is compared, each under a name of its own. Naive persistence is added where it is missing.
        schedule: When they are refitted.
        since: First date to judge.
        n_jobs: Processes.
        reporter: Progress callback.

    Raises:
        DataError: There is nothing to judge: the first forecast comes later, or no outcome is known after `since`.
        SignalError: The analysts share no horizon.
    """
    first = pd.Timestamp(since)
    horizons = sorted({horizon for settings in analysts for horizon in settings.horizons})
    row = int(market.dates.searchsorted(first))
    if row < schedule.min_train_days or row + min(horizons) >= market.n_dates:
        raise DataError(
            f"--since {first.date()} leaves {row} sessions to train on, of which the first refit needs "
            f"{schedule.min_train_days} (forecast.min_train_days), and {max(market.n_dates - row, 0)} to judge; it "
            f"must lie inside {market.dates[min(schedule.min_train_days, market.n_dates - 1)].date()} to "
            f"{market.dates[-1].date()}"
        )
    told = {settings.label: settings for settings in analysts}
    if NAIVE not in told:
        told = {NAIVE: NaiveSettings(horizons=tuple(horizons)), **told}
    jobs = [
        Job(
            f"analyst {name}",
            partial(_record_forecasts, market, settings, schedule),
            market.n_dates - specialise(schedule, settings).min_train_days,
        )
        for name, settings in told.items()
    ]
    found = dict(zip(told, run_jobs(jobs, n_jobs, reporter), strict=True))
    records = {name: walked.record.since(first) for name, walked in found.items()}
    table = compare_forecasts(records, market)
    late = {name for name, walked in found.items() if walked.cutoff is not None and walked.cutoff >= first}
    table["may_know"] = table["analyst"].isin(late)
    notes = dict.fromkeys(note for walked in found.values() for note in walked.notes)
    return AnalystComparison(told, records, table, (*notes, *_explain_windows(told, table), *_explain_skill(table)))


def _explain_windows(told: Mapping[str, AnalystSettings], table: pd.DataFrame) -> list[str]:
    """Say what is not judged because not everybody forecast it."""
    lines = []
    judged = set(table["horizon"])
    if left := sorted({horizon for settings in told.values() for horizon in settings.horizons} - judged):
        lines.append(f"horizons {', '.join(map(str, left))} are not judged: not every analyst forecasts them")
    whole = table[(table["symbol"] == ALL) & (table["n_dropped"] > 0) & (table["analyst"] != NAIVE)]
    for name, rows in whole.groupby("analyst", sort=False):
        dropped, kept = int(rows["n_dropped"].sum()), int(rows["n"].sum())
        lines.append(
            f"{dropped} of {dropped + kept} forecasts of {name} are not judged: another analyst made none there"
        )
    return lines


def _explain_skill(table: pd.DataFrame) -> list[str]:
    """Say where an error smaller than that of persistence comes from the drift of all symbols alone."""
    found = (table["symbol"] == ALL) & (table["skill_low"] > 0)
    at = table[found & ~table["may_know"] & ~(table["rank_ic_t"] > _CREDIBLE_T)]
    return [
        f"{row['analyst']} beats persistence at {row['horizon']} session(s) without telling symbols apart (rank IC "
        f"{row['rank_ic']:+.3f}, t {row['rank_ic_t']:+.1f}): a constant drift may do that"
        for row in at.to_dict(orient="records")
    ]


def _record_forecasts(
    market: Market, settings: AnalystSettings, schedule: ForecastSettings, *, progress: Callable[[int], None]
) -> _Walked:
    """Return the forecasts of one analyst on every date that it was asked, and what to know of it."""
    recorder = Recorder()
    signals = forecast_walk_forward(market, settings, schedule, progress, recorder=recorder)
    notes = [note if note.startswith(settings.label) else f"{settings.label}: {note}" for note in signals.notes]
    cutoff = signals.knowledge_cutoffs.get(settings.label)
    if cutoff is not None:
        notes.append(
            f"{settings.label} was trained elsewhere on data until {cutoff.date()}: up to that date it may know "
            "outcomes"
        )
    return _Walked(recorder.build(signals, settings.horizons), cutoff, tuple(notes))
