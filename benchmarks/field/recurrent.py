"""Recurrent reinforcement by the differential Sharpe ratio: Moody and Saffell (2001), "Learning to trade via direct
reinforcement".

As published: what is held is a function of what was held before, of past returns and of other inputs; its parameters
climb the differential Sharpe ratio (adaptation 0.01) session by session, net of costs, with gradients carried forward
through the recursion. A softmax spreads over several assets, as in Moody, Wu, Liao and Saffell (1998).

Different: all assets share one set of parameters, which start at zero (equal weights); the step (0.003) and the
passes over the past (10) are ours, since theirs belong to one security; no learning between two refits.
"""

from __future__ import annotations

import numpy as np
import torch

from alfred.envs.policy import Policy
from alfred.typing import Float, Tensors

from .past import Past, TensorPolicy, grow, observe_past, share_out

LAGS, ADAPTATION, STEP, PASSES = 8, 0.01, 0.003, 10


def fit(past: Past, passes: int = PASSES) -> Policy:
    """Learn session by session, pass by pass."""
    tape = past.lay_out(LAGS)
    inputs = _read(observe_past(tape, np.arange(tape.n_bars))).double().numpy()
    inputs = np.concatenate([inputs, np.zeros((*inputs.shape[:2], 1))], axis=2)  # the weight held comes last
    returns = grow(tape)[:, :-1] - 1.0
    tradable = tape.tradable_then > 0
    slopes = np.zeros(inputs.shape[2])
    for _ in range(passes):
        slopes = _pass_over(slopes, inputs, returns, tradable, past.cost)
    learnt = torch.as_tensor(slopes, dtype=torch.float32)

    def decide(observation: Tensors) -> torch.Tensor:
        held = observation["weights"][:, :-1].unsqueeze(-1)
        return share_out(torch.cat([_read(observation), held], dim=-1) @ learnt, observation["tradable"])

    return TensorPolicy("differential Sharpe", decide, LAGS)


def _read(observation: Tensors) -> torch.Tensor:
    """Return signals and the last returns, in per cent, `[P, N, K + LAGS]`."""
    return torch.cat([observation["signals"], observation["returns"] * 100.0], dim=-1)


def _pass_over(slopes: Float, inputs: Float, returns: Float, tradable: np.ndarray, cost: float) -> Float:
    """Return the parameters after one pass over the past."""
    n = inputs.shape[1]
    held, carried = np.zeros(n), np.zeros((n, len(slopes)))
    first, second = 0.0, 1e-4  # running moments of the returns, from a prior of one per cent a session
    for seen, earned, trades in zip(inputs, returns, tradable, strict=True):
        seen[:, -1] = held
        scores = np.where(trades, seen @ slopes, -np.inf)
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        # Through the scores of today, and through what was held before.
        moved = seen + slopes[-1] * carried
        sensitivity = weights[:, None] * (moved - weights @ moved)
        side = np.sign(weights - held) * cost
        gradient = (earned - side) @ sensitivity + side @ carried
        net = float(weights @ earned - np.abs(weights - held).sum() * cost)
        variance = max(second - first**2, 1e-8)
        slopes = slopes + STEP * (second - first * net) / variance**1.5 * gradient
        first, second = first + ADAPTATION * (net - first), second + ADAPTATION * (net**2 - second)
        value = weights * (1.0 + earned)
        held, carried = value / value.sum(), sensitivity
    return slopes
