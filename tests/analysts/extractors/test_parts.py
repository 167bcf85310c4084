"""Feature extractors: what they read, and plain references."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alfred.analysts.extractors.parts import SIZES, AttentionPart, ConvolutionPart, compress_widths, make_part

PARTS = ("lstm", "conv", "attention", "transformer", "mlp", "compressing_mlp")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PARTS)
def test_shapes_and_independence_of_the_batch(name, size) -> None:
    torch.manual_seed(0)
    part, width, is_sequence = make_part(name, 3, 12, SIZES[size], 0.1)
    part.eval()
    x = torch.randn(6, 12, 3)
    with torch.no_grad():
        whole, alone = part(x), part(x[2:3])
    assert whole.shape == ((6, 12, width) if is_sequence else (6, width))
    torch.testing.assert_close(whole[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "conv"])
def test_causal_parts_do_not_read_later_bars(name) -> None:
    part, _, _ = make_part(name, 2, 12, SIZES["medium"], 0.0)
    x = torch.randn(1, 12, 2)
    other = x.clone()
    other[:, 7:] += 1
    with torch.no_grad():
        torch.testing.assert_close(part(x)[:, :7], part(other)[:, :7])
        assert not torch.allclose(part(x)[:, 7:], part(other)[:, 7:])


def test_convolution_by_numpy() -> None:
    torch.manual_seed(1)
    part = ConvolutionPart(2, SIZES["small"]).double()
    x = torch.randn(1, 9, 2, dtype=torch.float64)
    sequence = x[0].numpy() @ part.embed.weight.detach().numpy().T + part.embed.bias.detach().numpy()
    for depth, layer in enumerate(part.layers):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        added = np.tile(bias, (9, 1))
        for t in range(9):
            for k in range(3):
                source = t - (2 - k) * 2**depth
                if source >= 0:
                    added[t] += weight[:, :, k] @ sequence[source]
        sequence = sequence + torch.nn.functional.gelu(torch.from_numpy(added)).numpy()
    np.testing.assert_allclose(part(x)[0].detach().numpy(), sequence, rtol=1e-10)


def test_attention_by_numpy() -> None:
    torch.manual_seed(2)
    part = AttentionPart(2, 6, SIZES["small"]).double()
    x = torch.randn(1, 6, 2, dtype=torch.float64)
    layer = part.layers[0]
    weights = {name: tensor.detach().numpy() for name, tensor in layer.named_parameters()}
    embedded = (part.embed(x) + part.positions)[0].detach().numpy()
    projected = embedded @ weights["in_proj_weight"].T + weights["in_proj_bias"]
    heads = []
    for h in range(4):
        query, key, value = (projected[:, i * 16 + h * 4 : i * 16 + h * 4 + 4] for i in range(3))
        score = np.exp(query @ key.T / 2)
        heads.append(score / score.sum(1, keepdims=True) @ value)
    read = np.concatenate(heads, axis=1) @ weights["out_proj.weight"].T + weights["out_proj.bias"]
    np.testing.assert_allclose(part(x)[0].detach().numpy(), embedded + read, rtol=1e-9)


def test_each_compressing_layer_is_half_of_the_last() -> None:
    assert compress_widths(256, 16) == (128, 64, 32, 16)
    assert compress_widths(96, 16) == (48, 24)
    assert compress_widths(3, 16) == (1,)
