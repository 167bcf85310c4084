"""The simulator once more, in torch: P portfolios over one tape with gradients from actions to rewards.

It books what `alfred.envs.simulator` books: exact costs, impact, frozen and delisted assets, drift in both legs of a
bar, interest and borrow fees. Constraints, stops and the drawdown breaker are left out: they are kinks that a gradient
cannot see past. A policy that was trained here still meets them when it is validated and judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from alfred.envs.differentiable.ledger import compute_fee, compute_reward, drift, move_to_cash, solve_trade
from alfred.envs.ledger import TradingCosts
from alfred.envs.market_features import BOUND
from alfred.envs.registry import BUILT_IN_REWARDS, REWARDS
from alfred.envs.settings import ActionSettings, PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import ConfigError
from alfred.typing import Tensors

_DUST = 1e-6  # that of `alfred.envs.actions`; a test compares the two maps


class Portfolios(NamedTuple):
    """The state of P portfolios between two decisions.

    Attributes:
        bar: Bar of the next execution, `[P]`.
        drifted: Weights just before the next trade, `[P, N+1]`.
        weights: Weights as known at the next decision, `[P, N+1]`.
        wealth: From one unit at the start of the episode, `[P]`.
        peak: Highest wealth at an execution since then, `[P]`.
    """

    bar: torch.Tensor
    drifted: torch.Tensor
    weights: torch.Tensor
    wealth: torch.Tensor
    peak: torch.Tensor

    def detach(self) -> Portfolios:
        """Return the same state, from which no gradient reaches back."""
        return Portfolios(*(tensor.detach() for tensor in self))


class TorchStep(NamedTuple):
    """What one decision led to.

    Attributes:
        portfolios: The state after.
        reward: `[P]`.
        growth: Wealth after over wealth before, `[P]`.
        turnover: Over all trades of the step, `[P]`.
    """

    portfolios: Portfolios
    reward: torch.Tensor
    growth: torch.Tensor
    turnover: torch.Tensor


@dataclass(frozen=True)
class _Panels:
    """The arrays of a tape as tensors, indexed by bar."""

    intraday: torch.Tensor | None
    overnight: torch.Tensor
    tradable: torch.Tensor | None
    delisted: torch.Tensor | None
    impact_scale: torch.Tensor | None
    reference: torch.Tensor
    signals: torch.Tensor
    features: torch.Tensor
    tradable_then: torch.Tensor
    returns: torch.Tensor


class DifferentiableSimulator:
    """Steps portfolios over a tape, differentiably.

    Args:
        tape: The market.
        settings: How the portfolios are traded and paid.
        dtype: Of all numbers; float64 gives those of the numpy simulator, float32 is twice as fast.

    Raises:
        ConfigError: The reward is one that looks back further than a window.
    """

    def __init__(self, tape: Tape, settings: PortfolioSettings, dtype: torch.dtype = torch.float32) -> None:
        """Copy the tape into tensors."""
        self._own = None if settings.reward.kind in BUILT_IN_REWARDS else REWARDS.load(settings.reward.kind)
        if self._own is not None and not hasattr(self._own, "pay_torch"):
            raise ConfigError(
                f"the direct agent learns by gradients, and the reward '{settings.reward.kind}' has no "
                "pay_torch(growth, reference_growth, settings); add it, or train another agent"
            )
        if settings.reward.kind == "differential_sharpe":
            raise ConfigError(
                "the direct agent learns from `growth` or `excess` rewards, not from `differential_sharpe`, whose "
                "running moments reach beyond its windows; set env.reward.kind=excess"
            )
        self.tape, self.settings = tape, settings
        self.costs = TradingCosts.from_settings(settings, len(tape.symbols), tape.periods_per_year)
        self._panels = _Panels(
            intraday=None if tape.intraday is None else torch.as_tensor(tape.intraday, dtype=dtype),
            overnight=torch.as_tensor(tape.overnight, dtype=dtype),
            tradable=None if tape.all_tradable.all() else torch.as_tensor(tape.tradable, dtype=dtype),
            delisted=torch.as_tensor(tape.delisted) if tape.any_delisted.any() else None,
            impact_scale=None if tape.impact_scale is None else torch.as_tensor(tape.impact_scale, dtype=dtype),
            reference=torch.as_tensor(tape.get_growth(settings.reward.reference), dtype=dtype),
            signals=torch.as_tensor(tape.signals, dtype=dtype),
            features=torch.as_tensor(tape.features, dtype=dtype),
            tradable_then=torch.as_tensor(tape.tradable_then, dtype=dtype),
            returns=torch.as_tensor(tape.returns, dtype=dtype),
        )
        self.rates = torch.as_tensor(self.costs.rates, dtype=dtype)
        self._holdable = None if tape.holdable is None else torch.as_tensor(tape.holdable, dtype=dtype)
        self._long_only = settings.action.long_only
        self._last_night = tape.n_bars - (tape.final_mark is None)  # nothing falls due after the last close

    def find_holdable(self, bar: torch.Tensor) -> torch.Tensor | None:
        """Return one where a symbol may be held after the executions of some bars, else zero, `[N]` or `[P, N]`."""
        if self._holdable is None or self._holdable.dim() == 1:
            return self._holdable
        return self._holdable[bar.clamp(max=len(self._holdable) - 1)]

    def start(self, bar: torch.Tensor) -> Portfolios:
        """Return portfolios in cash before the executions of some bars, `[P]`."""
        cash = torch.zeros(len(bar), len(self.rates), dtype=self.rates.dtype)
        cash[:, -1] = 1.0
        one = torch.ones(len(bar), dtype=self.rates.dtype)
        return Portfolios(bar, cash, cash, one, one)

    def observe(self, portfolios: Portfolios) -> Tensors:
        """Return observations as `alfred.envs.observations` describes them, with gradients to the weights."""
        panels, bar = self._panels, portfolios.bar
        weights = portfolios.weights
        observation = {
            "weights": weights.clamp(0.0, 1.0) if self._long_only else weights.clamp(-BOUND, BOUND),
            "market": panels.features[bar],
            "tradable": panels.tradable_then[bar],
        }
        if self.tape.signals.shape[2]:
            observation["signals"] = panels.signals[bar]
        if self.tape.lookback:
            rows = bar.unsqueeze(-1) + torch.arange(self.tape.lookback)
            observation["returns"] = panels.returns[rows].transpose(1, 2)
        return observation

    def step(self, portfolios: Portfolios, target: torch.Tensor) -> TorchStep:
        """Trade to target weights `[P, N+1]` and hold to the next decision; no bar may lie beyond the tape."""
        reward_settings = self.settings.reward
        current, growth, turnover = self._run_bar(portfolios, target)
        reference = self._panels.reference[portfolios.bar]
        for _ in range(self.settings.rebalance_every - 1):
            reference = reference * self._panels.reference[current.bar]
            current, more, moved = self._run_bar(current, None)
            growth, turnover = growth * more, turnover + moved
        pay = compute_reward if self._own is None else self._own.pay_torch
        reward = pay(growth, reference, reward_settings)
        wealth, peak = current.wealth, torch.maximum(portfolios.peak, current.wealth)
        if reward_settings.drawdown_penalty:
            deepened = (portfolios.wealth / portfolios.peak - wealth / peak).clamp(min=0.0)
            reward = reward - reward_settings.scale * reward_settings.drawdown_penalty * deepened
        if reward_settings.turnover_penalty:
            reward = reward - reward_settings.scale * reward_settings.turnover_penalty * turnover
        return TorchStep(current._replace(peak=peak), reward, growth, turnover)

    def _run_bar(
        self, portfolios: Portfolios, target: torch.Tensor | None
    ) -> tuple[Portfolios, torch.Tensor, torch.Tensor]:
        panels, bar, drifted = self._panels, portfolios.bar, portfolios.drifted
        growth, turnover = torch.ones_like(portfolios.wealth), torch.zeros_like(portfolios.wealth)
        if panels.delisted is not None:
            drifted = move_to_cash(drifted, panels.delisted[bar])
        if target is not None:
            scale, power = None, self.settings.impact.power
            if panels.impact_scale is not None:
                scale = panels.impact_scale[bar] * (portfolios.wealth ** (power - 1.0)).unsqueeze(-1)
            drifted, growth, turnover = solve_trade(
                drifted,
                target,
                self.rates,
                free=None if panels.tradable is None else panels.tradable[bar],
                impact_scale=scale,
                impact_power=power,
                long_only=self._long_only,
            )
        if panels.intraday is not None:
            drifted, more = drift(drifted, panels.intraday[bar])
            growth = growth * more
        known = drifted
        fee = None
        if not self._long_only:
            fee = compute_fee(drifted, self.costs.short_rate, self.costs.loan_rate) * (bar < self._last_night)
        drifted, more = drift(drifted, panels.overnight[bar], fee)
        weights, growth = known if self.tape.lag else drifted, growth * more
        following = Portfolios(bar + 1, drifted, weights, portfolios.wealth * growth, portfolios.peak)
        return following, growth, turnover


def compute_weights(
    actions: torch.Tensor, settings: ActionSettings, holdable: torch.Tensor | None = None
) -> torch.Tensor:
    """Turn actions into target weights, cash last, `[P, N+1]`, as `alfred.envs.actions.compute_weights` does."""
    clipped = actions.clamp(-1.0, 1.0)
    allowed = torch.ones_like(clipped[..., :-1]) if holdable is None else holdable.expand_as(clipped[..., :-1])
    if settings.mode == "long_short":
        assets = clipped[..., :-1] * allowed
        size = assets.abs().sum(dim=-1, keepdim=True).clamp(min=1.0)
        assets = assets * (settings.max_leverage / size)
        return torch.cat([assets, 1.0 - assets.sum(dim=-1, keepdim=True)], dim=-1)
    allowed = torch.cat([allowed, torch.ones_like(allowed[..., :1])], dim=-1)
    if settings.mode == "simplex":
        raw = (clipped + 1.0) * 0.5 * allowed
        empty = (raw.sum(dim=-1, keepdim=True) <= 0.0).to(raw.dtype)
        raw = torch.cat([raw[..., :-1], raw[..., -1:] + empty], dim=-1)
        return raw / raw.sum(dim=-1, keepdim=True)
    weights = torch.softmax(torch.where(allowed > 0.0, clipped * settings.logit_scale, -torch.inf), dim=-1)
    weights = torch.where(weights < _DUST, 0.0, weights)
    return weights / weights.sum(dim=-1, keepdim=True)
