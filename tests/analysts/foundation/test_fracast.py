"""Fracast behind the contract of an analyst, against its own package."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from alfred.analysts.checks import check_analyst, measure_difference, rescale_market, take_windows
from alfred.analysts.foundation import fracast as module
from alfred.analysts.foundation.fracast import FracastAnalyst
from alfred.analysts.foundation.settings import FracastSettings
from alfred.config import parse_experiment
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.errors import CheckpointError, ConfigError, DataError, MissingExtraError, NotFittedError
from tests.conftest import make_random_market

fracast = pytest.importorskip("fracast", reason="the extra 'fracast' is not installed")

MARKET = make_random_market(200, 4)
SETTINGS = FracastSettings(context_length=64, device="cpu")


@pytest.fixture(scope="module")
def analyst() -> FracastAnalyst:
    return FracastAnalyst(SETTINGS).fit(MARKET)


def list_windows(market: Market, rows: tuple[int, ...] = (150,), length: int = 64) -> Contexts:
    every = np.repeat(rows, market.n_symbols)
    return make_contexts(market, every, np.tile(np.arange(market.n_symbols), len(rows)), length=length)


@pytest.mark.slow
def test_contract() -> None:
    check_analyst(lambda: FracastAnalyst(SETTINGS), MARKET)


@pytest.mark.parametrize(("weights", "scaling"), [("fp32", "price"), ("w8", "price"), ("fp32", "log_price")])
def test_forecasts_are_those_of_the_package(weights, scaling) -> None:
    settings = SETTINGS.model_copy(update={"weights": weights, "input_scaling": scaling})
    own = FracastAnalyst(settings).fit(MARKET).predict(list_windows(MARKET, (120,)))
    reference = fracast.FracastModel.from_pretrained(weights=weights)
    for column in (0, 1):
        # Unlike the analyst, prices as they are: the network takes level and scale off by itself.
        close = MARKET.close[57:121, column]
        answer = reference.forecast(close if scaling == "price" else np.log(close))[[0, 4, 19]]
        expected = np.log(answer / close[-1]) if scaling == "price" else answer - np.log(close[-1])
        np.testing.assert_allclose(own.quantiles[column], np.sort(expected, axis=1), atol=2e-5)
    assert own.levels == pytest.approx(tuple(np.arange(1, 10) / 10))
    assert own.dispersion().min() > 1e-3


def test_a_window_is_forecast_alike_alone_in_any_unit_and_whatever_comes_after(analyst) -> None:
    windows = list_windows(MARKET)
    forecast = analyst.predict(windows)
    alone = [analyst.predict(take_windows(windows, [row])) for row in range(len(windows))]
    np.testing.assert_allclose(np.concatenate([one.quantiles for one in alone]), forecast.quantiles, atol=1e-6)
    tiny = analyst.predict(list_windows(rescale_market(MARKET, 1e-9)))
    assert measure_difference(forecast, tiny) < 1e-4
    scrambled = analyst.predict(list_windows(scramble_after(MARKET, MARKET.dates[150], 3)))
    np.testing.assert_array_equal(scrambled.quantiles, forecast.quantiles)
    assert not np.allclose(analyst.predict(list_windows(MARKET, (151,))).quantiles, forecast.quantiles, atol=1e-4)


def test_a_flat_price_stays_and_a_window_of_seven_bars_has_no_forecast(analyst) -> None:
    close = MARKET.close.copy()
    close[:, 0] = 25.0
    close[:144, 1] = np.nan
    close[100:110, 2] = np.nan
    market = Market.from_arrays(MARKET.dates, MARKET.symbols, close, benchmark="SPY")
    forecast = analyst.predict(list_windows(market, (150,)))
    assert np.abs(forecast.quantiles[0]).max() < 1e-4
    assert np.abs(forecast.quantiles[3]).max() > 1e-3
    assert np.isnan(forecast.quantiles[1]).all()
    assert np.isnan(forecast.mean[1]).all()
    assert np.isfinite(forecast.quantiles[2:]).all()


def test_it_is_saved_by_name_and_other_weights_are_refused(analyst, tmp_path) -> None:
    analyst.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["settings.json", "weights.json"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2000
    again = FracastAnalyst.from_pretrained(tmp_path)
    assert again.settings == SETTINGS
    windows = list_windows(MARKET)
    np.testing.assert_array_equal(again.predict(windows).quantiles, analyst.predict(windows).quantiles)
    saved = json.loads((tmp_path / "weights.json").read_text())
    for name, value in (("sha256", "0" * 64), ("version", "0.0.9")):
        (tmp_path / "weights.json").write_text(json.dumps({**saved, name: value}))
        with pytest.raises(CheckpointError, match=f"was saved with {name} '{value}', but what is here has"):
            FracastAnalyst.from_pretrained(tmp_path)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(CheckpointError, match="does not say which weights it belongs to"):
        FracastAnalyst.from_pretrained(tmp_path)


def test_a_changed_wheel_is_refused(monkeypatch, tmp_path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fracast, "__version__", "0.2.0")
        with pytest.raises(CheckpointError, match=r"fracast 0.2.0 is installed.*pip install 'alfred\[fracast\]'"):
            FracastAnalyst(SETTINGS).fit(MARKET)
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"other weights")
    monkeypatch.setitem(module._FILES, "fp32", str(damaged))
    with pytest.raises(CheckpointError, match="they were changed or damaged; run pip install"):
        FracastAnalyst(SETTINGS).fit(MARKET)


def test_a_missing_package_is_one_clear_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fracast", None)
    analyst = FracastAnalyst(SETTINGS)
    with pytest.raises(MissingExtraError, match=r"^'fracast' is not installed; .*: pip install 'alfred\[fracast\]'$"):
        analyst.fit(MARKET)
    with pytest.raises(NotFittedError):
        analyst.predict(list_windows(MARKET))


def test_what_is_out_of_reach_is_refused(analyst) -> None:
    with pytest.raises(ConfigError, match="horizon 49 is beyond the 48 sessions that Fracast forecasts"):
        parse_experiment({"analysts": [{"kind": "fracast", "horizons": [1, 49]}]})
    with pytest.raises(ConfigError, match="context_length"):
        parse_experiment({"analysts": [{"kind": "fracast", "context_length": 4096}]})
    with pytest.raises(DataError, match="contexts hold 60 bars, but 'fracast' reads 64"):
        analyst.predict(list_windows(MARKET, length=60))


def test_fit_declares_the_cutoff_and_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    analyst = FracastAnalyst(SETTINGS).fit(MARKET)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert str(analyst.knowledge_cutoff.date()) == "2026-09-26"
    told = FracastSettings.model_validate({"knowledge_cutoff": "2026-01-31"})
    assert str(FracastAnalyst(told).knowledge_cutoff.date()) == "2026-01-31"
    assert "2026-09-26 is taken for the knowledge cutoff" in analyst.notes[0]
    assert FracastAnalyst(told).notes == ()
