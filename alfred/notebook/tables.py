"""Markets and signals from the tables that a notebook holds: pandas, or whatever speaks Arrow (polars, pyarrow)."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from alfred.data.market import Market
from alfred.data.sessions import to_day, to_session_dates
from alfred.data.settings import DataSettings
from alfred.data.signals import Signals
from alfred.data.sources import load_market as load
from alfred.errors import ConfigError, DataError, SignalError, suggest
from alfred.keys.mistakes import explain_briefly
from alfred.settings import check_name
from alfred.typing import Float

_LONG = {"symbol", "close"}
_LAID_OUT = ("dates", "symbols", "close", "benchmark")
_WIDE_KEYS = (
    *("benchmark", "start", "end", "symbols"),
    *(key for key in inspect.signature(Market.from_arrays).parameters if key not in _LAID_OUT),
)


def to_frame(table: Any) -> pd.DataFrame:
    """Return a table as pandas has it.

    Args:
        table: A DataFrame of pandas, any table that exports the Arrow C stream, as polars and pyarrow do, or a
            LazyFrame of polars, which is collected.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(table, pd.Series):
        return table.to_frame()
    if is_table(table):
        whole = table if hasattr(table, "__arrow_c_stream__") else table.collect()
        try:
            return pd.DataFrame(pa.table(whole).to_pandas())
        except pa.ArrowException as error:
            raise DataError(
                f"{type(table).__name__} is no table of named columns: {' '.join(str(error).split())}"
            ) from error
    raise DataError(f"a table must be a DataFrame of pandas or speak Arrow, as polars does; got {type(table).__name__}")


def is_table(thing: object) -> bool:
    """Whether `to_frame` takes something for a table."""
    lazy = hasattr(thing, "collect_schema") and hasattr(thing, "collect")
    return isinstance(thing, pd.DataFrame | pd.Series) or hasattr(thing, "__arrow_c_stream__") or lazy


def to_numbers(frame: pd.DataFrame, what: str) -> Float:
    """Return the cells of a table as numbers, in memory of their own.

    Args:
        frame: The table, dates in its index.
        what: What it holds, for the message.

    Raises:
        DataError: A cell is no number; the text names column, row and cell.
    """
    try:
        return np.array(frame, dtype=np.float64)
    except (TypeError, ValueError):
        for place, column in enumerate(frame.columns):
            for row, cell in frame.iloc[:, place].items():
                if not _is_number(cell):
                    day = row.date() if isinstance(row, pd.Timestamp) else row
                    raise DataError(f"{what} of '{column}' on {day} is {cell!r}, which is no number") from None
        raise


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def load_market(source: Any = None, *, benchmark: str | None = None, **settings: Any) -> Market:
    """Return a market.

    Args:
        source: A CSV or Parquet file or a folder of them; a table of one row a date and symbol (columns `date`,
            `symbol`, `close`, and `open`, `high`, `low`, `volume` where known); a table of closes, one row a date and
            one column a symbol; a `DataSettings`; or None for the embedded stocks.
        benchmark: The symbol to be judged against; SPY, or the S&P 500 of the embedded data, when left out.
        settings: Further keys of `data` in a configuration: `start`, `end`, `symbols`, `investable`.

    Raises:
        DataError: The table holds something that would make a result wrong; the text names symbol, date and value.
        ConfigError: A key is unknown, or does not hold what it must.
    """
    if isinstance(source, DataSettings):
        return load(source)
    for key in ("symbols", "investable"):
        _check_names(key, settings.get(key))
    chosen = {"benchmark": benchmark, **settings}
    if source is None or isinstance(source, str | Path):
        return load(_read_settings({"path": source, **chosen} if source is not None else chosen))
    frame = _name_dates(to_frame(source))
    if set(frame.columns) >= _LONG:
        # Through a file and its reader, so that every check of a file holds for a frame as well.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            frame.to_parquet(path, index=False)
            return load(_read_settings({"source": "files", "path": path, **chosen}))
    if unknown := [key for key in settings if key not in _WIDE_KEYS]:
        raise ConfigError(
            f"a table of closes has no key '{unknown[0]}'; it has {', '.join(_WIDE_KEYS)}."
            f"{suggest(unknown[0], _WIDE_KEYS)}"
        )
    closes = frame.set_index("date")
    named = benchmark or "SPY"
    if named not in closes.columns:
        raise DataError(
            f"the table has no column '{named}' for the benchmark; it has {', '.join(map(str, closes.columns[:8]))}: "
            "name one with benchmark=..., or pass columns date, symbol and close"
        )
    # A copy: what is done to the frame later must not reach the market behind its checks.
    values = to_numbers(closes, "the close")
    missing = np.isnan(values[:, list(closes.columns).index(named)])
    if missing.any():
        raise DataError(
            f"the benchmark '{named}' has no price on {closes.index[int(np.argmax(missing))]} and "
            f"{int(missing.sum()) - 1} other rows; give it one on every session, or drop these rows"
        )
    start, end, symbols = (settings.pop(name, None) for name in ("start", "end", "symbols"))
    names = [str(name) for name in closes.columns]
    if settings.get("investable") == "all":
        settings["investable"] = names
    market = Market.from_arrays(pd.DatetimeIndex(closes.index), names, values, benchmark=named, **settings)
    if symbols is not None:
        if missing_names := [str(name) for name in symbols if str(name) not in names]:
            raise DataError(f"the table has no column '{missing_names[0]}'.{suggest(missing_names[0], names)}")
        symbols = {str(name) for name in symbols}
        market = market.select([name for name in names if name in symbols or name == named])
    market = market if start is None else market.since(to_day(start))
    return market if end is None else market.until(to_day(end))


