"""The reference ledger: one portfolio, kept in units and money with plain floats and loops, slow and easy to check.

It follows the rules of the environment as its documents state them and shares no code with it: prices are read from the
market, the wealth after a trade is found by bisection, positions are counted in units, entries are prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from alfred.data.market import Market
from alfred.envs import PortfolioSettings

_DAYS = 252


@dataclass
class Row:
    """What the reference says after one step."""

    wealth: float
    weights: list[float]
    turnover: float
    commission: float
    spread: float
    impact: float
    borrow: float
    interest: float
    gross: float


@dataclass
class Reference:
    """One portfolio over the sessions of a market, from all cash at the close of the first."""

    market: Market
    settings: PortfolioSettings
    cash: float = 1.0
    units: list[float] = field(default_factory=list)
    entry: list[float] = field(default_factory=list)
    peak: float = 1.0
    cooling: int = 0
    totals: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.market.n_symbols
        self.units, self.entry = [0.0] * n, [0.0] * n
        self.opens = self.settings.execution == "next_open"
        self.last = [self._carry(i) for i in range(n)]

    # Prices ----------------------------------------------------------------------------------------------------------

    def _carry(self, i: int) -> list[float]:
        """Last close known at each session."""
        carried, known = [], 1.0  # before the listing nothing is held, so any price serves
        for t in range(self.market.n_dates):
            if self.market.tradable[t, i]:
                known = float(self.market.close[t, i])
            carried.append(known)
        return carried

    def trades(self, t: int, i: int) -> bool:
        return bool(self.market.tradable[t, i])

    def price(self, t: int, i: int) -> float:
        """Price at which session t executes."""
        if self.opens:
            return float(self.market.field("open")[t, i]) if self.trades(t, i) else self.last[i][max(t - 1, 0)]
        return self.last[i][t]

    def gone(self, t: int, i: int) -> bool:
        """Whether it is session t at which a symbol has not traded for so long that it is paid out."""
        after = self.settings.delisting_after or 126
        if t >= self.market.n_dates or t < after or not self.trades(t - after, i):
            return False
        return not any(self.trades(s, i) for s in range(t - after + 1, t + 1))

    def lose(self, t: int) -> None:
        """Take off what the payouts of session t lack to the last price."""
        for i in range(self.market.n_symbols):
            if self.gone(t, i):
                kept = self.settings.delisting_payout_pct / 100
                self.book(gross=-self.units[i] * self.last[i][t] * (1 - kept))
                self.units[i] *= kept

    def value(self, prices: list[float]) -> float:
        return self.cash + sum(u * p for u, p in zip(self.units, prices, strict=True))

    # Costs -----------------------------------------------------------------------------------------------------------

    def impact_scale(self, t: int, i: int) -> float:
        """Cost of trading one unit of money x is scale x^power; from the sessions before t."""
        own = self._raw_scale(t - 1, i)
        if own is not None:
            return own
        known = [s for s in (self._raw_scale(t - 1, j) for j in range(self.market.n_symbols)) if s is not None]
        return max(known, default=0.0)

    def _raw_scale(self, t: int, i: int) -> float | None:
        impact = self.settings.impact
        rows = range(max(t - impact.window_days + 1, 0), t + 1)
        values, returns = [], []
        for s in rows:
            if self.trades(s, i):
                values.append(float(self.market.field("volume")[s, i]) * float(self.market.close[s, i]))
                listed = any(self.trades(r, i) for r in range(s))
                returns.append(self.last[i][s] / self.last[i][s - 1] - 1.0 if s and listed else 0.0)
        if len(returns) < 2:
            return None
        mean = sum(returns) / len(returns)
        volatility = math.sqrt(sum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
        daily = sum(values) / len(values)
        if volatility <= 0 or daily <= 0:
            return None
        return impact.coefficient * volatility * (impact.capital / daily) ** (impact.power - 1)

    def charges(self, t: int, traded: list[float], wealth: float) -> tuple[float, float, float]:
        """Commission, spread and impact, in money, of trading some money in each asset."""
        settings = self.settings
        size = sum(abs(x) for x in traded)
        pushed = 0.0
        if settings.impact.kind != "none":
            # The power law is stated for money in units of the starting wealth.
            pushed = sum(self.impact_scale(t, i) * abs(x) ** settings.impact.power for i, x in enumerate(traded) if x)
        return size * settings.cost_bps / 1e4, size * settings.slippage_bps / 1e4, pushed

    def book(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self.totals[name] = self.totals.get(name, 0.0) + amount

    # Targets ---------------------------------------------------------------------------------------------------------

    def choose(self, target: list[float], t: int, weights: list[float]) -> list[float]:
        """Target asset weights as frozen assets, constraints and stops leave them (cash is the rest)."""
        settings, n = self.settings, len(weights)
        free = [self.trades(t, i) for i in range(n)]
        wanted = [w if f else 0.0 for w, f in zip(target[:n], free, strict=True)]
        if settings.action.long_only:
            total, left = sum(wanted) + target[n], 1.0 - sum(w for w, f in zip(weights, free, strict=True) if not f)
            wanted = [w / total * left if total > 0 else 0.0 for w in wanted]
        else:
            stuck = sum(abs(w) for w, f in zip(weights, free, strict=True) if not f)
            size, room = sum(abs(w) for w in wanted), max(settings.action.max_leverage - stuck, 0.0)
            wanted = [w * room / size if not all(free) and size > room else w for w in wanted]
        chosen = [w if f else h for w, h, f in zip(wanted, weights, free, strict=True)]
        limits = settings.constraints
        if limits.max_weight is not None:
            cap = limits.max_weight
            chosen = [max(-cap, min(cap, w)) if f else w for w, f in zip(chosen, free, strict=True)]
        if limits.max_sector_weight is not None:
            chosen = self._cap_sectors(chosen, free, limits.max_sector_weight)
        if limits.max_turnover is not None:
            cash_change = abs(sum(chosen) - sum(weights))
            turnover = 0.5 * (sum(abs(w - h) for w, h in zip(chosen, weights, strict=True)) + cash_change)
            share = min(1.0, limits.max_turnover / turnover) if turnover > 0 else 1.0
            chosen = [h + share * (w - h) for w, h in zip(chosen, weights, strict=True)]
        return chosen

    def _cap_sectors(self, chosen: list[float], free: list[bool], limit: float | dict[str, float]) -> list[float]:
        result = list(chosen)
        sectors = [self.market.sectors.get(symbol, "") for symbol in self.market.symbols]
        for sector in set(sectors) - {""}:
            members = [i for i, name in enumerate(sectors) if name == sector]
            cap = limit.get(sector) if isinstance(limit, dict) else limit
            moving = sum(abs(chosen[i]) for i in members if free[i])
            room = math.inf if cap is None else max(cap - sum(abs(chosen[i]) for i in members if not free[i]), 0.0)
            for i in members:
                if free[i] and moving > room:
                    result[i] = chosen[i] * room / moving
        return result

    # Trading ---------------------------------------------------------------------------------------------------------

    def trade(self, t: int, target: list[float], prices: list[float]) -> None:
        """Trade free assets to target weights of the wealth that is left after the costs."""
        n, before = len(self.units), self.value(prices)
        held = [u * p for u, p in zip(self.units, prices, strict=True)]
        free = [self.trades(t, i) for i in range(n)]
        stuck = sum(v for v, f in zip(held, free, strict=True) if not f)
        base, weights = before, list(target)
        if self.settings.action.long_only:
            # The free part is a portfolio of its own; `target` states its members as parts of the whole.
            part = 1.0 - stuck / before
            base = before - stuck
            weights = [w / part if part > 0 else 0.0 for w in target]

        def traded(after: float) -> list[float]:
            return [w * after - v if f else 0.0 for w, v, f in zip(weights, held, free, strict=True)]

        low, high = 0.0, base
        for _ in range(200):
            middle = 0.5 * (low + high)
            if middle + sum(self.charges(t, traded(middle), before)) > base:
                high = middle
            else:
                low = middle
        moves = traded(low)
        commission, spread, pushed = self.charges(t, moves, before)
        self.cash -= sum(moves) + commission + spread + pushed
        for i, move in enumerate(moves):
            old = self.units[i]
            new = (held[i] + move) / prices[i] if free[i] else old
            if old * new > 0 and abs(new) > abs(old):
                self.entry[i] = (old * self.entry[i] + (new - old) * prices[i]) / new
            elif old * new <= 0:
                self.entry[i] = prices[i]
            self.units[i] = new
        cost = commission + spread + pushed
        self.book(commission=commission, spread=spread, impact=pushed)
        self.book(turnover=0.5 * (sum(abs(m) for m in moves) + abs(sum(moves) + cost)) / before)

    def stop(self, t: int, start: list[float]) -> None:
        """Sell what the bar of session t stops, held since `start` prices at which the bar was entered."""
        loss = self.settings.risk.stop_loss_pct
        if loss is None:
            return
        fills: dict[int, float] = {}
        for i, u in enumerate(self.units):
            if not self.trades(t, i) or abs(u) * start[i] == 0.0:
                continue
            level = self.entry[i] * (1 - loss / 100 if u > 0 else 1 + loss / 100)
            first, low, high = (float(self.market.field(name)[t, i]) for name in ("open", "low", "high"))
            if u > 0 and low <= level:
                fills[i] = min(first, level)
            if u < 0 and high >= level:
                fills[i] = max(first, level)
        if not fills:
            return
        sold = [-self.units[i] * fills[i] if i in fills else 0.0 for i in range(len(self.units))]
        # What else is held is at the close by now; costs do not depend on it, turnover is stated against it.
        closes = [fills.get(i, self.last[i][t]) for i in range(len(self.units))]
        wealth = self.value(closes)
        commission, spread, pushed = self.charges(self.execution(t), sold, wealth)
        self.book(gross=sum(-s - self.units[i] * start[i] for i, s in enumerate(sold) if i in fills))
        for i in fills:
            self.units[i] = 0.0
        cost = commission + spread + pushed
        self.cash -= sum(sold) + cost
        self.book(commission=commission, spread=spread, impact=pushed)
        self.book(turnover=0.5 * (sum(abs(s) for s in sold) + abs(sum(sold) + cost)) / wealth)

    def execution(self, t: int) -> int:
        """Session of the execution whose bar is being held through in session t."""
        return t if self.opens else t - 1

    def hold(self, start: list[float], end: list[float], *, night: bool) -> None:
        """Carry positions from one set of prices to another; at night fees and interest are due."""
        wealth_before = self.value(start)
        if night:
            settings = self.settings
            fee = sum(-u * p for u, p in zip(self.units, start, strict=True) if u < 0) * settings.borrow_rate_pct
            fee += max(-self.cash, 0.0) * settings.margin_rate_pct
            fee = fee / 100 / _DAYS if not settings.action.long_only else 0.0
            interest = self.cash * ((1 + settings.cash_rate_pct / 100) ** (1 / _DAYS) - 1)
            self.cash += interest - fee
            self.book(borrow=fee, interest=interest)
        gain = sum(u * (b - a) for u, a, b in zip(self.units, start, end, strict=True))
        self.book(gross=gain)
        if wealth_before > 0 and self.value(end) <= 0:
            raise ArithmeticError("the reference does not reckon ruin")

    # The clock -------------------------------------------------------------------------------------------------------

    def run(self, targets: list[list[float]]) -> list[Row]:
        """Walk through the whole market, one target (cash last) a decision."""
        t, final = (1, self.market.n_dates - 1) if self.opens else (1, self.market.n_dates - 2)
        if self.settings.execution == "close":
            t = 0
        rows = []
        for target in targets:
            self.totals = {}
            for held in range(self.settings.rebalance_every):
                if t <= final:
                    self._session(t, target if held == 0 else None)
                    t += 1
            rows.append(self._row(t, final))
            if t > final:
                break
        return rows

    def _session(self, t: int, target: list[float] | None) -> None:
        n = range(self.market.n_symbols)
        prices = [self.price(t, i) for i in n]
        for i in n:
            if self.gone(t, i) and self.units[i]:
                self.cash += self.units[i] * prices[i]
                self.units[i] = 0.0
        wealth = self.value(prices)
        weights = [u * p / wealth for u, p in zip(self.units, prices, strict=True)]
        wish = None if target is None else self.choose(target, t, weights)
        loss = self.settings.risk.stop_loss_pct
        if wish is not None and loss is not None:
            for i in n:
                side = math.copysign(1.0, weights[i])
                if weights[i] and self.trades(t, i) and side * (prices[i] / self.entry[i] - 1) <= -loss / 100:
                    wish[i] = 0.0
        if self.cooling > 0:
            wish = [0.0 if self.trades(t, i) else weights[i] for i in n]
        if wish is not None:
            self.trade(t, wish, prices)
        if self.opens:
            self.stop(t, prices)
            closes = [self.last[i][t] for i in n]
            self.hold(prices, closes, night=False)
            self._watch(self.value(closes))
            if t + 1 < self.market.n_dates:
                self.hold(closes, [self.price(t + 1, i) for i in n], night=True)
                self.lose(t + 1)
            return
        if self.settings.execution == "next_close":
            self._watch(self.value(prices))
        following = [self.price(t + 1, i) for i in n]
        self.hold_with_stops(t, prices, following)
        if self.settings.execution == "close":
            self._watch(self.value(following))

    def hold_with_stops(self, t: int, prices: list[float], following: list[float]) -> None:
        """A night and the session after it: interest and fees first, then the bar with its stops."""
        self.hold(prices, prices, night=True)
        self.lose(t + 1)
        self.stop(t + 1, prices)
        self.hold(prices, following, night=False)

    def _watch(self, wealth: float) -> None:
        depth = self.settings.risk.breaker_drawdown_pct
        if depth is None:
            return
        if self.cooling > 0:
            self.cooling -= 1
            self.peak = wealth
        self.peak = max(self.peak, wealth)
        if wealth <= self.peak * (1 - depth / 100):
            self.cooling = self.settings.risk.breaker_cooldown_days

    def _row(self, t: int, final: int) -> Row:
        """State just before the next execution, or at the end."""
        n = range(self.market.n_symbols)
        prices = [self.last[i][-1] if self.opens and t > final else self.price(min(t, final + 1), i) for i in n]
        wealth = self.value(prices)
        names = ("turnover", "commission", "spread", "impact", "borrow", "interest", "gross")
        amounts = {name: self.totals.get(name, 0.0) for name in names}
        weights = [u * p / wealth for u, p in zip(self.units, prices, strict=True)]
        return Row(wealth=wealth, weights=[*weights, self.cash / wealth], **amounts)
