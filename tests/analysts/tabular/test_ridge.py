"""The linear analyst: scikit-learn's ridge, a penalty chosen on purged data, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alfred.analysts import make_analyst
from alfred.analysts.checks import check_analyst, measure_difference
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.tabular.examples import make_examples, read_columns
from alfred.analysts.tabular.ridge import LinearModel
from alfred.analysts.tabular.settings import RidgeSettings
from alfred.data.contexts import make_contexts
from alfred.data.market import Market
from alfred.data.synthetic import make_noise_market
from alfred.errors import CheckpointError, DataError
from tests.analysts.tabular.worlds import make_column_world, measure_ic
from tests.conftest import make_random_market

SHORT = RidgeSettings(context_length=40, horizons=(1, 5))
MARKET = make_random_market(500)


def add(market: Market, **extras: np.ndarray) -> Market:
    return replace(market, extras={name: np.broadcast_to(array, market.close.shape) for name, array in extras.items()})


def cut(market: Market, analyst, row: int = 450):
    return make_contexts(
        market,
        np.full(market.n_symbols, row),
        np.arange(market.n_symbols),
        length=analyst.context_length,
        fields=analyst.fields,
    )


def test_the_model_is_that_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(2.0, [1.0, 10.0, 0.1], (400, 3))
    labels = values @ rng.normal(size=(3, 2)) + rng.normal(size=(400, 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    fresh = rng.normal(2.0, 5.0, (50, 3))
    fresh[0, 1] = np.nan
    model = LinearModel.fit(values, labels, (0.01, 1.0))
    for position, penalty in enumerate((0.01, 1.0)):
        # Standardised before what is unknown becomes the mean: deviations of what is known.
        reference = make_pipeline(
            StandardScaler(), SimpleImputer(strategy="constant", fill_value=0.0), Ridge(400 * penalty)
        )
        reference.fit(values, labels[:, position])
        np.testing.assert_allclose(model.predict(fresh)[:, position], reference.predict(fresh), rtol=0.02)


def test_the_model_without_gaps_is_that_of_sklearn_exactly() -> None:
    rng = np.random.default_rng(1)
    values, labels = rng.normal(2.0, [1.0, 10.0, 0.1], (400, 3)), rng.normal(size=(400, 2))
    labels += values[:, :1]
    model = LinearModel.fit(values, labels, (0.01, 1.0))
    for position, penalty in enumerate((0.01, 1.0)):
        reference = make_pipeline(StandardScaler(), Ridge(400 * penalty)).fit(values, labels[:, position])
        np.testing.assert_allclose(model.predict(values)[:, position], reference.predict(values), rtol=1e-10)


def test_penalty_and_spread_come_from_the_validation_part() -> None:
    analyst = make_analyst(SHORT).fit(MARKET)
    examples = make_examples(MARKET, SHORT, analyst.fields, partial(read_columns, settings=SHORT))
    assert examples.values.shape == (len(examples.labels), len(analyst.names_))
    # Windows end in rows 39 to 494, and the last 15 of 100 validate.
    assert (len(examples.train), len(examples.validation)) == (4 * (387 - 5), 4 * (456 - 387))
    for position in range(2):
        errors = {}
        for penalty in SHORT.penalties:
            reference = make_pipeline(StandardScaler(), Ridge(len(examples.train) * penalty))
            reference.fit(examples.values[examples.train], examples.labels[examples.train, position])
            forecast = reference.predict(examples.values[examples.validation])
            errors[penalty] = np.mean((examples.labels[examples.validation, position] - forecast) ** 2)
        best = min(errors, key=errors.get)
        assert analyst.penalties_[position] == best
        assert analyst.spread_[position] == pytest.approx(np.sqrt(errors[best]), rel=1e-9)
        reference = make_pipeline(StandardScaler(), Ridge(len(examples.values) * best))
        reference.fit(examples.values, examples.labels[:, position])
        np.testing.assert_allclose(
            analyst.model_.predict(examples.values)[:, position], reference.predict(examples.values), rtol=1e-7
        )


def test_labels_are_forward_returns_in_units_of_the_windows_volatility() -> None:
    examples = make_examples(MARKET, SHORT, ("close", "volume"), partial(read_columns, settings=SHORT))
    logs = np.log(MARKET.close.astype(np.float64))
    volatility = np.sqrt((np.diff(logs[:40, 2]) ** 2).mean())
    expected = [(logs[39 + h, 2] - logs[39, 2]) / volatility / np.sqrt(h) for h in (1, 5)]
    np.testing.assert_allclose(examples.labels[2], expected, rtol=1e-9)
    np.testing.assert_allclose(examples.scales[2], volatility * np.sqrt([1, 5]), rtol=1e-9)


def test_the_contract_with_a_column_and_halts() -> None:
    rng = np.random.default_rng(0)
    market = add(make_random_market(500, late_listing=False), macro=rng.normal(size=(500, 1)))
    holes = rng.random(market.close.shape) < 0.03
    holes[-3:] = False
    panels = {
        name: np.where(holes, np.nan, getattr(market, name)) for name in ("open", "high", "low", "close", "volume")
    }
    market = replace(market, tradable=~holes, **panels)
    check_analyst(lambda: make_analyst(SHORT.model_copy(update={"columns": ("macro",)})), market)


def test_the_planted_signal_is_recovered_as_a_column() -> None:
    market, truth = make_column_world(3000)
    columns = tuple(market.extras)
    t, share = measure_ic(RidgeSettings(context_length=40, horizons=(1,), columns=columns), market, 2000, truth)
    assert t > 5
    assert share > 0.8


def test_nothing_is_found_in_noise() -> None:
    market = make_noise_market(n_days=2000, n_assets=8).market
    t, _ = measure_ic(RidgeSettings(context_length=40, horizons=(1,)), market, 1300, None)
    assert abs(t) < 3


def test_what_is_unknown_is_taken_for_the_mean() -> None:
    rng = np.random.default_rng(3)
    macro = rng.normal(5.0, 2.0, MARKET.close.shape)
    settings = SHORT.model_copy(update={"columns": ("macro",)})
    analyst = make_analyst(settings).fit(add(MARKET, macro=macro))
    mean = analyst.model_.centre[analyst.names_.index("macro")]
    assert mean == pytest.approx(5.0, abs=0.2)
    # float64 columns, so that the mean itself can be handed in.
    unknown, middle = (
        analyst.predict(cut(add(MARKET, macro=np.full(MARKET.close.shape, value)), analyst)) for value in (np.nan, mean)
    )
    assert measure_difference(unknown, middle) < 1e-9
    other = analyst.predict(cut(add(MARKET, macro=np.full(MARKET.close.shape, mean + 40)), analyst))
    assert measure_difference(unknown, other) > 1e-3


@pytest.mark.parametrize(("value", "word"), [(3.0, r"constant \(3\)"), (np.nan, "unknown")])
def test_a_column_that_does_not_move_is_refused_by_name(value, word) -> None:
    market = add(MARKET, macro=np.full(MARKET.close.shape, value))
    analyst = make_analyst(SHORT.model_copy(update={"columns": ("macro",), "name": "line"}))
    with pytest.raises(DataError, match=rf"column 'macro' of analyst 'line' is {word} in all \d+ training windows"):
        analyst.fit(market)


def test_own_features_that_do_not_move_are_left_out_by_name() -> None:
    silent = replace(MARKET, volume=np.zeros_like(MARKET.close))
    analyst = make_analyst(SHORT).fit(silent)
    assert "ridge does not read volume_1, volume_5" in analyst.notes[0]
    assert "volume_1" not in analyst.names_
    assert np.isfinite(analyst.predict(cut(silent, analyst)).mean).all()


def test_prices_that_do_not_move_are_refused() -> None:
    still = replace(MARKET, close=np.full_like(MARKET.close, 7.0), volume=None)
    with pytest.raises(DataError, match="every feature of analyst 'ridge' is constant"):
        make_analyst(SHORT).fit(still)


def test_columns_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ValidationError, match="column 'open' has a unit that differs from symbol to symbol"):
        RidgeSettings(columns=("open",))
    with pytest.raises(ValidationError, match="column 'pe' stands more than once"):
        RidgeSettings(columns=("pe", "pe"))
    with pytest.raises(ValidationError, match="must be positive"):
        RidgeSettings(penalties=(0.0, 1.0))
    with pytest.raises(DataError, match=r"unknown field 'macroo'.*Did you mean 'macro'"):
        make_analyst(SHORT.model_copy(update={"columns": ("macroo",)})).fit(add(MARKET, macro=MARKET.close))


@pytest.mark.parametrize("kind", ["ridge", "trees"])
@pytest.mark.parametrize("n_dates", [30, 100, 313])
def test_too_short_a_history_is_one_line(kind, n_dates) -> None:
    settings = ANALYSTS.load_settings(kind)()
    with pytest.raises(DataError, match=f"'{kind}' has too short a history until .*: {n_dates - 1} sessions") as caught:
        make_analyst(settings).fit(MARKET.until(MARKET.dates[n_dates - 2]))
    assert "needed are 313;" in str(caught.value) and "\n" not in str(caught.value)
    if n_dates == 313:
        make_analyst(settings).fit(MARKET.until(MARKET.dates[n_dates - 1]))


@pytest.mark.parametrize("kind", ["ridge", "trees"])
def test_saved_weights_are_safetensors_and_json_and_are_checked(kind, tmp_path) -> None:
    settings = ANALYSTS.load_settings(kind)(context_length=40, horizons=(1, 5))
    make_analyst(settings).fit(MARKET).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "settings.json"]
    load = ANALYSTS.load(kind).from_pretrained
    assert load(tmp_path).settings == settings
    (tmp_path / "settings.json").write_text(settings.model_copy(update={"horizons": (1, 5, 20)}).model_dump_json())
    with pytest.raises(CheckpointError, match=r"spreads of shape \(2,\) for 3 horizons"):
        load(tmp_path)
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load(tmp_path)
