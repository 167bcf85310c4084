"""Analysts beside persistence: walked forward, and judged on what came after only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import LstmSettings, MomentumSettings, NaiveSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.errors import DataError
from alfred.evaluation.report.forecast_plots import draw_calibration, draw_outcomes, save_forecast_pictures
from alfred.learning.settings import FittingSettings
from alfred.training.comparison import AnalystComparison, compare_analysts
from alfred.training.forecasting import forecast_walk_forward
from alfred.training.progress import Silence
from tests.conftest import make_random_market

MARKET = make_random_market(200)
SCHEDULE = ForecastSettings(min_train_days=100, refit_every_days=50, cache=None)
QUICK = FittingSettings(steps=8, batch_size=64, validate_every=4)
LSTM = LstmSettings(context_length=8, horizons=(1, 5), fitting=QUICK)


def compare(market: Market = MARKET, *analysts: object, since: object = MARKET.dates[150]) -> AnalystComparison:
    return compare_analysts(market, analysts, SCHEDULE, since=since, n_jobs=1, reporter=Silence())  # type: ignore[arg-type]


def test_persistence_is_what_it_is_by_hand() -> None:
    found = compare(MARKET, NaiveSettings(horizons=(5,)))
    ahead = np.abs(MARKET.close[155:] / MARKET.close[150:-5] - 1).mean(axis=0) * 100
    table = found.table.set_index(["symbol", "horizon"])
    assert set(table["analyst"]) == {"naive"}
    for symbol in MARKET.symbols:
        assert table.loc[(symbol, 5), "mae_pct"] == pytest.approx(ahead[MARKET.index_of(symbol)], rel=1e-5)
    assert found.track("unused.json") == {}


def test_what_is_recorded_is_what_the_signals_say() -> None:
    found = compare(MARKET, LSTM)
    signals = forecast_walk_forward(MARKET, LSTM, SCHEDULE)
    record = found.records["lstm"]
    rows = signals.dates.get_indexer(record.dates)
    assert record.dates[0] == MARKET.dates[150] and len(record.dates) == 50
    for place, horizon in enumerate(record.horizons):
        column = signals.names.index(f"lstm.expected_return_{horizon}")
        np.testing.assert_array_equal(record.mean[:, :, place], signals.values[rows][:, :, column])
    assert (record.trained_until == signals.trained_until[rows, 0]).all()


def test_the_fit_does_not_see_what_it_is_judged_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[bytes]] = []
    fit = NaiveAnalyst.fit

    def spy(self: NaiveAnalyst, past: Market) -> NaiveAnalyst:
        seen[-1].append(past.close.tobytes())
        return fit(self, past)

    monkeypatch.setattr(NaiveAnalyst, "fit", spy)
    for market in (MARKET, scramble_after(MARKET, MARKET.dates[149], 0)):
        seen.append([])
        compare(market, NaiveSettings())
    assert seen[0] == seen[1] and len(seen[0]) == 2


def test_the_tracker_keeps_the_best_and_persistence_is_not_entered(tmp_path: Path) -> None:
    market = make_random_market(700, 3)
    schedule = ForecastSettings(min_train_days=400, refit_every_days=400, cache=None)
    asked = [MomentumSettings(horizons=(5,))]
    found = compare_analysts(market, asked, schedule, since=market.dates[500], n_jobs=1, reporter=Silence())
    assert set(found.track(tmp_path / "best.json")["momentum"]) == set(market.symbols)
    assert found.track(tmp_path / "best.json") == {"momentum": ()}  # the same again is no improvement
    errors = found.compare_with_naive("momentum", 5).table
    own = found.table.set_index(["analyst", "symbol"])["mae_pct"]
    for symbol in market.symbols:
        assert errors.loc[symbol, "improvement_pct"] == pytest.approx(
            100 * (1 - own["momentum", symbol] / own["naive", symbol])
        )


def test_drift_that_tells_no_symbols_apart_is_called_so() -> None:
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(4e-3, 0.01, (900, 5)), axis=0))
    market = Market.from_arrays(make_random_market(900).dates, ["A", "B", "C", "D", "SPY"], close, benchmark="SPY")
    schedule = ForecastSettings(min_train_days=600, refit_every_days=600, cache=None)
    asked = [MomentumSettings(horizons=(20,))]
    found = compare_analysts(market, asked, schedule, since=market.dates[640], n_jobs=1, reporter=Silence())
    assert any("a constant drift may do that" in note for note in found.notes)
    assert not any("constant drift" in note for note in compare(MARKET, NaiveSettings()).notes)


@pytest.mark.parametrize("since", [MARKET.dates[0], MARKET.dates[99], MARKET.dates[-1]])
def test_a_date_without_past_or_future_is_refused(since: object) -> None:
    with pytest.raises(DataError, match=r"it must lie inside 2010-05-24 to 2010-10-08"):
        compare(MARKET, NaiveSettings(), since=since)


def test_pictures_show_what_was_forecast(tmp_path: Path) -> None:
    found = compare(MARKET, LSTM)
    paths = save_forecast_pictures(tmp_path / "new", found.records, MARKET)
    assert [path.name for path in paths] == ["outcomes.png", "calibration.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    figure = draw_calibration(found.records, MARKET)
    record = found.records["lstm"]
    curve = figure.axes[2].lines[1]  # the second row begins with the second analyst, at one session
    outcome = np.log(MARKET.close[151:] / MARKET.close[150:-1])
    share = [(outcome < record.quantiles[:-1, :, 0, q]).mean() for q in range(len(record.levels))]
    np.testing.assert_allclose(curve.get_ydata(), share, atol=1e-12)
    titles = [axes.get_title() for axes in draw_outcomes(found.records, MARKET).axes]
    assert titles == ["naive, 1 session", "naive, 5 sessions", "lstm, 1 session", "lstm, 5 sessions"]
