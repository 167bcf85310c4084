from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.kronos.decoding import linear
from alfred.analysts.kronos.decoding.linear import FusedLinear, compute_dtype


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("n_rows", [1, 10, 400])
def test_large_products_are_as_exact_as_those_of_torch(n_rows, has_bias) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(256, 256, bias=has_bias), nn.Linear(256, 128, bias=has_bias)]
    x = torch.randn(2, n_rows, 256)
    with torch.inference_mode():
        ours = FusedLinear(layers)(x)
        torchs = torch.cat([layer(x) for layer in layers], -1)
        exact = torch.cat([layer.double()(x.double()) for layer in layers], -1)
    assert (ours - exact).abs().max() < 4 * (torchs - exact).abs().max()


def test_only_large_weights_are_laid_out_anew() -> None:
    small, large = FusedLinear([nn.Linear(128, 256)]), FusedLinear([nn.Linear(256, 256)])
    assert not small.is_packed
    assert large.is_packed == linear._can_pack(torch.zeros(1))
    assert not FusedLinear([nn.Linear(256, 256)], "bfloat16").is_packed


def test_without_the_library_the_product_is_that_of_torch(monkeypatch) -> None:
    monkeypatch.setattr(linear, "_can_pack", lambda weight: False)
    layer, x = nn.Linear(256, 256), torch.randn(3, 256)
    fused = FusedLinear([layer])
    assert not fused.is_packed
    assert torch.equal(fused(x), functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_a_copy_and_what_another_process_is_sent_compute_the_same(precision) -> None:
    fused, x = FusedLinear([nn.Linear(256, 300)], precision), torch.randn(3, 256, dtype=compute_dtype(precision))
    for other in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))):
        assert other.is_packed == fused.is_packed
        assert torch.equal(other(x), fused(x))


def test_a_processor_without_the_library_is_sent_weights_that_it_can_use(monkeypatch) -> None:
    layer, x = nn.Linear(256, 256), torch.randn(3, 256)
    sent = pickle.dumps(FusedLinear([layer]))
    monkeypatch.setattr(linear, "_can_pack", lambda weight: False)
    received = pickle.loads(sent)
    assert not received.is_packed
    assert torch.equal(received(x), functional.linear(x, layer.weight, layer.bias))
