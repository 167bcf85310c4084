"""Analysts against naive persistence: each walked forward, judged on the windows that all of them forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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
        table: One row an analyst, horizon and symbol; see `compare_forecasts`.
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
        for name, settings in self.settings.items():
            if name == NAIVE:
                continue
            told, found = settings.model_dump(mode="json", exclude={"name"}), dict[str, None]()
            for horizon in sorted(set(self.table["horizon"])):
                errors = self.compare_with_naive(name, int(horizon))
                if len(errors.table):
                    found |= dict.fromkeys(tracker.record(name, errors, told))
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
    records = {name: record.since(first) for name, (record, _) in found.items()}
    table = compare_forecasts(records, market)
    notes = dict.fromkeys(note for _, said in found.values() for note in said)
    return AnalystComparison(told, records, table, (*notes, *_explain_skill(table)))


def _explain_skill(table: pd.DataFrame) -> list[str]:
    """Say where an error smaller than that of persistence comes from the drift of all symbols alone."""
    at = table[(table["symbol"] == ALL) & (table["skill_low"] > 0) & ~(table["rank_ic_t"] > _CREDIBLE_T)]
    return [
        f"{row['analyst']} beats persistence at {row['horizon']} session(s) without telling symbols apart (rank IC "
        f"{row['rank_ic']:+.3f}, t {row['rank_ic_t']:+.1f}): a constant drift may do that"
        for row in at.to_dict(orient="records")
    ]


def _record_forecasts(
    market: Market, settings: AnalystSettings, schedule: ForecastSettings, *, progress: Callable[[int], None]
) -> tuple[ForecastRecord, tuple[str, ...]]:
    """Return the forecasts of one analyst on every date that it was asked, and the caveats of its fits."""
    recorder = Recorder()
    signals = forecast_walk_forward(market, settings, schedule, progress, recorder=recorder)
    notes = [f"{settings.label}: {note}" for note in signals.notes]
    for name, cutoff in signals.knowledge_cutoffs.items():
        notes.append(
            f"{name} was trained elsewhere on data until {cutoff.date()}: before that date it may know outcomes"
        )
    return recorder.build(signals, settings.horizons), tuple(notes)
