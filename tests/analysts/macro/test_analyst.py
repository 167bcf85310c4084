"""Macro: signals are the same for all symbols, no future reaches them, and only what foretells is forecast."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.analysts.checks import check_analyst
from alfred.analysts.macro.analyst import MacroAnalyst
from alfred.analysts.macro.settings import MacroAnalystSettings
from alfred.config import ForecastSettings
from alfred.data.contexts import make_contexts
from alfred.data.perturbation import scramble_after
from alfred.data.point_in_time.macro import join_macro
from alfred.data.settings import DataSettings, MacroSettings
from alfred.data.sources import load_market
from alfred.errors import DataError
from alfred.training.forecasting import forecast_walk_forward
from tests.analysts.macro.world import make_macro_market
from tests.conftest import make_random_market

pytest.importorskip("statsmodels", reason="the extra 'macro' is not installed")

SETTINGS = MacroAnalystSettings(context_length=120, horizons=(1, 5))
SCHEDULE = ForecastSettings(min_train_days=900, refit_every_days=300, cache=None)
PLANTED, VOLATILE = make_macro_market(0.6)


def test_contract() -> None:
    check_analyst(lambda: MacroAnalyst(SETTINGS), PLANTED)


def test_names() -> None:
    names = ("yield_level", "yield_change", "yield_slope", "vix_level", "vix_change", "oil_change", "regime_volatile")
    assert SETTINGS.component_names == names
    assert MacroAnalystSettings(vix=None, oil=None, short_yield=None, regimes=False, masks=True).component_names == (
        *("yield_level", "yield_change"),
        *("has_yield_level", "has_yield_change"),
    )


def test_values_against_their_definitions() -> None:
    analyst = MacroAnalyst(SETTINGS).fit(PLANTED)
    rows = np.array([905, 910, 1500])
    contexts = make_contexts(PLANTED, rows, np.array([0, 1, 2]), length=120, fields=analyst.fields)
    found = dict(zip(SETTINGS.component_names, analyst.reduce(contexts).T, strict=True))
    at = {name: (values[rows, 0], values[rows - 20, 0]) for name, values in PLANTED.extras.items()}
    long, short, vix = at["yield_10y"], at["yield_2y"], at["vix"]
    np.testing.assert_allclose(found["yield_level"], long[0])
    np.testing.assert_allclose(found["yield_change"], long[0] - long[1])
    np.testing.assert_allclose(found["yield_slope"], long[0] - short[0])
    np.testing.assert_allclose(found["vix_level"], np.log(vix[0] / 20))
    np.testing.assert_allclose(found["vix_change"], np.log(vix[0] / vix[1]))
    oil = PLANTED.extras["wti"][:, 0]
    sizes = [np.abs(oil[row - 119 : row + 1]).mean() for row in rows]
    np.testing.assert_allclose(found["oil_change"], (oil[rows] - oil[rows - 20]) / sizes)
    level = np.log(PLANTED.field("market_level")[:, 0])
    expected = [analyst.regimes_.filter(np.diff(level[row - 119 : row + 1])[None])[0] - 0.5 for row in rows]
    np.testing.assert_allclose(found["regime_volatile"], expected)


def test_signals_are_common_to_all_symbols_and_know_the_regime() -> None:
    signals = forecast_walk_forward(PLANTED, SETTINGS, SCHEDULE)
    for name in SETTINGS.component_names:
        values = signals.values[:, :, signals.names.index(f"macro.{name}_1")]
        np.testing.assert_array_equal(values, np.repeat(values[:, :1], values.shape[1], axis=1))
    regime = signals.values[:, 0, signals.names.index("macro.regime_volatile_1")]
    assert ((regime > 0) == VOLATILE[-len(regime) :]).mean() > 0.9


@pytest.mark.parametrize("probe", [905, 1234])
def test_probabilities_of_the_past_do_not_know_the_future(probe) -> None:
    date = PLANTED.dates[probe]
    true = forecast_walk_forward(PLANTED, SETTINGS, SCHEDULE).until(date)
    for seed in (0, 1):
        other = forecast_walk_forward(scramble_after(PLANTED, date, seed), SETTINGS, SCHEDULE).until(date)
        assert true.values.tobytes() == other.values.tobytes()
    column = true.names.index("macro.regime_volatile_1")
    assert np.isfinite(true.values[:, 0, column]).all()


def test_a_value_is_known_only_after_its_lag(tmp_path) -> None:
    bare = make_random_market(700)
    rng = np.random.default_rng(0)
    settings = MacroAnalystSettings(
        context_length=60, horizons=(1,), short_yield=None, long_yield=None, oil=None, regimes=False
    )
    found = []
    for scramble in (False, True):
        vix = 20 * np.exp(0.1 * np.random.default_rng(1).normal(size=700))
        if scramble:
            vix[600:] = rng.uniform(10, 80, 100)
        rows = [f"{day.date()},{value}" for day, value in zip(bare.dates, vix, strict=True)]
        (tmp_path / "macro.csv").write_text("date,vix\n" + "\n".join(rows) + "\n")
        market = join_macro(bare, MacroSettings(path=tmp_path / "macro.csv", lag_days=1))
        schedule = SCHEDULE.model_copy(update={"min_train_days": 500, "refit_every_days": 300})
        found.append(forecast_walk_forward(market, settings, schedule))
    # The value of session 600 is out before the close of session 601.
    same = found[0].dates <= bare.dates[600]
    assert found[0].values[same].tobytes() == found[1].values[same].tobytes()
    first = np.flatnonzero(~same)[0]
    assert found[0].values[first].tobytes() != found[1].values[first].tobytes()


def test_what_foretells_is_forecast() -> None:
    analyst = MacroAnalyst(SETTINGS).fit(PLANTED)
    assert analyst.evidence_[0] > 2
    rows = np.arange(1300, 1590)
    contexts = make_contexts(PLANTED, rows, np.zeros(290, dtype=int), length=120, fields=analyst.fields)
    wave = np.log(PLANTED.extras["vix"][rows, 0] / 20)
    assert np.corrcoef(analyst.predict(contexts).mean[:, 0], wave)[0, 1] > 0.8


@pytest.mark.parametrize("seed", range(1, 5))
def test_what_does_not_is_not(seed) -> None:
    market, _ = make_macro_market(0.0, seed=seed)
    analyst = MacroAnalyst(SETTINGS).fit(market)
    assert not analyst.model_.coefficients.any()
    assert [
        f"nothing credible {ahead} ahead" in note
        for ahead, note in zip(("1 session", "5 sessions"), analyst.notes, strict=True)
    ] == [True, True]


def test_a_series_that_begins_late_is_unknown_until_then() -> None:
    market, _ = make_macro_market(0.6)
    market.extras["yield_10y"][:1000] = np.nan
    analyst = MacroAnalyst(MacroAnalystSettings(context_length=120, horizons=(1,), masks=True)).fit(market)
    contexts = make_contexts(market, np.array([950, 1500]), np.array([0, 0]), length=120, fields=analyst.fields)
    found = dict(zip(analyst.settings.component_names, analyst.reduce(contexts).T, strict=True))
    assert np.isnan(found["yield_level"]).tolist() == [True, False]
    assert found["has_yield_level"].tolist() == [0.0, 1.0]
    assert np.isfinite(analyst.predict(contexts).mean).all()


def test_a_market_without_the_series_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"'macro' reads 'yield_2y', but the market has no such series.*data\.macro\.path"
    ):
        MacroAnalyst(SETTINGS).fit(make_random_market(700))


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="nothing is left to read"):
        MacroAnalystSettings(short_yield=None, long_yield=None, vix=None, oil=None, regimes=False)
    with pytest.raises(ValueError, match="without a long_yield"):
        MacroAnalystSettings(long_yield=None)
    with pytest.raises(ValueError, match="reaches beyond the window"):
        MacroAnalystSettings(change_days=300)


def test_real_series(macro_dir, market_dir) -> None:
    data = DataSettings(
        path=market_dir,
        symbols=("AAPL", "MSFT"),
        benchmark="SPY",
        start="2006-01-03",
        end="2012-12-31",
        macro={"path": macro_dir / "macro_daily.csv.gz"},
    )
    market = load_market(data)
    analyst = MacroAnalyst(MacroAnalystSettings(horizons=(5,))).fit(market)
    rows = market.dates.get_indexer(["2008-11-20", "2012-08-15"])
    contexts = make_contexts(market, rows, np.array([0, 0]), length=252, fields=analyst.fields)
    crisis, calm = analyst.reduce(contexts)[:, -1]
    assert crisis > 0.45
    assert calm < -0.3
