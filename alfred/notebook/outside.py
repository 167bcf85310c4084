"""Weights of another tool, walked through our ledger beside the benchmark held and equal weight of the same assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.prices.sp500 import BENCHMARK
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import DataError, suggest
from alfred.evaluation.outside.judgement import NO_CASH
from alfred.evaluation.outside.kinds import Layout
from alfred.evaluation.outside.series import name_file
from alfred.evaluation.outside.table import OutsideTable, check_sessions
from alfred.evaluation.report.inputs import ReportInput
from alfred.notebook.backtest import backtest
from alfred.typing import Float, FloatArray, Observation

_ROUNDED = 1e-3  # what a spreadsheet rounds away; rows within it are scaled to sum to one
_LEAST_LEVERAGE = 1.0
_MOST_LEVERAGE = 10.0


class HeldWeights:
    """A table of weights as a `Policy`: traded at each of its rows, and left to drift in between.

    Attributes:
        name: Name in tables.
        rebalance_every: A decision each session.
        lookback: It reads no prices.
        under_mandate: Whether constraints and risk rules hold for it.
        may_hold: Between rows it leaves the book alone.
    """

    rebalance_every: int | None = 1
    lookback = 0
    under_mandate = True
    may_hold = True

    def __init__(self, weights: pd.DataFrame, market: Market, name: str) -> None:
        """Store the weights, one row a decision and one column an asset, the rest in cash."""
        self.name = name
        self._market = market
        self._dates = pd.DatetimeIndex(weights.index)
        assets = weights.reindex(columns=list(market.symbols)).fillna(0.0).to_numpy(np.float64)
        self._weights: FloatArray = np.column_stack([assets, 1.0 - assets.sum(axis=1)])
        self._rows = np.zeros(0, dtype=np.int64)
        self._bar = 0

    def check_fit(self, tape: Tape, settings: PortfolioSettings) -> None:
        """Find the row that each execution trades to: the latest one at or before the close of the decision."""
        decided = self._market.dates[self._market.dates.get_indexer(tape.dates) - tape.lag]
        self._rows = self._dates.searchsorted(decided, side="right") - 1

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Begin with the first bar."""
        self._bar = 0

    def predict(self, observation: Observation) -> Float:
        """Return the weights of a new row, or NaN to leave the book alone."""
        row, before = self._rows[self._bar], self._rows[self._bar - 1] if self._bar else -1
        self._bar += 1
        return np.asarray(self._weights[row][None] if row != before else np.full((1, self._weights.shape[1]), np.nan))


def make_weights_input(
    table: OutsideTable,
    layout: Layout,
    *,
    prices: Path | None = None,
    benchmark: str | None = None,
    settings: Mapping[str, object] | None = None,
    name: str | None = None,
    n_trials: int = 1,
) -> tuple[ReportInput, dict[str, str]]:
    """Return what `write_report` makes a page of, and what was found in the file.

    Each row is decided at the close of its date, traded at the next execution, and drifts until the next row. The
    record ends with the date of the last row.

    Args:
        table: The file.
        layout: What it holds.
        prices: A price table or a folder of them; the embedded stocks when left out.
        benchmark: A symbol of the prices; SPY, or the S&P 500 of the embedded data, when left out.
        settings: Costs, as `env` in a configuration; None is what a configuration has.
        name: Name in tables; that of the file when left out.
        n_trials: Strategies that were tried to find this one; the verdict pays for them.

    Raises:
        DataError: Dates, symbols or weights are not what they must be; the text names the value and the remedy.
    """
    weights = read_weights(table, layout)
    symbols = [str(symbol) for symbol in weights.columns]
    market = _load(symbols, prices, benchmark, table.path)
    first, last = weights.index[0], weights.index[-1]
    if first < market.dates[0] or last > market.dates[-1]:
        raise DataError(
            f"the weights of {table.path} cover {first.date()} to {last.date()}, and the prices "
            f"{market.dates[0].date()} to {market.dates[-1].date()}; cut the weights, or give longer prices"
        )
    gross = float(np.abs(weights.to_numpy()).sum(axis=1).max())
    levered = bool((weights.to_numpy() < 0).any()) or gross > 1.0 + _ROUNDED
    given: dict[str, object] = {key: value for key, value in (settings or {}).items() if value is not None}
    if levered:
        given["action"] = {"mode": "long_short", "max_leverage": max(gross * (1.0 + 1e-9), _LEAST_LEVERAGE)}
    policy = HeldWeights(weights, market, name or name_file(table.path))
    found = backtest(policy, market, settings=given, start=first, end=last, n_trials=n_trials)
    caveats = [
        f"The weights of {policy.name} were computed elsewhere: what they knew when they were decided cannot be "
        "checked here. Each row is taken as decided at the close of its date, and traded at the next execution.",
        *table.notes,
    ]
    if levered:
        caveats.append(f"The weights are short or levered, up to {gross:.2f} of wealth; fees for both are zero here.")
    if given.get("cash_rate_pct") is None and market.cash_rate is None:
        caveats.append(NO_CASH)
    terms = PortfolioSettings.model_validate(given)
    record = found.records[0]
    told = {
        "strategy": f"{layout.describe()} of {table.path}, {len(weights)} rows",
        "prices": "the embedded US stocks; give others with --prices" if prices is None else str(prices),
        "costs": f"{terms.cost_bps:g} bps commission and {terms.slippage_bps:g} bps slippage on what is traded",
        "benchmark": f"{market.benchmark}, held in the same ledger",
        "sessions": f"{len(record.dates)}, {record.dates[0].date()} to {record.dates[-1].date()}, "
        f"{record.periods_per_year} a year",
    }
    return found.make_report_input(f"{policy.name}, judged by alfred", caveats), told


