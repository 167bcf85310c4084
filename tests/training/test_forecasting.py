import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from alfred.analysts.forecast import Forecast
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import CalibrationSettings, MomentumSettings, NaiveSettings
from alfred.config import ForecastSettings
from alfred.data.contexts import Contexts, make_contexts
from alfred.errors import AlfredError, DataError, SignalError
from alfred.training import forecasting, pieces
from alfred.training.effort.timings import time_call
from alfred.training.forecasting import forecast_all, forecast_walk_forward, make_blocks
from alfred.training.progress import Silence
from alfred.training.provenance.stages import describe_forecast
from tests.analysts.small import make_small_settings, prepare_market
from tests.conftest import make_random_market
from tests.training.small import Lines

MARKET = make_random_market(420, late_listing=True)
SCHEDULE = ForecastSettings(min_train_days=300, refit_every_days=50, cache=None)
MOMENTUM = MomentumSettings(horizons=(1, 5))


def test_blocks_never_forecast_what_they_were_fitted_on() -> None:
    blocks = make_blocks(10, ForecastSettings(min_train_days=3, refit_every_days=4))
    assert [(block.fit_row, block.rows.tolist()) for block in blocks] == [(2, [3, 4, 5, 6]), (6, [7, 8, 9])]
    with pytest.raises(DataError, match="min_train_days = 10 sessions, the market has 10"):
        make_blocks(10, ForecastSettings(min_train_days=10))


def test_rows_equal_a_plain_refit_and_carry_its_date() -> None:
    raw = MOMENTUM.model_copy(update={"calibration": CalibrationSettings(kind="none")})
    signals = forecast_walk_forward(MARKET, raw, SCHEDULE)
    assert signals.dates[0] == MARKET.dates[300]
    for row in (300, 349, 350, 419):
        fit_row = 299 + (row - 300) // 50 * 50
        [stamp] = {pd.Timestamp(date) for date in signals.trained_until[row - 300]}
        assert stamp == MARKET.dates[fit_row] < signals.dates[row - 300]
        past = MARKET.until(MARKET.dates[fit_row])
        analyst = pieces.make_analyst(MOMENTUM).fit(past)
        window = MARKET.until(MARKET.dates[row])
        contexts = make_contexts(
            window, np.full(4, row), np.arange(4), length=analyst.context_length, fields=analyst.fields
        )
        expected = analyst.predict(contexts).to_signals()
        expected[~(window.tradable.sum(axis=0) >= analyst.min_history)] = np.nan
        # Forecasts are kept in single precision between the analyst and its signals.
        np.testing.assert_allclose(signals.values[row - 300], expected, rtol=1e-5, atol=1e-6)


def test_sparse_forecasts_stand_until_the_next() -> None:
    daily = forecast_walk_forward(MARKET, MOMENTUM, SCHEDULE)
    weekly = forecast_walk_forward(MARKET, MOMENTUM.model_copy(update={"forecast_every_days": 5}), SCHEDULE)
    np.testing.assert_array_equal(weekly.values[5:10], np.repeat(daily.values[5:6], 5, axis=0))


def test_cache_gives_the_same_numbers_and_is_used(tmp_path, monkeypatch) -> None:
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    first = forecast_walk_forward(MARKET, NaiveSettings(), schedule)
    np.testing.assert_array_equal(first.values, forecast_walk_forward(MARKET, NaiveSettings(), SCHEDULE).values)
    files = sorted(tmp_path.rglob("*.npy"))
    # One damaged piece and one missing piece, as a kill would leave them: only these are made again.
    files[0].write_bytes(b"half")
    files[1].unlink()
    calls = []
    predict = NaiveAnalyst.predict
    monkeypatch.setattr(NaiveAnalyst, "predict", lambda self, contexts: (calls.append(1), predict(self, contexts))[1])
    again = forecast_walk_forward(MARKET, NaiveSettings(), schedule)
    np.testing.assert_array_equal(again.values, first.values)
    # The piece that comes first in its block is asked once more alone.
    assert len(calls) == 2 + 2
    assert not list(tmp_path.rglob("*.part"))


def test_cache_knows_data_and_settings_apart(tmp_path) -> None:
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    for market, settings in (
        (MARKET, MOMENTUM),
        (MARKET, MOMENTUM.model_copy(update={"horizons": (2, 5)})),
        (make_random_market(420, seed=1), MOMENTUM),
    ):
        cached = forecast_walk_forward(market, settings, schedule)
        np.testing.assert_array_equal(cached.values, forecast_walk_forward(market, settings, SCHEDULE).values)


def test_parallel_equals_serial() -> None:
    analysts = (NaiveSettings(), MOMENTUM)
    serial = forecast_all(MARKET, analysts, SCHEDULE, n_jobs=1, reporter=Silence())
    parallel = forecast_all(MARKET, analysts, SCHEDULE, n_jobs=2, reporter=Silence())
    for one, two in zip(serial, parallel, strict=True):
        assert one.names == two.names
        np.testing.assert_array_equal(one.values, two.values)


