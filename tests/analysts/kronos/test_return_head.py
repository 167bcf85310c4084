from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.analysts.checks import check_analyst, take_windows
from alfred.analysts.kronos.analyst import KronosAnalyst
from alfred.analysts.kronos.candles import scale_columns_freely
from alfred.analysts.kronos.checkpoint import load_pair, save_pair
from alfred.analysts.kronos.return_head import compute_moves, measure_spread, scale_last_moves
from alfred.analysts.kronos.return_training import ReturnExamples, ReturnNetwork
from alfred.analysts.kronos.settings import KronosEnsembleSettings, KronosSettings
from alfred.analysts.kronos.windows import make_candles, split_windows
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.analysts.windows import compute_window_volatility
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import Market
from alfred.errors import CheckpointError
from alfred.learning.settings import FittingSettings
from alfred.learning.tensors import read_tensors, write_tensors
from tests.analysts.kronos.small import make_small_pair
from tests.analysts.planted import forecast_rest, make_autoregressive_market
from tests.conftest import make_random_market

BRIEF = FittingSettings(steps=15, batch_size=16, learning_rate=1e-2, validate_every=5)
HEAD = {"fitting": BRIEF, "max_validation": 60}
QUICK = {"context_length": 20, "horizons": (1, 4), "tokenizer_fitting": BRIEF, "model_fitting": BRIEF, "head": "return"}
SIZES = {"s1_bits": 5, "s2_bits": 5, "d_model": 16, "ff_dim": 24}
MARKET = make_random_market(200, 3)
LOSSES = ("likelihood", "pinball", "huber")


def make(loss: str = "likelihood", **changes: object) -> KronosAnalyst:
    head = {**HEAD, "loss": loss, "tokens_first": False}
    sizes = {"tokenizer_size": SIZES, "model_size": SIZES}
    return KronosAnalyst(KronosSettings.model_validate({**QUICK, **sizes, "return_head": head, **changes}))


def windows(market: Market, analyst: KronosAnalyst, rows: list[int]) -> Contexts:
    chosen = np.repeat(rows, market.n_symbols)
    columns = np.tile(np.arange(market.n_symbols), len(rows))
    return make_contexts(market, chosen, columns, length=analyst.context_length, fields=analyst.fields)


@pytest.fixture(scope="module")
def fitted() -> KronosAnalyst:
    return make(batch_size=4).fit(MARKET)


@pytest.mark.parametrize("loss", LOSSES)
def test_contract(loss) -> None:
    check_analyst(lambda: make(loss), make_random_market(400, 4))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_head_at_zero_is_naive_persistence(loss, tmp_path: Path) -> None:
    analyst = make(loss).fit(MARKET)
    head = analyst._head
    assert head is not None
    assert float(head.layer.weight.detach().abs().max()) > 0
    with torch.no_grad():
        head.layer.weight.zero_()
        head.layer.bias.zero_()
        head.residual.fill_(1.0)
    contexts = windows(MARKET, analyst, [150, 170])
    ours, naive = analyst.predict(contexts), NaiveAnalyst(NaiveSettings(horizons=(1, 4))).fit(MARKET).predict(contexts)
    np.testing.assert_allclose(ours.mean, 0, atol=1e-12)
    np.testing.assert_allclose(ours.quantiles, naive.quantiles, rtol=1e-4, atol=1e-9)


def test_a_window_is_forecast_alike_in_any_batch_bit_for_bit(fitted) -> None:
    contexts = windows(MARKET, fitted, [100, 120, 140])
    values = contexts.values.copy()
    values[2, 5] = np.nan
    values[4, :-1] = np.nan  # one bar alone has no scale and no forecast
    contexts = replace(contexts, values=values)
    whole = fitted.predict(contexts)
    order = np.random.default_rng(0).permutation(len(contexts))
    turned = fitted.predict(take_windows(contexts, order))
    assert np.array_equal(whole.quantiles[order], turned.quantiles, equal_nan=True)
    for row in (0, 2, 8):
        alone = fitted.predict(take_windows(contexts, [row]))
        assert np.array_equal(alone.quantiles[0], whole.quantiles[row])
        assert np.array_equal(alone.mean[0], whole.mean[row])
    assert np.isnan(whole.mean[4]).all()
    known = np.delete(whole.mean, 4, axis=0)
    assert len(np.unique(known)) == known.size


