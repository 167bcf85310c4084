from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from alfred.data.features.catalogue import compute_features, list_features
from alfred.data.features.costs import COST_FEATURES
from alfred.data.features.indicators import INDICATORS
from alfred.data.features.momentum import MOMENTUM_FEATURES, REVERSAL_FEATURES
from alfred.data.features.names import FAMILIES
from alfred.data.features.risk import RISK_FEATURES
from alfred.data.features.rollup import ROLLUP_FEATURES
from alfred.data.market import Market
from alfred.data.settings import FeatureSettings
from alfred.errors import DataError
from tests.conftest import make_random_market

ALL = FeatureSettings(names=("technical", "momentum"), normalise="none")


def compute(market: Market, *names: str, **settings: object) -> np.ndarray:
    """The values of some features, `[T, N, K]`."""
    return compute_features(market, FeatureSettings(names=names, **{"normalise": "none", **settings})).values


def test_features_come_by_the_door_of_signals(market: Market) -> None:
    signals = compute_features(market, ALL)
    assert signals.names == tuple(f"feature.{name}" for name in FAMILIES["technical"] + FAMILIES["momentum"])
    assert signals.values.shape == (300, 4, 25)
    assert signals.values.dtype == np.float32
    assert signals.analysts == ("feature",)
    assert set(signals.horizons) == {0}
    np.testing.assert_array_equal(signals.trained_until, np.repeat(market.dates.to_numpy()[:, None], 25, axis=1))
    assert np.isfinite(signals.values[-1]).all()


def test_a_feature_named_twice_by_its_family_stands_once() -> None:
    settings = FeatureSettings(names=("rsi", "technical"))
    assert settings.features[0] == "rsi"
    assert len(settings.features) == len(FAMILIES["technical"])


def wilder(values: np.ndarray, window: int) -> np.ndarray:
    """Wilder's smoothing by a plain loop, started from the mean of the first window."""
    smooth = np.full(len(values), np.nan)
    smooth[window - 1] = values[:window].mean()
    for t in range(window, len(values)):
        smooth[t] = (smooth[t - 1] * (window - 1) + values[t]) / window
    return smooth