def _check_names(key: str, value: object) -> None:
    if value is None or (key == "investable" and value == "all"):
        return
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(f"{key} must be a list of names, got {value!r}; write {key}=[{str(value)!r}]")


def _read_settings(values: dict[str, Any]) -> DataSettings:
    try:
        return DataSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"load_market: {explain_briefly(error)}") from error


def make_signals(tables: Any, market: Market, *, horizon: int = 1) -> Signals:
    """Return signals of your own, as environments and backtests take them.

    The row of a date must hold what was known at its close, for nobody can tell afterwards: `alfred audit` looks for
    the future in code, not in numbers. Values are divided by their own past root mean square.

    Args:
        tables: One table of dates x symbols, or a mapping of signal names to such tables.
        market: Names sessions and symbols; what a table lacks is unknown (NaN).
        horizon: Sessions ahead that the signals speak of.

    Raises:
        SignalError: A date is not a session or stands twice, a symbol is unknown, or a number is infinite.
        DataError: A cell is no number.
        ConfigError: A name cannot be that of a signal or stands twice, or the horizon is no number of sessions.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ConfigError(f"horizon is {horizon!r}; it must be a whole number of sessions, at least 1")
    named = tables if isinstance(tables, Mapping) else {"signal": tables}
    if not named:
        raise SignalError("there are no signals; pass a table of dates x symbols, or a mapping of names to tables")
    told = [str(name) for name in named]
    if twice := [name for name in told if told.count(name) > 1]:
        raise ConfigError(f"two signals are called '{twice[0]}'; give one of them another name")
    panels = []
    for name, table in named.items():
        frame = _name_dates(to_frame(table)).set_index("date")
        frame.index = to_session_dates(frame.index.to_list()).as_unit("s")
        frame.columns = [str(column) for column in frame.columns]
        check_name(str(name), "signal")
        for what, labels in (("date", frame.index), ("symbol", frame.columns)):
            if not labels.is_unique:
                raise SignalError(f"signal '{name}' has the {what} {labels[labels.duplicated()][0]} twice; keep one")
        unknown = [column for column in frame.columns if column not in market.symbols]
        if unknown:
            raise SignalError(
                f"signal '{name}': the market has no symbol '{unknown[0]}'.{suggest(unknown[0], market.symbols)}"
            )
        odd = frame.index.difference(market.dates)
        if len(odd):
            raise SignalError(f"signal '{name}': {odd[0].date()} is not a session of the market; drop or move the row")
        frame = pd.DataFrame(to_numbers(frame, f"signal '{name}'"), frame.index, frame.columns)
        panels.append(frame.reindex(index=market.dates, columns=list(market.symbols)).to_numpy(np.float64))
    values = np.stack(panels, axis=2).astype(np.float32)
    if np.isinf(values).any():
        row, column, place = np.argwhere(np.isinf(values))[0]
        raise SignalError(
            f"signal '{list(named)[place]}' of '{market.symbols[column]}' on {market.dates[row].date()} is infinite; a "
            "signal is a number, or NaN where it is not known"
        )
    known = np.flatnonzero(np.isfinite(values).any(axis=(1, 2)))
    if not len(known):
        raise SignalError("the signals hold no number")
    rows = slice(int(known[0]), int(known[-1]) + 1)
    dates = market.dates[rows]
    names = tuple(f"own.{name}_{horizon}" for name in named)
    stamps = np.repeat(dates.to_numpy()[:, None], len(names), axis=1)
    whole = Signals(dates, market.symbols, names, values[rows], stamps, (horizon,) * len(names))
    return whole.scaled()


def _name_dates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose dates stand in the column `date`.

    Raises:
        DataError: There are none.
    """
    if "date" in frame.columns:
        return frame
    if isinstance(frame.index, pd.MultiIndex | pd.DatetimeIndex):
        usual = ("date", "symbol", *(f"level_{place}" for place in range(2, frame.index.nlevels)))
        names = [name or other for name, other in zip(frame.index.names, usual, strict=False)]
        named = frame.rename_axis(index=names).reset_index()
        first = str(frame.index.names[0] or "date")
        return named.rename(columns={first: "date"})
    raise DataError("the table has no dates: give it a column 'date' or dates as its index")
