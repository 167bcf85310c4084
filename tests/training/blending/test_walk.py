"""The blend walks forward: what it may know, who is heard, and what it finds on a planted market."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from alfred.config import BlendSettings
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.signals import Signals, concatenate_signals
from alfred.errors import ConfigError
from alfred.training.blending.panels import make_panel, measure_volatility
from alfred.training.blending.walk import blend_walk_forward, fit_weights
from alfred.training.recalibration import Recorder
from tests.training.blending.worlds import HORIZON, make_forecasts

PLAIN = BlendSettings.model_validate({"calibration": {"kind": "none"}})
MARKET, FORECASTS = make_forecasts(900, 1, ic=0.1, n_useless=3)


def correlate(found: Signals, truth: Signals, start: int) -> float:
    return float(np.corrcoef(found.values[start:, :-1, 0].ravel(), truth.values[start:, :-1, 0].ravel())[0, 1])


def test_the_useful_forecast_is_found_among_twenty_useless_ones() -> None:
    market, forecasts = make_forecasts(4_000, 11)
    blend = blend_walk_forward(market, forecasts, PLAIN)
    equal = forecasts.values.mean(axis=2, keepdims=True)
    average = dataclasses.replace(blend, values=np.repeat(equal, 2, axis=2))
    assert correlate(blend, forecasts, 2_500) > 0.8
    assert correlate(average, forecasts, 2_500) < 0.3


def test_names_stamps_and_units() -> None:
    blend = blend_walk_forward(MARKET, FORECASTS, PLAIN)
    assert blend.names == (f"blend.expected_return_{HORIZON}", f"blend.dispersion_{HORIZON}")
    assert blend.horizons == (HORIZON, HORIZON) and blend.dates.equals(FORECASTS.dates)
    assert (blend.trained_until[:, 0] <= blend.dates.to_numpy()).all()
    # An expected log return and a volatility over two sessions: of the order of 0.001 and 0.02.
    assert 1e-5 < np.nanstd(blend.values[400:, :, 0]) < 5e-3
    assert 0.005 < np.nanmedian(blend.values[400:, :, 1]) < 0.05


def test_the_unit_of_a_forecast_does_not_matter() -> None:
    sizes = np.array([1.0, 100.0, 0.01, 7.0], dtype=np.float32)
    other = dataclasses.replace(FORECASTS, values=FORECASTS.values * sizes)
    one, two = (blend_walk_forward(MARKET, item, PLAIN).values for item in (FORECASTS, other))
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("probe", [300, 505, 640, 760])
@pytest.mark.parametrize("settings", [PLAIN, BlendSettings()], ids=["plain", "calibrated"])
def test_nothing_after_a_date_reaches_it(settings: BlendSettings, probe: int) -> None:
    """Prices and forecasts after t are random: the blend up to t is the same, bit for bit."""
    true = blend_walk_forward(MARKET, FORECASTS, settings).values
    date = MARKET.dates[probe]
    values = FORECASTS.values.copy()
    values[probe + 1 :] = np.random.default_rng(probe).normal(size=values[probe + 1 :].shape) * 0.01
    scrambled = scramble_after(MARKET, date, 5)
    other = blend_walk_forward(scrambled, dataclasses.replace(FORECASTS, values=values), settings).values
    assert true[: probe + 1].tobytes() == other[: probe + 1].tobytes()
    assert not np.array_equal(true[probe + 1 :], other[probe + 1 :])


@pytest.mark.parametrize("probe", [505, 760])
def test_a_market_that_ends_gives_the_same(probe: int) -> None:
    date = MARKET.dates[probe]
    true = blend_walk_forward(MARKET, FORECASTS, PLAIN).values[: probe + 1]
    np.testing.assert_array_equal(blend_walk_forward(MARKET.until(date), FORECASTS.until(date), PLAIN).values, true)


def test_weights_are_those_of_a_fit_written_out() -> None:
    """No analyst is missing and none may be shrunk: least squares on the outcomes that are known, by hand."""
    settings = BlendSettings.model_validate({"penalties": [0.0], "nonnegative": False, "calibration": {"kind": "none"}})
    panel = make_panel(MARKET, FORECASTS, HORIZON, measure_volatility(MARKET))
    last = 700
    weights = fit_weights(panel, last, settings)
    assert weights.stop == last - HORIZON + 1
    logs = np.log(MARKET.close)
    rows = np.arange(11, weights.stop)
    outcomes = np.clip((logs[rows + HORIZON] - logs[rows]) / panel.unit[rows], -5, 5)
    raw = FORECASTS.values[:, :, :] / panel.unit[:, :, None]
    squares = np.nansum(raw**2, axis=1).cumsum(axis=0) / np.isfinite(raw).sum(axis=1).cumsum(axis=0)
    scale = np.sqrt(np.concatenate([np.full((1, 4), np.nan), squares[:-1]]))[:, None, :]
    scores = np.nan_to_num(np.clip(raw / scale, -5, 5))[rows]
    differences = scores - scores.mean(axis=1, keepdims=True)
    target = outcomes - outcomes.mean(axis=1, keepdims=True)
    expected, *_ = np.linalg.lstsq(differences.reshape(-1, 4), target.ravel(), rcond=None)
    if weights.difference_penalty == 0.0:
        np.testing.assert_allclose(weights.read(np.ones(4, dtype=bool))[1], expected, rtol=1e-3, atol=1e-5)
    else:
        pytest.fail("equal weights were chosen where one of four forecasts is useful")


def test_who_does_not_forecast_is_left_out_and_not_taken_for_zero() -> None:
    values = FORECASTS.values.copy()
    values[:, 3, 1:] = np.nan
    blend = blend_walk_forward(MARKET, dataclasses.replace(FORECASTS, values=values), PLAIN)
    assert np.isfinite(blend.values[20:]).all()
    # What is said of the symbol follows the only one who speaks.
    alone = np.corrcoef(blend.values[500:, 3, 0], values[500:, 3, 0])[0, 1]
    assert alone > 0.7
    values[600:620, 5] = np.nan
    blend = blend_walk_forward(MARKET, dataclasses.replace(FORECASTS, values=values), PLAIN)
    assert np.isnan(blend.values[600:620, 5]).all() and np.isfinite(blend.values[600:620, 4]).all()
    assert np.isfinite(blend.values[620:, 5]).all()


def test_silence_of_the_useful_one_is_not_filled_by_the_useless() -> None:
    values = FORECASTS.values.copy()
    values[700:, 2, 0] = np.nan
    blend = blend_walk_forward(MARKET, dataclasses.replace(FORECASTS, values=values), PLAIN)
    without, others = np.nanstd(blend.values[700:, 2, 0]), np.nanstd(blend.values[700:, 3, 0])
    assert without < 0.75 * others


def test_equal_weights_stand_until_enough_is_known() -> None:
    blend = blend_walk_forward(MARKET, FORECASTS, PLAIN)
    panel = make_panel(MARKET, FORECASTS, HORIZON, measure_volatility(MARKET))
    weights = fit_weights(panel, 200, PLAIN)
    assert weights.level_penalty is None and weights.difference_penalty is None
    level, difference = weights.read(np.ones(4, dtype=bool))
    assert len(set(level)) == 1 and level.tolist() == difference.tolist()
    # Nothing was learnt, and the stamps say so.
    assert (blend.trained_until[:252] == FORECASTS.trained_until[:252, :2]).all()
    fitted = blend.trained_until[600, 0]
    assert fitted <= blend.dates[600].to_datetime64()


def test_one_analyst_alone_and_one_symbol_alone() -> None:
    single = blend_walk_forward(MARKET, FORECASTS.select(FORECASTS.names[:1]), PLAIN)
    assert correlate(single, FORECASTS, 500) > 0.9
    market = MARKET.select(["EW"])
    signals = dataclasses.replace(FORECASTS, symbols=("EW",), values=FORECASTS.values[:, -1:, :])
    assert np.isfinite(blend_walk_forward(market, signals, PLAIN).values[20:]).all()


def test_the_intervals_hold_what_they_say() -> None:
    """Returns are normal and their volatility is known from the past: 90 % hold 90 %."""
    recorder = Recorder()
    market, forecasts = make_forecasts(2_000, 3, n_useless=2)
    blend = blend_walk_forward(market, forecasts, BlendSettings(), recorder)
    record = recorder.build(blend, (HORIZON,))
    logs = np.log(market.close)
    outcomes = logs[HORIZON:] - logs[:-HORIZON]
    quantiles = record.quantiles[500:-HORIZON, :, 0]
    inside = (outcomes[500:] >= quantiles[..., 0]) & (outcomes[500:] <= quantiles[..., -1])
    assert inside.mean() == pytest.approx(0.9, abs=0.015)


def test_a_pretrained_analyst_passes_its_cutoff_on() -> None:
    cutoff = pd.Timestamp("2001-06-01")
    known = dataclasses.replace(FORECASTS, knowledge_cutoffs={"a1": cutoff})
    assert blend_walk_forward(MARKET, known, PLAIN).knowledge_cutoffs == {"blend": cutoff}


def rename(signals: Signals, horizon: int) -> Signals:
    names = tuple(f"b.expected_return_{horizon}" for _ in signals.names[:1])
    return dataclasses.replace(
        signals.select(signals.names[:1]), names=names, horizons=(horizon,), knowledge_cutoffs={}
    )


def test_each_horizon_has_weights_of_its_own() -> None:
    both = concatenate_signals([FORECASTS, rename(FORECASTS, 5)])
    blend = blend_walk_forward(MARKET, both, PLAIN)
    assert [spec.horizon for spec in blend.specs] == [2, 2, 5, 5]
    alone = blend_walk_forward(MARKET, FORECASTS, PLAIN)
    np.testing.assert_array_equal(blend.values[:, :, 0], alone.values[:, :, 0])


def test_what_cannot_be_combined_is_refused(market: Market) -> None:
    with pytest.raises(ConfigError, match=r"blend.horizons names 7, at which no analyst forecasts; known: 2"):
        blend_walk_forward(MARKET, FORECASTS, BlendSettings(horizons=(7,)))
    spread = dataclasses.replace(FORECASTS.select(FORECASTS.names[:1]), names=(f"a0.dispersion_{HORIZON}",))
    with pytest.raises(ConfigError, match="no analyst forecasts one; leave blend out"):
        blend_walk_forward(MARKET, spread, PLAIN)
    with pytest.raises(ConfigError, match="every symbol of the market"):
        blend_walk_forward(market, FORECASTS, PLAIN)


def test_who_has_no_outcomes_of_its_own_has_no_share_yet() -> None:
    values = FORECASTS.values.copy()
    values[:450, :, 1] = np.nan
    late = dataclasses.replace(FORECASTS, values=values)
    without = dataclasses.replace(FORECASTS, values=np.where(np.arange(values.shape[2]) == 1, np.nan, values))
    blends = [blend_walk_forward(MARKET, item, PLAIN).values[..., 0] for item in (late, without)]
    np.testing.assert_allclose(blends[0][440:504], blends[1][440:504], rtol=1e-4, atol=1e-7)
    # 252 outcomes later it is heard.
    assert np.abs(blends[0][756:] - blends[1][756:]).max() > 1e-6


def test_who_is_not_heard_does_not_choose_the_penalty() -> None:
    """Newcomers that spoke on a few sessions choose as if they were not there: their gaps hold what others said."""
    values = np.concatenate([FORECASTS.values, np.repeat(FORECASTS.values[..., :1], 12, axis=2)], axis=2)
    values[:660, :, 4:] = np.nan
    values[660:, :, 4:] = np.random.default_rng(0).normal(size=values[660:, :, 4:].shape)
    names = (*FORECASTS.names, *(f"new{number}.expected_return_{HORIZON}" for number in range(12)))
    late = dataclasses.replace(
        FORECASTS,
        names=names,
        values=values.astype(np.float32),
        horizons=(HORIZON,) * len(names),
        trained_until=np.tile(FORECASTS.trained_until[:, :1], (1, len(names))),
    )
    volatility = measure_volatility(MARKET)
    # Equal weights and one penalty are so close that what the newcomers add would decide.
    for last in range(560, 760, 20):
        with_them, without = (
            fit_weights(make_panel(MARKET, item, HORIZON, volatility), last, PLAIN) for item in (late, FORECASTS)
        )
        assert with_them.difference_penalty == without.difference_penalty
        assert with_them.level_penalty == without.level_penalty
