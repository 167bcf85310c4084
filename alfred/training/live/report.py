"""What an account earned against what was expected of it.

Two things are expected. The same policies walked through the same sessions now say what the account should have booked:
any difference is a restated price, another model or a day that was decided otherwise. The judged test says what the
strategy earned, traded and paid; `alfred.training.live.drift` says whether the sessions since are still like it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.formatting import format_number, format_percent
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.live.account import PaperAccount, Terms, tell_impact
from alfred.training.live.desk import Day, Desk
from alfred.training.live.drift import Drift, watch_drift
from alfred.training.live.fills import FillFigures, weigh_fills
from alfred.training.live.opened import LiveRun
from alfred.typing import FloatArray

_SAME = 1e-12
_SHOWN = 3


@dataclass(frozen=True)
class Figures:
    """A record in yearly numbers; fractions.

    Attributes:
        mean: Mean return in excess of cash.
        volatility: Standard deviation of the net return.
        sharpe: Of the net return in excess of cash; NaN where it does not exist.
        active: Mean return less the benchmark's.
        turnover: One-way.
        cost: Costs.
    """

    mean: float
    volatility: float
    sharpe: float
    active: float
    turnover: float
    cost: float

    @classmethod
    def from_record(cls, record: Backtest) -> Figures:
        """Read them off a record."""
        year = record.periods_per_year
        return cls(
            mean=float(record.excess.mean()) * year,
            volatility=float(record.net.std(ddof=1)) * year**0.5 if len(record.net) > 1 else float("nan"),
            sharpe=compute_sharpe(record.excess, year) if len(record.net) > 1 else float("nan"),
            active=float((record.net - record.benchmark).mean()) * year,
            turnover=float(record.turnover.mean()) * year,
            cost=float(record.costs.mean()) * year,
        )


@dataclass(frozen=True, eq=False)
class PaperReport:
    """An account, realised against expected.

    Attributes:
        terms: The account.
        realised: Record of what was booked, or None before the first session.
        expected: The same sessions walked now.
        judged: Record of the judged test, or None where the run was not evaluated.
        fills: What was really traded, or None where nothing was reported.
        drift: Whether the account is still what was judged.
    """

    terms: Terms
    realised: Backtest | None
    expected: Backtest | None
    judged: Backtest | None
    fills: FillFigures | None
    drift: Drift

    @property
    def tracking_error(self) -> float:
        """Yearly standard deviation of booked less expected returns; NaN for fewer than two sessions."""
        if self.realised is None or len(self.differences) < 2:
            return float("nan")
        return float(self.differences.std(ddof=1) * np.sqrt(self.realised.periods_per_year))

    @property
    def differences(self) -> FloatArray:
        """Booked less expected returns, on the sessions that both have: one may have come since it was booked."""
        if self.realised is None or self.expected is None:
            return np.empty(0)
        booked, now = (pd.Series(record.net, record.dates) for record in (self.realised, self.expected))
        return np.asarray((booked - now).dropna(), dtype=np.float64)

    @property
    def sentences(self) -> list[str]:
        """The verdicts, one sentence each, that of the drift alarm first."""
        found = [self._tell_drift()]
        if len(self.differences):
            worst = float(np.abs(self.differences).max())
            found.append(
                "Every session is booked as the same policies, walked now, would book it."
                if worst <= _SAME
                else f"The same policies, walked now, book otherwise, by up to {1e4 * worst:.3g} bps in a session: "
                "prices were restated, or the models are others than those that decided."
            )
        if self.fills is not None:
            found.append(
                f"{self.fills.count} fills of {self.fills.value:,.2f} in all cost {self.fills.shortfall:,.2f} more "
                f"than at the booked prices without costs, {format_number(self.fills.bps, 1)} bps of what was traded."
            )
            if self.fills.problems:
                shown = "; ".join(self.fills.problems[:_SHOWN])
                more = f"; and {len(self.fills.problems) - _SHOWN} more" if len(self.fills.problems) > _SHOWN else ""
                found.append(f"What the broker says is not what was ordered and booked: {shown}{more}.")
        return found

    def tabulate(self) -> list[tuple[str, str, str]]:
        """Return what was realised beside what was expected: the judged test, a row a quantity."""
        if self.realised is None:
            return []
        now = Figures.from_record(self.realised)
        then = None if self.judged is None else Figures.from_record(self.judged)
        rows = [("sessions", str(len(self.realised.net)), "" if self.judged is None else str(len(self.judged.net)))]
        for label, name, is_share in (
            ("return in excess of cash, a year", "mean", True),
            ("volatility, a year", "volatility", True),
            ("Sharpe ratio in excess of cash", "sharpe", False),
            ("return less the benchmark's, a year", "active", True),
            ("turnover, a year", "turnover", True),
            ("costs, a year", "cost", True),
        ):
            spell = format_percent if is_share else format_number
            rows.append((label, spell(getattr(now, name), 2), "" if then is None else spell(getattr(then, name), 2)))
        rows.append(
            ("tracking error to the same policies walked now, a year", format_percent(self.tracking_error, 4), "0")
        )
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON; numbers that do not exist are None."""
        found = {
            "realised": None if self.realised is None else Figures.from_record(self.realised).__dict__,
            "judged": None if self.judged is None else Figures.from_record(self.judged).__dict__,
            "n_days": 0 if self.realised is None else len(self.realised.net),
            "tracking_error": self.tracking_error,
            "fills": None if self.fills is None else {**self.fills.__dict__, "bps": self.fills.bps},
            "drift": {
                "n_judged": self.drift.n_judged,
                "n_new": self.drift.n_new,
                "evidence": float(self.drift.evidence[-1]) if len(self.drift.evidence) else 1.0,
                "alpha": self.drift.alpha,
                "alarm": None if self.drift.alarm is None else self._date_alarm(self.drift.alarm),
                "direction": self.drift.direction,
                "reason": self.drift.reason,
            },
            "sentences": self.sentences,
        }
        return {name: _drop_nan(value) for name, value in found.items()}

    def _tell_drift(self) -> str:
        drift = self.drift
        if drift.reason:
            return f"Whether this is still what was judged cannot be said: {drift.reason}."
        level = f"{drift.evidence[-1]:.3g} of the {1 / drift.alpha:.3g} at which there is an alarm"
        if drift.alarm is None:
            return (
                f"No alarm: the {drift.n_new} sessions since the test are like the {drift.n_judged} of the test, as "
                f"far as can be told (evidence {level}; a false alarm has a chance of {drift.alpha:.0%} in all)."
            )
        return (
            f"Alarm since {self._date_alarm(drift.alarm)}: this is no longer the strategy that was judged, its returns "
            f"beside the benchmark are {drift.direction} than in the test (chance of a false alarm {drift.alpha:.0%} "
            f"in all)."
        )

    def _date_alarm(self, number: int) -> str:
        dates = pd.DatetimeIndex([]) if self.realised is None else self.realised.dates
        return str(dates[len(dates) - self.drift.n_new + number].date())


