"""Forecasts do not know the unit of prices: a coin at 1e-8 is forecast like a share at 100."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from alfred.analysts import Analyst, Forecast, make_analyst
from alfred.analysts.checks import TOLERANCE, check_analyst, measure_difference, rescale_market
from alfred.analysts.kronos.candles import Candles, scale_columns
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.analysts.kronos.windows import make_candles
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import PRICE_FIELDS, Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import ContractError
from tests.analysts.kronos.small import make_small_pair
from tests.analysts.small import list_kinds, make_small_settings, prepare_market
from tests.conftest import ROOT, make_random_market

MARKET = make_random_market(420)
QUICK = {kind: {"context_length": 16, "horizons": (1, 3)} for kind in ("kronos", "kronos_ensemble")}
UNITS = {"billionth": 1e-9, "ten-thousandth": 1e-4, "million": 1e6, "mixed": np.array([1.0, 1e-9, 1e-4, 1e3])}


def build(kind: str, **changes: object) -> Analyst:
    return make_analyst(make_small_settings(kind, **{**QUICK.get(kind, {}), **changes}))


def list_windows(analyst: Analyst, market: Market) -> Contexts:
    rows = np.repeat(np.arange(300, market.n_dates, 40), market.n_symbols)
    columns = np.tile(np.arange(market.n_symbols), len(rows) // market.n_symbols)
    return make_contexts(market, rows, columns, length=analyst.context_length, fields=analyst.fields)


def store(market: Market, dtype: type[np.floating]) -> Market:
    names = (*PRICE_FIELDS, "volume")
    return replace(market, **{name: getattr(market, name).astype(dtype) for name in names})


@functools.cache
def find_usual(kind: str) -> tuple[Analyst, Forecast]:
    """Return an analyst that is fitted in the usual unit, and what it forecasts there."""
    market = prepare_market(kind, MARKET)
    analyst = build(kind).fit(market)
    return analyst, analyst.predict(list_windows(analyst, market))


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", list_kinds())
def test_prediction(kind, dtype, unit) -> None:
    analyst, expected = find_usual(kind)
    found = analyst.predict(list_windows(analyst, store(rescale_market(prepare_market(kind, MARKET), unit), dtype)))
    assert measure_difference(expected, found) <= TOLERANCE


@pytest.mark.parametrize("kind", list_kinds())
def test_fit_and_prediction_in_single_precision(kind) -> None:
    # In double precision, and with every symbol in another unit, `check_analyst` does the same.
    market = store(rescale_market(prepare_market(kind, MARKET), 1e-9), np.float32)
    analyst = build(kind).fit(market)
    assert measure_difference(find_usual(kind)[1], analyst.predict(list_windows(analyst, market))) <= TOLERANCE


def test_sampled_paths_of_toto() -> None:
    analyst = build("toto", samples=8).fit(MARKET)
    expected = analyst.predict(list_windows(analyst, MARKET))
    tiny = store(rescale_market(MARKET, 1e-9), np.float32)
    assert measure_difference(expected, analyst.predict(list_windows(analyst, tiny))) <= TOLERANCE


@pytest.fixture(scope="module")
def coins() -> Market:
    """KO as it is, and the same at 1e-2, 1e-5 and 1e-6; SPY is the benchmark."""
    return load_market(DataSettings(path=str(ROOT / "tests/data/cases/tiny_prices_tail.csv.gz"), benchmark="SPY"))


@pytest.mark.parametrize("kind", list_kinds("fracast"))
def test_coins_that_are_one_share_in_other_units(kind, coins) -> None:
    coins = prepare_market(kind, coins)
    analyst = build(kind).fit(coins)
    columns = [coins.symbols.index(name) for name in ("KO", "KO_1CENT", "KO_SHIB", "KO_PEPE")]
    rows = np.arange(260, coins.n_dates)
    forecasts = []
    for column in columns:
        windows = make_contexts(
            coins, rows, np.full(len(rows), column), length=analyst.context_length, fields=analyst.fields
        )
        forecasts.append(analyst.predict(windows))
    for other in forecasts[1:]:
        apart = np.abs(other.mean - forecasts[0].mean) / forecasts[0].dispersion()
        # Adjusted closes are rounded to seven digits, KO's to six: a bit of a token flips in one window of a hundred.
        assert np.mean(apart > 0.01) < 0.05
        assert np.quantile(apart, 0.9) < 2e-3
        assert np.abs(other.mean[:, 0]).max() < 0.1


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e-4])
def test_the_forecaster_of_released_checkpoints(unit) -> None:
    pair = make_small_pair()
    forecaster = KronosForecaster(pair.tokenizer, pair.model)
    options = {"samples": 2, "seed": 3, "batch_invariant": True}
    candles, _ = make_candles(list_windows(build_fields(), MARKET))
    assert candles is not None
    small = Candles((candles.values * np.float32(unit)).astype(np.float32), candles.timestamps, candles.lengths)
    usual, tiny = (forecaster.forecast(batch, 4, **options).paths[..., 3].astype(float) for batch in (candles, small))
    usual, tiny = usual / candles.last_closes[:, None, None], tiny / small.last_closes[:, None, None]
    # The usual prices keep the released floor, which is another one by a millionth: it may flip a bit of a window.
    assert np.mean(np.abs(np.log(tiny / usual)) > 1e-5) < 0.2


def build_fields() -> Analyst:
    analyst = build("kronos")
    analyst.fields = (*PRICE_FIELDS, "volume")
    return analyst


def test_a_window_that_does_not_move_is_forecast_to_stay() -> None:
    pair = make_small_pair()
    forecaster = KronosForecaster(pair.tokenizer, pair.model)
    times = np.arange("2020-01-01", "2020-01-21", dtype="datetime64[D]").astype("datetime64[s]")[None]
    for level in (1e-17, 1e-8, 1e-3, 1.0, 100.0, 1e6):
        values = np.full((1, 20, 6), level, dtype=np.float32)
        values[..., 4:] = 0.0
        for unit_free in (True, False):
            path = forecaster.forecast(
                Candles(values, times, np.array([20])), 3, seed=0, unit_free=unit_free, batch_invariant=True
            ).paths
            np.testing.assert_allclose(path[..., :4] / np.float32(level), 1.0, atol=2e-6)


def test_ordinary_columns_are_scaled_as_released_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    for level, spread in ((0.05, 0.002), (10.0, 0.3), (100.0, 0.005), (1e6, 2e4), (0.0, 0.0)):
        values = (level + spread * rng.normal(size=(3, 40, 6))).astype(np.float32)
        columns = np.ascontiguousarray(values[:, :30].transpose(0, 2, 1))
        means, scales = columns.mean(axis=2), columns.std(axis=2) + np.float32(1e-5)
        expected = np.clip((values - means[:, None]) / scales[:, None], -5, 5)
        for ours, theirs in zip(scale_columns(values, 30), (expected, means, scales), strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs)


def test_volumes_of_fractions_and_of_nine_digits_are_scaled_alike() -> None:
    values = np.random.default_rng(1).lognormal(size=(2, 30, 6))
    usual, _, _ = scale_columns((values * 1e3).astype(np.float32), 30)
    for unit in (1e-30, 1e-9, 1e9, 1e30):
        scaled, means, scales = scale_columns((values * unit).astype(np.float32), 30)
        np.testing.assert_allclose(scaled, usual, atol=1e-4)
        assert np.isfinite(means).all()
        assert (scales > 0).all()


class InPriceUnits(NaiveAnalyst):
    def predict(self, contexts):
        forecast, close = super().predict(contexts), contexts.field("close").astype(float)
        lean = 0.01 * (close[:, -1] - close.mean(axis=1)) / (close.std(axis=1) + 1e-5)
        return Forecast.from_gaussian(forecast.mean + lean[:, None], forecast.dispersion(), self.horizons)


class InBatchUnits(NaiveAnalyst):
    def predict(self, contexts):
        forecast, close = super().predict(contexts), contexts.field("close").astype(float)
        lean = close[:, -1] / close[:, 0] - (close[:, -1] / close[:, 0]).mean()
        return Forecast.from_gaussian(forecast.mean + lean[:, None], forecast.dispersion(), self.horizons)


class Shared(NaiveAnalyst):
    levels: dict[str, float] = {}  # noqa: RUF012  of the class, which is the mistake

    def fit(self, market):
        type(self).levels |= dict(zip(market.symbols, market.close[-1], strict=True))
        return super().fit(market)

    def predict(self, contexts):
        forecast, close = super().predict(contexts), contexts.field("close")[:, -1]
        lean = 0.01 * np.log(close / [self.levels.get(symbol, 1.0) for symbol in contexts.symbols])
        return Forecast.from_gaussian(forecast.mean + lean[:, None], forecast.dispersion(), self.horizons)


class Writes(NaiveAnalyst):
    def predict(self, contexts):
        forecast = super().predict(contexts)
        contexts.values[:] = 1.0
        return forecast


@pytest.mark.parametrize(
    ("analyst", "message"),
    [
        (InPriceUnits, "must not know the unit of prices: with symbols at 1e-09, 0.0001"),
        (InBatchUnits, "alike in any batch"),
        (Shared, "fitting another analyst must not change this one"),
        (Writes, "must not write to its windows"),
    ],
)
def test_the_contract_catches(analyst, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_analyst(lambda: analyst(NaiveSettings()), MARKET)
