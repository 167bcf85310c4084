"""Calibration inside a walk: what it is computed from, piece by piece, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alfred.analysts.calibration.calibrator import calibrate_panel
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.momentum import MomentumAnalyst
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import AnalystSettings, CalibrationSettings, MomentumSettings, NaiveSettings
from alfred.config import ForecastSettings
from alfred.data.contexts import Contexts, iterate_contexts
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.errors import AlfredError, SignalError
from alfred.training import forecasting, pieces, recalibration
from alfred.training.forecasting import forecast_all, forecast_walk_forward, make_blocks
from alfred.training.progress import Silence
from alfred.training.provenance.stages import describe_forecast, explain_change, fingerprint_analyst
from tests.conftest import make_random_market

MARKET = make_random_market(420, late_listing=True)
SCHEDULE = ForecastSettings(min_train_days=300, refit_every_days=50, cache=None)
EARLY = CalibrationSettings(min_sessions=10, min_outcomes=30)
RAW = CalibrationSettings(kind="none")
HORIZONS = (1, 5)


def make(kind: type[AnalystSettings] = NaiveSettings, calibration: CalibrationSettings = EARLY, **changes: object):
    return kind(horizons=HORIZONS, calibration=calibration, **changes)


class Narrow(NaiveAnalyst):
    """A tenth of the spread."""

    def predict(self, contexts: Contexts) -> Forecast:
        plain = super().predict(contexts)
        return Forecast(plain.horizons, plain.levels, plain.mean, 0.1 * plain.quantiles)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "make_analyst", Narrow)


def calibrate_plainly(market: Market, settings: AnalystSettings, every: int = 1) -> np.ndarray:
    """Forecast and calibrate all rows in one go, in memory; return the signals of the rows that were forecast."""
    shape = (market.n_dates, market.n_symbols, len(HORIZONS))
    mean = np.full(shape, np.nan, dtype=np.float32)
    quantiles = np.full((*shape, len(DEFAULT_LEVELS)), np.nan, dtype=np.float32)
    for block in make_blocks(market.n_dates, SCHEDULE):
        analyst = pieces.make_analyst(settings).fit(market.until(market.dates[block.fit_row]))
        asked = iterate_contexts(
            market, block.rows[::every], length=analyst.context_length, min_history=analyst.min_history
        )
        for row, column, contexts in asked:
            forecast = analyst.predict(contexts)
            mean[row, column], quantiles[row, column] = forecast.mean, forecast.quantiles
    log_close = np.log(np.where(market.tradable, market.close, np.nan))
    found = calibrate_panel(settings.calibration, HORIZONS, DEFAULT_LEVELS, mean, quantiles, log_close)
    answered = np.isfinite(mean).any(axis=2)
    signals = np.full((*answered.shape, 4 * len(HORIZONS)), np.nan, dtype=np.float32)
    signals[answered] = Forecast(HORIZONS, DEFAULT_LEVELS, *(item[answered] for item in found)).to_signals()
    return signals[300:]


@pytest.mark.parametrize("kind", [NaiveSettings, MomentumSettings])
def test_a_walk_equals_calibrating_it_in_one_go(kind: type[AnalystSettings]) -> None:
    signals = forecast_walk_forward(MARKET, make(kind), SCHEDULE)
    np.testing.assert_array_equal(signals.values, calibrate_plainly(MARKET, make(kind)))
    raw = forecast_walk_forward(MARKET, make(kind, RAW), SCHEDULE)
    # The first outcomes come in ten sessions before; from then on quantiles are others, expected returns never.
    same = np.isclose(signals.values, raw.values, rtol=1e-6, atol=0, equal_nan=True)
    assert same[:10].all()
    kept = {"expected_return"} if kind is MomentumSettings else {"expected_return", "probability_up"}
    for column, spec in enumerate(signals.specs):
        assert same[:, :, column].all() == (spec.quantity in kept)
    np.testing.assert_array_equal(signals.trained_until, raw.trained_until)
    assert signals.names == raw.names


@pytest.mark.usefixtures("narrow")
def test_an_overconfident_analyst_is_put_right() -> None:
    raw, calibrated = (
        forecast_walk_forward(MARKET, make(calibration=item), SCHEDULE).values[40:] for item in (RAW, EARLY)
    )
    ratio = calibrated[:, :, 1] / raw[:, :, 1]
    assert 9 < np.nanmedian(ratio) < 11


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("batch", [4, 60])
def test_the_size_of_a_piece_does_not_matter(batch: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = forecast_walk_forward(MARKET, make(), SCHEDULE)
    monkeypatch.setattr(forecasting, "_BATCH", batch)
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    for _ in range(2):
        np.testing.assert_array_equal(forecast_walk_forward(MARKET, make(), schedule).values, whole.values)


@pytest.mark.usefixtures("narrow")
def test_only_rows_that_were_forecast_are_scored() -> None:
    settings = make(forecast_every_days=5)
    signals = forecast_walk_forward(MARKET, settings, SCHEDULE)
    plain = calibrate_plainly(MARKET, settings, every=5)
    np.testing.assert_array_equal(signals.values[::5], plain[::5])
    np.testing.assert_array_equal(signals.values, np.repeat(signals.values[::5], 5, axis=0))
    assert np.isnan(plain[1]).all()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("row", [330, 349, 350, 400])
def test_another_future_changes_no_calibrated_forecast(row: int) -> None:
    true = forecast_walk_forward(MARKET, make(), SCHEDULE)
    for seed in range(2):
        other = forecast_walk_forward(scramble_after(MARKET, MARKET.dates[row], seed), make(), SCHEDULE)
        np.testing.assert_array_equal(other.values[: row - 299], true.values[: row - 299])
        assert not np.array_equal(other.values[row - 299 :], true.values[row - 299 :], equal_nan=True)


def test_another_calibration_asks_for_no_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    expected = [forecast_walk_forward(MARKET, make(calibration=item), SCHEDULE).values for item in (EARLY, RAW)]
    forecast_walk_forward(MARKET, make(calibration=RAW), schedule)
    asked: list[int] = []
    predict = NaiveAnalyst.predict
    monkeypatch.setattr(NaiveAnalyst, "predict", lambda self, contexts: (asked.append(1), predict(self, contexts))[1])
    monkeypatch.setattr(NaiveAnalyst, "fit", lambda self, market: asked.append(1))
    for item, values in zip((EARLY, RAW), expected, strict=True):
        found = forecast_walk_forward(MARKET, make(calibration=item), schedule)
        np.testing.assert_array_equal(found.values, values)
    assert asked == []


@pytest.mark.parametrize("text", [None, "", "[", "{}", "[0.5, 0.1]", "[1.5]", "[0.1, 0.9]", "[]", '["a"]'])
def test_pieces_without_their_levels_are_made_again(text: str | None, tmp_path: Path) -> None:
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    first = forecast_walk_forward(MARKET, make(), schedule)
    places = sorted(tmp_path.rglob("levels.json"))
    assert [json.loads(place.read_text()) for place in places] == [list(DEFAULT_LEVELS)] * 3
    if text is None:
        places[0].unlink()
    else:
        places[0].write_text(text)
    np.testing.assert_array_equal(forecast_walk_forward(MARKET, make(), schedule).values, first.values)
    assert json.loads(places[0].read_text()) == list(DEFAULT_LEVELS)


def test_the_description_of_a_walk_names_its_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = describe_forecast("data", make(), SCHEDULE)
    for other in (EARLY.model_copy(update={"rate": 0.02}), RAW):
        changed = describe_forecast("data", make(calibration=other), SCHEDULE)
        assert explain_change(parts, changed) == "its calibration changed"
    # What is not used does not count.
    off = [describe_forecast("data", make(calibration=RAW.model_copy(update={"rate": x})), SCHEDULE) for x in (0, 1)]
    assert off[0] == off[1]
    code = fingerprint_analyst(make())
    from alfred.training.provenance import fingerprint

    read = fingerprint._read

    def edit(name: str, path: Path) -> fingerprint._Source:
        source = read(name, path)
        edited = name == "alfred.analysts.calibration.scores"
        return fingerprint._Source(source.digest + "edited", source.imports) if edited else source

    monkeypatch.setattr(fingerprint, "_read", edit)
    assert explain_change(parts, describe_forecast("data", make(), SCHEDULE)) == "its calibration changed"
    # The address of raw pieces is made of this, so that they are used again.
    assert fingerprint_analyst(make()) == code
    assert describe_forecast("data", make(calibration=RAW), SCHEDULE) == off[0]
    with pytest.raises(AlfredError, match="'naive' was edited while it ran"):
        forecast_walk_forward(MARKET, make(), SCHEDULE, stage=parts)


def test_signals_are_made_again_when_only_the_calibration_changed(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(Silence):
        def say(self, text: str) -> None:
            said.append(text)

    for item in (RAW, RAW, EARLY, EARLY):
        [found] = forecast_all(
            MARKET, [make(calibration=item)], SCHEDULE, n_jobs=1, reporter=Listener(), folder=tmp_path
        )
        expected = forecast_walk_forward(MARKET, make(calibration=item), SCHEDULE)
        np.testing.assert_array_equal(found.values, expected.values)
    assert said == ["analyst naive: forecast again, its calibration changed"]


class Changing(MomentumAnalyst):
    """Forecasts other quantiles after its second fit."""

    n_fits = 0

    def fit(self, market: Market) -> Changing:
        Changing.n_fits += 1
        return super().fit(market)

    def predict(self, contexts: Contexts) -> Forecast:
        plain = super().predict(contexts)
        if Changing.n_fits < 2:
            return plain
        return Forecast(plain.horizons, plain.levels[:5], plain.mean, plain.quantiles[:, :, :5])


def test_levels_that_change_on_the_way_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "make_analyst", Changing)
    date = MARKET.dates[350].date()
    with pytest.raises(SignalError, match=rf"'momentum' forecasts the quantiles \(0.05, .* from {date} on"):
        forecast_walk_forward(MARKET, make(MomentumSettings), SCHEDULE)


def test_memory_does_not_grow_with_the_walk() -> None:
    """What the calibrator holds after the walk are the forecasts whose outcomes are open."""
    held = []

    class Watched(recalibration.Recalibration):
        def make_signals(self, *args):
            result = super().make_signals(*args)
            assert self._calibrator is not None
            held.append([len(part._pending) for part in self._calibrator._parts])
            return result

    original, forecasting.Recalibration = forecasting.Recalibration, Watched
    try:
        forecast_walk_forward(MARKET, make(), SCHEDULE)
    finally:
        forecasting.Recalibration = original
    assert held == [[1, 5]] * 3
