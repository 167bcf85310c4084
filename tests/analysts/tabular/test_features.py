"""Features of windows: the formulas of other libraries and of the data room, free of units, batch and future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import talib

from alfred.analysts.checks import rescale_market, take_windows
from alfred.analysts.tabular.features import compute_features, list_features
from alfred.analysts.tabular.windows import smooth
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.features.catalogue import compute_features as compute_panels
from alfred.data.market import Market
from alfred.data.settings import FeatureSettings
from tests.conftest import make_random_market

MARKET = make_random_market(420)
LENGTH = 127
ROWS = np.repeat(np.arange(200, 420, 20), MARKET.n_symbols)
COLUMNS = np.tile(np.arange(MARKET.n_symbols), 11)


def cut(market: Market = MARKET, length: int = LENGTH, fields: tuple[str, ...] = ("close", "volume")) -> Contexts:
    return make_contexts(market, ROWS, COLUMNS, length=length, fields=fields)


def by_name(contexts: Contexts, family: str = "both") -> dict[str, np.ndarray]:
    values, names = compute_features(contexts, family)
    assert values.shape == (len(contexts), len(names)) and len(set(names)) == len(names)
    return dict(zip(names, values.T, strict=True))


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    return by_name(cut())


@pytest.fixture(scope="module")
def volatility() -> np.ndarray:
    returns = np.diff(np.log(cut().field("close")), axis=1)
    return np.sqrt((returns**2).mean(axis=1))


def test_oscillators_are_those_of_talib(found, volatility) -> None:
    for row, close in enumerate(cut().field("close")):
        assert 50 * (1 + found["rsi"][row]) == pytest.approx(talib.RSI(close, 14)[-1], abs=1e-4)
        macd, _, histogram = (line[-1] / close[-1] for line in talib.MACD(close, 12, 26, 9))
        assert found["macd"][row] * volatility[row] == pytest.approx(macd, abs=1e-7)
        assert found["macd_histogram"][row] * volatility[row] == pytest.approx(histogram, abs=1e-7)
        upper, middle, _ = (band[-1] for band in talib.BBANDS(close, 20, 2.0, 2.0))
        assert found["bollinger"][row] == pytest.approx((close[-1] - middle) / (upper - middle), abs=1e-5)


def test_a_year_of_momentum_is_that_of_the_data_room() -> None:
    panels = compute_panels(
        MARKET, FeatureSettings(names=("momentum_12_1", "roc_20", "roc_60", "volume_trend"), normalise="none")
    )
    row = MARKET.n_dates - 1
    windows = make_contexts(MARKET, np.full(4, row), np.arange(4), length=253, fields=("close", "volume"))
    features = by_name(windows)
    scale = np.sqrt((np.diff(np.log(windows.field("close")), axis=1) ** 2).mean(axis=1))
    expected = dict(zip(panels.names, panels.values[-1].T, strict=True))
    for ours, theirs, bars in (
        ("momentum_without_end", "momentum_12_1", 231),
        ("return_20", "roc_20", 20),
        ("return_60", "roc_60", 60),
    ):
        np.testing.assert_allclose(
            np.expm1(features[ours] * scale * np.sqrt(bars)), expected[f"feature.{theirs}"], rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(features["volume_trend"], expected["feature.volume_trend"], atol=2e-6)


def test_the_others_are_what_they_are_called(found, volatility) -> None:
    close, volume = (pd.DataFrame(cut().field(name)).T for name in ("close", "volume"))
    logs = np.log(close)
    last = close.iloc[-1]
    expected = {
        "return_5": (logs.iloc[-1] - logs.iloc[-6]) / volatility / np.sqrt(5),
        "volatility": np.log(100 * volatility),
        "volatility_20": np.log(np.sqrt((logs.diff().tail(20) ** 2).mean()) / volatility),
        "distance_50": (last / close.tail(50).mean() - 1) / volatility / np.sqrt(50),
        "distance_context": (last / close.mean() - 1) / volatility / np.sqrt(LENGTH),
        "range_20": 2 * (last - close.tail(20).min()) / (close.tail(20).max() - close.tail(20).min()) - 1,
        "drawdown": np.log(last / close.max()) / volatility / np.sqrt(LENGTH - 1),
        "half_momentum_without_end": (logs.iloc[-11] - logs.iloc[63]) / volatility / np.sqrt(53),
        "trend_share": np.sign(logs.diff().tail(LENGTH - 1)).mean(),
        "volume_5": np.log(volume.tail(5).mean() / volume.mean()),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], np.asarray(values), atol=2e-6, err_msg=name)


def test_families_share_nothing_and_together_are_both() -> None:
    technical, momentum, both = (set(by_name(cut(), family)) for family in ("technical", "momentum", "both"))
    assert technical and momentum and not technical & momentum
    assert technical | momentum == both


def test_a_short_window_has_the_features_that_fit_into_it() -> None:
    for length in (22, 26, 27, 61, 127, 253):
        names = [feature.name for feature in list_features("both", length, has_volume=False)]
        assert ("return_120" in names) == (length > 120) and ("macd" in names) == (length >= 26)
        values = by_name(cut(length=length, fields=("close",)))
        assert list(values) == names
        assert all(np.isfinite(column).all() for column in values.values())


def test_the_unit_of_prices_is_not_seen(found) -> None:
    for unit in (1e-9, 1e-4, 1e6, np.array([1.0, 1e-9, 1e-4, 1e3])):
        scaled = by_name(cut(rescale_market(MARKET, unit)))
        for name, values in found.items():
            np.testing.assert_allclose(scaled[name], values, atol=2e-6, err_msg=name)


def test_a_window_is_described_alike_in_any_batch() -> None:
    windows = cut()
    everything, _ = compute_features(windows, "both")
    for rows in ([3], [7, 3], range(len(windows))[::-1]):
        alone, _ = compute_features(take_windows(windows, list(rows)), "both")
        np.testing.assert_array_equal(alone, everything[list(rows)])


def test_missing_bars_carry_the_close_before_them() -> None:
    windows = cut()
    values = windows.values.copy()
    values[:, 40:45] = np.nan
    values[:, :3] = np.nan
    holes = replace(windows, values=values)
    carried = values.copy()
    carried[:, 40:45, 0] = carried[:, 39:40, 0]
    carried[:, :3, 0] = carried[:, 3:4, 0]
    expected, found = by_name(replace(windows, values=carried), "both"), by_name(holes)
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        assert np.isfinite(found[name]).all()


def test_windows_that_say_nothing() -> None:
    windows = cut()
    flat = windows.values.copy()
    flat[:, :, 0], flat[:, :, 1] = 5.0, 0.0
    found = by_name(replace(windows, values=flat))
    assert found["volatility"][0] == pytest.approx(np.log(0.01))
    for name, values in found.items():
        if name.startswith("volume"):
            assert np.isnan(values).all()
        elif name != "volatility":
            np.testing.assert_allclose(values, 0.0, atol=1e-6, err_msg=name)
    empty = by_name(replace(windows, values=np.full_like(flat, np.nan)))
    assert all(np.isnan(values).all() for values in empty.values())


def test_smoothing_is_talibs() -> None:
    closes = MARKET.close[:80, 0]
    np.testing.assert_allclose(smooth(closes, 12, 2 / 13), talib.EMA(closes, 12)[11:], rtol=1e-12)
