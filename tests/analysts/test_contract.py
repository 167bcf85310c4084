"""Every registered analyst passes the contract by being registered; and the contract catches those that break it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from alfred.analysts import Forecast, make_analyst
from alfred.analysts.checks import check_analyst
from alfred.analysts.momentum import MomentumAnalyst
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import MomentumSettings, NaiveSettings
from alfred.data.contexts import make_contexts
from alfred.data.point_in_time.headlines import Headlines
from alfred.errors import CheckpointError, ConfigError, ContractError, DataError, NotFittedError
from tests.analysts.small import list_kinds, make_small_settings, prepare_market
from tests.conftest import make_random_market

MARKET = make_random_market(700)


def make_small(kind):
    settings = make_small_settings(kind)
    return make_analyst(settings)


@pytest.mark.parametrize("kind", list_kinds("fracast"))
def test_contract(kind) -> None:
    check_analyst(lambda: make_small(kind), prepare_market(kind, MARKET))


class Forgetful(NaiveAnalyst):
    def predict(self, contexts):
        forecast = super().predict(contexts)
        return Forecast.from_gaussian(forecast.mean + len(contexts), forecast.dispersion(), self.horizons)


class Unready(NaiveAnalyst):
    def require_fitted(self):
        pass


class Random(NaiveAnalyst):
    def predict(self, contexts):
        forecast = super().predict(contexts)
        noise = np.random.default_rng().normal(size=forecast.mean.shape)
        return Forecast.from_gaussian(forecast.mean + noise, forecast.dispersion(), self.horizons)


class Loses(MomentumAnalyst):
    def _load_weights(self, folder):
        super()._load_weights(folder)
        self.coefficients_ = self.coefficients_ * 0


class Writes(NaiveAnalyst):
    def fit(self, market):
        market.volume[:] = 1
        return super().fit(market)


class Adds(NaiveAnalyst):
    n_fits = 0

    def fit(self, market):
        self.n_fits += 1
        return super().fit(market)

    def predict(self, contexts):
        forecast = super().predict(contexts)
        return Forecast.from_gaussian(forecast.mean + self.n_fits, forecast.dispersion(), self.horizons)


class Shares(NaiveAnalyst):
    """Keeps what it learnt in its class."""

    drift = 0.0

    def fit(self, market):
        returns = market.log_returns()
        type(self).drift = round(float(np.nanmean(returns)), 8)  # of another unit the same
        return super().fit(market)

    def predict(self, contexts):
        forecast = super().predict(contexts)
        return Forecast.from_gaussian(forecast.mean + type(self).drift, forecast.dispersion(), self.horizons)


LEARNT: dict[str, float] = {}


class Hoards(NaiveAnalyst):
    """Keeps what each fit learnt in its module, and saves nothing."""

    key = ""

    def fit(self, market):
        drift = float(np.nanmean(market.log_returns()))
        self.key = f"{self.settings.label} {drift:.6f}"
        LEARNT["last"] = LEARNT.setdefault(self.key, drift)
        return super().fit(market)

    def predict(self, contexts):
        forecast = super().predict(contexts)
        drift = LEARNT.get(self.key, LEARNT.get("last", 0.0))
        return Forecast.from_gaussian(forecast.mean + drift, forecast.dispersion(), self.horizons)


class Keeps(NaiveAnalyst):
    """Learns nothing again once it is fitted."""

    drift = 0.0

    def fit(self, market):
        if not self.is_fitted:
            self.drift = float(np.nanmean(market.log_returns()))
        return super().fit(market)

    def predict(self, contexts):
        forecast = super().predict(contexts)
        return Forecast.from_gaussian(forecast.mean + self.drift, forecast.dispersion(), self.horizons)

    def _save_weights(self, folder):
        (folder / "drift.json").write_text(json.dumps(self.drift), encoding="utf-8")

    def _load_weights(self, folder):
        self.drift = json.loads((folder / "drift.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("analyst", "settings", "message"),
    [
        (Writes, NaiveSettings(), "must not be written to: volume"),
        (Adds, NaiveSettings(), "a second fit must start from nothing"),
        (Forgetful, NaiveSettings(), "alike in any batch"),
        (Unready, NaiveSettings(), "must raise NotFittedError before fit"),
        (Random, NaiveSettings(), "the same seed and data"),
        (Keeps, NaiveSettings(), "a second fit must start from nothing"),
        (Shares, NaiveSettings(), "fitting another analyst must not change this one"),
        (Hoards, NaiveSettings(), "alike in a fresh process"),
        (type("Hidden", (NaiveAnalyst,), {}), NaiveSettings(), "must be defined at the top of a module"),
        (Loses, MomentumSettings(), "survive saving and loading"),
    ],
)
def test_contract_catches(analyst, settings, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_analyst(lambda: analyst(settings), MARKET)


class WritesRates(NaiveAnalyst):
    def fit(self, market):
        market.cash_rate[:] = 0.5
        return super().fit(market)


class WritesNews(NaiveAnalyst):
    def fit(self, market):
        market.headlines.texts[:] = "nothing happened"
        return super().fit(market)


class RewritesNews(NaiveAnalyst):
    """Writes to the headlines of its windows."""

    fields = ("close", "headlines")

    def predict(self, contexts):
        contexts.headlines.texts[:] = "nothing happened"
        return super().predict(contexts)


class ReadsNews(NaiveAnalyst):
    """What it forecasts follows the letters, the age and the window of every headline, blanks at the end included."""

    fields = ("close", "headlines")

    def predict(self, contexts):
        forecast = super().predict(contexts)
        news = contexts.headlines
        told = [len(text) / (1 + age) for text, age in zip(news.texts, news.age, strict=True)]
        counts = np.bincount(news.window, told, minlength=len(contexts))
        return Forecast.from_gaussian(forecast.mean + counts[:, None], forecast.dispersion(), self.horizons)


def make_told_market():
    rows = np.arange(0, 700, 7)
    texts = np.array([f"news {row}" + "\0" * (row % 3) for row in rows], dtype=object)
    symbols = np.array([MARKET.symbols[row % MARKET.n_symbols] for row in rows], dtype=object)
    news = Headlines(MARKET.dates[rows], symbols, texts)
    return replace(MARKET, headlines=news, cash_rate=np.full(MARKET.n_dates, 0.02))


def test_an_analyst_that_reads_headlines_passes() -> None:
    check_analyst(lambda: ReadsNews(NaiveSettings()), make_told_market())


@pytest.mark.parametrize(
    ("analyst", "message"),
    [
        (WritesRates, "must not be written to: cash_rate"),
        (WritesNews, "must not be written to: headlines"),
        (RewritesNews, "predict must not write to its windows"),
    ],
)
def test_contract_looks_at_rates_and_headlines(analyst, message) -> None:
    with pytest.raises(ContractError, match=message):
        check_analyst(lambda: analyst(NaiveSettings()), make_told_market())


@pytest.mark.parametrize("kind", ANALYSTS)
def test_windows_share_no_memory_with_the_market(kind) -> None:
    analyst = make_small(kind)
    windows = make_contexts(
        MARKET, np.array([400, 500]), np.array([0, 1]), length=analyst.context_length, fields=("close", "volume")
    )
    for array in (windows.values, windows.timestamps, windows.dates.to_numpy()):
        assert not any(np.shares_memory(array, own) for own in (MARKET.close, MARKET.volume, MARKET.dates.to_numpy()))


def test_unknown_analyst() -> None:
    with pytest.raises(ConfigError, match=r"unknown analyst kind 'lstn'.*Did you mean 'lstm'"):
        ANALYSTS.load("lstn")


def test_momentum_finds_the_planted_slope() -> None:
    rng = np.random.default_rng(0)
    market = make_random_market(900, 6, ohlc=False)
    closes = np.log(market.close)
    # Each return leans on the symbol's own 12-1 momentum with a slope that the regression must give back.
    for t in range(253, 900):
        momentum = closes[t - 22] - closes[t - 253]
        closes[t] = closes[t - 1] + 0.01 * momentum + rng.normal(0, 0.005, 6)
    planted = type(market).from_arrays(market.dates, market.symbols, np.exp(closes), benchmark="SPY")
    analyst = MomentumAnalyst(MomentumSettings(horizons=(1,))).fit(planted)
    assert analyst.coefficients_[0, 1] / analyst.spread_ == pytest.approx(0.01, rel=0.3)


def test_short_histories_are_refused() -> None:
    short = MARKET.until(MARKET.dates[100])
    with pytest.raises(DataError, match="'momentum' needs more than 272 sessions to fit, got 101"):
        make_small("momentum").fit(short)
    with pytest.raises(DataError, match="'lstm' has too short a history"):
        make_small("lstm").fit(MARKET.until(MARKET.dates[30]))


def test_errors_of_saving_and_loading(tmp_path) -> None:
    with pytest.raises(NotFittedError, match="'momentum' is not fitted"):
        make_small("momentum").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="does not hold a saved LstmAnalyst"):
        ANALYSTS.load("lstm").from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("horizons", [(0, 1), (-5,), (5, 1), (1, 1), (10**6,)])
def test_horizons_ascend_from_one(horizons) -> None:
    with pytest.raises(ValueError, match="horizons"):
        NaiveSettings(horizons=horizons)
