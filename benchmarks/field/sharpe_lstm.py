"""The Sharpe-loss LSTM: Zhang, Zohren and Roberts (2020), "Deep learning for portfolio optimization".

As published: closes and returns of all assets over 50 sessions, side by side, into one LSTM of 64 units, a softmax
over the assets, minus the Sharpe ratio of a batch of 64 sessions as the loss, Adam, the last tenth of the past to
stop on.

Different: the signals of the session are read beside the state of the LSTM, since what is planted is not in prices;
no volatility target, since the book here may not borrow; returns are net of the ledger's rate. A batch is 64
consecutive sessions, so that it has trades to pay for.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from alfred.envs.policy import Policy
from alfred.envs.tape import Tape
from alfred.typing import Tensors

from .past import Past, TensorPolicy, grow, observe_past, share_out

WINDOW, UNITS, BATCH, LEARNING_RATE = 50, 64, 64, 1e-3
EPOCHS, PATIENCE = 100, 10


class SharpeLstm(nn.Module):
    """Reads the assets side by side, and is bound to them."""

    def __init__(self, n_symbols: int, n_signals: int) -> None:
        super().__init__()
        self.memory = nn.LSTM(2 * n_symbols, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS + n_symbols * n_signals, n_symbols)

    def forward(self, observation: Tensors) -> torch.Tensor:
        """Return target weights, `[P, N+1]`."""
        returns = observation["returns"].transpose(1, 2)
        closes = torch.exp(returns.cumsum(1) - returns.sum(1, keepdim=True)) - 1.0
        remembered = self.memory(torch.cat([closes * 10.0, returns * 100.0], dim=-1))[0][:, -1]
        scores = self.head(torch.cat([remembered, observation["signals"].flatten(1)], dim=-1))
        return share_out(scores, observation["tradable"])


def fit(past: Past, epochs: int = EPOCHS) -> Policy:
    """Climb the Sharpe ratio of batches, and keep what was best on the last tenth."""
    torch.manual_seed(past.seed)
    rng = np.random.default_rng(past.seed)
    tape = past.lay_out(WINDOW)
    rows = np.arange(WINDOW, tape.n_bars - 1)
    kept = len(rows) * 9 // 10
    batches = np.array_split(rows[:kept], max(kept // BATCH, 1))
    network = SharpeLstm(tape.signals.shape[1], tape.signals.shape[2])
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    best, chosen, waited = -np.inf, copy.deepcopy(network.state_dict()), 0
    for _ in range(epochs):
        for number in rng.permutation(len(batches)):
            optimizer.zero_grad()
            (-_measure(network, tape, batches[number], past.cost)).backward()
            optimizer.step()
        with torch.no_grad():
            found = float(_measure(network, tape, rows[kept:], past.cost))
        waited += 1
        if found > best:
            best, chosen, waited = found, copy.deepcopy(network.state_dict()), 0
        if waited >= PATIENCE:
            break
    network.load_state_dict(chosen)
    return TensorPolicy("Sharpe-loss LSTM", network.eval(), WINDOW)


def _measure(network: SharpeLstm, tape: Tape, rows: np.ndarray, cost: float) -> torch.Tensor:
    """Return the Sharpe ratio a session over consecutive rows, net of costs."""
    weights = network(observe_past(tape, rows))
    value = weights * torch.as_tensor(grow(tape)[rows], dtype=torch.float32)
    total = value.sum(dim=1)
    traded = (weights[1:] - (value / total.unsqueeze(1))[:-1]).abs()[:, :-1].sum(dim=1)
    net = total[1:] - 1.0 - cost * traded
    return net.mean() / (net.std() + 1e-8)
