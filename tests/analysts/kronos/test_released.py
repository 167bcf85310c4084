from __future__ import annotations

import numpy as np
import pytest

from alfred.analysts.kronos.checkpoint import KronosPair, load_pair, make_pair
from alfred.analysts.kronos.config import RELEASES, ModelConfig, TokenizerConfig
from alfred.analysts.kronos.forecaster import KronosForecaster
from tests.analysts.kronos.small import make_batch

# Parameters in millions, as published with the weights.
PUBLISHED = {"NeoQuasar/Kronos-mini": 4.1, "NeoQuasar/Kronos-small": 24.7, "NeoQuasar/Kronos-base": 102.3}
TOKENIZER = 3.96


def count_millions(pair: KronosPair) -> tuple[float, float]:
    counts = [sum(p.numel() for p in network.parameters()) / 1e6 for network in (pair.tokenizer, pair.model)]
    return counts[0], counts[1]


@pytest.mark.parametrize(
    "name",
    ["NeoQuasar/Kronos-mini", "NeoQuasar/Kronos-small", pytest.param("NeoQuasar/Kronos-base", marks=pytest.mark.slow)],
)
def test_a_network_of_a_released_size_has_the_published_number_of_parameters(name: str) -> None:
    width, n_layers, n_heads, hidden = RELEASES[name].shape
    bits = {"s1_bits": 10, "s2_bits": 10}
    coder = {"d_model": 256, "n_heads": 4, "ff_dim": 512, "n_enc_layers": 4, "n_dec_layers": 4}
    pair = make_pair(
        TokenizerConfig(**bits, **coder, group_size=RELEASES[name].group_size),
        ModelConfig(**bits, d_model=width, n_layers=n_layers, n_heads=n_heads, ff_dim=hidden),
    )
    assert count_millions(pair) == (pytest.approx(TOKENIZER, abs=0.005), pytest.approx(PUBLISHED[name], abs=0.05))


@pytest.mark.network
@pytest.mark.pretrained
@pytest.mark.parametrize("name", PUBLISHED)
def test_released_weights_load_and_stay_near_the_last_close(name: str) -> None:
    pair = load_pair(name)
    assert count_millions(pair) == (pytest.approx(TOKENIZER, abs=0.005), pytest.approx(PUBLISHED[name], abs=0.05))
    candles = make_batch(200)
    forecast = KronosForecaster(pair.tokenizer, pair.model).forecast(candles, 5, samples=20)
    closes = forecast.paths[0, :, :, 3]
    # Ten per cent in five days of a series that moves two per cent a day.
    assert abs(float(np.median(closes)) / float(candles.last_closes[0]) - 1) < 0.1
