from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.analysts.kronos.analyst import KronosAnalyst, KronosEnsemble
from alfred.analysts.kronos.checkpoint import load_pair, save_pair
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.analysts.kronos.settings import KronosEnsembleSettings, KronosSettings
from alfred.analysts.kronos.windows import build_columns, make_candles
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from alfred.learning.settings import FittingSettings
from tests.analysts.kronos.small import make_small_pair
from tests.conftest import make_random_market

BRIEF = FittingSettings(steps=15, batch_size=16, learning_rate=1e-2, validate_every=5)
QUICK = {"context_length": 20, "horizons": (1, 4), "samples": 3, "tokenizer_fitting": BRIEF, "model_fitting": BRIEF}
MARKET = make_random_market(160, 3)


def windows(market: Market, analyst: KronosAnalyst, rows: list[int]) -> Contexts:
    chosen = np.repeat(rows, market.n_symbols)
    columns = np.tile(np.arange(market.n_symbols), len(rows))
    return make_contexts(market, chosen, columns, length=analyst.context_length, fields=analyst.fields)


def take(contexts: Contexts, rows: np.ndarray) -> Contexts:
    return replace(
        contexts,
        values=contexts.values[rows],
        symbols=tuple(contexts.symbols[row] for row in rows),
        dates=contexts.dates[rows],
        timestamps=contexts.timestamps[rows],
    )


@pytest.fixture(scope="module")
def fitted() -> KronosAnalyst:
    return KronosAnalyst(KronosSettings(**QUICK, batch_size=4)).fit(MARKET)


def test_fields_follow_the_market_and_rebuilt_candles_are_noted(fitted) -> None:
    assert fitted.fields == ("open", "high", "low", "close", "volume")
    assert fitted.notes == ()
    assert fitted.knowledge_cutoff is None
    closes = KronosAnalyst(KronosSettings(**QUICK)).fit(make_random_market(160, 3, ohlc=False))
    assert closes.fields == ("close",)
    assert "rebuilt from closes alone" in closes.notes[0]
    with pytest.raises(DataError, match="contexts hold close over 20 bars, but 'kronos' reads open, high"):
        fitted.predict(windows(make_random_market(160, 3, ohlc=False), closes, [150]))


def test_rebuilt_candles_by_hand() -> None:
    columns = build_columns({"close": np.array([2.0, 3.0, 1.0])})
    assert columns.tolist() == [[2, 2, 2, 2, 0, 0], [2, 3, 2, 3, 0, 0], [3, 3, 1, 1, 0, 0]]
    prices = {"open": [2.0], "high": [4.0], "low": [1.0], "close": [3.0], "volume": [10.0]}
    given = build_columns({name: np.array(value) for name, value in prices.items()})
    assert given.tolist() == [[2, 4, 1, 3, 10, 25]]


def test_a_window_is_forecast_alike_in_any_batch_bit_for_bit(fitted) -> None:
    contexts = windows(MARKET, fitted, [100, 120, 140])
    values = contexts.values.copy()
    values[2, 5] = np.nan  # one window with a halt, which takes another path
    contexts = replace(contexts, values=values)
    whole = fitted.predict(contexts)
    order = np.random.default_rng(0).permutation(len(contexts))
    turned = fitted.predict(take(contexts, order))
    assert np.array_equal(whole.quantiles[order], turned.quantiles)
    for row in (0, 2, 8):
        alone = fitted.predict(take(contexts, np.array([row])))
        assert np.array_equal(alone.quantiles[0], whole.quantiles[row])
        assert np.array_equal(alone.mean[0], whole.mean[row])
    assert len(np.unique(whole.mean)) == whole.mean.size


def test_bars_without_trades_are_left_out(fitted) -> None:
    contexts = windows(MARKET, fitted, [100])
    values = contexts.values.copy()
    values[0, [3, 19]] = np.nan
    values[1, :-1] = np.nan
    gaps = replace(contexts, values=values)
    candles, rows = make_candles(gaps)
    assert rows.tolist() == [0, 2]
    assert candles is not None
    assert candles.lengths.tolist() == [18, 20]
    assert candles.last_closes[0] == np.float32(contexts.field("close")[0, 18])
    assert candles.timestamps[0, 3] == contexts.timestamps[0, 4]
    forecast = fitted.predict(gaps)
    assert np.isfinite(forecast.mean[[0, 2]]).all()
    assert np.isnan(forecast.mean[1]).all()


