"""Worlds: folders that hold a configuration's tables, true up to a date and random after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.config import Experiment
from alfred.data.market import FIELDS, Market
from alfred.data.perturbation import scramble_after
from alfred.data.sessions import find_close_times
from alfred.data.settings import DataSettings
from alfred.errors import DataError
from alfred.typing import BoolArray

PRICES, SYMBOLS, CASH, CONFIG = "prices.csv", "symbols.csv", "cash.csv", "config.yaml"
_DATED = ("report_date", "fiscal_period_end", "date")

IsFuture = Callable[[pd.DataFrame], BoolArray]
"""Says of each row of a table whether it is of the future, `[R]`."""


@dataclass(frozen=True)
class World:
    """What one process of an audit works on.

    Attributes:
        folder: Holds the tables; the configuration names them.
        experiment: The configuration, pointing at the tables of this world.
        market: The market that it loads.
    """

    folder: Path
    experiment: Experiment
    market: Market


def write_world(folder: Path, market: Market, experiment: Experiment, date: pd.Timestamp | None, seed: int) -> Path:
    """Write the tables of a world and the configuration that points at them.

    Args:
        folder: Where; made when missing.
        market: The true market, as far as the audit reads it.
        experiment: The configuration.
        date: Last date that stays true; None for the true world.
        seed: Seed of the random future.

    Returns:
        Path of the configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bare = replace(market, extras={}, notes=())
    shown = bare if date is None else scramble_after(bare, date, seed)
    _write_prices(folder, shown)
    _write_symbols(folder, shown)
    data = experiment.data
    changes: dict[str, object] = {
        "source": "files",
        "options": None,
        "path": folder / PRICES,
        "symbols": None,
        "start": None,
        "end": None,
    }
    changes |= {"benchmark": market.benchmark, "investable": None, "time_zone": None}
    rng = np.random.default_rng(seed)
    for name in ("fundamentals", "macro", "news"):
        settings = getattr(data, name)
        if settings is not None:
            target = folder / name
            copy_tables(settings.path, target, date and choose_future(name, data, market, date), rng)
            single = target if settings.path.is_dir() else target / settings.path.name
            changes[name] = settings.model_copy(update={"path": single})
    moved = DataSettings.model_validate({**data.model_dump(), **{key: _dump(value) for key, value in changes.items()}})
    environment = experiment.env
    if shown.cash_rate is not None and environment.cash_rate_pct is None:
        rates = pd.DataFrame({"date": shown.dates.strftime("%Y-%m-%d"), "rate": 100.0 * shown.cash_rate})
        rates.to_csv(folder / CASH, index=False)
        environment = environment.model_copy(update={"cash_rate_pct": folder / CASH})
    text = experiment.model_copy(update={"data": moved, "env": environment}).to_yaml()
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder / CONFIG


def copy_tables(source: Path, target: Path, is_future: IsFuture | None, rng: np.random.Generator) -> None:
    """Copy CSV tables, what was not known at a date replaced by something else.

    Numbers are drawn anew; the texts of headlines are, and half of the headlines disappear.

    Args:
        source: A table, or a folder of them.
        target: Folder of the copies.
        is_future: Says which rows of a table are of the future, `[R]`; None copies as it is.
        rng: Draws the future.
    """
    target.mkdir(parents=True, exist_ok=True)
    files = sorted([*source.glob("*.csv"), *source.glob("*.csv.gz")]) if source.is_dir() else [source]
    for file in files:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        if is_future is not None:
            table = scramble_table(table, is_future(table), rng)
        table.to_csv(target / file.name, index=False)


