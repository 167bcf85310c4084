"""Baseline first: how far naive persistence is off, symbol by symbol, and whether an analyst does better.

The error is the mean absolute percentage error of the price `h` sessions later,
`MAE % = 100 mean |forecast - close_{t+h}| / close_t`: in per cent of the last known close, so that it means the same
for every forecaster and symbol. Persistence forecasts `close_t`. An analyst forecasts `close_t exp(median)`, since the
median is what an absolute error asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.analysts.base import Analyst
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError

_DIFFICULTIES = ("easiest", "easy", "hard", "hardest")


@dataclass(frozen=True)
class Comparison:
    """The errors of an analyst beside those of persistence, on the same windows.

    Attributes:
        analyst: Its name.
        horizon: Sessions ahead, h.
        table: By symbol, easiest first: `naive_mae_pct`, `mae_pct`, `improvement_pct` (positive is better than
            naive, in per cent of its error) and `n_windows`.
    """

    analyst: str
    horizon: int
    table: pd.DataFrame

    @property
    def n_better(self) -> int:
        """Symbols on which the analyst beats persistence."""
        return int((self.table["improvement_pct"] > 0).sum())

    @property
    def improvement_pct(self) -> float:
        """Improvement of the error averaged over the symbols, in per cent of persistence's."""
        return float(100 * (1 - self.table["mae_pct"].mean() / self.table["naive_mae_pct"].mean()))

    def summarise(self) -> str:
        """Return one line for people."""
        own, naive = self.table["mae_pct"].mean(), self.table["naive_mae_pct"].mean()
        return (
            f"{self.analyst} at {self.horizon} sessions: MAE {own:.2f} % against {naive:.2f} % of naive persistence "
            f"({self.improvement_pct:+.1f} %), better on {self.n_better} of {len(self.table)} symbols"
        )


def compute_naive_table(market: Market, horizon: int, *, since: pd.Timestamp | str | None = None) -> pd.DataFrame:
    """Return the error of naive persistence for every symbol, easiest first.

    Args:
        market: The market; every session with a close `horizon` sessions later is a window.
        horizon: Sessions ahead, h.
        since: First date to forecast from; the whole history when None.

    Returns:
        Indexed by symbol: `naive_mae_pct`, `n_windows` and `difficulty` (the quarter of the symbols that it is in).

    Raises:
        DataError: No symbol has a close `horizon` sessions after another.
    """
    _require_horizon(market, horizon)
    first = 0 if since is None else int(market.dates.searchsorted(pd.Timestamp(since)))
    close = np.where(market.tradable, market.close, np.nan)[first:].astype(np.float64)
    errors = 100 * np.abs(close[horizon:] / close[:-horizon] - 1) if len(close) > horizon else close[:0]
    known = np.isfinite(errors)
    rows = {
        symbol: (errors[known[:, column], column].mean(), int(known[:, column].sum()))
        for column, symbol in enumerate(market.symbols)
        if known[:, column].any()
    }
    if not rows:
        raise DataError(f"no symbol has a close {horizon} sessions after another; give a longer history")
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["naive_mae_pct", "n_windows"])
    table = table.rename_axis("symbol").sort_values("naive_mae_pct", kind="stable")
    quarter = np.arange(len(table)) * len(_DIFFICULTIES) // len(table)
    return table.assign(difficulty=[_DIFFICULTIES[q] for q in quarter])


def compare_with_naive(
    analyst: Analyst,
    market: Market,
    horizon: int,
    *,
    since: pd.Timestamp | str | None = None,
    every_days: int = 1,
) -> Comparison:
    """Compare a fitted analyst with persistence on the same windows.

    Whoever calls this must have fitted the analyst before `since`: the market here holds the outcomes.

    Args:
        analyst: A fitted analyst.
        market: The market with what happened; windows that end within `horizon` of its end have no outcome.
        horizon: One of the analyst's horizons, h.
        since: First date to forecast from; the whole history when None.
        every_days: Sessions from one forecast to the next.

    Raises:
        ConfigError: The analyst does not forecast this horizon.
        DataError: There is no window with an outcome.
    """
    if horizon not in analyst.horizons:
        raise ConfigError(
            f"analyst '{analyst.settings.label}' forecasts {analyst.horizons} sessions, not {horizon}; add it to its "
            "horizons"
        )
    _require_horizon(market, horizon)
    first = 0 if since is None else int(market.dates.searchsorted(pd.Timestamp(since)))
    position = analyst.horizons.index(horizon)
    pieces = []
    for row, column, contexts in iterate_contexts(
        market,
        np.arange(first, market.n_dates - horizon, every_days),
        length=analyst.context_length,
        fields=analyst.fields,
        min_history=analyst.min_history,
    ):
        ratio = np.where(market.tradable, market.close, np.nan)[row + horizon, column] / market.close[row, column]
        forecast = analyst.predict(contexts)
        middle = int(np.argmin(np.abs(np.asarray(forecast.levels) - 0.5)))
        own = np.exp(forecast.quantiles[:, position, middle])
        pieces.append(
            pd.DataFrame(
                {
                    "symbol": contexts.symbols,
                    "naive_mae_pct": 100 * np.abs(1 - ratio),
                    "mae_pct": 100 * np.abs(own - ratio),
                }
            )
        )
    errors = pd.concat(pieces).dropna() if pieces else pd.DataFrame()
    if errors.empty:
        raise DataError(
            f"there is no window of {analyst.context_length} sessions with a close {horizon} sessions later; give a "
            "longer history or an earlier date"
        )
    grouped = errors.groupby("symbol")
    table = grouped.mean().assign(n_windows=grouped.size())
    table["improvement_pct"] = 100 * (1 - table["mae_pct"] / table["naive_mae_pct"])
    return Comparison(analyst.settings.label, horizon, table.sort_values("naive_mae_pct", kind="stable"))


def _require_horizon(market: Market, horizon: int) -> None:
    if not 1 <= horizon < market.n_dates:
        raise ConfigError(
            f"horizon {horizon} must be from 1 to {market.n_dates - 1}, the sessions of the market less one"
        )
