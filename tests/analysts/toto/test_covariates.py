"""Further variates beside the price: what they hold, that they are read, and that only the price is forecast."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr

from alfred.analysts.checks import check_analyst
from alfred.analysts.toto.analyst import TotoAnalyst
from alfred.analysts.toto.covariates import transform_covariates
from alfred.analysts.toto.networks import make_fresh_network
from alfred.analysts.toto.objectives import compute_loss
from alfred.analysts.toto.settings import TotoSettings, TotoSize
from alfred.analysts.toto.windows import prepare_windows, split_windows
from alfred.data.contexts import Contexts, make_contexts
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from alfred.learning.settings import FittingSettings
from tests.analysts.planted import forecast_rest
from tests.analysts.toto.parity import OWN
from tests.conftest import make_random_market

ALL = ("volume", "market_level", "sector_level")
FIELDS = ("close", *ALL)
MARKET = replace(make_random_market(500, 4), sectors={"S0": "Energy", "S1": "Energy", "S2": "Health"})
LATE = replace(make_random_market(300, 3, late_listing=True), sectors={"S0": "Energy"})
QUICK = FittingSettings(steps=12, batch_size=16, validate_every=6, schedule="warmup_stable_decay")
BASE = {"fitting": QUICK, "context_length": 64, "size": TotoSize(patch_size=16, width=16, hidden=24)}
RELEASED = {"1.0": str(OWN / "toto1"), "2.0": str(OWN / "toto2")}  # patches of 8, the last layer across variates
VERSIONS = pytest.mark.parametrize("version", ["1.0", "2.0"])


def make(**changes) -> TotoAnalyst:
    return TotoAnalyst(TotoSettings.model_validate({**BASE, "horizons": (1, 5), "covariates": ALL, **changes}))


def take(market: Market, row: int) -> Contexts:
    rows = np.full(market.n_symbols, row)
    return make_contexts(market, rows, np.arange(market.n_symbols), length=64, fields=FIELDS)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.0"},
        {"version": "1.0", "input_scaling": "standardised", "samples": 8, "horizons": (1, 20)},
        {"version": "2.0", "horizons": (1, 20)},
        {"version": "2.0", "covariates": ("market_level",), "input_scaling": "standardised"},
        {"version": "1.0", "checkpoint": RELEASED["1.0"]},
        pytest.param({"version": "1.0", "checkpoint": RELEASED["1.0"], "fine_tune": "lora"}, marks=pytest.mark.slow),
        {"version": "2.0", "checkpoint": RELEASED["2.0"], "fine_tune": "full"},
    ],
    ids=str,
)
@pytest.mark.slow
def test_contract(changes) -> None:
    check_analyst(lambda: make(**changes), MARKET)


def test_an_index_counts_from_its_last_level_and_a_volume_from_its_mean() -> None:
    rng = np.random.default_rng(0)
    level, volume = np.exp(rng.normal(0, 0.1, (2, 9))), rng.uniform(1e5, 1e6, (2, 9))
    unit = np.array([0.01, 0.02])
    series, observed = transform_covariates(np.stack([level, volume], axis=2), ("market_level", "volume"), unit)
    np.testing.assert_allclose(series[:, 0], np.log(level / level[:, -1:]) / unit[:, None])
    logs = np.log(volume)
    np.testing.assert_allclose(series[:, 1], (logs - logs.mean(1, keepdims=True)) / logs.std(1, keepdims=True))
    assert observed.all()


def test_what_is_missing_is_filled_forward_and_marked() -> None:
    volume = np.array([[np.nan, 1.0, 0.0, np.nan, np.e**2], [np.nan] * 5, [7.0] * 5])[:, :, None]
    series, observed = transform_covariates(volume, ("volume",), np.full(3, 0.01))
    assert observed[:, 0].tolist() == [[False, True, False, False, True], [False] * 5, [True] * 5]
    np.testing.assert_allclose(series[:, 0], [[0, -1, -1, -1, 1], [0] * 5, [0] * 5], atol=1e-9)


@pytest.mark.parametrize("input_scaling", ["log_price", "standardised"])
def test_training_and_forecasting_read_the_same_windows(input_scaling) -> None:
    options = {"context": 32, "patch_size": 16, "input_scaling": input_scaling, "validation_fraction": 0.2}
    train, _ = split_windows(LATE, **options, covariates=ALL)
    plain, _ = split_windows(LATE, **options)
    rows = torch.arange(len(train))
    series, mask = train[rows]
    assert torch.equal(series[:, :1], plain[rows][0])
    assert not mask[:, 1:, 32:].any()
    assert not series[:, 1:, 32:].any()
    ends = train._starts.numpy() + 31
    length = 40 if input_scaling == "log_price" else 32  # cut to whole patches; `standardised` knows the whole context
    contexts = make_contexts(LATE, ends, train._columns.numpy(), length=length, fields=FIELDS)
    windows = prepare_windows(contexts, input_scaling, 16, ALL)
    np.testing.assert_allclose(series[:, :, :32], windows.series, atol=5e-4)
    assert torch.equal(mask[:, :, :32], windows.mask)


@VERSIONS
def test_only_the_price_counts_in_the_loss(version) -> None:
    settings = make(version=version).settings
    network = make_fresh_network(settings)
    train, _ = split_windows(
        MARKET, context=64, patch_size=16, input_scaling="log_price", validation_fraction=0.2, covariates=ALL
    )
    series, mask = train[torch.arange(8)]
    loss = compute_loss(network, series, mask, loss=settings.own_loss, n_forecast=1)
    assert not torch.isclose(loss, compute_loss(network, series, mask, loss=settings.own_loss), rtol=1e-3)
    future = series.clone()
    future[:, 1:, 64:] = torch.nan
    assert torch.equal(compute_loss(network, future, mask, loss=settings.own_loss, n_forecast=1), loss)
    past = series.clone()
    past[:, 1:, :48] += torch.randn(8, 3, 48, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(compute_loss(network, past, mask, loss=settings.own_loss, n_forecast=1), loss)


@VERSIONS
def test_a_window_reads_its_own_covariates_and_no_others(version) -> None:
    analyst = make(version=version).fit(MARKET)
    contexts = take(MARKET, 450)
    forecast = analyst.predict(contexts)
    for position in range(1, 4):
        values = contexts.values.copy()
        values[1, -20:, position] *= np.linspace(1.0, 3.0, 20)
        other = analyst.predict(replace(contexts, values=values))
        assert abs(other.mean[1] - forecast.mean[1]).max() > 1e-6
        np.testing.assert_allclose(other.quantiles[[0, 2, 3]], forecast.quantiles[[0, 2, 3]], rtol=1e-5, atol=1e-8)


@VERSIONS
def test_a_forecast_knows_no_unit_of_a_covariate(version) -> None:
    analyst = make(version=version).fit(MARKET)
    contexts = take(MARKET, 450)
    values = contexts.values * np.array([1e-9, 1e3, 7.0, 1e-4])
    scaled = analyst.predict(replace(contexts, values=values))
    np.testing.assert_allclose(scaled.quantiles, analyst.predict(contexts).quantiles, rtol=1e-3, atol=1e-6)


@VERSIONS
def test_the_future_is_out_of_reach(version) -> None:
    day = MARKET.dates[400]
    other = make_random_market(500, 4, seed=9)
    later = np.arange(500)[:, None] > 400
    changed = replace(
        MARKET,
        close=np.where(later, other.close, MARKET.close),
        volume=np.where(later, other.volume, MARKET.volume),
    )
    forecasts = [
        make(version=version).fit(market.until(day)).predict(take(market, 400)) for market in (MARKET, changed)
    ]
    assert np.array_equal(forecasts[0].quantiles, forecasts[1].quantiles)


@VERSIONS
def test_fine_tuning_trains_the_attention_across_variates(version) -> None:
    options = {"version": version, "checkpoint": RELEASED[version]}
    first = make(**options).fit(MARKET).network_.state_dict()
    second = make(**options, fine_tune="full").fit(MARKET).network_.state_dict()
    for part in ("query", "key"):  # of one variate alone they rest
        name = f"transformer.layers.3.attention.{part}.weight"
        assert not torch.equal(first[name], second[name])


@VERSIONS
def test_a_fresh_network_attends_across_variates_only_when_there_are_some(version) -> None:
    size = TotoSize(n_layers=3)
    alone = make_fresh_network(TotoSettings(version=version, size=size))
    beside = make_fresh_network(TotoSettings(version=version, size=size, covariates=("volume",)))
    assert alone.transformer.spacewise == (False, False, False)
    assert beside.transformer.spacewise == (False, False, True)
    assert make(version=version).fields == FIELDS
    assert make(version=version, covariates=()).fields == ("close",)


def test_covariates_that_cannot_be_read_are_refused(tmp_path) -> None:
    with pytest.raises(ValidationError, match="name each once"):
        TotoSettings(covariates=("volume", "volume"))
    with pytest.raises(ValidationError, match=r"covariates need size\.n_layers 2 at least, got 1"):
        TotoSettings(covariates=("volume",), size=TotoSize(n_layers=1))
    with pytest.raises(ConfigError, match="reads closes alone, not covariates volume"):
        make(covariates=("volume",)).fit(MARKET).predict_history(MARKET)
    with pytest.raises(DataError, match="this market has no 'volume'"):
        make().fit(replace(MARKET, volume=None))
    make(covariates=()).fit(MARKET).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="has no layer that attends across variates, so covariates market_level"):
        make(covariates=("market_level",), checkpoint=str(tmp_path)).fit(MARKET)


def make_led_market(correlation: float = 0.2, n_symbols: int = 12) -> tuple[Market, np.ndarray]:
    """Return a market that one volatile symbol leads by a session, and its log returns, `[T, N]`.

    r_i[t+1] = correlation x z[t] + noise, of which z, the move of the leader, makes most of the index. The past of a
    follower tells nothing, since z is independent from session to session.
    """
    moves = np.random.default_rng(0).normal(size=(1500, n_symbols))
    moves[1:, 1:] = correlation * moves[:-1, :1] + np.sqrt(1 - correlation**2) * moves[1:, 1:]
    returns = moves * np.where(np.arange(n_symbols) == 0, 0.05, 0.005)
    symbols = ["LEADER", *(f"S{i}" for i in range(2, n_symbols)), "SPY"]
    dates = pd.bdate_range("2005-01-03", periods=len(moves))
    return Market.from_arrays(dates, symbols, 100 * np.exp(returns.cumsum(axis=0)), benchmark="SPY"), returns


@pytest.mark.slow
@VERSIONS
def test_an_index_that_leads_is_found_with_covariates_only(version) -> None:
    market, returns = make_led_market()
    fitting = FittingSettings(steps=200, batch_size=128, learning_rate=1e-2, schedule="warmup_stable_decay")
    options = {
        "version": version,
        "horizons": (1,),
        "context_length": 8,
        "size": TotoSize(patch_size=4, width=16, hidden=32),
        "fitting": fitting,
    }
    found = {}
    for covariates in ((), ("market_level",)):
        analyst = TotoAnalyst(TotoSettings.model_validate({**options, "covariates": covariates}))
        forecast = forecast_rest(analyst.fit(market.until(market.dates[1199])), market, 1200)
        found[covariates] = spearmanr(forecast[:, 1:].ravel(), returns[1201:, 1:].ravel()).statistic
    assert found["market_level",] > 0.1  # attainable is 0.2 times the share of the leader in the index
    assert abs(found[()]) < 0.06
