"""Tomorrow's portfolio: what the latest policy of a run wants to hold, and the trades that lead there.

Axes legend: N symbols, K signals.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.data.files import require_file
from alfred.errors import DataError, suggest
from alfred.training.judging.walking import find_first_decision
from alfred.training.live.desk import Day, Desk
from alfred.training.live.opened import LiveRun, describe_age
from alfred.typing import FloatArray

CASH = "CASH"
_EXPLAINED = 3  # changes
_REASONS = 3  # signals behind each
_STILL = 1e-6  # of wealth


@dataclass(frozen=True)
class Reason:
    """What a signal has to do with a target weight.

    Attributes:
        signal: Its name.
        value: What it says of the symbol today, scaled as the agent sees it.
        effect: Target weight less the one that the policy wants when the signal is zero for all symbols.
    """

    signal: str
    value: float
    effect: float


@dataclass(frozen=True)
class Line:
    """One symbol of an allocation; money and shares are None where nothing says how much there is.

    Attributes:
        symbol: Its name.
        weight: Held now, as a fraction of wealth.
        target: To be held after the trade.
        price: Last close.
        shares: To buy, negative to sell.
        value: Of the trade, in the currency of the prices.
        cost: Of the trade, likewise.
        cost_pct: Of the trade, in per cent of wealth.
        reasons: The signals behind it, for the largest changes.
    """

    symbol: str
    weight: float
    target: float
    price: float | None
    shares: float | None
    value: float | None
    cost: float | None
    cost_pct: float
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Allocation:
    """What to hold from the next execution on.

    Attributes:
        agent: Whose decision.
        date: ISO date of the close at which it is taken.
        execution: When it is traded.
        wealth: What is held now, in the currency of the prices; None where nothing says it.
        lines: One a symbol, and cash last.
        turnover: Half the sum of absolute weight changes.
        cost: Of all trades, as a fraction of wealth.
        age: See `alfred.training.live.opened.describe_age`.
        notes: What a reader should know.
    """

    agent: str
    date: str
    execution: str
    wealth: float | None
    lines: tuple[Line, ...]
    turnover: float
    cost: float
    age: Mapping[str, Any]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def to_csv(self) -> str:
        """Return it as CSV: a row a symbol, cash last."""
        names = ("symbol", "weight", "target", "price", "shares", "value", "cost", "cost_pct")
        rows = [",".join("" if (v := getattr(line, name)) is None else str(v) for name in names) for line in self.lines]
        return "\n".join([",".join(names), *rows]) + "\n"


def allocate(
    live: LiveRun,
    *,
    agent: str | None = None,
    date: pd.Timestamp | None = None,
    holdings: Mapping[str, float] | None = None,
    cash: float | None = None,
) -> Allocation:
    """Return the target weights of the next execution and the trades that lead there.

    The policy is walked through the whole test with a book of its own, so that its state is that of a backtest; at the
    last close it is shown what is really held. Without holdings or cash, that is its own book.

    Args:
        live: The run.
        agent: Name of the agent; the first one when left out.
        date: Close of the decision; the last one that is known when left out. On another day, the session before.
        holdings: Shares by symbol; none when left out.
        cash: Money beside them; none when left out.

    Raises:
        DataError: The date is not known yet or before the test, a symbol is unknown, or there is nothing to invest.
    """
    settings = live.find_agent(agent)
    close, notes = find_close(live, date)
    desk = Desk(live.prepared, live.load_stages(settings), find_first_decision(live.prepared), close)
    days = [desk.begin()]
    days += desk.go_on(days)
    last = days[-1]
    wealth, weights = None, last.weights
    if holdings is not None or cash is not None:
        wealth, weights = weigh(desk, holdings or {}, cash or 0.0)
        check_mandate(live, weights)
    notes += tell_stale(live, desk, last.date, weights)
    decision = desk.ask(days, weights)
    target = weights if decision is None else decision
    if not desk.is_due(desk.find_bar(last.date) + 1):
        notes.append(
            f"the agent decides every {desk.every} sessions, and its own book would not trade now; these are the "
            "weights that it would choose"
        )
    capital = live.prepared.experiment.env.impact.capital
    plan = desk.plan(target, weights, None if wealth is None else wealth / capital)
    reasons = explain_changes(desk, days, weights, target, plan.traded)
    lines = []
    for column, symbol in enumerate((*desk.tape.symbols, CASH)):
        price = float(desk.closes[column]) if symbol != CASH and np.isfinite(desk.closes[column]) else None
        value = None if wealth is None else float(plan.traded[column]) * wealth
        shares = None if value is None or price is None else value / price
        cost = float(plan.costs[column])
        lines.append(
            Line(
                symbol=symbol,
                weight=float(weights[column]),
                target=float(plan.after[column]),
                price=price,
                shares=shares,
                value=value,
                cost=None if wealth is None else cost * wealth,
                cost_pct=100.0 * cost,
                reasons=reasons.get(column, ()),
            )
        )
    return Allocation(
        agent=settings.label,
        date=str(last.date.date()),
        execution=f"next {'open' if desk.tape.intraday is not None else 'close'}",
        wealth=wealth,
        lines=tuple(lines),
        turnover=0.5 * float(np.abs(plan.after - plan.before).sum()),
        cost=float(plan.costs.sum()),
        age=describe_age(live),
        notes=(*live.notes, *notes),
    )


def find_close(live: LiveRun, date: pd.Timestamp | None) -> tuple[pd.Timestamp, list[str]]:
    """Return the session of a date, or the last one before it, and what is to be said of that.

    Raises:
        DataError: It is not known yet, or before the test.
    """
    dates = live.prepared.market.dates
    if date is None:
        return dates[-1], []
    if date > dates[-1]:
        more = f"; the data reach {live.available.date()}, run `alfred update` first" if date <= live.available else ""
        raise DataError(f"nothing is known after {dates[-1].date()}, and {date.date()} is asked for{more}")
    first = find_first_decision(live.prepared)
    if date < first:
        raise DataError(
            f"the agents were trained on sessions up to the test; ask for {first.date()} or later, not {date.date()}"
        )
    close = dates[int(dates.searchsorted(date, side="right")) - 1]
    return close, [] if close == date else [f"{date.date()} is no session; this is the close of {close.date()}"]


def weigh(desk: Desk, holdings: Mapping[str, float], cash: float) -> tuple[float, FloatArray]:
    """Return the worth of what is held at the last close, and its weights, cash last, `[N+1]`.

    Raises:
        DataError: A symbol is unknown or has no price, a number is none, or there is nothing to invest.
    """
    symbols = desk.tape.symbols
    values = np.zeros(len(symbols) + 1)
    values[-1] = cash
    for symbol, shares in holdings.items():
        if symbol not in symbols:
            raise DataError(f"the run does not trade {symbol}, which is held.{suggest(symbol, symbols)}")
        price = desk.closes[symbols.index(symbol)]
        if not math.isfinite(shares) or (shares and not np.isfinite(price)):
            raise DataError(f"{shares:g} shares of {symbol} cannot be priced (last close {price:g})")
        values[symbols.index(symbol)] = shares * price if shares else 0.0
    wealth = float(values.sum())
    if not math.isfinite(wealth) or wealth <= 0:
        raise DataError(f"holdings and cash are worth {wealth:g}: there must be something to invest; name --cash")
    return wealth, values / wealth


def tell_stale(live: LiveRun, desk: Desk, close: pd.Timestamp, weights: FloatArray) -> list[str]:
    """Return a sentence for each symbol that is held and did not trade at a close: what it is worth is an old price.

    Args:
        live: The run.
        desk: The account.
        close: The close.
        weights: What is held, cash last, `[N+1]`.
    """
    market = live.prepared.market.until(close)
    found = []
    for column in np.flatnonzero((weights[:-1] != 0.0) & ~market.tradable[-1]):
        traded = np.flatnonzero(market.tradable[:, column])
        if len(traded):
            age = market.n_dates - 1 - int(traded[-1])
            found.append(
                f"{desk.tape.symbols[column]} did not trade at this close: it is valued at its price of "
                f"{market.dates[traded[-1]].date()}, {age} session(s) before, and cannot be sold"
            )
    return found


def check_mandate(live: LiveRun, weights: FloatArray) -> None:
    """Refuse short positions where the agent may hold none.

    Raises:
        DataError: There is one.
    """
    action = live.prepared.experiment.env.action
    if action.long_only and weights.min() < 0.0:
        symbol = (*live.prepared.market.symbols, CASH)[int(np.argmin(weights))]
        raise DataError(
            f"{symbol} is held short ({weights.min():.2%} of wealth), and the run is long only; cover it first"
        )


def read_holdings(path: Path) -> tuple[dict[str, float], float | None]:
    """Read a CSV with the columns `symbol` and `shares`; a row `CASH` holds money.

    Returns:
        Shares by symbol, and the money, or None where no row says it.

    Raises:
        DataError: It cannot be read, or a row is none; file, row and value are named.
    """
    try:
        with require_file(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if missing := [name for name in ("symbol", "shares") if name not in names]:
        raise DataError(
            f"{path} has no column '{missing[0]}': it needs symbol and shares, and has {', '.join(names) or 'nothing'}"
        )
    found: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise DataError(
                f"row {number} of {path} has more cells than the header ({', '.join(map(str, row.values()))}); write "
                "numbers without commas for thousands"
            )
        symbol, shares = (row.get("symbol") or "").strip(), (row.get("shares") or "").strip()
        symbol = CASH if symbol.upper() == CASH else symbol
        try:
            amount = float(shares)
        except ValueError:
            amount = math.nan
        if not symbol or not math.isfinite(amount):
            raise DataError(f"row {number} of {path} needs a symbol and a number of shares, and has {dict(row)}")
        if symbol in found:
            raise DataError(f"row {number} of {path}: {symbol} stands twice; add its shares up")
        found[symbol] = amount
    if not found:
        raise DataError(f"{path} holds no holdings: it needs the columns symbol,shares and a row for each")
    return {symbol: shares for symbol, shares in found.items() if symbol != CASH}, found.get(CASH)


def explain_changes(
    desk: Desk, days: list[Day], weights: FloatArray, target: FloatArray, traded: FloatArray
) -> dict[int, tuple[Reason, ...]]:
    """Return the signals behind the largest changes, by column.

    Each signal is set to zero for all symbols, as if it said nothing, and the policy is asked once more, from the state
    that it was in; the effect of the signal is what its target weight loses. Effects need not add up.

    Args:
        desk: Of the walk.
        days: Its days.
        weights: What is held, `[N+1]`.
        target: What the policy wants, `[N+1]`.
        traded: Value of the trades, `[N+1]`.
    """
    names = desk.tape.signal_names
    order = np.argsort(-np.abs(traded[:-1]))[:_EXPLAINED]
    columns = [int(column) for column in order if abs(traded[column]) > _STILL]
    if not names or not columns:
        return {}
    bar = desk.find_bar(days[-1].date) + 1
    effects = np.zeros((len(names), len(target)))
    for number in range(len(names)):
        without = desk.ask(days, weights, blank=number)
        effects[number] = 0.0 if without is None else target - without
    found = {}
    for column in columns:
        largest = np.argsort(-np.abs(effects[:, column]))[:_REASONS]
        found[column] = tuple(
            Reason(names[place], float(desk.tape.signals[bar, column, place]), float(effects[place, column]))
            for place in largest
            if abs(effects[place, column]) > _STILL
        )
    return found
