"""The desk: one account, walked bar by bar through what is known, and one decision further.

It books with the simulator of the backtest and asks policies as the backtest does, so that an account that was walked
through past sessions is the backtest of the same policies to the last bit.

Axes legend: N symbols.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.envs.plain_bar import RUIN
from alfred.envs.policy import Policy
from alfred.envs.simulator import PortfolioSimulator
from alfred.errors import AlfredError, ConfigError, DataError
from alfred.evaluation.backtest import Backtest, Stage, make_record, make_walk, warm_up
from alfred.evaluation.deciding import decide_weights
from alfred.training.judging.walking import find_first_decision
from alfred.training.live.tomorrow import extend_market, extend_signals
from alfred.training.prepared import Prepared
from alfred.typing import Float, FloatArray, Observation

_BAR = "portfolios.bar"
_STOP = "portfolios.stop"
_SAME = 1e-12
State = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Day:
    """One close of an account: what the session made of it, and what is to be traded next.

    Attributes:
        date: The session.
        wealth: At the close, in units of the wealth at the start.
        paid: All costs since the start, in the same units.
        turnover: Of the session's trades.
        weights: At the close, cash last, `[N+1]`.
        benchmark: Return of the benchmark.
        cash_return: What cash earned.
        decision: Target weights of the next execution, `[N+1]`, or None where the book is left alone.
        fold: The fold whose policy decided, or None where no decision was due.
        before: State of the ledger just before the trades of the session; None on the day of the first decision.
        corrected: Wealth of the session before as its restated prices give it, when that is not what was booked.
    """

    date: pd.Timestamp
    wealth: float
    paid: float
    turnover: float
    weights: FloatArray
    benchmark: float
    cash_return: float
    decision: FloatArray | None
    fold: int | None
    before: State | None
    corrected: float | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What a decision comes to at the next execution, were it at the last prices.

    Attributes:
        before: Weights before the trade, cash last, `[N+1]`.
        after: Weights after it, as the mandate leaves them and costs are paid, `[N+1]`.
        traded: Value traded, as a fraction of the wealth before, negative where sold, `[N+1]`.
        costs: Paid for each, likewise, `[N+1]`.
    """

    before: FloatArray
    after: FloatArray
    traded: FloatArray
    costs: FloatArray