def scramble_table(table: pd.DataFrame, future: BoolArray, rng: np.random.Generator) -> pd.DataFrame:
    """Return a table of texts in which some rows `[R]` say something else; see `copy_tables`."""
    changed = table.copy()
    for name in table.columns:
        if name in (*_DATED, "symbol", "time"):
            continue
        numbers = pd.to_numeric(table[name], errors="coerce").notna().to_numpy() & future
        changed.loc[numbers, name] = [f"{value:.6g}" for value in rng.normal(0.0, 50.0, int(numbers.sum()))]
        if name == "headline":
            changed.loc[future, name] = [f"headline {value}" for value in rng.integers(0, 10**6, int(future.sum()))]
    if "headline" in table:
        return changed[~(future & (rng.random(len(table)) < 0.5))]
    return changed


def choose_future(name: str, data: DataSettings, market: Market, date: pd.Timestamp) -> IsFuture:
    """Return the function that finds the rows of a table that nobody knew at the close of a date.

    Args:
        name: `fundamentals`, `macro` or `news`.
        data: Says how late each becomes known.
        market: Its sessions.
        date: The last date that stays true.
    """
    close = find_close_times(pd.DatetimeIndex([date]), data.news.calendar)[0] if data.news is not None else date
    lag_days = 0 if data.macro is None else data.macro.lag_days
    annual_lag = pd.Timedelta(days=0 if data.fundamentals is None else data.fundamentals.annual_lag_days)

    def of_reports(table: pd.DataFrame) -> BoolArray:
        if "report_date" in table:
            days = _read_days(table, "report_date")
            early = (table["release_time"] == "pre").to_numpy() if "release_time" in table else False
            return np.asarray((days > date) | ((days == date) & ~np.asarray(early)))
        # A fiscal year without the day of its report counts as known a lag after its end.
        return np.asarray(_read_days(table, "fiscal_period_end") + annual_lag >= date)

    def of_series(table: pd.DataFrame) -> BoolArray:
        days = _read_days(table, "date")
        rows = market.dates.searchsorted(days, side="right") - 1 + lag_days
        return np.asarray((days > date) | (rows > market.dates.get_loc(date)))

    def of_headlines(table: pd.DataFrame) -> BoolArray:
        days = _read_days(table, "date")
        clock = pd.to_timedelta(table["time"].replace("", "23:59") + ":00", errors="coerce")
        late = np.asarray(days + pd.TimedeltaIndex(clock) >= close)
        return np.asarray((days > date) | ((days == date) & late))

    return {"fundamentals": of_reports, "macro": of_series, "news": of_headlines}[name]


def _read_days(table: pd.DataFrame, column: str) -> pd.DatetimeIndex:
    """Return the days in a column.

    Raises:
        DataError: The table has no such column.
    """
    if column not in table:
        raise DataError(f"the audit needs a column '{column}' to know the future of a table; it has {list(table)}")
    days = pd.to_datetime(table[column], errors="coerce", format="mixed")
    return pd.DatetimeIndex(days).tz_localize(None).normalize()


def _dump(value: object) -> object:
    return value.model_dump() if hasattr(value, "model_dump") else value


def _write_prices(folder: Path, market: Market) -> None:
    fields = [name for name in FIELDS if getattr(market, name) is not None]
    parts = []
    for column, symbol in enumerate(market.symbols):
        rows = market.tradable[:, column]
        values = {name: market.field(name)[rows, column].astype(np.float64) for name in fields}
        parts.append(pd.DataFrame({"date": market.dates[rows].strftime("%Y-%m-%d"), "symbol": symbol, **values}))
    pd.concat(parts).to_csv(folder / PRICES, index=False)


def _write_symbols(folder: Path, market: Market) -> None:
    rows = []
    for symbol in market.symbols:
        end = market.delistings.get(symbol)
        rows.append(
            {
                "symbol": symbol,
                "sector": market.sectors.get(symbol, ""),
                "investable": "yes" if symbol in market.universe else "no",
                "delisted": "" if end is None else end.date.strftime("%Y-%m-%d"),
                "delisting_return": "" if end is None or end.payout is None else repr(end.payout - 1.0),
            }
        )
    pd.DataFrame(rows).to_csv(folder / SYMBOLS, index=False)
