"""The simulator: P portfolios over one tape in lock-step. All environments wrap it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from alfred.envs.actions import compute_weights
from alfred.envs.attribution import (
    N_ROWS,
    Mark,
    PnLAttribution,
    StepResult,
    TradeMark,
    book_holding,
    book_trade,
    read_attribution,
)
from alfred.envs.constraints import Constraints, keep_frozen
from alfred.envs.ledger import (
    Impact,
    Trade,
    TradingCosts,
    compute_fee,
    drift,
    liquidate,
    move_to_cash,
    solve_trade,
)
from alfred.envs.plain_bar import RUIN, PlainBar
from alfred.envs.rewards import RewardState
from alfred.envs.risk import Bars, Breaker, find_stopped, fire_stops, update_gain
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import ConfigError, DataError
from alfred.typing import Float

# What a later step depends on; everything else follows from the tape and the settings.
_STATE = ("bar", "stop", "wealth", "drifted", "weights", "gain", "stopped", "booked", "_marked")


class PortfolioSimulator:
    """Steps P portfolios over a shared tape without a loop over portfolios or assets.

    State arrays are public and read-only by convention: `bar [P]`, `wealth [P]` and `drifted [P, N+1]` just before the
    next trade, `weights [P, N+1]` as known at the next decision.

    Args:
        tape: The market, shared.
        settings: How the portfolios are traded and paid.
        n_portfolios: P.
        record: Whether to keep every marked close in `marks`, and every trade in `trades`.

    Raises:
        ConfigError: The settings ask for what the tape does not hold.
    """

    def __init__(self, tape: Tape, settings: PortfolioSettings, n_portfolios: int = 1, *, record: bool = False) -> None:
        """Allocate the state; call `reset` before the first step."""
        self.tape = tape
        self.settings = settings
        self.record = record
        self.marks: list[Mark] = []
        self.trades: list[TradeMark] = []
        width = len(tape.symbols) + 1
        self.costs = TradingCosts.from_settings(settings, len(tape.symbols), tape.periods_per_year)
        self._long_only = settings.action.long_only
        self._stop_loss = None if settings.risk.stop_loss_pct is None else settings.risk.stop_loss_pct / 100.0
        self._stops_at_close = self._stop_loss is not None and settings.risk.stop_loss_at == "close"
        self._constraints = Constraints(settings.constraints, tape.sectors) if settings.constraints.bind else None
        self._breaker: Breaker | None = None
        if settings.risk.breaker_drawdown_pct is not None:
            depth, cooldown = settings.risk.breaker_drawdown_pct / 100.0, settings.risk.breaker_cooldown_days
            self._breaker = Breaker(depth, cooldown, n_portfolios)
        self._check_tape()
        self._has_delistings = bool(tape.any_delisted.any())
        self._always_tradable = bool(tape.all_tradable.all())
        self._last_night = tape.n_bars - (tape.final_mark is None)  # nothing falls due after the last close
        self._earns_interest = bool((tape.overnight[:, -1] != 1.0).any())
        self._reference = tape.get_growth(settings.reward.reference)
        self._rewards = RewardState(settings.reward, n_portfolios, tape.periods_per_year)
        self._all = np.arange(n_portfolios)
        self.bar = np.zeros(n_portfolios, dtype=np.int64)
        self.stop = np.zeros(n_portfolios, dtype=np.int64)
        self.wealth = np.ones(n_portfolios)
        self.drifted = np.zeros((n_portfolios, width))
        self.weights = np.zeros((n_portfolios, width))
        self.gain = np.ones((n_portfolios, width))
        # What a stop at the last close sells at the next execution.
        self.stopped = np.zeros((n_portfolios, width), dtype=bool)
        # Everything booked since the start of the episode; see `read_attribution`.
        self.booked = np.zeros((N_ROWS, n_portfolios))
        self._marked = np.zeros((N_ROWS, n_portfolios))
        self._nothing = np.zeros(n_portfolios)
        self._any_ended = True
        self._plain = PlainBar.make(tape, settings, self.costs)

    @property
    def n_portfolios(self) -> int:
        """Number of portfolios P."""
        return len(self.bar)

    def reset(
        self,
        start: npt.NDArray[np.integer],
        stop: npt.NDArray[np.integer],
        which: npt.NDArray[np.integer] | None = None,
    ) -> None:
        """Put portfolios into cash at the beginning of their windows.

        Args:
            start: First bar of each window, `[W]`.
            stop: Bar after the last of each window, `[W]`.
            which: Indices of the portfolios, `[W]`; all when left out.
        """
        rows = self._all if which is None else which
        self.bar[rows] = start
        self.stop[rows] = stop
        # Marks, infos and callers may hold the arrays of the state, so what is written to are copies.
        self.wealth, self.drifted, self.weights = self.wealth.copy(), self.drifted.copy(), self.weights.copy()
        self.wealth[rows] = 1.0
        for weights in (self.drifted, self.weights):
            weights[rows] = 0.0
            weights[rows, -1] = 1.0
        self.gain[rows] = 1.0
        self.stopped[rows] = False
        self.booked[:, rows] = 0.0
        self._marked[:, rows] = 0.0
        self._rewards.reset(rows)
        if self._breaker is not None:
            self._breaker.peak[rows] = 1.0
            self._breaker.cooling[rows] = 0
        self._any_ended = bool((self.bar >= self.stop).any())

    def step(self, target: Float | None) -> StepResult:
        """Trade to target weights at the next execution and hold to the decision after.

        The reward counts wealth from this execution to the next one, so that it holds all that the decision did and
        nothing that an earlier one did.

        Args:
            target: Target weights, cash last, `[P, N+1]`; float64 is taken as it is, other numbers are converted. None
                leaves all books alone but for what risk rules sell.

        Raises:
            DataError: The targets are not one row for each portfolio with one number for each asset and cash.
        """
        if target is not None:
            target = _read_target(target, self.drifted.shape)
            if self._plain is not None and not self._is_interrupted():
                return self._step_plainly(self._plain, target)
        before, booked = self.wealth, self.booked.copy()
        reference = self._advance(target)
        for _ in range(self.settings.rebalance_every - 1):
            if not np.count_nonzero(self.bar < self.stop):
                break
            reference = reference * self._advance(None)
        ruined = self.wealth <= RUIN
        attribution, cost, turnover = read_attribution(self.booked, booked, before, self.costs.commission_share)
        truncated = (self.bar >= self.stop) & ~ruined
        if np.count_nonzero(ruined):
            self.stop = np.where(ruined, self.bar, self.stop)  # there is nothing to go on with
        self._any_ended = bool(np.count_nonzero(self.bar >= self.stop))
        return StepResult(
            reward=self._rewards.pay(before, self.wealth, reference, turnover),
            terminated=ruined,
            truncated=truncated,
            cost=cost,
            turnover=turnover,
            attribution=attribution,
            any_done=self._any_ended,
        )

    def _is_interrupted(self) -> bool:
        """Whether a portfolio is at its end, or a halt or a delisting changes what this bar does."""
        if self._any_ended:
            return True
        bar, tape = self.bar, self.tape
        if self._has_delistings and np.count_nonzero(tape.any_delisted.take(bar, mode="clip")):
            return True
        return not self._always_tradable and not tape.all_tradable.take(bar, mode="clip").all()

    def _step_plainly(self, plain: PlainBar, target: Float) -> StepResult:
        """Do what `step` does where nothing interrupts the bar."""
        before, bar, drifted = self.wealth, self.bar, self.drifted
        self.bar, self.drifted, known, numbers, closing, ruined, truncated, n_done = plain.run(
            bar, self.stop, before, drifted, target, self.booked
        )
        if self.record:
            self.trades.append(TradeMark(bar, drifted, target.copy()))
            self._mark(bar, before, closing[:6], closing[6], known)
        self.weights = known if self.tape.lag else self.drifted
        attribution, (cost, turnover, self.wealth, reference) = plain.read(numbers)
        reward = self._rewards.pay(before, self.wealth, reference, turnover)
        if n_done:
            self.stop = np.where(ruined, self.bar, self.stop)
            self._any_ended = True
        return StepResult(reward, ruined, truncated, cost, turnover, attribution, n_done > 0)

    def decide(self, actions: npt.NDArray[np.floating]) -> Float:
        """Return the target weights that actions stand for at the next execution, `[P, N+1]`.

        Args:
            actions: See `alfred.envs.actions.compute_weights`.

        Raises:
            DataError: An action holds NaN.
        """
        return compute_weights(actions, self.settings.action, self.tape.find_holdable(self.bar))

    def get_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that later steps depend on, by name, for `set_state`; `marks` are not among it."""
        return {
            f"{part}.{name}": getattr(owner, name).copy() for part, owner, names in self._list_state() for name in names
        }

    def set_state(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to the moment at which `get_state` was called, on a simulator of the same tape and settings."""
        for part, owner, names in self._list_state():
            for name in names:
                setattr(owner, name, state[f"{part}.{name}"].copy())
        self._any_ended = bool((self.bar >= self.stop).any())

    def _list_state(self) -> list[tuple[str, object, tuple[str, ...]]]:
        parts: list[tuple[str, object, tuple[str, ...]]] = [
            ("portfolios", self, _STATE),
            *self._rewards.list_state(),
        ]
        if self._breaker is not None:
            parts.append(("breaker", self._breaker, ("peak", "cooling")))
        return parts

    def _advance(self, target: Float | None) -> Float:
        """Run one bar and return the growth of the reference; portfolios at their end stay as they are."""
        ended = self.bar >= self.stop
        if not np.count_nonzero(ended):
            return self._run_bar(target)
        saved = [array[ended] for array in self._state()]
        # The state may come to be the target itself, and the caller's array is not ours to write to.
        reference = self._run_bar(None if target is None else target.copy())
        for array, old in zip(self._state(), saved, strict=True):
            array[ended] = old
        reference[ended] = 1.0
        return reference

    def _state(self) -> list[npt.NDArray[Any]]:
        state: list[npt.NDArray[Any]] = [self.bar, self.wealth, self.drifted, self.weights]
        state += [self.gain, self.stopped, self.booked.T]
        return state if self._breaker is None else [*state, self._breaker.peak, self._breaker.cooling]

    def _run_bar(self, target: Float | None) -> Float:
        # Ended portfolios may stand behind the last bar: `clip` reads the last one for them, at no cost.
        tape, bar = self.tape, self.bar
        if self._has_delistings and np.count_nonzero(tape.any_delisted.take(bar, mode="clip")):
            self.drifted = move_to_cash(self.drifted, tape.delisted.take(bar, axis=0, mode="clip"))
        opening = self.wealth
        self._trade(target)
        if tape.intraday is not None:
            self._hold(tape.intraday.take(bar, axis=0, mode="clip"), night=False, stops=True)
        known, wealth = self.drifted, self.wealth
        if tape.lag:
            self._find_stopped_at_close()
        if self.record:
            self._mark(bar, opening, self.booked.copy(), self.wealth, self.drifted)
        self._hold(tape.overnight.take(bar, axis=0, mode="clip"), night=True, stops=tape.intraday is None)
        if not tape.lag:
            # A decision knows the weights at its close; with lag 0 that is the moment of the next execution.
            known, wealth = self.drifted, self.wealth
            self._find_stopped_at_close()
        self.weights = known
        if self._breaker is not None:
            self._breaker.update(wealth)
        self.bar = bar + 1
        return self._reference.take(bar, mode="clip")

    def _trade(self, target: Float | None) -> None:
        """Trade to the target as the constraints and the risk rules leave it; None holds, unless they force a sale."""
        free = self._find_free()
        if target is not None:
            if free is not None and (self._constraints is not None or not self._long_only):
                leverage = None if self._long_only else self.settings.action.max_leverage
                target = keep_frozen(target, self.drifted, free, leverage)
            if self._constraints is not None:
                target = self._constraints.apply(target, self.drifted, free)
            if self._stops_at_close:
                target = move_to_cash(target, self.stopped)
            elif self._stop_loss is not None:
                # A price that is halted stands still, so whatever gapped can be traded.
                target = move_to_cash(target, find_stopped(self.drifted, self.gain, self._stop_loss))
        elif np.count_nonzero(self.stopped):
            self._sell_stopped(free)
        if self._breaker is not None:
            closed = self._breaker.cooling > 0
            if np.count_nonzero(closed):
                target = (self.drifted if target is None else target).copy()
                target[closed] = 0.0
                target[closed, -1] = 1.0
        if target is None:
            return
        trade = solve_trade(
            self.drifted, target, self.costs.rates, free=free, impact=self._find_impact(), long_only=self._long_only
        )
        if self._stop_loss is not None:
            self.gain = update_gain(self.gain, self.drifted, trade.weights * trade.growth[:, None])
        self._book(trade)

    def _find_stopped_at_close(self) -> None:
        """Take note of the positions that the price at which a decision is taken stops."""
        if self._stops_at_close and self._stop_loss is not None:
            self.stopped = find_stopped(self.drifted, self.gain, self._stop_loss)

    def _sell_stopped(self, free: Float | None) -> None:
        """Sell what was stopped at the last close and leave everything else as it is; what is halted waits."""
        sold = self.stopped if free is None else self.stopped & (free > 0.0)
        self.gain = np.where(sold, 1.0, self.gain)
        self._book(liquidate(self.drifted, sold, self.costs.rates, self._find_impact()))

    def _hold(self, factors: Float, *, night: bool, stops: bool) -> None:
        """Hold through one leg of a bar: fire stops, drift, pay fees and earn interest."""
        fired = None
        if self._stop_loss is not None and not self._stops_at_close and stops and self.tape.bars is not None:
            bars = Bars(*(array.take(self.bar, axis=0, mode="clip") for array in self.tape.bars))
            fired, fill = fire_stops(self.drifted, self.gain, bars, self._stop_loss)
            factors = np.where(fired, fill, factors)
        fee = interest = self._nothing
        if night and not self._long_only:
            fee = compute_fee(self.drifted, self.costs.short_rate, self.costs.loan_rate) * (self.bar < self._last_night)
        if night and self._earns_interest:
            interest = self.drifted[:, -1] * (factors[:, -1] - 1.0)
        following, growth = drift(self.drifted, factors, fee)
        if self._stop_loss is not None:
            self.gain = self.gain * factors
        self.drifted, self.wealth = following, book_holding(self.booked, self.wealth, growth, fee, interest)
        if fired is not None and np.count_nonzero(fired):
            self._book(liquidate(following, fired, self.costs.rates, self._find_impact()))

    def _book(self, trade: Trade) -> None:
        if self.record:
            self.trades.append(TradeMark(self.bar.copy(), self.drifted.copy(), trade.weights.copy()))
        self.wealth = book_trade(
            self.booked, self.wealth, trade.growth, trade.proportional, trade.impact, trade.turnover
        )
        self.drifted = trade.weights

    def read_totals(self) -> tuple[PnLAttribution, Float]:
        """Return everything booked since the start of the episode, and the turnover since then, `[P]`."""
        nothing = np.zeros_like(self.booked)
        attribution, _, turnover = read_attribution(
            self.booked, nothing, np.ones(self.n_portfolios), self.costs.commission_share
        )
        return attribution, turnover

    def _find_free(self) -> Float | None:
        """Return one where a holding can be traded at this execution and zero elsewhere, or None when all can."""
        if self._always_tradable or self.tape.all_tradable.take(self.bar, mode="clip").all():
            return None
        return self.tape.tradable.take(self.bar, axis=0, mode="clip").astype(np.float64)

    def _find_impact(self) -> Impact | None:
        scale, power = self.tape.impact_scale, self.settings.impact.power
        if scale is None:
            return None
        return Impact(scale.take(self.bar, axis=0, mode="clip") * (self.wealth ** (power - 1.0))[:, None], power)

    def _mark(self, bar: npt.NDArray[np.int64], opening: Float, booked: Float, wealth: Float, weights: Float) -> None:
        _, cost, turnover = read_attribution(booked, self._marked, opening, self.costs.commission_share)
        attribution, _, _ = read_attribution(booked, np.zeros_like(booked), opening, self.costs.commission_share)
        self._marked = booked
        self.marks.append(Mark(bar.copy(), wealth, weights.copy(), cost, turnover, opening, attribution))

    def _check_tape(self) -> None:
        if self._stop_loss is not None and not self._stops_at_close and self.tape.bars is None:
            raise ConfigError(
                f"stop_loss_pct is {self.settings.risk.stop_loss_pct}, but this market has closes only: a stop needs "
                "bars with open, high and low; leave stop_loss_pct out, set stop_loss_at to close or choose data with "
                "OHLC"
            )
        if (self.settings.impact.kind != "none") != (self.tape.impact_scale is not None):
            raise ConfigError(
                f"impact.kind is '{self.settings.impact.kind}', but the tape was made "
                f"{'without' if self.tape.impact_scale is None else 'with'} impact: make it with the same settings"
            )


def _read_target(target: npt.ArrayLike, shape: tuple[int, ...]) -> Float:
    try:
        numbers = np.asarray(target, dtype=np.float64, order="C")  # another order sums in another order
    except (TypeError, ValueError) as error:
        raise DataError(f"the actions are no numbers: {' '.join(str(error).split())}") from error
    if numbers.shape != shape:
        raise DataError(
            f"the actions have shape {numbers.shape}: they must be {shape}, a row for each portfolio and a number for "
            "each asset, cash last"
        )
    return numbers
