"""The Hermite layers by numpy, and their stability at the highest degree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.polynomial import hermite, hermite_e

from alfred.analysts.hermite.network import BOUND, HermiteLayer, HermiteNetwork
from alfred.analysts.hermite.settings import HermiteSettings


@pytest.mark.parametrize("physicist", [False, True])
def test_layer_by_numpy(physicist) -> None:
    torch.manual_seed(0)
    layer = HermiteLayer(5, 7, 3, 6, physicist=physicist).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    weight, bias = layer.linear.weight.detach().numpy(), layer.linear.bias.detach().numpy()
    coefficients = layer.coefficients.detach().numpy()
    z = (x.numpy() @ weight.T + bias).reshape(4, 3, 7)
    z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5)
    z = BOUND * np.tanh(z / BOUND)
    norms = np.sqrt([float((2**n if physicist else 1) * np.prod(np.arange(1, n + 1))) for n in range(7)])
    evaluate = hermite.hermval if physicist else hermite_e.hermeval
    expected = np.zeros((4, 7))
    for m in range(3):
        for j in range(7):
            expected[:, j] += evaluate(z[:, m, j], coefficients[m, j] / norms) / 3
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("polynomials", ["probabilist", "physicist"])
def test_degree_eight_trains_on_extreme_inputs(polynomials) -> None:
    settings = HermiteSettings(polynomials=polynomials, degree=8, maps_a=9, maps_b=5, context_length=17, horizons=(1,))
    torch.manual_seed(0)
    network = HermiteNetwork(settings)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    inputs = 8.0 * torch.sign(torch.randn(32, 16, 1))
    target = torch.tanh(inputs[:, -1]) + 0.1 * torch.randn(32, 1)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (network(inputs)[:, 0] - target).square().mean()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-20:]) < 0.1 * losses[0]


def test_untrained_network_is_naive_persistence() -> None:
    for size in (None, 32):
        answer = HermiteNetwork(HermiteSettings(lstm_size=size))(torch.randn(5, 32, 1))
        assert answer.shape == (5, 3, 3)
        assert not answer.any()