@pytest.mark.parametrize("moves", [0, 1, 3, 5, 14, 16])
def test_any_number_of_moves_is_read_alike_in_any_place_of_a_batch(moves) -> None:
    analyst = make(batch_size=4, return_head={**HEAD, "tokens_first": False, "moves": moves}).fit(MARKET)
    contexts = windows(MARKET, analyst, [100, 120, 140])
    whole = analyst.predict(contexts)
    for row in range(len(contexts)):
        assert np.array_equal(analyst.predict(take_windows(contexts, [row])).quantiles[0], whole.quantiles[row])


@pytest.mark.parametrize("max_context", [None, 12])
def test_the_forecast_is_that_of_the_trained_network(max_context) -> None:
    analyst = make(max_context=max_context).fit(MARKET)
    contexts = windows(MARKET, analyst, [130])
    pair, head = analyst._pair, analyst._head
    assert pair is not None
    assert head is not None
    candles, _ = make_candles(contexts)
    assert candles is not None
    scaled, _, _ = scale_columns_freely(candles.values, 20)
    stamps = contexts.timestamps.astype("datetime64[D]")
    parts = np.zeros((*stamps.shape, 5), dtype=np.int64)
    for i, row in enumerate(stamps):
        days = pd.DatetimeIndex(row)
        parts[i, :, 2:] = np.stack([days.day_of_week, days.day, days.month], axis=1)
    network = ReturnNetwork(pair.model, head, is_frozen=False).eval()
    kept = slice(-max_context if max_context else 0, None)
    moves = np.diff(np.log(contexts.field("close").astype(float)), axis=1)
    spread = np.sqrt((moves**2).mean(axis=1))[:, None]
    recent = torch.from_numpy((moves / spread)[:, -16:].astype(np.float32))
    with torch.no_grad():
        s1, s2 = pair.tokenizer.encode(torch.from_numpy(scaled))
        numbers = network(s1[:, kept], s2[:, kept], torch.from_numpy(parts)[:, kept], recent).double().numpy()
    scale = spread * np.sqrt([1, 4])
    forecast = analyst.predict(contexts)
    np.testing.assert_allclose(forecast.mean, numbers[..., 0] * scale, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(forecast.dispersion(), np.exp(numbers[..., 1]) * scale, rtol=1e-4)


def test_targets_by_hand_and_inputs_without_the_future() -> None:
    split = {"history": 20, "horizon": 4, "validation_fraction": 0.2, "max_validation": 40}
    examples = ReturnExamples(split_windows(MARKET, **split)[0], (1, 4), 3)
    rows = torch.tensor([3, 57])
    x, stamps, recent, target = examples[rows]
    assert x.shape == (2, 20, 6)
    assert stamps.shape == (2, 20, 5)
    for row, read, found in zip(rows, recent, target, strict=True):
        closes = np.log(MARKET.close[int(row) : int(row) + 24, 0].astype(float))
        volatility = np.sqrt(np.mean(np.diff(closes[:20]) ** 2))
        expected = [closes[20] - closes[19], (closes[23] - closes[19]) / 2]
        np.testing.assert_allclose(found.numpy(), np.array(expected) / volatility, rtol=1e-5)
        np.testing.assert_allclose(read.numpy(), np.diff(closes[:20])[-3:] / volatility, rtol=1e-5)
    close = MARKET.close.copy()
    close[23:] *= 1.5
    fields = {name: MARKET.field(name) for name in ("open", "high", "low", "volume")}
    altered = Market.from_arrays(MARKET.dates, MARKET.symbols, close, benchmark="SPY", **fields)
    after, _, before, moved = ReturnExamples(split_windows(altered, **split)[0], (1, 4), 3)[rows[:1]]
    assert torch.equal(after[0], x[0])
    assert torch.equal(before[0], recent[0])
    assert float(moved[0, 0]) == pytest.approx(min(float(target[0, 0]) + np.log(1.5) / volatility_of(3), 8.0), rel=1e-4)


def volatility_of(row: int) -> float:
    return float(np.sqrt(np.mean(np.diff(np.log(MARKET.close[row : row + 20, 0].astype(float))) ** 2)))


def test_moves_skip_what_did_not_trade() -> None:
    contexts = windows(MARKET, make().fit(MARKET), [100])
    candles, _ = make_candles(contexts)
    assert candles is not None
    np.testing.assert_allclose(measure_spread(compute_moves(candles)), compute_window_volatility(contexts), rtol=1e-5)
    values = contexts.values.copy()
    values[0, [4, 19]] = np.nan
    candles, _ = make_candles(replace(contexts, values=values))
    assert candles is not None
    moves = np.diff(np.log(np.delete(contexts.field("close")[0].astype(float), [4, 19])))
    found = compute_moves(candles)
    np.testing.assert_allclose(found[0], [np.nan, np.nan, *moves], atol=1e-6)
    volatility = np.sqrt(np.mean(moves**2))
    assert measure_spread(found)[0] == pytest.approx(volatility, rel=1e-5)
    np.testing.assert_allclose(scale_last_moves(found, 2)[0], moves[-2:] / volatility, atol=1e-4)
    np.testing.assert_allclose(scale_last_moves(found, 20)[0], [0, 0, 0, *moves / volatility], atol=1e-4)
    assert scale_last_moves(found, 0).shape == (len(found), 0)


def test_the_spread_of_a_huber_head_is_that_of_its_errors_in_validation() -> None:
    analyst = make("huber").fit(MARKET)
    pair, head = analyst._pair, analyst._head
    assert pair is not None
    assert head is not None
    part = split_windows(MARKET, history=20, horizon=4, validation_fraction=0.1, max_validation=60)[1]
    x, stamps, moves, target = ReturnExamples(part, (1, 4), 16)[torch.arange(len(part))]
    with torch.no_grad():
        state = pair.model.read(*pair.tokenizer.encode(x), stamps)[:, -1]
        numbers = head(torch.cat([state, moves], dim=1))
    expected = (target - numbers[..., 0]).square().mean(0).sqrt()
    torch.testing.assert_close(head.residual, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("method", ["none", "full", "lora"])
def test_a_checkpoint_is_frozen_or_trained_with_the_head(tmp_path: Path, method: str) -> None:
    if method == "lora":
        pytest.importorskip("peft")
    pair = make_small_pair(dropout=0.2)
    save_pair(tmp_path, pair.tokenizer, pair.model)
    analyst = make(checkpoint=str(tmp_path), fine_tune=method, knowledge_cutoff="2015-05-31").fit(MARKET)
    assert analyst.knowledge_cutoff == pd.Timestamp("2015-05-31")
    assert analyst._pair is not None
    before, after = pair.model.state_dict(), analyst._pair.model.state_dict()
    assert set(before) == set(after)
    changed = {name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    expected = {"none": set(), "lora": {"transformer"}, "full": {"embedding", "time_emb", "transformer", "norm"}}
    assert changed == expected[method]
    assert all(parameter.requires_grad for parameter in analyst._pair.model.parameters())
    kept = analyst._pair.tokenizer.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in pair.tokenizer.state_dict().items())
    analyst.save_pretrained(tmp_path / "ours")
    back = KronosAnalyst.from_pretrained(tmp_path / "ours")
    assert back.knowledge_cutoff == analyst.knowledge_cutoff
    contexts = windows(MARKET, analyst, [120])
    assert np.array_equal(back.predict(contexts).quantiles, analyst.predict(contexts).quantiles)
    # The pair beside the head is a checkpoint like any other.
    assert load_pair(tmp_path / "ours").model.settings == pair.model.settings


def test_a_head_that_does_not_belong_is_refused(fitted, tmp_path: Path) -> None:
    fitted.save_pretrained(tmp_path / "one")
    make(seed=5).fit(MARKET).save_pretrained(tmp_path / "two")
    head = tmp_path / "one" / "return_head.safetensors"
    good = head.read_bytes()
    head.write_bytes((tmp_path / "two" / "return_head.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"was written with model_sha256=.* load the analyst from the folder"):
        KronosAnalyst.from_pretrained(tmp_path / "one")
    head.write_bytes(good[:50])
    with pytest.raises(CheckpointError, match=r"return_head\.safetensors is not a readable safetensors file"):
        KronosAnalyst.from_pretrained(tmp_path / "one")
    head.unlink()
    with pytest.raises(CheckpointError, match=r"return_head\.safetensors does not exist"):
        KronosAnalyst.from_pretrained(tmp_path / "one")
    head.write_bytes(good)
    settings = tmp_path / "one" / "settings.json"
    raw = json.loads(settings.read_text())
    settings.write_text(json.dumps({**raw, "horizons": [1, 3]}))
    with pytest.raises(CheckpointError, match=r"written with horizons=\[1, 4\], but .* has horizons=\[1, 3\]"):
        KronosAnalyst.from_pretrained(tmp_path / "one")
    for key, was, value in (("loss", "likelihood", "huber"), ("moves", 16, 3)):
        settings.write_text(json.dumps({**raw, "return_head": {**raw["return_head"], key: value}}))
        with pytest.raises(CheckpointError, match=rf"written with {key}={was}, but .* has {key}={value}"):
            KronosAnalyst.from_pretrained(tmp_path / "one")


def test_a_head_of_an_earlier_version_is_told_from_one_that_was_moved(fitted, tmp_path: Path) -> None:
    fitted.save_pretrained(tmp_path)
    tensors, note = read_tensors(tmp_path / "return_head.safetensors")
    del note["moves"]
    write_tensors(tmp_path / "return_head.safetensors", tensors, note)
    with pytest.raises(CheckpointError, match=r"saved before heads read the last moves, .*; fit the analyst again, or"):
        KronosAnalyst.from_pretrained(tmp_path)


def test_moves_without_end_are_refused() -> None:
    with pytest.raises(ValueError, match="4096"):
        make(return_head={**HEAD, "moves": 10**9})


@pytest.mark.parametrize("tokens_first", [True, False])
def test_what_is_trained_and_that_it_is_not_repeated(tmp_path: Path, tokens_first: bool) -> None:
    options = {"return_head": {**HEAD, "tokens_first": tokens_first}, "training_folder": str(tmp_path)}
    first = make(**options).fit(MARKET)
    files = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    names = {"tokenizer", "return"} | ({"model"} if tokens_first else set())
    assert {name.split("-")[0] for name in files} == names
    second = make(**options).fit(MARKET)
    assert files == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    contexts = windows(MARKET, first, [120])
    assert np.array_equal(first.predict(contexts).quantiles, second.predict(contexts).quantiles)


def test_a_planted_signal_is_found() -> None:
    market, _, means = make_autoregressive_market(-0.6, n_dates=400, n_symbols=4)
    fitting = FittingSettings(steps=80, batch_size=64, learning_rate=1e-2, validate_every=40)
    analyst = make(
        horizons=(1,),
        context_length=12,
        tokenizer_size=SIZES,
        model_size={**SIZES, "n_layers": 1},
        tokenizer_fitting={**BRIEF.model_dump(), "steps": 150, "validate_every": 75},
        return_head={"fitting": fitting, "tokens_first": False, "max_validation": 60},
    ).fit(market.until(market.dates[299]))
    found = forecast_rest(analyst, market, 300)
    assert np.corrcoef(found.ravel(), means[300:-1].ravel())[0, 1] > 0.6


def test_an_ensemble_has_nothing_to_draw_from_a_return_head() -> None:
    with pytest.raises(ValueError, match=r"a return head draws nothing; use kind: kronos with head: return"):
        KronosEnsembleSettings.model_validate({"head": "return"})
