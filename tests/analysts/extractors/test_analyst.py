"""The extractor analyst: contract with every head and combination, features, devices, what it finds."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from alfred.analysts.checks import check_analyst, take_windows
from alfred.analysts.extractors.analyst import ExtractorAnalyst
from alfred.analysts.extractors.settings import ExtractorSettings
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.contexts import Contexts, make_contexts
from alfred.errors import ConfigError, DataError, NotFittedError
from alfred.learning.settings import FittingSettings
from tests.analysts.planted import N_FIT, forecast_rest, make_autoregressive_market
from tests.conftest import make_random_market

MARKET = make_random_market(400)
BRIEF = FittingSettings(steps=15, batch_size=64, validate_every=5)


def make(**changes: object) -> ExtractorAnalyst:
    raw = {"parts": ("lstm",), "context_length": 13, "horizons": (1, 5), "fitting": BRIEF, **changes}
    return ExtractorAnalyst(ExtractorSettings.model_validate(raw))


def make_windows(analyst: ExtractorAnalyst) -> Contexts:
    rows = np.arange(300, 400, 10)
    return make_contexts(MARKET, rows, np.arange(10) % 4, length=analyst.context_length, fields=analyst.fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": ("lstm", "conv"), "head": "quantiles"},
        {"parts": ("conv", "attention", "lstm"), "combine": "layered", "head": "magnitude", "bound": 0.5},
        {"parts": ("transformer", "mlp"), "combine": "layered", "head": "direction", "loss": "focal"},
        {"parts": ("compressing_mlp",), "fields": ("close", "open", "high", "low", "volume"), "dropout": 0.1},
    ],
)
def test_contract(changes) -> None:
    check_analyst(lambda: make(**changes), MARKET)


@pytest.mark.parametrize("head", ["gaussian", "quantiles", "magnitude", "direction"])
def test_untrained_is_naive(head) -> None:
    analyst = make(head=head)
    analyst.network_, analyst.is_fitted = analyst._build(), True
    windows = make_windows(analyst)
    naive = NaiveAnalyst(NaiveSettings(horizons=(1, 5), context_length=13)).fit(MARKET).predict(windows)
    forecast = analyst.predict(windows)
    np.testing.assert_allclose(forecast.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(forecast.quantiles, naive.quantiles, rtol=1e-6, atol=1e-12)


def test_features_are_what_the_head_reads() -> None:
    analyst = make(parts=("lstm", "conv"))
    with pytest.raises(NotFittedError):
        analyst.embed(make_windows(analyst))
    windows = make_windows(analyst.fit(MARKET))
    features = analyst.embed(windows)
    assert features.shape == (10, analyst.network_.n_features) == (10, 64)
    np.testing.assert_allclose(analyst.embed(take_windows(windows, [7]))[0], features[7], rtol=1e-4, atol=1e-5)
    layer = analyst.network_.head.layer
    numbers = features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    expected = numbers.reshape(10, 2, 2)[..., 0] * analyst._scale(windows)
    np.testing.assert_allclose(analyst.predict(windows).mean, expected, rtol=1e-4, atol=1e-8)
    nothing = take_windows(windows, slice(0))
    assert analyst.predict(nothing).quantiles.shape == (0, 2, 11)
    assert analyst.embed(nothing).shape == (0, 64)


def test_the_residual_spread_is_measured_and_kept(tmp_path) -> None:
    analyst = make(head="magnitude").fit(MARKET)
    residual = analyst.network_.head.residual
    assert ((residual - 1).abs() > 1e-4).all()
    assert (residual > 0.8).all()
    assert (residual < 1.3).all()
    analyst.save_pretrained(tmp_path)
    assert torch.equal(ExtractorAnalyst.from_pretrained(tmp_path).network_.head.residual, residual)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="loss 'pinball' does not suit the head 'direction'; accepted: cross"):
        ExtractorSettings(head="direction", loss="pinball")
    with pytest.raises(ValidationError, match="part 'mlp' leaves no sequence for the part after it"):
        ExtractorSettings(parts=("mlp", "lstm"), combine="layered")
    with pytest.raises(ValidationError, match=r"fields are \['volume', 'close'\]; they must begin with 'close'"):
        ExtractorSettings(fields=("volume", "close"))


def test_a_short_history_is_refused_in_one_line() -> None:
    with pytest.raises(DataError, match="'extractor' has too short a history") as caught:
        make().fit(MARKET.until(MARKET.dates[20]))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="device is 'cuda', but torch sees no GPU; use 'auto' or 'cpu'"):
        make(device="cuda").fit(MARKET)
    assert next(make(device="auto").fit(MARKET).network_.parameters()).device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("head", ["gaussian", "quantiles", "magnitude", "direction"])
def test_a_gpu_forecasts_as_the_cpu_does(head, tmp_path) -> None:
    analyst = make(head=head, device="cuda", parts=("lstm", "conv", "attention")).fit(MARKET)
    assert next(analyst.network_.parameters()).device.type == "cuda"
    windows = make_windows(analyst)
    analyst.save_pretrained(tmp_path)
    on_cpu = ExtractorAnalyst(analyst.settings.model_copy(update={"device": "cpu"}))
    on_cpu._load_weights(tmp_path)
    on_cpu.is_fitted = True
    np.testing.assert_allclose(
        analyst.predict(windows).quantiles, on_cpu.predict(windows).quantiles, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("head", ["gaussian", "magnitude"])
def test_a_planted_signal_is_found(head) -> None:
    market, returns, means = make_autoregressive_market(0.25)
    fitting = FittingSettings(steps=80, batch_size=256, learning_rate=5e-3, weight_decay=0.1, validate_every=20)
    analyst = make(horizons=(1,), head=head, fitting=fitting).fit(market.until(market.dates[N_FIT - 1]))
    found = forecast_rest(analyst, market, N_FIT)
    assert np.corrcoef(found.ravel(), means[N_FIT:-1].ravel())[0, 1] > 0.8
    assert np.corrcoef(found.ravel(), returns[N_FIT + 1 :].ravel())[0, 1] > 0.15


def test_a_configuration_is_checked_without_torch() -> None:
    modules = "alfred.analysts.extractors.settings, alfred.analysts.hermite.settings"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