def read_weights(table: OutsideTable, layout: Layout) -> pd.DataFrame:
    """Return weights by date and symbol; empty cells are zero, and cash is left out.

    Raises:
        DataError: Rows are doubled or unsorted, sum to more than a portfolio, or to something else with their cash.
    """
    if layout.long:
        symbol, weight = layout.columns
        frame = pd.DataFrame(
            {"date": table.days, "symbol": table.cells[symbol].astype(str), "weight": table.read_numbers(weight)}
        )
        doubled = frame.duplicated(["date", "symbol"])
        if doubled.any():
            row = frame[doubled].iloc[0]
            raise DataError(f"{table.path} has two weights of {row['symbol']} on {row['date'].date()}; keep one")
        if not frame["date"].is_monotonic_increasing:
            raise DataError(f"the dates of {table.path} are not sorted; sort the rows by date")
        wide = frame.pivot_table(index="date", columns="symbol", values="weight", sort=True)
    else:
        check_sessions(table.days, table.path)
        wide = pd.DataFrame({name: table.read_numbers(name) for name in layout.columns}, index=table.days)
    wide = wide.rename(columns=lambda label: str(label).removeprefix("weight of ")).fillna(0.0)
    if not wide.columns.is_unique:
        twice = wide.columns[wide.columns.duplicated()][0]
        raise DataError(f"{table.path} has two columns of weights of {twice}; keep one")
    gross = wide.abs().sum(axis=1)
    if gross.max() > _MOST_LEVERAGE:
        date = gross.idxmax()
        raise DataError(
            f"the weights of {table.path} sum to {gross.max():g} on {date.date()}: weights are fractions of wealth "
            "that sum to one; divide them by 100 if they are per cent, or numbers of shares by the value held"
        )
    cash = next((label for label in wide.columns if str(label).lower() == "cash"), None)
    assets = wide.drop(columns=[] if cash is None else [cash])
    total = wide.sum(axis=1)
    if cash is not None and (off := (total - 1.0).abs()).max() > _ROUNDED:
        date = off.idxmax()
        raise DataError(
            f"the weights of {table.path} sum to {total[date]:g} with their cash on {date.date()}; make every row sum "
            "to 1, or leave the column out"
        )
    assets = assets.loc[:, (assets != 0.0).any()]
    if not assets.shape[1]:
        raise DataError(f"the weights of {table.path} are zero everywhere; nothing is held")
    # Rounding must not borrow cash.
    over = assets.sum(axis=1)
    rounded = (over > 1.0) & (over <= 1.0 + _ROUNDED) & (assets >= 0.0).all(axis=1)
    return assets.div(over.where(rounded, 1.0), axis=0)


def _load(symbols: list[str], prices: Path | None, benchmark: str | None, path: Path) -> Market:
    """Return the prices of the assets and of the benchmark; the assets are what may be held.

    Raises:
        DataError: A symbol has no price.
    """
    if prices is None:
        whole = load_market(DataSettings())
    else:
        whole = load_market(DataSettings.model_validate({"path": prices, "benchmark": benchmark, "investable": "all"}))
    against = benchmark or (BENCHMARK if prices is None else whole.benchmark)
    if unknown := [symbol for symbol in (*symbols, against) if symbol not in whole.symbols]:
        where = "the embedded data; name a file with --prices" if prices is None else f"{prices}"
        raise DataError(
            f"there are no prices of '{unknown[0]}', which {path} holds, in {where}."
            f"{suggest(unknown[0], whole.symbols)}"
        )
    kept = whole.select(list(dict.fromkeys([*symbols, against])), benchmark=against)
    # Equal weight of the same universe is that of the assets of the table.
    return replace(kept, investable=tuple(symbols))