def reference_indicators(bars: pd.DataFrame) -> dict[str, pd.Series]:
    """The indicators of one symbol from their definitions, in pandas."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    change = close.diff().to_numpy()[1:]
    gain, loss = wilder(np.maximum(change, 0), 14), wilder(np.maximum(-change, 0), 14)
    rsi = pd.Series(np.r_[np.nan, 100 * gain / (gain + loss)])
    middle, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    last = close.shift()
    ranges = pd.concat([high - low, (high - last).abs(), (low - last).abs()], axis=1).max(axis=1).to_numpy()[1:]
    signed = np.sign(close.diff()).fillna(0) * volume
    typical = (high + low + close) / 3
    spread = typical.rolling(14).apply(lambda window: np.abs(window - window.mean()).mean())
    lowest, highest = low.rolling(14).min(), high.rolling(14).max()
    stochastic = (100 * (close - lowest) / (highest - lowest)).rolling(3).mean()
    fast, slow = close.ewm(span=12, adjust=False).mean(), close.ewm(span=26, adjust=False).mean()
    macd_signal = (fast - slow).ewm(span=9, adjust=False).mean()
    up, down = high.diff().to_numpy()[1:], -low.diff().to_numpy()[1:]
    plus = wilder(np.where((up > down) & (up > 0), up, 0.0), 14)
    minus = wilder(np.where((down > up) & (down > 0), down, 0.0), 14)
    direction = 100 * np.abs(plus - minus) / (plus + minus)
    adx = pd.Series(np.r_[[np.nan] * 14, wilder(direction[13:], 14)])
    return {
        "rsi": rsi,
        "bollinger_upper": (middle + 2 * deviation) / close - 1,
        "bollinger_lower": (middle - 2 * deviation) / close - 1,
        "bollinger_width": 4 * deviation / middle,
        "atr": pd.Series(np.r_[np.nan, wilder(ranges, 14)]) / close,
        "obv": signed.rolling(20).sum() / volume.rolling(20).sum(),
        "vwap_ratio": close / ((typical * volume).rolling(20).sum() / volume.rolling(20).sum()) - 1,
        "roc": close / close.shift(10) - 1,
        "stochastic_k": stochastic,
        "stochastic_d": stochastic.rolling(3).mean(),
        "cci": (typical - typical.rolling(14).mean()) / (0.015 * spread),
        "macd": (fast - slow) / close,
        "macd_signal": macd_signal / close,
        "macd_histogram": (fast - slow - macd_signal) / close,
        "adx": adx,
    }


@pytest.mark.parametrize("name", FAMILIES["technical"])
def test_indicators_against_their_definitions(name: str) -> None:
    market = make_random_market(n_dates=500, seed=3)
    found = compute(market, name)[:, :, 0]
    # Exponential averages are started differently; after 300 bars that has died away.
    settled = 300 if name.startswith("macd") or name == "adx" else 60
    for n in range(market.n_symbols):
        bars = pd.DataFrame({field: market.field(field)[:, n] for field in ("open", "high", "low", "close", "volume")})
        expected = reference_indicators(bars)[name].to_numpy()
        np.testing.assert_allclose(found[settled:, n], expected[settled:], rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES["momentum"])
def test_momentum_against_a_plain_loop_over_symbols(name: str) -> None:
    market = make_random_market(n_dates=400, seed=4)
    found = compute(market, name)[:, :, 0]
    closes, volumes = pd.DataFrame(market.close), pd.DataFrame(market.volume)
    half_year = (closes / closes.shift(126) - 1).iloc[-1]
    for n in range(market.n_symbols):
        close, volume = closes[n], volumes[n]
        expected = {
            "momentum_12_1": close.iloc[-22] / close.iloc[-253] - 1,
            "momentum_6_1": close.iloc[-22] / close.iloc[-127] - 1,
            "momentum_3_1": close.iloc[-22] / close.iloc[-64] - 1,
            "momentum_1": close.iloc[-1] / close.iloc[-22] - 1,
            "roc_20": close.iloc[-1] / close.iloc[-21] - 1,
            "roc_60": close.iloc[-1] / close.iloc[-61] - 1,
            "distance_200": close.iloc[-1] / close.iloc[-200:].mean() - 1,
            "relative_strength": 2 * (half_year < half_year[n]).sum() / 3 - 1,
            "volume_trend": volume.iloc[-20:].mean() / volume.iloc[-60:].mean() - 1,
            "volatility_20": np.log(close).diff().iloc[-20:].std() * np.sqrt(252),
        }[name]
        assert found[-1, n] == pytest.approx(expected, rel=1e-5)


def test_risk_against_a_plain_loop_over_symbols() -> None:
    market = make_random_market(n_dates=200, seed=4)
    moves = np.diff(np.log(market.close), axis=0)
    benchmark = moves[:, market.index_of(market.benchmark)]
    found = compute(market, "risk")
    for n in range(market.n_symbols):
        for column, window in enumerate((5, 60)):
            expected = moves[-window:, n].std(ddof=1) * np.sqrt(252)
            assert found[-1, n, column] == pytest.approx(expected, rel=1e-5)
        correlation = np.corrcoef(moves[-60:, n], benchmark[-60:])[0, 1]
        assert found[-1, n, 2] == pytest.approx(correlation, abs=1e-6)
    assert np.isnan(found[29, :, 2]).all() and np.isfinite(found[30, :, 2]).all()


def test_a_halt_leaves_a_gap_and_no_scar() -> None:
    market = make_random_market(n_dates=300, seed=5)
    halted = np.array(market.tradable)
    halted[260:263, 0] = False
    panels = {name: np.where(halted, market.field(name), np.nan) for name in ("open", "high", "low", "close", "volume")}
    values = compute_features(replace(market, tradable=halted, **panels), ALL).values
    assert np.isnan(values[260:263, 0]).all()
    assert np.isfinite(values[263:, 0]).all()


def test_ranks_by_hand() -> None:
    close = np.full((30, 4), 100.0)
    close[-1] = [110, 90, 110, np.nan]
    market = Market.from_arrays(pd.bdate_range("2020-01-01", periods=30), list("ABCD"), close, benchmark="A")
    assert compute(market, "roc_20", normalise="rank")[-1, :3, 0].tolist() == [0.5, -1.0, 0.5]
    assert np.isnan(compute(market, "roc_20", normalise="rank")[-1, 3, 0])
    lone = market.select(["A"])
    assert compute(lone, "roc_20", normalise="rank")[-1, 0, 0] == 0.0


def test_trailing_scores_against_a_plain_loop(market: Market) -> None:
    raw = compute(market, "roc_20")[:, :, 0].astype(float)
    scores = compute(market, "roc_20", normalise="zscore", zscore_days=50, zscore_min_days=30)[:, :, 0]
    for t in (49, 120, 299):
        window = raw[max(0, t - 49) : t + 1]
        expected = (raw[t] - np.nanmean(window, axis=0)) / np.nanstd(window, axis=0, ddof=1)
        if np.isfinite(window).sum(axis=0).min() >= 30:
            np.testing.assert_allclose(scores[t], expected, rtol=1e-3)
    assert np.isfinite(scores[49]).all()
    assert np.isnan(scores[48]).all()


def test_features_that_need_more_than_closes_say_so() -> None:
    market = make_random_market(ohlc=False)
    with pytest.raises(
        DataError, match=r"feature 'atr' needs high and low, which this market does not have.*among: rsi,"
    ):
        compute(market, "rsi", "atr")
    with pytest.raises(DataError, match=r"this market has the fields of no feature among: spread_20, illiquidity_20"):
        compute(market, "costs")


def test_a_family_stands_for_what_the_market_has_the_fields_for() -> None:
    closes = make_random_market(ohlc=False)
    both = FeatureSettings(names=("risk", "costs"))
    assert list_features(closes, both) == FAMILIES["risk"]
    assert compute_features(closes, both).names == tuple(f"feature.{name}" for name in FAMILIES["risk"])
    assert list_features(make_random_market(), both) == (*FAMILIES["risk"], *FAMILIES["costs"])
    assert list_features(closes, FeatureSettings()) == FAMILIES["classic"]  # the default needs closes alone
    assert "volume_trend" not in list_features(closes, FeatureSettings(names=("momentum",)))


def test_the_spread_is_found_that_closes_bounce_between() -> None:
    """Trades hit bid and ask at random around a value that wanders; the estimate must find the distance of the two."""
    rng = np.random.default_rng(4)
    n_days, n_ticks = 1_500, 390
    value = np.cumsum(rng.normal(0, 0.012 / np.sqrt(n_ticks), (n_days, n_ticks)).ravel()).reshape(n_days, n_ticks)
    closes, highs, lows = [], [], []
    spreads = (0.0, 0.01, 0.03)
    for spread in spreads:
        trades = value + rng.choice([-0.5, 0.5], value.shape) * spread
        closes.append(trades[:, -1])
        highs.append(trades.max(axis=1))
        lows.append(trades.min(axis=1))
    close, high, low = (np.exp(np.stack(part, axis=1)) for part in (closes, highs, lows))
    market = Market(
        dates=pd.bdate_range("2015-01-01", periods=n_days),
        symbols=("A", "B", "C"),
        benchmark="A",
        tradable=np.ones(close.shape, dtype=bool),
        close=close,
        open=close,
        high=high,
        low=low,
        volume=np.full(close.shape, 1e6),
    )
    found = np.nanmean(compute(market, "spread_20")[:, :, 0], axis=0)
    assert found[1] == pytest.approx(0.01, rel=0.25)
    assert found[2] == pytest.approx(0.03, rel=0.1)
    assert found[0] < found[1] / 1.5


def test_illiquidity_is_the_move_that_traded_value_buys() -> None:
    market = make_random_market(300, 4)
    found = compute(market, "illiquidity_20")[:, :, 0]
    close, volume = market.close.astype(float), market.field("volume").astype(float)
    moves = np.abs(np.diff(np.log(close), axis=0)) / (volume * close)[1:]
    for t in (60, 150, 299):
        np.testing.assert_allclose(found[t], np.log(moves[t - 20 : t].mean(axis=0)), rtol=1e-4)


def test_an_unknown_feature_has_a_suggestion() -> None:
    with pytest.raises(ValidationError, match=r"unknown feature kind 'rsj'.*Did you mean 'rsi'"):
        FeatureSettings(names=("rsj",))


def test_every_feature_that_is_computed_has_its_name_in_the_list() -> None:
    computed = {
        "technical": tuple(INDICATORS),
        "momentum": tuple(MOMENTUM_FEATURES),
        "risk": tuple(RISK_FEATURES),
        "costs": tuple(COST_FEATURES),
        "quarterly": tuple(ROLLUP_FEATURES),
    }
    assert {name: names for name, names in FAMILIES.items() if name != "classic"} == computed
    # A selection of the others, and what only it has.
    assert set(FAMILIES["classic"]) <= {*MOMENTUM_FEATURES, *RISK_FEATURES, *REVERSAL_FEATURES}
    assert set(REVERSAL_FEATURES) <= set(FAMILIES["classic"])