def measure(folder: Path | str) -> PaperReport:
    """Compare an account with what was expected of it.

    Args:
        folder: Of the account.

    Raises:
        AlfredError: There is no account, or its run cannot be opened.
    """
    account = PaperAccount.open(folder)
    live = account.open_run()
    days = account.read_days(live)
    desk = account.make_desk(live, days[-1].date)
    judged = find_judged(live, account.terms.agent)
    realised = expected = None
    if len(days) > 1:
        realised = desk.walk_back(days, account.terms.agent)
        expected = _walk_anew(desk, account.terms.agent)
    fills = account.fetch_fills()
    return PaperReport(
        terms=account.terms,
        realised=realised,
        expected=expected,
        judged=judged,
        fills=None if not fills else weigh_fills(fills, account.fetch_orders(), live, desk),
        drift=_watch(realised, judged),
    )


def describe_status(folder: Path | str) -> dict[str, Any]:
    """Return what an account holds and has decided, and what is not booked yet, for JSON.

    Args:
        folder: Of the account.

    Raises:
        AlfredError: There is no account, or its run cannot be opened.
    """
    account = PaperAccount.open(folder)
    live = account.open_run()
    day: Day = account.read_days(live)[-1]
    decision = day.weights if day.decision is None else day.decision
    names = (*account.terms.symbols, "CASH")
    return {
        "account": str(folder),
        "run": account.terms.run,
        "agent": account.terms.agent,
        "start": account.terms.start,
        "date": str(day.date.date()),
        "wealth": account.terms.capital * day.wealth,
        "gain": day.wealth - 1.0,
        "n_waiting": int((live.prepared.market.dates > day.date).sum()),
        "weights": [
            {"symbol": name, "weight": float(held), "decision": float(wanted)}
            for name, held, wanted in zip(names, day.weights, decision, strict=True)
        ],
        "notes": [*live.notes, *tell_impact(live, account.terms.capital)],
    }


def find_judged(live: LiveRun, agent: str) -> Backtest | None:
    """Return the record of an agent in the judged test, or None where the run was not evaluated."""
    for path in sorted(live.prepared.run.backtests.glob("*.parquet")):
        try:
            record = Backtest.load(path)
        except CheckpointError:
            continue  # `alfred evaluate` says what is damaged
        if record.name == agent:
            return record
    return None


def _walk_anew(desk: Desk, name: str) -> Backtest:
    days = [desk.begin()]
    days += desk.go_on(days)
    return desk.walk_back(days, name)


def _watch(realised: Backtest | None, judged: Backtest | None) -> Drift:
    nothing = np.empty(0)
    if judged is None:
        return Drift(0, 0, nothing, 0.05, None, "", "the run was not evaluated; run `alfred evaluate`")
    if realised is None:
        return watch_drift(judged.net - judged.benchmark, nothing, [])
    new = realised.dates > judged.dates[-1]
    new[0] = False  # an account that begins in cash is not yet the strategy on its first session
    difference = (realised.net - realised.benchmark)[new]
    return watch_drift(judged.net - judged.benchmark, difference, [str(date.date()) for date in realised.dates[new]])


def _drop_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _drop_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
