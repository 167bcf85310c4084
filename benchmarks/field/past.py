"""What a method of the field may learn from, and what its networks have in common.

Axes legend: P portfolios, N symbols, K signals, L sessions of returns, E executions; width N+1 has cash last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.typing import Float, Observation, Tensors

_CLOSED = -1e9  # a score of no weight


@dataclass(frozen=True)
class Past:
    """All that is known when a method is fitted.

    Attributes:
        market: Prices, cut at the refit.
        signals: What agents see, cut at the same date.
        fold: The ranges of the refit; those that choose nothing take training and validation together.
        environment: Costs, execution and reward.
        horizon: Sessions ahead that a forecast is fitted on.
        seed: Of every random choice.
    """

    market: Market
    signals: Signals
    fold: Fold
    environment: PortfolioSettings
    horizon: int
    seed: int

    @property
    def cost(self) -> float:
        """Cost of trading one unit of value."""
        return (self.environment.cost_bps + self.environment.slippage_bps) / 1e4

    def lay_out(self, lookback: int = 0) -> Tape:
        """Return the past as a tape: row e is decided on, executed and held to the execution of row e + 1."""
        settings = self.environment.model_copy(update={"lookback": lookback})
        return prepare_tape(self.market, self.signals, settings, holdable=self.market.universe)


def grow(tape: Tape) -> Float:
    """Return price at the next execution over price at this one, cash last, `[E, N+1]`."""
    return tape.overnight if tape.intraday is None else tape.intraday * tape.overnight


def observe_past(tape: Tape, rows: np.ndarray) -> Tensors:
    """Return what a policy sees before the executions of some rows, but for weights and market."""
    looked = rows[:, None] + np.arange(tape.lookback)
    return {
        "signals": torch.as_tensor(tape.signals[rows]),
        "tradable": torch.as_tensor(tape.tradable_then[rows]),
        "returns": torch.as_tensor(np.moveaxis(tape.returns[looked], 1, 2).copy()),
    }


def share_out(scores: torch.Tensor, tradable: torch.Tensor, cash: torch.Tensor | None = None) -> torch.Tensor:
    """Return the softmax of scores `[P, N]` over what trades, and cash where it has a score `[P]`, `[P, N+1]`."""
    closed = scores.masked_fill(tradable <= 0.0, _CLOSED)
    last = torch.full_like(closed[:, :1], _CLOSED) if cash is None else cash.unsqueeze(-1)
    assets = torch.softmax(torch.cat([closed, last], dim=-1), dim=-1)[:, :-1] * tradable
    return torch.cat([assets, 1.0 - assets.sum(dim=-1, keepdim=True)], dim=-1)


class TensorPolicy:
    """A function of observations as tensors, as a `Policy`.

    Args:
        name: Name in tables.
        decide: Returns weights `[P, N+1]`.
        lookback: Sessions of returns that it is shown, L.
    """

    rebalance_every: int | None = None

    def __init__(self, name: str, decide: Callable[[Tensors], torch.Tensor], lookback: int) -> None:
        self.name, self.decide, self.lookback = name, decide, lookback

    def reset(self, rows: object = None) -> None:
        """Forget nothing: there is no state but the weights that are held, which are observed."""

    def predict(self, observation: Observation) -> Float:
        tensors = {key: torch.as_tensor(value) for key, value in observation.items()}
        if self.lookback:
            tensors["returns"] = tensors["returns"][..., tensors["returns"].shape[-1] - self.lookback :]
        with torch.no_grad():
            weights = self.decide(tensors).double().clamp(min=0.0)
        return np.asarray(weights / weights.sum(dim=-1, keepdim=True))
