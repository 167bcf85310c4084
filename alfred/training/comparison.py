"""Analysts against naive persistence, fitted before a date and judged after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from alfred.analysts.baseline import Comparison, compare_with_naive
from alfred.analysts.improvements import ImprovementTracker
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import AnalystSettings
from alfred.data.market import Market
from alfred.errors import DataError


@dataclass(frozen=True)
class AnalystComparison:
    """One analyst beside naive persistence.

    Attributes:
        settings: What the analyst was told.
        comparison: Errors by symbol.
    """

    settings: AnalystSettings
    comparison: Comparison

    @property
    def analyst(self) -> str:
        """Name of the analyst."""
        return self.settings.label

    def record(self, path: Path | str) -> tuple[str, ...]:
        """Enter the result in the tracker; return the symbols on which it is the best so far."""
        return ImprovementTracker(path).record(
            self.analyst, self.comparison, self.settings.model_dump(mode="json", exclude={"name"})
        )

    def to_dict(self, improved: Sequence[str] = ()) -> dict[str, object]:
        """Return the comparison as plain values for JSON."""
        return {
            "analyst": self.analyst,
            "horizon": self.comparison.horizon,
            "improvement_pct": self.comparison.improvement_pct,
            "n_better": self.comparison.n_better,
            "best_so_far": list(improved),
            "symbols": self.comparison.table.reset_index().to_dict(orient="records"),
        }


def compare_analysts(
    market: Market,
    analysts: Sequence[AnalystSettings],
    horizon: int,
    *,
    since: pd.Timestamp | str,
    every_days: int = 5,
    progress: Callable[[int], None] = lambda _done: None,
) -> list[AnalystComparison]:
    """Fit each analyst on what was known before `since` and compare it with naive persistence from there on.

    Args:
        market: The whole market.
        analysts: Who is compared; each forecasts `horizon`, whatever its settings say.
        horizon: Sessions ahead.
        since: First date to forecast from.
        every_days: Sessions from one forecast to the next.
        progress: Told the analysts done so far.

    Raises:
        DataError: There is not a session before `since`, or none far enough after it.
    """
    row = int(market.dates.searchsorted(pd.Timestamp(since)))
    if row == 0 or row + horizon >= market.n_dates:
        raise DataError(
            f"--since {since} leaves {row} sessions to fit on and {max(market.n_dates - row, 0)} to judge; it must lie "
            f"inside {market.dates[0].date()} to {market.dates[-1].date()}, {horizon} sessions before the end"
        )
    past = market.until(market.dates[row - 1]).copy()  # the memory behind a cut goes on past its end
    results = []
    for position, settings in enumerate(analysts):
        told = settings.model_copy(update={"horizons": (horizon,)})
        analyst = make_analyst(told).fit(past)
        found = compare_with_naive(analyst, market, horizon, since=market.dates[row], every_days=every_days)
        results.append(AnalystComparison(told, found))
        progress(position + 1)
    return results