@pytest.mark.parametrize("anchored", [True, False])
def test_returns_are_read_off_the_paths(fitted, tmp_path: Path, anchored: bool) -> None:
    fitted.save_pretrained(tmp_path)
    file = tmp_path / "settings.json"
    file.write_text(file.read_text().replace('"anchored": true', f'"anchored": {str(anchored).lower()}'))
    analyst = KronosAnalyst.from_pretrained(tmp_path)
    contexts = windows(MARKET, analyst, [120])
    candles, _ = make_candles(contexts)
    assert candles is not None
    pair = load_pair(tmp_path)
    forecaster = KronosForecaster(pair.tokenizer, pair.model)
    paths = forecaster.forecast(candles, 4, samples=3, top_p=1.0, seed=0, batch_invariant=True).paths
    base = contexts.field("close")[:, -1]
    if anchored:
        # By the modules alone: encode and decode the history, and read its last close.
        scaled, means, scales = candles.normalize()
        with torch.no_grad():
            decoded = pair.tokenizer.decode(*pair.tokenizer.encode(torch.from_numpy(scaled))).numpy()
        base = decoded[:, -1, 3] * scales[:, 3] + means[:, 3]
    expected = np.log(paths[:, :, [0, 3], 3].astype(float) / base[:, None, None])
    np.testing.assert_allclose(analyst.predict(contexts).mean, expected.mean(axis=1), rtol=1e-3, atol=1e-6)


def test_the_ensemble_draws_all_temperatures_and_trims() -> None:
    settings = KronosEnsembleSettings(**{**QUICK, "samples": 2}, temperatures=(0.1, 0.5, 1.0), aggregation="median")
    analyst = KronosEnsemble(settings).fit(MARKET)
    contexts = windows(MARKET, analyst, [120])
    forecast = analyst.predict(contexts)
    middle = forecast.levels.index(0.5)
    np.testing.assert_allclose(forecast.mean, forecast.quantiles[:, :, middle])
    with pytest.raises(ConfigError, match="KronosAnalyst needs KronosSettings, not KronosEnsembleSettings"):
        KronosAnalyst(settings)


@pytest.mark.parametrize("method", ["none", "full", "lora"])
def test_a_checkpoint_is_used_or_trained_further(tmp_path: Path, method: str) -> None:
    if method == "lora":
        pytest.importorskip("peft")
    pair = make_small_pair()
    save_pair(tmp_path, pair.tokenizer, pair.model)
    base = {**QUICK, "checkpoint": str(tmp_path), "fine_tune": method}
    with pytest.raises(ConfigError, match=r"nobody says until when .* was trained; set knowledge_cutoff"):
        KronosAnalyst(KronosSettings(**base)).fit(MARKET)
    analyst = KronosAnalyst(KronosSettings(**base, knowledge_cutoff="2015-05-31")).fit(MARKET)
    assert analyst.knowledge_cutoff == pd.Timestamp("2015-05-31")
    analyst.save_pretrained(tmp_path / "ours")
    back = KronosAnalyst.from_pretrained(tmp_path / "ours")
    assert back.knowledge_cutoff == analyst.knowledge_cutoff
    contexts = windows(MARKET, analyst, [120])
    assert np.array_equal(back.predict(contexts).mean, analyst.predict(contexts).mean)
    untouched = KronosAnalyst(KronosSettings(**{**base, "fine_tune": "none"}, knowledge_cutoff="2015-05-31"))
    same = np.array_equal(untouched.fit(MARKET).predict(contexts).mean, analyst.predict(contexts).mean)
    assert same == (method == "none")


def test_released_weights_have_their_authors_cutoff() -> None:
    analyst = KronosAnalyst(KronosSettings(checkpoint="NeoQuasar/Kronos-mini"))
    assert analyst.knowledge_cutoff == pd.Timestamp("2024-05-31")


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    settings = KronosSettings(**QUICK, training_folder=str(tmp_path))
    first = KronosAnalyst(settings).fit(MARKET)
    files = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(files) == 2
    second = KronosAnalyst(settings).fit(MARKET)
    assert files == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    contexts = windows(MARKET, first, [120])
    assert np.array_equal(first.predict(contexts).mean, second.predict(contexts).mean)


def test_settings_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"unknown aggregation 'trimmed_11'.*Did you mean 'trimmed_1"):
        KronosSettings(aggregation="trimmed_11")
    with pytest.raises(ValueError, match=r"temperature -1\.0 must be positive"):
        KronosEnsembleSettings(temperatures=(0.1, -1.0))
