"""A network with a memory of the market, shared by all assets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from alfred.agents.networks import NetworkSpec, ObservationShape, ScoreNetwork, make_network, split_features
from alfred.typing import Tensors

RecurrentState = tuple[torch.Tensor, torch.Tensor]

BURN_IN = 63
"""Sessions that a policy with a memory sees before its first decision counts: what it learnt to look back, twice."""


class MarketMemory(nn.Module):
    """A recurrent state (Hochreiter and Schmidhuber, 1997) of what all assets share.

    One state serves all assets, so that permuting the assets still permutes the scores and the universe may have any
    size.

    Args:
        shape: Sizes of the observations.
        width: Width of the state.
    """

    def __init__(self, shape: ObservationShape, width: int) -> None:
        """Build the layer."""
        super().__init__()
        self.cell = nn.LSTM(shape.shared, width)

    def forward(self, observation: Tensors, memory: RecurrentState) -> tuple[torch.Tensor, RecurrentState]:
        """Return what is remembered at each of S steps, `[S, P, width]`, and the memory after the last.

        Args:
            observation: Arrays `[S, P, ...]`.
            memory: Hidden and cell state, `[1, P, width]` each.
        """
        remembered, after = self.cell(split_features(observation)[1], memory)
        return remembered, after


class RecurrentNetwork(ScoreNetwork):
    """A network whose market features are joined by a memory; built for a specification with `memory` above zero."""

    def __init__(self, spec: NetworkSpec) -> None:
        """Build the memory and the network that reads it."""
        super().__init__(spec)
        self.memory = MarketMemory(spec.shape, spec.state_size)
        wider = replace(spec.shape, n_market=spec.shape.n_market + spec.state_size)
        self.network = make_network(replace(spec, shape=wider, state_size=0))
        self.summary_width = self.network.summary_width

    def start(self, count: int) -> RecurrentState:
        """Return the empty memory of some portfolios."""
        empty = torch.zeros(1, count, self.spec.state_size)
        return empty, empty

    def score(self, observation: Tensors, remembered: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores and summary for observations `[P, ...]` and what is remembered at them, `[P, width]`."""
        wider = {**observation, "market": torch.cat([observation["market"], remembered], dim=-1)}
        scores, summary = self.network(wider)
        return scores, summary

    def step(self, observation: Tensors, memory: RecurrentState) -> tuple[torch.Tensor, RecurrentState]:
        """Return the scores of one observation each, `[P, N+1]`, and the memory after it."""
        once = {name: tensor.unsqueeze(0) for name, tensor in observation.items()}
        remembered, after = self.memory(once, memory)
        return self.score(observation, remembered[0])[0], after


def build_network(spec: NetworkSpec) -> ScoreNetwork:
    """Build the network of a specification, with a memory or without one."""
    return RecurrentNetwork(spec) if spec.state_size else make_network(spec)


def forget(memory: RecurrentState, rows: torch.Tensor) -> RecurrentState:
    """Empty the memory where `rows` is true, `[P]`: an episode begins there."""
    kept = (~rows).to(memory[0].dtype).reshape(1, -1, 1)
    return memory[0] * kept, memory[1] * kept
