"""How parts are put together."""

from __future__ import annotations

import pytest
import torch

from alfred.analysts.extractors.network import ExtractorNetwork
from alfred.analysts.extractors.settings import ExtractorSettings

WINDOWS = torch.randn(4, 12, 2, generator=torch.Generator().manual_seed(0))


def build(**changes: object) -> ExtractorNetwork:
    raw = {"context_length": 13, "fields": ("close", "volume"), "horizons": (1, 5), **changes}
    settings = ExtractorSettings.model_validate(raw)
    return ExtractorNetwork(settings, settings.context_length - 1, len(settings.fields)).eval()


def normalise(features: torch.Tensor) -> torch.Tensor:
    centred = features - features.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()


def test_concatenated_parts_all_read_the_window() -> None:
    network = build(parts=("conv", "mlp", "lstm"))
    conv, mlp, lstm = (part(WINDOWS) for part in network.parts)
    expected = torch.cat([conv[:, -1], conv.mean(1), mlp, lstm[:, -1], lstm.mean(1)], dim=1)
    torch.testing.assert_close(network.embed(WINDOWS), normalise(expected))
    assert network.n_features == 5 * 16


@pytest.mark.parametrize("last", ["lstm", "mlp"])
def test_layered_parts_read_one_another(last) -> None:
    network = build(parts=("conv", "attention", last), combine="layered")
    first, second, third = network.parts
    x = third(second(first(WINDOWS)))
    expected = torch.cat([x[:, -1], x.mean(1)], dim=1) if last == "lstm" else x
    torch.testing.assert_close(network.embed(WINDOWS), normalise(expected))


def test_sizes_grow_and_dropout_is_for_training_only() -> None:
    counts = [
        sum(p.numel() for p in build(parts=("lstm", "transformer"), size=size).parameters())
        for size in ("small", "medium", "large")
    ]
    assert counts[0] < counts[1] < counts[2]
    network = build(dropout=0.5)
    torch.nn.init.ones_(network.head.layer.weight)
    assert torch.equal(network(WINDOWS), network(WINDOWS))
    network.train()
    assert not torch.equal(network(WINDOWS), network(WINDOWS))
