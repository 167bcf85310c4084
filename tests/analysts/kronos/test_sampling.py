from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from alfred.analysts.kronos.decoding.sampling import (
    KeyedSource,
    StreamSource,
    TokenChooser,
    compute_uniforms,
    filter_logits,
    mix_bits,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(7, 40, generator=GENERATOR) * 2


def keep_by_loop(row: list[float], top_k: int, top_p: float) -> set[int]:
    order = sorted(range(len(row)), key=lambda i: -row[i])
    if top_k:
        return set(order[:top_k])
    weights = np.exp(np.array(row) - max(row))
    kept, total = set(), 0.0
    for i in order:
        kept.add(i)
        total += weights[i] / weights.sum()
        if total > top_p:
            break
    return kept


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.9), (0, 0.5), (0, 0.01), (5, 0.3), (1, 1.0), (0, 1.0), (99, 1.0)])
def test_filters_keep_what_a_loop_keeps(top_k, top_p) -> None:
    kept = torch.isfinite(filter_logits(LOGITS, top_k, top_p))
    for row, mask in zip(LOGITS.tolist(), kept, strict=True):
        assert set(torch.nonzero(mask)[:, 0].tolist()) == keep_by_loop(row, top_k, top_p)


def test_the_stream_is_torchs() -> None:
    probabilities = torch.softmax(LOGITS, dim=-1)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = [torch.multinomial(probabilities, 1)[:, 0] for _ in range(4)]
    chance = StreamSource(5, torch.device("cpu"))
    drawn = [chance.draw(probabilities, step, part) for step in range(2) for part in range(2)]
    assert torch.equal(torch.stack(drawn), torch.stack(expected))


def test_keyed_numbers_are_uniform_and_independent() -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    first, second = compute_uniforms(keys, 0), compute_uniforms(keys, 1)
    assert stats.kstest(first, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.03
    along = np.array([compute_uniforms(keys[:1], counter)[0] for counter in range(5_000)])
    assert stats.kstest(along, "uniform").pvalue > 0.01


def test_bits_are_mixed_as_published() -> None:
    # First output of splitmix64 from the state 1234567, as listed with its reference implementation.
    state = np.array([1234567], dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    assert int(mix_bits(state)[0]) == 6457827717110365317


def test_keyed_draws_follow_the_probabilities() -> None:
    n = 20_000
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2]).expand(n, 4)
    drawn = KeyedSource(np.arange(n, dtype=np.uint64)).draw(probabilities, 3, 1)
    counts = torch.bincount(drawn, minlength=4).numpy()
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], n * np.array([0.5, 0.3, 0.2])).pvalue > 0.01


def test_a_low_temperature_keeps_to_the_likeliest() -> None:
    keys = np.arange(len(LOGITS), dtype=np.uint64)
    cold = TokenChooser(torch.full((7,), 1e-3), 0, 1.0, KeyedSource(keys))
    assert torch.equal(cold.choose(LOGITS, 0, 0), LOGITS.argmax(-1))
