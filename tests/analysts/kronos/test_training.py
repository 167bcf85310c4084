from __future__ import annotations

import numpy as np
import pytest
import torch

from alfred.analysts.kronos.checkpoint import KronosPair, make_pair
from alfred.analysts.kronos.config import LoraSettings, ModelConfig, TokenizerConfig
from alfred.analysts.kronos.training import adapt, compute_window_loss, make_model_loss, make_tokenizer_loss
from alfred.analysts.kronos.windows import WindowExamples, split_windows
from alfred.data.market import Market
from alfred.errors import DataError
from alfred.learning.fitting import FittingReport, fit_module
from alfred.learning.settings import FittingSettings
from tests.analysts.kronos.small import make_small_pair
from tests.conftest import make_random_market

SPLIT = {"history": 24, "horizon": 6, "validation_fraction": 0.2, "max_validation": 40}
QUICK = FittingSettings(steps=60, batch_size=16, learning_rate=1e-2, validate_every=30)


Parts = tuple[WindowExamples, WindowExamples]


def train_tokenizer(pair: KronosPair, parts: Parts) -> FittingReport:
    loss = make_tokenizer_loss(pair.tokenizer)
    return fit_module(pair.tokenizer, loss, train=parts[0], validation=parts[1], settings=QUICK)


def train_model(pair: KronosPair, parts: Parts, *, sampled_s1: bool = False) -> FittingReport:
    loss = make_model_loss(pair.model, pair.tokenizer, sampled_s1=sampled_s1)
    return fit_module(pair.model, loss, train=parts[0], validation=parts[1], settings=QUICK)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return split_windows(make_random_market(300, late_listing=True), **SPLIT)


def test_windows_are_scaled_by_their_history_alone() -> None:
    market = make_random_market(200, 2)
    rows = torch.tensor([3, 90])
    before = split_windows(market, **SPLIT)[0]
    altered = market.close.copy()
    altered[3 + SPLIT["history"] :] *= 3.0
    fields = {name: market.field(name) for name in ("open", "high", "low", "volume")}
    other = Market.from_arrays(market.dates, market.symbols, altered, benchmark="SPY", **fields)
    after = split_windows(other, **SPLIT)[0]
    history = slice(0, SPLIT["history"])
    assert torch.equal(before[rows][0][0, history], after[rows][0][0, history])
    assert not torch.equal(before[rows][0][0], after[rows][0][0])
    scaled = before[rows][0][:, history]
    np.testing.assert_allclose(scaled.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(1, correction=0), 1, atol=1e-3)


def test_validation_windows_are_later_and_share_no_bar(parts) -> None:
    train, validation = parts
    bars = [
        {int(bar) for start in part.starts for bar in range(start, start + part.length)} for part in (train, validation)
    ]
    assert not bars[0] & bars[1]
    assert len(validation) == 40
    # By symbol: every training bar stands before every validation bar. A late listing has fewer bars.
    edges = np.cumsum([200, 300, 300, 300])
    for stop, length in zip(edges, (200, 300, 300, 300), strict=True):
        inside = [sorted(bar for bar in part if stop - length <= bar < stop) for part in bars]
        assert inside[0][-1] < inside[1][0]


def test_a_short_market_is_refused() -> None:
    with pytest.raises(DataError, match=r"the market has 60 dates; .* 24 \+ 6 bars .* need 80 dates"):
        split_windows(make_random_market(60), **SPLIT)


def test_training_from_scratch_learns(parts) -> None:
    pair = make_pair(TokenizerConfig(), ModelConfig())
    x, stamps = parts[1][torch.arange(40)]
    with torch.no_grad():
        before = float(pair.tokenizer.eval().compute_loss(x))
    assert train_tokenizer(pair, parts).best_loss < 0.3 * before
    model = train_model(pair, parts)
    with torch.no_grad():
        fresh = make_pair(TokenizerConfig(), ModelConfig()).model.eval()
        ids = pair.tokenizer.encode(x)
        assert model.best_loss < 0.5 * float(compute_window_loss(fresh, *ids, stamps))
        assert float(compute_window_loss(pair.model, *ids, stamps)) == pytest.approx(model.best_loss, rel=1e-4)


def test_conditioning_on_drawn_tokens_trains_too(parts) -> None:
    pair = make_small_pair()
    report = train_model(pair, parts, sampled_s1=True)
    assert report.validations[1][1] < report.validations[0][1]


def test_the_validation_loss_sees_no_later_bar(parts) -> None:
    pair = make_small_pair()
    generator = torch.Generator().manual_seed(0)
    s1, s2 = (torch.randint(0, 32, (1, 20), generator=generator) for _ in range(2))
    stamps = torch.zeros(1, 20, 5, dtype=torch.int64)
    changed = torch.cat([s1[:, :15], s1[:, 15:].flip(1)], dim=1)

    def s2_logits(ids: torch.Tensor, *, causal: bool) -> torch.Tensor:
        with torch.no_grad():
            _, context = pair.model.decode_s1(ids, s2, stamps)
            return pair.model.decode_s2(context, ids, causal=causal)[:, :14]

    assert torch.equal(s2_logits(s1, causal=True), s2_logits(changed, causal=True))
    # As released, in eval mode, it does see later bars: this is what the flag guards against.
    assert not torch.allclose(s2_logits(s1, causal=False), s2_logits(changed, causal=False), atol=1e-3)


def test_adapters_train_little_and_are_merged(parts) -> None:
    pytest.importorskip("peft")
    pair = make_small_pair()
    names = set(pair.model.state_dict())
    before = {name: tensor.clone() for name, tensor in pair.model.state_dict().items()}
    with adapt(pair.model, "lora", LoraSettings(rank=2), seed=0):
        trained = [name for name, parameter in pair.model.named_parameters() if parameter.requires_grad]
        assert trained
        assert all("lora_" in name for name in trained)
        report = train_model(pair, parts)
    assert set(pair.model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in pair.model.parameters())
    changed = {name for name, tensor in pair.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.split(".")[-2] in ("q_proj", "k_proj", "v_proj", "out_proj", "w1", "w2", "w3") for name in changed)
    update = pair.model.state_dict()["transformer.0.ffn.w1.weight"] - before["transformer.0.ffn.w1.weight"]
    assert int(torch.linalg.matrix_rank(update, rtol=1e-3)) <= 2
    # The merged weights are the adapted ones: they have the loss that training reported.
    with torch.no_grad():
        x, stamps = parts[1][torch.arange(40)]
        merged = compute_window_loss(pair.model.eval(), *pair.tokenizer.encode(x), stamps)
    assert float(merged) == pytest.approx(report.best_loss, rel=1e-4)
