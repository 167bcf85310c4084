"""The ledger once more, in torch: the accounting of `alfred.envs.ledger` with gradients.

Each function is the counterpart of the one that it is named after, and a test holds the two to the same numbers.
Axes legend: P portfolios, N symbols; arrays of width N+1 hold cash last.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from alfred.envs.settings import RewardSettings

_MAX_PASSES = 64
_TINY = 1e-30


class TorchTrade(NamedTuple):
    """The result of one rebalancing of P portfolios.

    Attributes:
        weights: Weights after the trade, `[P, N+1]`.
        growth: Wealth after over wealth before, `[P]`.
        turnover: Half the sum of absolute weight changes, cash included, `[P]`.
    """

    weights: torch.Tensor
    growth: torch.Tensor
    turnover: torch.Tensor


def solve_trade(
    drifted: torch.Tensor,
    target: torch.Tensor,
    rates: torch.Tensor,
    *,
    free: torch.Tensor | None = None,
    impact_scale: torch.Tensor | None = None,
    impact_power: float = 1.5,
    long_only: bool = True,
) -> TorchTrade:
    """Rebalance to target weights and pay the costs out of wealth, solved exactly.

    The wealth after the trade is found without gradients, as in its counterpart. One more step of Newton's method from
    there, whose slope is held constant, leaves the value where it is and has the gradient that the implicit function
    theorem gives: no gradient runs through the iterations.

    Args:
        drifted: Holdings before the trade as fractions of wealth, `[P, N+1]`.
        target: Target weights, summing to one, `[P, N+1]`.
        rates: Cost per unit of traded value, `[N+1]`, zero for cash.
        free: One where a holding can be traded and zero where it is frozen, one for cash, `[P, N+1]`; None when all
            can.
        impact_scale: Cost `scale x^power` of trading a value x, zero for cash, `[P, N+1]`, or None.
        impact_power: Its power.
        long_only: Whether no weight, that of cash included, may become negative.
    """
    if free is None:
        wanted, moved, held = target, drifted, torch.zeros_like(drifted)
    else:
        wanted, held = split_frozen(drifted, target, free, long_only=long_only)
        moved = drifted - held
    total_held = held.sum(dim=-1)
    budget = (1.0 - total_held).clamp(min=0.0)

    def measure(after: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the trades, the unpaid cost, and its slope in the wealth after."""
        traded = wanted * after.unsqueeze(-1) - moved
        size = traded.abs()
        cost, marginal = size @ rates, rates
        if impact_scale is not None:
            # The small offset keeps the gradient of a power below two finite where nothing is traded.
            pressure = impact_scale * (size + _TINY) ** (impact_power - 1.0)
            cost, marginal = cost + (pressure * size).sum(dim=-1), rates + impact_power * pressure
        slope = 1.0 + (torch.copysign(marginal, traded) * wanted).sum(dim=-1)
        return size, after + cost - budget, slope.clamp(min=_TINY)

    tolerance = 16.0 * torch.finfo(drifted.dtype).eps
    with torch.no_grad():
        after = budget
        for _ in range(_MAX_PASSES):
            _, excess, slope = measure(after)
            if float(excess.max()) <= tolerance:
                break
            after = (after - excess / slope).clamp(min=0.0)
    _, excess, slope = measure(after)
    # Where nothing can be left, the wealth after stays at nothing.
    after = torch.where(after > 0.0, after - excess / slope.detach(), after)
    size = (wanted * after.unsqueeze(-1) - moved).abs()
    turnover = 0.5 * size.sum(dim=-1)
    if free is None:
        return TorchTrade(target, after, turnover)
    growth = after + total_held
    values = wanted * after.unsqueeze(-1) + held
    return TorchTrade(values / growth.clamp(min=_TINY).unsqueeze(-1), growth, turnover)


def split_frozen(
    drifted: torch.Tensor, target: torch.Tensor, free: torch.Tensor, *, long_only: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Part a trade into what can be traded and what stays; see its counterpart.

    Returns:
        Weights of the free part that sum to one, and the holdings that stay, both `[P, N+1]`.
    """
    held, wanted = drifted * (1.0 - free), target * free
    if not long_only:
        assets, wishes = held[..., :-1], wanted[..., :-1]
        held = torch.cat([assets, -assets.sum(dim=-1, keepdim=True)], dim=-1)
        return torch.cat([wishes, 1.0 - wishes.sum(dim=-1, keepdim=True)], dim=-1), held
    total = wanted.sum(dim=-1, keepdim=True)
    nothing = (total <= 0.0).to(wanted.dtype)
    cash = torch.cat([torch.zeros_like(wanted[..., :-1]), nothing], dim=-1)
    return (wanted + cash) / (total + nothing), held


def drift(
    weights: torch.Tensor, factors: torch.Tensor, fee: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hold through a move of prices; see its counterpart.

    Args:
        weights: Weights before, cash last, `[P, N+1]`.
        factors: Price after over price before, `[P, N+1]`.
        fee: Paid from cash meanwhile, as a fraction of the wealth before, `[P]`, or None.

    Returns:
        The weights after, `[P, N+1]`, and the growth of wealth, `[P]`.
    """
    values = weights * factors
    if fee is not None:
        values = torch.cat([values[..., :-1], values[..., -1:] - fee.unsqueeze(-1)], dim=-1)
    growth = values.sum(dim=-1)
    alive = growth > 0.0
    cash = torch.zeros_like(values)
    cash[..., -1] = 1.0
    following = torch.where(alive.unsqueeze(-1), values / torch.where(alive, growth, 1.0).unsqueeze(-1), cash)
    return following, growth.clamp(min=0.0)


def compute_fee(weights: torch.Tensor, short_rate: float, loan_rate: float) -> torch.Tensor:
    """Return the fee on what is borrowed a session, as a fraction of wealth, `[P]`; see its counterpart."""
    borrowed = (-weights).clamp(min=0.0)
    return borrowed[..., :-1].sum(dim=-1) * short_rate + borrowed[..., -1] * loan_rate


def move_to_cash(weights: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """Return weights `[P, N+1]` after some of them were turned into cash, free of cost; see its counterpart."""
    paid = torch.where(moved, weights, 0.0)
    kept = weights - paid
    return torch.cat([kept[..., :-1], kept[..., -1:] + paid.sum(dim=-1, keepdim=True)], dim=-1)


def compute_reward(growth: torch.Tensor, reference_growth: torch.Tensor, settings: RewardSettings) -> torch.Tensor:
    """Return the reward of a step of kind `growth` or `excess`, without penalties, `[P]`; see its counterpart."""
    reward = _utility(growth, settings.risk_aversion)
    if settings.kind == "excess":
        reward = reward - _utility(reference_growth, settings.risk_aversion)
    return settings.scale * reward


def _utility(growth: torch.Tensor, risk_aversion: float) -> torch.Tensor:
    return growth.clamp(min=1e-9).log() - 0.5 * risk_aversion * (growth - 1.0) ** 2
