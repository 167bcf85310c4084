"""The sessions that records of several runs share, and whether their data are the same there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from alfred.errors import DataError
from alfred.evaluation.backtest import Backtest

# Fewer cannot be cut into the blocks that a verdict rests on; see `alfred judge`.
_FEWEST_SESSIONS = 20
# Returns of a benchmark that differ by more were not computed from the same prices; rounding moves them by less.
_ROUNDING = 1e-5
# Share of the sessions above which the benchmark is another series under the same name.
_OTHER_DATA = 0.5

Group = tuple[str, Sequence[Backtest]]
"""Name of a run and its records."""


@dataclass(frozen=True)
class Coverage:
    """What of a run is compared.

    Attributes:
        run: Name of the run.
        start: ISO date of its first session.
        end: Of its last one.
        n_sessions: Sessions that it was tested on.
        n_left_out: Those that are not compared.
    """

    run: str
    start: str
    end: str
    n_sessions: int
    n_left_out: int

    def to_json(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


def cut_to_shared(groups: Sequence[Group]) -> tuple[list[Coverage], list[list[Backtest]]]:
    """Return what of each run is shared, and its records cut to that.

    The first session of a record holds its first trade alone. Where records do not begin together, the shared sessions
    begin after the first of the latest one: from there on all of them are invested, and none pays for entering.

    Args:
        groups: The runs; all records of one have the same dates.

    Raises:
        DataError: The runs share too few sessions, have another number of sessions a year, or lack sessions of one
            another.
    """
    (name, records), *others = groups
    first = records[0]
    for other, more in others:
        if more[0].periods_per_year != first.periods_per_year:
            raise DataError(
                f"{other} has {more[0].periods_per_year} sessions a year and {name} {first.periods_per_year}: they "
                "cannot be compared; compare runs on the same bars"
            )
    starts, ends = ([items[0].dates[place] for _, items in groups] for place in (0, -1))
    start, end = max(starts), min(ends)
    kept = [_find_inside(items[0], start, end, whole=min(starts) == start) for _, items in groups]
    shared = first.dates[kept[0]]
    if len(shared) < _FEWEST_SESSIONS:
        spans = ", ".join(f"{name} {_describe(items[0])}" for name, items in groups)
        raise DataError(
            f"the runs share {len(shared)} sessions ({spans}), and a comparison needs {_FEWEST_SESSIONS} at least; "
            "compare runs that were tested on the same years"
        )
    for (other, more), inside in zip(others, kept[1:], strict=True):
        dates = more[0].dates[inside]
        if not dates.equals(shared):
            odd = dates.symmetric_difference(shared)
            raise DataError(
                f"{other} and {name} do not have the same sessions between {start.date()} and {end.date()} "
                f"({len(odd)} are in one alone, the first {odd[0].date()}); compare runs on the same calendar"
            )
    coverage = [
        Coverage(
            label,
            str(items[0].dates[0].date()),
            str(items[0].dates[-1].date()),
            len(items[0].dates),
            len(items[0].dates) - len(shared),
        )
        for label, items in groups
    ]
    return coverage, [
        [_cut(record, inside) for record in items] for (_, items), inside in zip(groups, kept, strict=True)
    ]


def find_data_caveats(records: Sequence[tuple[str, Backtest]]) -> list[str]:
    """Return where the benchmark itself moved otherwise in one run than in the first.

    Args:
        records: A record of each run, on the shared sessions, with the name of the run.

    Raises:
        DataError: It did so on most sessions: the data are not the same.
    """
    found = []
    (name, first), *others = records
    for other, record in others:
        # The first return of a record depends on when the first trade was.
        apart = np.abs(record.benchmark - first.benchmark)[1:] > _ROUNDING
        if apart.mean() > _OTHER_DATA:
            raise DataError(
                f"the benchmark of {other} is not that of {name}: its returns differ on {int(apart.sum())} of "
                f"{len(apart)} shared sessions; compare runs on the same data"
            )
        if apart.any():
            day = first.dates[1:][apart][0].date()
            found.append(
                f"The data of {other} and {name} are not the same: the benchmark's returns differ on "
                f"{int(apart.sum())} of {len(apart)} shared sessions, the first {day}."
            )
    return found


def _find_inside(record: Backtest, start: pd.Timestamp, end: pd.Timestamp, *, whole: bool) -> np.ndarray:
    late = record.dates >= start if whole else record.dates > start
    return np.asarray(late & (record.dates <= end))


def _cut(record: Backtest, inside: np.ndarray) -> Backtest:
    rows = {
        name: getattr(record, name)[inside]
        for name in ("weights", "gross", "costs", "net", "turnover", "benchmark", "cash_return")
    }
    return replace(record, dates=record.dates[inside], **rows)


def _describe(record: Backtest) -> str:
    return f"{record.dates[0].date()} to {record.dates[-1].date()}"
