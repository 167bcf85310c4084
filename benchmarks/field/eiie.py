"""EIIE: Jiang, Xu and Liang (2017), arXiv 1706.10059, the convolutional one.

As published: the window of 50 closes over the last one, convolutions of 1 x 3 (two maps) and 1 x 48 (twenty maps)
that all assets share, the weight held before as one more map, a softmax with a bias for cash, mean log growth net of
commission as the objective, batches of 50 consecutive sessions from a portfolio-vector memory, drawn geometrically
towards the present (5e-5), Adam, L2 of 1e-8.

Different: closes alone, where they read highs and lows as well; the signals of the session join the weights as maps,
since what is planted is not in prices; steps of 1e-3 for 2,000 batches instead of 3e-5 for 2 million; no learning
between two refits.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from alfred.envs.policy import Policy
from alfred.typing import Tensors

from .past import Past, TensorPolicy, grow, observe_past, share_out

WINDOW, BATCH, SAMPLE_BIAS, L2 = 50, 50, 5e-5, 1e-8
STEPS, LEARNING_RATE = 2_000, 1e-3


class Evaluators(nn.Module):
    """One small convolutional network, applied to every asset alike."""

    def __init__(self, n_signals: int) -> None:
        super().__init__()
        self.short = nn.Conv2d(1, 2, (1, 3))
        self.long = nn.Conv2d(2, 20, (1, WINDOW - 2))
        self.vote = nn.Linear(20 + 1 + n_signals, 1)
        self.cash = nn.Parameter(torch.zeros(1))

    def forward(self, observation: Tensors) -> torch.Tensor:
        """Return target weights, `[P, N+1]`."""
        later = observation["returns"].flip(-1).cumsum(-1).flip(-1)  # from each close to the last one
        closes = torch.exp(-torch.cat([later, torch.zeros_like(later[..., :1])], dim=-1)).unsqueeze(1)
        maps = torch.relu(self.long(torch.relu(self.short(closes)))).squeeze(-1).transpose(1, 2)
        held = observation["weights"][:, :-1].unsqueeze(-1)
        scores = self.vote(torch.cat([maps, held, observation["signals"]], dim=-1)).squeeze(-1)
        return share_out(scores, observation["tradable"], self.cash.expand(len(scores)))


def fit(past: Past, steps: int = STEPS) -> Policy:
    """Learn from batches of the portfolio-vector memory."""
    torch.manual_seed(past.seed)
    rng = np.random.default_rng(past.seed)
    tape = past.lay_out(WINDOW - 1)
    growth = torch.as_tensor(grow(tape), dtype=torch.float32)
    network = Evaluators(tape.signals.shape[2])
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=L2)
    memory = torch.as_tensor(tape.tradable_then / tape.tradable_then.sum(axis=1, keepdims=True).clip(1.0))
    memory = torch.cat([memory, torch.zeros(len(memory), 1)], dim=1)
    first, last = WINDOW, tape.n_bars - BATCH
    for _ in range(steps):
        start = last - (int(rng.geometric(SAMPLE_BIAS)) - 1) % (last - first)
        rows = np.arange(start, start + BATCH)
        # What a batch finds in the memory is what was decided a session before, drifted since.
        before = memory[rows - 1] * growth[rows - 1]
        weights = network(
            {**observe_past(tape, rows), "weights": before / before.sum(dim=1, keepdim=True)},
        )
        memory[rows] = weights.detach()
        value = weights * growth[rows]
        total = value.sum(dim=1)
        drifted = value / total.unsqueeze(1)
        traded = (weights[1:, :-1] - drifted[:-1, :-1]).abs().sum(dim=1)
        reward = total.log().mean() + (1.0 - past.cost * traded).log().mean()
        optimizer.zero_grad()
        (-reward).backward()
        optimizer.step()
    return TensorPolicy("EIIE", network.eval(), WINDOW - 1)