def test_later_refits_go_on_beside_the_walk(tmp_path) -> None:
    lines, schedule = Lines(), SCHEDULE.model_copy(update={"cache": tmp_path})
    [found] = forecast_all(MARKET, (MOMENTUM,), schedule, n_jobs=2, reporter=lines, expect=lambda _settings: 100.0)
    dates = [MARKET.dates[row].date() for row in (349, 399)]
    assert lines.begun == ["analyst momentum", *(f"analyst momentum refit of {date}" for date in dates)]
    np.testing.assert_array_equal(found.values, forecast_walk_forward(MARKET, MOMENTUM, SCHEDULE).values)
    quick = forecast_all(MARKET, (MOMENTUM,), schedule, n_jobs=2, reporter=lines, expect=lambda _settings: 10.0)
    assert lines.begun[3:] == ["analyst momentum"]
    np.testing.assert_array_equal(quick[0].values, found.values)


def test_two_at_the_same_fit_fit_once(tmp_path, monkeypatch) -> None:
    fits = []
    fit = NaiveAnalyst.fit

    def fit_slowly(self, past):
        fits.append(1)
        time.sleep(0.3)
        return fit(self, past)

    monkeypatch.setattr(NaiveAnalyst, "fit", fit_slowly)
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path})
    stage = describe_forecast("", NaiveSettings(), schedule)
    fit_one = partial(time_call, partial(forecasting.fit_block, MARKET, NaiveSettings(), schedule, 1, stage, None))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _n: fit_one(progress=lambda _done: None), range(2)))
    assert len(fits) == 1
    # Who waited did no work meanwhile: an estimate of the next run would count it twice.
    assert min(item.seconds for item in done) < 0.3 <= max(item.seconds for item in done)


def test_a_fit_beside_the_walk_refuses_code_that_was_edited(tmp_path) -> None:
    schedule = SCHEDULE.model_copy(update={"cache": tmp_path / "cache"})
    stage = {**describe_forecast("", NaiveSettings(), schedule), "code": "that of before"}
    with pytest.raises(AlfredError, match="'naive' was edited while it ran"):
        forecasting.fit_block(MARKET, NaiveSettings(), schedule, 1, stage, None)
    assert not (tmp_path / "cache").exists()


def test_errors_cross_processes_as_they_are() -> None:
    short = ForecastSettings(min_train_days=50, cache=None)
    with pytest.raises(DataError, match="'momentum' needs more than"):
        forecast_all(MARKET, (NaiveSettings(), MOMENTUM), short, n_jobs=2, reporter=Silence())


def test_analysts_are_not_shown_the_notes(monkeypatch) -> None:
    seen = []
    fit = NaiveAnalyst.fit
    monkeypatch.setattr(NaiveAnalyst, "fit", lambda self, past: (seen.append(past.notes), fit(self, past))[1])
    noted = replace(MARKET, notes=("'GM' has no rows for long after 2014-05-30",))
    forecast_walk_forward(noted, NaiveSettings(), SCHEDULE)
    assert set(seen) == {()}


class Peeking(NaiveAnalyst):
    """Expects what the next window of the same symbol in the batch ends with."""

    def predict(self, contexts: Contexts) -> Forecast:
        plain = super().predict(contexts)
        mean = plain.mean.copy()
        close = contexts.field("close")[:, -1]
        for row, (symbol, date) in enumerate(zip(contexts.symbols, contexts.dates, strict=True)):
            later = [n for n, other in enumerate(contexts.symbols) if other == symbol and contexts.dates[n] > date]
            if later:
                mean[row] = np.log(close[later[0]] / close[row])
        return Forecast(plain.horizons, plain.levels, mean, plain.quantiles)


class Scaling(NaiveAnalyst):
    """Scales by mean and spread of the whole batch."""

    def predict(self, contexts: Contexts) -> Forecast:
        plain = super().predict(contexts)
        close = contexts.field("close")
        moves = np.log(close[:, -1] / close[:, -2])
        score = 0.01 * (moves - moves.mean()) / (moves.std() + 1e-9)
        mean = np.broadcast_to(score[:, None], plain.mean.shape)
        return Forecast(plain.horizons, plain.levels, mean, plain.quantiles)


@pytest.mark.parametrize("kind", [Peeking, Scaling])
@pytest.mark.parametrize("n_symbols", [2, 5])
def test_an_analyst_that_reads_later_windows_of_its_batch_is_refused(kind, n_symbols, monkeypatch) -> None:
    market = make_random_market(420, n_symbols)
    monkeypatch.setattr(pieces, "make_analyst", kind)
    date = market.dates[300].date()
    with pytest.raises(SignalError, match=f"from itself alone: 'naive' answers differently when {date} is asked"):
        forecast_walk_forward(market, NaiveSettings(), SCHEDULE)


@pytest.mark.parametrize("kind", [kind for kind in ANALYSTS if kind != "saved"])
def test_the_analysts_answer_alone_as_in_a_batch(kind, monkeypatch) -> None:
    asked = []
    check = forecasting.check_alone
    monkeypatch.setattr(forecasting, "check_alone", lambda *args: (asked.append(1), check(*args)))
    settings = make_small_settings(kind)
    schedule = SCHEDULE.model_copy(update={"min_train_days": 390, "refit_every_days": 15})
    forecast_walk_forward(prepare_market(kind, MARKET), settings, schedule)
    assert len(asked) == 2