class Desk:
    """An account of one agent over a market that goes on after its last session.

    Args:
        prepared: The run, up to what is known.
        stages: The policies, one a fold.
        start: Close of the first decision.
        until: Last close; what comes after it is not looked at.

    Raises:
        ConfigError: Trades are at the close at which they are decided.
        DataError: There is no such session, or the agent was trained on it.
    """

    def __init__(
        self, prepared: Prepared, stages: Sequence[Stage], start: pd.Timestamp, until: pd.Timestamp | None = None
    ) -> None:
        """Lay out the tape."""
        if prepared.experiment.env.execution == "close":
            raise ConfigError(
                "env.execution is 'close': nobody can trade at the price at which the decision is taken; make a run "
                "with env.execution=next_open or next_close"
            )
        market = prepared.market if until is None else prepared.market.until(until)
        self.dates = market.dates
        self.closes = pd.DataFrame(np.asarray(market.close, dtype=np.float64)).ffill().to_numpy()[-1]
        first = find_first_decision(prepared)
        if start < first:
            raise DataError(
                f"the agents of {prepared.run.path} were trained on sessions up to the test; an account can begin on "
                f"{first.date()} at the earliest, not on {start.date()}"
            )
        if start not in market.dates:
            raise DataError(
                f"{start.date()} is no session up to {market.dates[-1].date()}; choose a session that is known"
            )
        extended = extend_market(market)
        signals = extend_signals(prepared.observed.scaled().until(market.dates[-1]), extended.dates[market.n_dates :])
        self._stages = list(stages)
        self._starts = pd.DatetimeIndex([stage.start for stage in stages])
        self.walk = make_walk(extended, signals, prepared.experiment.env, stages[0].policy, start=start)
        self.tape = self.walk.tape
        self.first = self.walk.warm_up
        self.every = self.walk.simulator.settings.rebalance_every
        daily = self.walk.simulator.settings.model_copy(update={"rebalance_every": 1})
        self.simulator = PortfolioSimulator(self.tape, daily, record=True)
        self._shown = PortfolioSimulator(self.tape, daily)
        self._place: int | None = None
        self._ready: Policy | None = None
        self._start = start

    def begin(self) -> Day:
        """Return the close of the first decision, with the account in cash."""
        self._restart()
        weights = self.simulator.weights[0].copy()
        decision, fold = self._decide(self.first, weights, [])
        return Day(self._start, 1.0, 0.0, 0.0, weights, 0.0, 0.0, decision, fold, None)

    def go_on(self, days: Sequence[Day]) -> Iterator[Day]:
        """Book every session after the last one that is booked, in order.

        Args:
            days: All days of the account so far, the first decision first.

        Yields:
            The next day, not yet kept; the account goes on from it when the next one is asked for.

        Raises:
            AlfredError: The account is ruined.
            DataError: A session that was booked is not in the data.
        """
        past = list(days)
        last = past[-1]
        corrected = self._restore(last)
        for date in self.dates[self.dates > last.date]:
            if last.wealth <= RUIN:
                raise AlfredError(f"the account was ruined on {last.date.date()}; start another one")
            bar = int(self.simulator.bar[0])
            if self.tape.dates[bar] != date:
                raise DataError(
                    f"the session after {last.date.date()} is {date.date()}, expected {self.tape.dates[bar]}"
                )
            day = self._book(bar, last, past, corrected)
            past.append(day)
            last, corrected = day, None
            yield day

    def walk_back(self, days: Sequence[Day], name: str) -> Backtest:
        """Return the record of an account; it has a row for each day after the first decision."""
        booked = days[1:]
        return make_record(
            name,
            self.tape,
            pd.DatetimeIndex([day.date for day in booked]),
            wealth=np.array([day.wealth for day in booked]),
            weights=np.stack([day.weights for day in booked]),
            paid=np.array([day.paid for day in booked]),
            turnover=np.array([day.turnover for day in booked]),
            benchmark=np.array([day.benchmark for day in booked]),
            cash=np.array([day.cash_return for day in booked[1:]]),
        )

    def ask(self, days: Sequence[Day], weights: FloatArray, *, blank: int | None = None) -> FloatArray | None:
        """Return what the policy wants at the close of the last day with other holdings than the account's.

        Args:
            days: The account up to the last session; the same ones in every call.
            weights: What is held at that close, cash last, `[N+1]`.
            blank: A signal that is zero for all symbols in this one decision.

        Returns:
            Target weights, `[N+1]`, or None where the book is left alone.
        """
        bar = self.find_bar(days[-1].date) + 1
        if self._ready is None:
            self._place = self._find_place(bar)
            self._ready = self._stages[self._place].policy
            self._walk_to(self._ready, self._place, bar, days[:-1])
        policy = copy.deepcopy(self._ready)
        found = decide_weights(policy if blank is None else _Blank(policy, blank), self.show(bar, weights))
        return None if found is None else found[0]

    def plan(self, decision: FloatArray, weights: FloatArray | None = None, wealth: float | None = None) -> Plan:
        """Return what a decision at the last close comes to.

        Args:
            decision: Target weights, cash last, `[N+1]`.
            weights: What is held, cash last, `[N+1]`; what the account holds when left out. Stops and the breaker know
                nothing of the past of other holdings.
            wealth: Its wealth, in units of `env.impact.capital`, on which market impact depends.
        """
        book = PortfolioSimulator(self.tape, self.simulator.settings, record=True)
        bar = self.find_bar(self.dates[-1]) + 1
        if weights is None:
            book.set_state(self.simulator.get_state())
        else:
            book.reset(np.array([bar]), np.array([self.tape.n_bars]))
            book.drifted[0], book.weights[0] = weights, weights
            book.wealth = np.array([1.0 if wealth is None else wealth])
        before, opening = book.drifted[0].copy(), float(book.wealth[0])
        book.step(np.asarray(decision[None], dtype=np.float64))
        after = before if not book.trades else book.trades[-1].after[0]
        paid = float(book.marks[-1].cost[0])
        traded = after * (1.0 - paid) - before
        costs = book.costs.rates * np.abs(traded)
        if self.tape.impact_scale is not None:
            power = book.settings.impact.power
            costs = costs + self.tape.impact_scale[bar] * opening ** (power - 1.0) * np.abs(traded) ** power
        return Plan(before, after, traded, costs)

    def show(self, bar: int, weights: FloatArray) -> PortfolioSimulator:
        """Return a book that stands at a bar with these weights, to be observed."""
        self._shown.bar = np.array([bar])
        self._shown.stop = np.array([self.tape.n_bars])
        self._shown.weights = np.array(weights[None], dtype=np.float64)
        return self._shown

    def find_bar(self, date: pd.Timestamp) -> int:
        """Return the bar of a session; that of the first decision stands one before the first."""
        return self.first - 1 if date == self._start else int(self.tape.dates.get_loc(date))

    def is_due(self, bar: int) -> bool:
        """Whether the policy decides what is executed at a bar."""
        return (bar - self.first) % self.every == 0

    def _restart(self) -> None:
        self.simulator.reset(np.array([self.first]), np.array([self.tape.n_bars]))

    def _restore(self, last: Day) -> float | None:
        """Put the ledger where the next session begins; return the wealth of the last one when it is another now."""
        if last.before is None:
            self._restart()
            return None
        state = {**last.before, _BAR: np.array([self.find_bar(last.date)]), _STOP: np.array([self.tape.n_bars])}
        self.simulator.set_state(state)
        executed = last.before["executed"]
        wealth = self._step(executed if executed.size else None).wealth
        return None if math.isclose(wealth, last.wealth, rel_tol=_SAME) else wealth

    def _step(self, target: FloatArray | None) -> Day:
        """Run one bar and return what it came to."""
        bar, before = int(self.simulator.bar[0]), self.simulator.get_state()
        before["executed"] = np.empty(0) if target is None else np.asarray(target, dtype=np.float64).reshape(-1)
        self.simulator.marks.clear()
        self.simulator.trades.clear()
        self.simulator.step(None if target is None else np.asarray(target.reshape(1, -1), dtype=np.float64))
        mark = self.simulator.marks[-1]
        return Day(
            date=self.tape.dates[bar],
            wealth=float(mark.wealth[0]),
            paid=float(mark.attribution.costs[0]),
            turnover=float(mark.turnover[0]),
            weights=mark.weights[0].copy(),
            benchmark=float(self.tape.benchmark_returns[bar]),
            cash_return=0.0 if bar == self.first else float(self.tape.cash_returns[bar]),
            decision=None,
            fold=None,
            before=before,
        )

    def _book(self, bar: int, last: Day, past: Sequence[Day], corrected: float | None) -> Day:
        found = self._step(last.decision)
        decision, fold = self._decide(bar + 1, found.weights, past)
        facts = {name: getattr(found, name) for name in found.__dataclass_fields__}
        return Day(**{**facts, "decision": decision, "fold": fold, "corrected": corrected})

    def _decide(self, bar: int, weights: FloatArray, past: Sequence[Day]) -> tuple[FloatArray | None, int | None]:
        if not self.is_due(bar):
            return None, None
        return self._ask(bar, weights, past), self._place

    def _ask(self, bar: int, weights: FloatArray, past: Sequence[Day]) -> FloatArray | None:
        place = self._find_place(bar)
        policy = self._stages[place].policy
        if place != self._place:
            self._place = place
            self._walk_to(policy, place, bar, past)
        found = decide_weights(policy, self.show(bar, weights))
        return None if found is None else found[0]

    def _find_place(self, bar: int) -> int:
        return max(int(self._starts.searchsorted(self.tape.dates[bar], side="right")) - 1, 0)

    def _walk_to(self, policy: Policy, place: int, bar: int, past: Sequence[Day]) -> None:
        """Bring a policy where it stood before a decision: through the sessions before it took over, and all since."""
        seen: list[Day] = []
        for day in reversed(past):
            if day.fold is None:
                continue
            if day.fold != place:
                break
            seen.append(day)
        warm_up(policy, self.walk, self.find_bar(seen[-1].date) + 1 if seen else bar)
        if getattr(policy, "burn_in", 0):
            for day in reversed(seen):
                decide_weights(policy, self.show(self.find_bar(day.date) + 1, day.weights))


class _Blank:
    """A policy that is shown zeros in the place of one signal."""

    def __init__(self, policy: Policy, number: int) -> None:
        self.name, self.rebalance_every, self.lookback = policy.name, policy.rebalance_every, policy.lookback
        self._policy, self._number = policy, number

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        self._policy.reset(rows)

    def predict(self, observation: Observation) -> Float:
        signals = observation["signals"].copy()
        signals[:, :, self._number] = 0.0
        return self._policy.predict({**observation, "signals": signals})
