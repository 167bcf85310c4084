"""What a column of another tool holds: daily returns, wealth, or the weights of assets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alfred.data.prices.columns import squeeze
from alfred.errors import DataError, suggest
from alfred.evaluation.outside.table import OutsideTable
from alfred.typing import FloatArray

Kind = Literal["returns", "wealth", "weights"]

# What a name says of its numbers, where it says it: compared with the name as it is written, in lower case.
_PERCENT = ("%", "percent", "per cent", "pct")
# pandas calls fractions so.
_FRACTIONS = ("pctchange", "changepct")
_LOGARITHM = re.compile(r"(?<![a-z])log[\W_]*(arithmic)?[\W_]*ret")

# Words of the common tools, without punctuation, case and blanks; an earlier one counts before a later one.
_RETURNS = (
    *("net", "netreturn", "netreturns", "strategyreturn", "strategyreturns", "portfolioreturn", "portfolioreturns"),
    *(
        "return",
        "returns",
        "ret",
        "rets",
        "dailyreturn",
        "dailyreturns",
        "dailyret",
        "pnlpct",
        "pctchange",
        "changepct",
    ),
    *("returnpct", "strategy", "logreturn", "logreturns", "logret", "logrets", "strategylogreturn"),
)
_WEALTH = (
    *("wealth", "equity", "accountvalue", "portfoliovalue", "totalquote", "nav", "networth", "totalassets"),
    *("totalvalue", "totalequity", "endingvalue", "equitycurve", "balance", "capital", "value"),
    *("adjclose", "adjustedclose", "closeadjusted", "price", "close"),
)
_CASH = ("cashreturn", "riskfree", "riskfreereturn", "rf")
_BENCHMARK = ("benchmark", "benchmarkreturn", "benchmarkreturns")
_FEW = 3  # names that a message lists
_SYMBOL = ("symbol", "ticker", "tic", "asset", "instrument")
_WEIGHT = ("weight", "weights", "targetweight", "targetpercent", "allocation")
# What exports have beside the numbers, and nobody means.
_IGNORED = ("", "unnamed0", "index", "drawdown", "drawdownpct", "drawdownduration", "level0")
# A series of levels moves by less than half and less than double from one session to the next.
_LEAST_STEP, _MOST_STEP = 0.5, 2.0
_MOST_LEVERAGE = 10.0
# Weights of one asset in every row sum to one up to what a spreadsheet rounds.
_ROUNDED = 1e-3


@dataclass(frozen=True)
class Layout:
    """What a file holds.

    Attributes:
        kind: Returns, wealth or weights.
        columns: The column of returns or wealth; of weights the columns of the assets, or symbol and weight.
        long: Whether weights have one row an asset.
        cash: The column of what cash earned a session, or None.
        benchmark: The column of the benchmark's returns, or None.
    """

    kind: Kind
    columns: tuple[str, ...]
    long: bool = False
    cash: str | None = None
    benchmark: str | None = None

    def describe(self) -> str:
        """Say in words what was found."""
        if self.kind == "weights":
            if self.long:
                return f"weights in column '{self.columns[1]}' by '{self.columns[0]}'"
            shown = ", ".join(self.columns[:5]) + (", ..." if len(self.columns) > 5 else "")
            return f"weights of {len(self.columns)} columns ({shown})"
        beside = [f"the benchmark in '{self.benchmark}'"] if self.benchmark else []
        beside += [f"what cash earned in '{self.cash}'"] if self.cash else []
        return f"{self.kind} in column '{self.columns[0]}'" + "".join(f", {item}" for item in beside)


def says_percent(column: str) -> bool:
    """Whether the name of a column says that its numbers are per cent."""
    return squeeze(column) not in _FRACTIONS and any(word in column.lower() for word in _PERCENT)


def says_logarithm(column: str) -> bool:
    """Whether the name of a column says that its returns are logarithmic."""
    return _LOGARITHM.search(column.lower()) is not None


def detect_layout(table: OutsideTable, kind: Kind | None = None, column: str | None = None) -> Layout:
    """Find out what a file holds.

    Names decide first, then the numbers: a single column with losses holds returns, one of levels wealth, and several
    columns whose rows sum to at most the leverage hold weights.

    Args:
        table: The file.
        kind: What it holds, where the caller knows it.
        column: The column of returns or wealth, where the caller knows it.

    Raises:
        DataError: It cannot be told, or the columns do not fit what was asked for.
    """
    words = {str(name): squeeze(str(name)) for name in table.cells.columns}
    usable = {name: word for name, word in words.items() if word not in _IGNORED}
    if column is not None:
        if column not in words:
            raise DataError(
                f"{table.path} has no column '{column}'; it has {', '.join(words)}.{suggest(column, words)}"
            )
        found = kind or _kind_by_name(words[column]) or guess_kind(table.read_numbers(column), table, column)
        return _make_layout(found, column, usable)
    symbol, weight = _find(usable, _SYMBOL), _find(usable, _WEIGHT)
    if kind in (None, "weights") and symbol and weight:
        return Layout("weights", (symbol, weight), long=True)
    if kind != "weights":
        found_column = _find(usable, _RETURNS) if kind != "wealth" else None
        found_column = found_column or (_find(usable, _WEALTH) if kind != "returns" else None)
        if found_column is not None:
            told = kind or _kind_by_name(usable[found_column]) or "returns"
            if kind is None and told == "wealth" and _look_like_returns(table.read_numbers(found_column)):
                told = "returns"
            return _make_layout(told, found_column, usable)
    beside = (*_CASH, *_BENCHMARK)
    numeric = [name for name, word in usable.items() if word not in beside and table.is_numeric(name)]
    if not numeric:
        raise DataError(f"{table.path} has no column of numbers beside its dates; it has {', '.join(words) or 'none'}")
    if kind != "weights" and len(numeric) == 1:
        found = kind or guess_kind(table.read_numbers(numeric[0]), table, numeric[0])
        return _make_layout(found, numeric[0], usable)
    if kind in (None, "weights"):
        values = np.column_stack([table.read_numbers(name) for name in numeric])
        if kind == "weights" or looks_like_weights(values):
            return Layout("weights", tuple(numeric))
    reason = "" if kind is not None else " and their rows do not sum to one, as weights do"
    raise DataError(
        f"{table.path} has {len(numeric)} columns that may be meant ({', '.join(numeric[:8])}){reason}; name the one "
        "to judge with --column, or say --kind weights"
    )


def guess_kind(values: FloatArray, table: OutsideTable, column: str) -> Kind:
    """Return whether numbers are returns or wealth.

    Raises:
        DataError: They may be either.
    """
    known = values[np.isfinite(values)]
    if (known < 0).any():
        return "returns"
    if len(known) > 1 and (known > 0).all():
        steps = known[1:] / known[:-1]
        if steps.min() > _LEAST_STEP and steps.max() < _MOST_STEP:
            return "wealth"
    raise DataError(
        f"whether column '{column}' of {table.path} holds returns or wealth cannot be told from its numbers; say "
        "--kind returns or --kind wealth"
    )


def looks_like_weights(values: FloatArray) -> bool:
    """Whether rows are fractions of one wealth: `[R, N]`, empty cells are zero."""
    filled = np.nan_to_num(values, nan=0.0)
    gross = np.abs(filled).sum(axis=1)
    if gross.max(initial=0.0) > _MOST_LEVERAGE:
        return False
    total = filled.sum(axis=1)
    whole = float(np.mean(np.abs(total - 1.0) < _ROUNDED))
    return bool((filled >= 0).all() and total.max() <= 1.0 + _ROUNDED and total.mean() > 0.1) or whole > 0.5


def _look_like_returns(values: FloatArray) -> bool:
    """Whether numbers under the name of a level are returns: quantstats calls the returns of prices `Close`."""
    known = values[np.isfinite(values)]
    return bool((known < 0).any() and np.abs(known).max() <= 1.0)


def _kind_by_name(word: str) -> Kind | None:
    return "returns" if word in _RETURNS else "wealth" if word in _WEALTH else None


def check_one_symbol(table: OutsideTable) -> None:
    """Refuse a table of several symbols, such as one of prices, where the returns or the wealth of one are needed.

    Raises:
        DataError: Days stand several times, and a column names the symbol.
    """
    named = _find({str(name): squeeze(str(name)) for name in table.cells.columns}, _SYMBOL)
    if named is not None and not table.days.is_unique:
        symbols = table.cells[named].astype(str).unique()
        told = ", ".join(symbols[:_FEW]) + (" and others" if len(symbols) > _FEW else "")
        raise DataError(
            f"{table.path} has rows of {told} in column '{named}': it needs one row a session; keep the rows of one, "
            "or give weights: a column 'weight' beside it"
        )


def _find(words: dict[str, str], known: tuple[str, ...]) -> str | None:
    """Return the column whose name stands first among known words."""
    matching = [name for name, word in words.items() if word in known]
    return min(matching, key=lambda name: known.index(words[name])) if matching else None


def _make_layout(kind: Kind, column: str, words: dict[str, str]) -> Layout:
    """Return the layout of one column, with the benchmark and the cash that stand beside it."""
    others = {name: word for name, word in words.items() if name != column}
    # Beside wealth a benchmark is most likely an index, and nothing says of what: only returns can be paired by name.
    benchmark = _find(others, _BENCHMARK) if kind == "returns" else None
    return Layout(kind, (column,), cash=_find(others, _CASH), benchmark=benchmark)
