"""Networks that treat every asset alike: permuting the assets permutes the scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class ObservationShape:
    """What a network needs to know of the observations; the number of assets is not among it.

    Attributes:
        n_signals: Signals per asset, K.
        n_market: Features of the market, M.
        lookback: Sessions of returns per asset, L.
    """

    n_signals: int
    n_market: int
    lookback: int

    @property
    def per_asset(self) -> int:
        """Own numbers of an asset: signals, returns, weight, tradable."""
        return self.n_signals + self.lookback + 2

    @property
    def shared(self) -> int:
        """Numbers that all assets see: means over the assets, the market, cash."""
        return self.per_asset + self.n_market + 1


def split_features(observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is an asset's own, `[P, N, A]`, and what all share, `[P, S]`.

    Weights are multiplied by the number of assets, so that equal weights read 1 in a universe of any size.
    """
    weights = observation["weights"]
    n = weights.shape[-1] - 1
    parts = [(weights[..., :-1] * n).unsqueeze(-1), observation["tradable"].unsqueeze(-1)]
    if "signals" in observation:
        parts.append(observation["signals"])
    if "returns" in observation:
        # Daily returns are near 0.01; in per cent they have the size of everything else.
        parts.append(observation["returns"] * 100.0)
    own = torch.cat(parts, dim=-1)
    shared = torch.cat([own.mean(dim=-2), observation["market"], weights[..., -1:]], dim=-1)
    return own, shared


class AssetNetwork(nn.Module):
    """One small network applied to every asset, and one to cash.

    An asset's score is a function of its own numbers and of what all assets share (means over the cross-section, the
    market, cash). Sharing the weights over assets gives N times the data per parameter, which is the largest lever
    there is on learning from daily prices. Scores start at zero, so that an untrained agent holds equal weights.

    Args:
        shape: Sizes of the observations.
        hidden: Widths of the hidden layers.
        score_scale: Factor on the scores; see `alfred.agents.ppo`.
    """

    def __init__(self, shape: ObservationShape, hidden: tuple[int, ...] = (32, 32), score_scale: float = 1.0) -> None:
        """Build the layers."""
        super().__init__()
        self.score_scale = score_scale
        self.body = _mlp(shape.per_asset + shape.shared, hidden)
        self.cash_body = _mlp(shape.shared, hidden)
        self.head = nn.Linear(hidden[-1], 1)
        self.cash_head = nn.Linear(hidden[-1], 1)
        for layer in (self.head, self.cash_head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, observation: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores, cash last, `[P, N+1]`, and a summary of the observation, `[P, 2 * hidden[-1]]`."""
        own, shared = split_features(observation)
        spread = shared.unsqueeze(-2).expand(*own.shape[:-1], shared.shape[-1])
        hidden = self.body(torch.cat([own, spread], dim=-1))
        cash = self.cash_body(shared)
        scores = torch.cat([self.head(hidden).squeeze(-1), self.cash_head(cash)], dim=-1)
        return scores * self.score_scale, torch.cat([hidden.mean(dim=-2), cash], dim=-1)


def _mlp(n_inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_inputs, width), nn.Tanh()]
        n_inputs = width
    return nn.Sequential(*layers)
