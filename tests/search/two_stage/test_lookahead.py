"""Nothing of a later part reaches an earlier one; and the tests can fail."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.analysts.settings import AnalystSettings
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.envs.settings import PortfolioSettings
from alfred.training.search.two_stage.forecasts import forecast_fold, forecast_later, name_probability
from alfred.training.search.two_stage.plans import make_space, plan_models, plan_strategies
from alfred.training.search.two_stage.segments import Segments, cut_segments
from alfred.training.search.two_stage.selection import Candidate
from alfred.training.search.two_stage.strategy import DEFAULTS, build_strategy, walk
from tests.search.two_stage.cases import make_market, make_settings

SETTINGS = make_settings()
HERMITE = {"hermite": {"context_length": 16, "fitting": {"steps": 3, "validate_every": 3, "batch_size": 256}}}


def make_model(market: Market, segments: Segments, family: str = "ridge") -> AnalystSettings:
    settings = make_settings(families=[family], fixed={**SETTINGS.fixed, **HERMITE})
    values = {"context_length": 60} if family == "ridge" else {}
    return make_space(market, segments, settings).build(family, values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market()


@pytest.fixture(scope="module")
def segments(market: Market) -> Segments:
    return cut_segments(market, SETTINGS)


@pytest.mark.parametrize("family", ["ridge", "hermite"])
def test_a_score_does_not_depend_on_what_follows_its_fold(market: Market, segments: Segments, family: str) -> None:
    model, fold = make_model(market, segments, family), segments.model_folds[0]
    found = [
        forecast_fold(shown, model, fold, 1) for shown in (market, scramble_after(market, fold.validation[1], seed=1))
    ]
    assert found[0].score == found[1].score
    assert found[0].call == found[1].call
    np.testing.assert_array_equal(found[0].signals.values, found[1].signals.values)


@pytest.mark.parametrize("family", ["ridge", "hermite"])
def test_fit_and_calibration_do_not_see_the_validation(market: Market, segments: Segments, family: str) -> None:
    model, fold = make_model(market, segments, family), segments.model_folds[0]
    true = forecast_fold(market, model, fold, 1)
    scrambled = forecast_fold(scramble_after(market, fold.calibration[1], seed=1), model, fold, 1)
    tail = true.signals.dates <= fold.calibration[1]
    assert tail.sum() > 40
    np.testing.assert_array_equal(true.signals.values[tail], scrambled.signals.values[tail])
    assert true.call == scrambled.call
    assert true.score != scrambled.score  # the validation itself is another one


def test_fit_does_not_see_the_calibration(market: Market, segments: Segments) -> None:
    model, fold = make_model(market, segments), segments.model_folds[0]
    before = market.dates[market.dates.get_loc(fold.calibration[0])]
    true = forecast_fold(market, model, fold, 1)
    scrambled = forecast_fold(scramble_after(market, before, seed=1), model, fold, 1)
    np.testing.assert_array_equal(true.signals.values[0], scrambled.signals.values[0])
    assert true.call != scrambled.call


def test_the_first_stage_is_handed_nothing_of_the_second(market: Market, segments: Segments) -> None:
    space, env = make_space(market, segments, SETTINGS), PortfolioSettings(execution="close")
    found = [
        plan_models(shown, env, segments, space, "name")
        for shown in (market, scramble_after(market, segments.model[1], seed=2))
    ]
    assert found[0].full_name == found[1].full_name  # the digest of the data is in it
    for plan in found:
        assert plan.objective.evaluator.market.dates[-1] == segments.model[1]  # type: ignore[attr-defined]
    changed = plan_models(scramble_after(market, segments.model_folds[0].fit_end, seed=2), env, segments, space, "name")
    assert changed.full_name != found[0].full_name


def test_the_second_stage_is_handed_nothing_of_the_locked_part(market: Market, segments: Segments) -> None:
    env, model = PortfolioSettings(execution="close"), make_model(market, segments)
    candidate = Candidate(3, "ridge", model.model_dump(mode="json"), 0.6, 0, 0.6, 0.6, 0.6, 0, 0, 0, True)
    found = []
    for shown in (market, scramble_after(market, segments.strategy[1], seed=2)):
        signals = forecast_later(shown.until(segments.strategy[1]), model, segments, SETTINGS).scaled()
        plan = plan_strategies(shown, env, segments, [(candidate, signals)], SETTINGS, "name")[0]
        assert plan.objective.market.dates[-1] == segments.strategy[1]  # type: ignore[attr-defined]
        found.append((plan.full_name, plan.objective.score(build_strategy(dict(DEFAULTS), plan.objective.signal))))  # type: ignore[attr-defined]
    assert found[0] == found[1]


def test_later_forecasts_are_walk_forward(market: Market, segments: Segments) -> None:
    model = make_model(market, segments)
    signals = forecast_later(market, model, segments, SETTINGS)
    first = segments.strategy_folds[0][0]
    assert signals.dates[0] < first
    assert signals.dates[-1] == market.dates[-1]
    assert (signals.trained_until[:, 0] < signals.dates.to_numpy()).all()
    assert len(np.unique(signals.trained_until[:, 0])) > 2  # refitted on the way
    for date in (first, segments.strategy_folds[1][0], segments.locked[0]):
        changed = forecast_later(scramble_after(market, date, seed=3), model, segments, SETTINGS)
        until = int(signals.dates.searchsorted(date, side="right"))
        np.testing.assert_array_equal(signals.values[:until], changed.values[:until])
        assert not np.array_equal(signals.values[until:], changed.values[until:], equal_nan=True)


def test_a_walk_does_not_depend_on_what_follows_its_range(market: Market, segments: Segments) -> None:
    env, model = PortfolioSettings(execution="close"), make_model(market, segments)
    signals = forecast_later(market, model, segments, SETTINGS).scaled()
    strategy, fold = build_strategy(dict(DEFAULTS), name_probability(model, 1)), segments.strategy_folds[0]
    true = walk(market, signals, env, strategy, fold)
    other = walk(scramble_after(market, fold[1], seed=4), signals, env, strategy, fold)
    np.testing.assert_array_equal(true.net, other.net)
    np.testing.assert_array_equal(true.weights, other.weights)
    assert true.turnover.sum() > 0


def test_a_planted_leak_is_found(market: Market, segments: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the fit handed the validation as well, the test above would see it."""
    from alfred.training.search.two_stage import forecasts as module

    model, fold = make_model(market, segments), segments.model_folds[0]
    monkeypatch.setattr(module, "cut_copy", lambda whole, _date: whole.until(fold.validation[1]))
    found = [
        forecast_fold(shown, model, fold, 1) for shown in (market, scramble_after(market, fold.calibration[1], seed=1))
    ]
    tail = found[0].signals.dates <= fold.calibration[1]
    assert not np.array_equal(found[0].signals.values[tail], found[1].signals.values[tail])
