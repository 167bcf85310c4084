"""Chronos-2 and Chronos-Bolt behind the contract of an analyst, against their own pipelines, with random weights."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from alfred.analysts.checks import check_analyst, measure_difference, rescale_market, take_windows
from alfred.analysts.foundation.chronos import ChronosAnalyst
from alfred.analysts.foundation.settings import CHRONOS_CUTOFFS, CHRONOS_REVISIONS, ChronosSettings
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.errors import CheckpointError, ConfigError, MissingExtraError
from alfred.learning.hub import resolve_checkpoint
from tests.analysts.foundation.small import DATA, DECILES, LEVELS_2
from tests.conftest import make_random_market

chronos = pytest.importorskip("chronos", reason="the extra 'chronos' is not installed")

MARKET = make_random_market(200, 4)
KINDS = ("chronos-2", "chronos-bolt")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_settings(checkpoint: str | Path, **changes: object) -> ChronosSettings:
    raw = {"context_length": 60, "knowledge_cutoff": "2020-01-01", "device": "cpu", **changes}
    return ChronosSettings.model_validate({"checkpoint": str(checkpoint), **raw})


def fit(kind: str, **changes: object) -> ChronosAnalyst:
    return ChronosAnalyst(make_settings(DATA / kind, **changes)).fit(MARKET)


def list_windows(market: Market, rows: tuple[int, ...] = (120, 150)) -> Contexts:
    every = np.repeat(rows, market.n_symbols)
    return make_contexts(market, every, np.tile(np.arange(market.n_symbols), len(rows)), length=60)


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind) -> None:
    check_analyst(lambda: ChronosAnalyst(make_settings(DATA / kind)), MARKET)


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_are_those_of_the_package(kind) -> None:
    # The reference loads the folder by itself, and is handed levels: it takes them off by itself.
    pipeline = chronos.BaseChronosPipeline.from_pretrained(DATA / kind, use_safetensors=True)
    logs = np.stack([np.log(MARKET.close[row - 59 : row + 1, column]) for row in (120, 150) for column in range(4)])
    levels = LEVELS_2[1:-1] if kind == "chronos-2" else DECILES
    series = [torch.from_numpy(one) for one in logs]
    answer, _ = pipeline.predict_quantiles(series, prediction_length=20, quantile_levels=levels)
    expected = np.stack([np.asarray(one).reshape(20, len(levels)) for one in answer])[:, [0, 4, 19]]
    forecast = fit(kind).predict(list_windows(MARKET))
    assert forecast.levels == tuple(levels)
    spread = forecast.quantiles.std()
    np.testing.assert_allclose(
        forecast.quantiles, np.sort(expected - logs[:, -1, None, None], axis=2), atol=1e-3 * spread
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_forecast_alike_alone_in_any_unit_and_whatever_comes_after(kind) -> None:
    analyst = fit(kind)
    windows = list_windows(MARKET)
    forecast = analyst.predict(windows)
    alone = [analyst.predict(take_windows(windows, [row])) for row in range(len(windows))]
    np.testing.assert_allclose(np.concatenate([one.quantiles for one in alone]), forecast.quantiles, atol=1e-5)
    pairs = fit(kind, batch_size=2).predict(windows)
    np.testing.assert_allclose(pairs.quantiles, forecast.quantiles, atol=1e-5)
    assert measure_difference(forecast, analyst.predict(list_windows(rescale_market(MARKET, 1e-9)))) < 1e-4
    scrambled = analyst.predict(list_windows(scramble_after(MARKET, MARKET.dates[150], 3)))
    np.testing.assert_array_equal(scrambled.quantiles, forecast.quantiles)
    assert not np.allclose(analyst.predict(list_windows(MARKET, (121, 151))).quantiles, forecast.quantiles, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_come_from_the_file_and_others_are_refused(kind, tmp_path) -> None:
    shutil.copytree(DATA / kind, tmp_path / "own")
    analyst = ChronosAnalyst(make_settings(tmp_path / "own")).fit(MARKET)
    analyst.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["settings.json", "weights.json"]
    windows = list_windows(MARKET)
    again = ChronosAnalyst.from_pretrained(tmp_path / "saved")
    assert again.settings == analyst.settings
    np.testing.assert_array_equal(again.predict(windows).quantiles, analyst.predict(windows).quantiles)
    from safetensors.torch import load_file, save_file

    path = tmp_path / "own" / "model.safetensors"
    tensors = load_file(path)
    save_file({name: tensor * 1.5 for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    other = ChronosAnalyst(make_settings(tmp_path / "own")).fit(MARKET)
    assert not np.allclose(other.predict(windows).quantiles, analyst.predict(windows).quantiles)
    with pytest.raises(CheckpointError, match="was saved with sha256"):
        ChronosAnalyst.from_pretrained(tmp_path / "saved")
    save_file({name: tensor for name, tensor in tensors.items() if "norm" not in name}, path)
    with pytest.raises(CheckpointError, match=r"lacks 'encoder.block.0.layer.0.layer_norm.weight' and"):
        ChronosAnalyst(make_settings(tmp_path / "own")).fit(MARKET)


def test_pickled_weights_are_not_read(tmp_path) -> None:
    shutil.copytree(DATA / "chronos-2", tmp_path / "own")
    (tmp_path / "own" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "own" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"model\.safetensors does not exist"):
        ChronosAnalyst(make_settings(tmp_path / "own")).fit(MARKET)


@pytest.mark.parametrize("change", [{"architectures": ["T5ForConditionalGeneration"]}, {"chronos_config": None}])
def test_another_architecture_is_refused(change, tmp_path) -> None:
    shutil.copytree(DATA / "chronos-2", tmp_path / "own")
    path = tmp_path / "own" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=r"is no Chronos-2 and no Chronos-Bolt .* known: amazon/chronos-2, "):
        ChronosAnalyst(make_settings(tmp_path / "own")).fit(MARKET)


def test_a_config_that_describes_nothing_is_refused(tmp_path) -> None:
    shutil.copytree(DATA / "chronos-2", tmp_path / "own")
    path = tmp_path / "own" / "config.json"
    config = json.loads(path.read_text())
    config["chronos_config"]["output_patch_size"] = 16
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="does not describe a Chronos2Model"):
        ChronosAnalyst(make_settings(tmp_path / "own")).fit(MARKET)


def test_what_is_out_of_reach_is_refused() -> None:
    for kind, longest in (("chronos-2", 32), ("chronos-bolt", 24)):
        with pytest.raises(ConfigError, match=f"horizon 33 is beyond the {longest} sessions that"):
            fit(kind, horizons=(1, 33))
        with pytest.raises(ConfigError, match="context_length 129 is beyond the 128 sessions that"):
            fit(kind, context_length=129)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device is 'cuda', but torch sees no GPU"):
            fit("chronos-2", device="cuda")


def test_cutoffs_are_declared_or_asked_for() -> None:
    for name, revision in CHRONOS_REVISIONS.items():
        for settings in (ChronosSettings(checkpoint=name), ChronosSettings(checkpoint=name, revision=revision)):
            assert ChronosAnalyst(settings).knowledge_cutoff.date() == CHRONOS_CUTOFFS[name]
    assert str(ChronosAnalyst(ChronosSettings()).knowledge_cutoff.date()) == "2025-10-31"
    for unknown in (make_settings(DATA / "chronos-2", knowledge_cutoff=None), ChronosSettings(revision=COMMIT)):
        with pytest.raises(ConfigError, match=r"nobody says until when .* was trained; set knowledge_cutoff"):
            ChronosAnalyst(unknown).fit(MARKET)


def test_without_cache_and_network_the_message_says_what_to_do(tmp_path, monkeypatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"'amazon/chronos-2' at 29ec3766 is not in the cache and the hub cannot"):
        ChronosAnalyst(ChronosSettings()).fit(MARKET)
    with pytest.raises(ConfigError, match=r"no commit is pinned for it; .* set `revision` to the 40 digits"):
        ChronosAnalyst(make_settings("autogluon/chronos-2-small")).fit(MARKET)
    # In the cache it is found without any network.
    folder = tmp_path / "models--amazon--chronos-2" / "snapshots" / CHRONOS_REVISIONS["amazon/chronos-2"]
    shutil.copytree(DATA / "chronos-2", folder)
    assert resolve_checkpoint("amazon/chronos-2", pinned=CHRONOS_REVISIONS).weights.parent == folder
    assert ChronosAnalyst(ChronosSettings(context_length=60)).fit(MARKET).is_fitted


def test_a_missing_package_is_one_clear_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "chronos", None)
    with pytest.raises(MissingExtraError, match=r"^'chronos' is not installed; .*: pip install 'alfred\[chronos\]'$"):
        fit("chronos-2")


def test_fit_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fit("chronos-bolt").predict(list_windows(MARKET))
    assert torch.equal(torch.random.get_rng_state(), before)
