"""The whole walk: the future changes nothing, a planted market is found, and inverting it loses."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from alfred.config import ForecastSettings
from alfred.data.perturbation import scramble_after
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.statistics.significance import compare_sharpe
from alfred.training.experiments.phases import PhasePlan, plan_phase
from alfred.training.experiments.registry import resolve_experiments
from alfred.training.experiments.score import DECIDES, ELIGIBLE, NAMES, SCORE, make_score
from alfred.training.experiments.settings import StrategySettings
from alfred.training.experiments.walk import forecast_shared, list_forecasters, walk_baselines, walk_strategy
from alfred.training.forecasting import forecast_walk_forward
from alfred.training.progress import Silence
from tests.training.experiments.small import REGISTRY, STRATEGY, TREES, forecast, forecast_once, make_market, make_plan

TERMS = PortfolioSettings()


def with_future(plan: PhasePlan, row: int, seed: int) -> PhasePlan:
    return replace(plan, market=scramble_after(plan.market, plan.market.dates[row], seed))


@lru_cache
def forecast_with_another_future(row: int) -> tuple[PhasePlan, Signals]:
    other = with_future(make_plan(), row, row)
    return other, forecast(other)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"invert": True, "momentum_filter": "126"},
        {"score": "momentum", "momentum": "12_1", "stop_loss_pct": 3.0},
        {"momentum_filter": "12_1", "stop_loss_pct": 3.0, "breaker_drawdown_pct": 5.0},
    ],
)
def test_picks_do_not_see_the_future(changes: dict[str, object]) -> None:
    plan, strategy = make_plan(), STRATEGY.model_copy(update=changes)
    true = walk_strategy("picks", strategy, plan, TERMS, forecast_once())
    for row in (plan.first_row + 41, plan.first_row + 126, plan.first_row + 180):
        other, forecasts = forecast_with_another_future(row)
        found = walk_strategy("picks", strategy, other, TERMS, forecasts)
        place = int(true.dates.searchsorted(plan.market.dates[row], side="right"))
        assert place > 30
        for name in ("weights", "net", "turnover"):
            assert np.array_equal(getattr(true, name)[:place], getattr(found, name)[:place]), (name, row)
        assert not np.array_equal(true.weights[place:], found.weights[place:])


def test_a_leak_would_be_found() -> None:
    """The same comparison on forecasts that were made with the future in sight."""
    plan = make_plan()
    row = plan.first_row + 41
    other = with_future(plan, row, 5)
    true, found = (
        make_score(item.market, STRATEGY, peek(item)).values[: row - plan.first_row] for item in (plan, other)
    )
    assert not np.array_equal(true, found)


def peek(plan: PhasePlan) -> Signals:
    """Return forecasts that are the return of the next five sessions."""
    honest = forecast_once()
    rows = plan.market.dates.get_indexer(honest.dates)
    ahead = plan.market.close[np.minimum(rows + 5, plan.market.n_dates - 1)] / plan.market.close[rows] - 1.0
    values = np.repeat(np.nan_to_num(ahead)[:, :, None], honest.n_signals, axis=2).astype(np.float32)
    for place, spec in enumerate(honest.specs):
        if spec.quantity == "dispersion":
            values[:, :, place] = 1.0
    return replace(honest, values=values)


def test_forecasts_come_from_models_that_were_trained_before() -> None:
    plan, found = make_plan(), forecast_once()
    assert (found.trained_until < found.dates.to_numpy()[:, None]).all()
    assert len(np.unique(found.trained_until)) == 2
    assert found.dates[0] == plan.decided
    assert found.dates[-1] == plan.end


def test_pieces_are_the_walk_in_one(tmp_path) -> None:
    plan = replace(make_plan(), refit_every_days=60)
    found = forecast_shared(plan, [TREES], cache=tmp_path / "cache", n_jobs=1, reporter=Silence())[TREES]
    schedule = ForecastSettings(min_train_days=plan.first_row, refit_every_days=60, max_train_days=500, cache=None)
    whole = forecast_walk_forward(plan.market, TREES, schedule)
    assert np.array_equal(found.values, whole.values, equal_nan=True)
    assert found.dates.equals(whole.dates)
    assert (found.trained_until == whole.trained_until).all()


def test_a_planted_market_is_found_and_inversion_loses() -> None:
    plan = make_plan()
    benchmark, equal = walk_baselines(plan, TERMS)
    picks = walk_strategy("picks", STRATEGY, plan, TERMS, forecast_once())
    inverted = walk_strategy("inverted", STRATEGY.model_copy(update={"invert": True}), plan, TERMS, forecast_once())
    assert picks.dates.equals(equal.dates)
    better, worse = compare_sharpe(picks.excess, equal.excess), compare_sharpe(inverted.excess, equal.excess)
    assert better.difference > 3 * better.error
    assert worse.difference < -3 * worse.error
    assert compute_sharpe(picks.excess) > compute_sharpe(benchmark.excess)


def test_nothing_is_found_where_nothing_is_planted() -> None:
    plan = plan_phase(make_market(seed=2, ic=0.0), REGISTRY, "quick")
    equal = walk_baselines(plan, TERMS)[1]
    picks = walk_strategy("picks", STRATEGY, plan, TERMS, forecast(plan))
    test = compare_sharpe(picks.excess, equal.excess)
    assert not test.difference > 3 * test.error


def test_the_score_is_the_sum_of_standardised_forecasts() -> None:
    plan, found = make_plan(), forecast_once()
    weights = {1: 0.1, 5: 0.3, 20: 0.6}
    score = make_score(plan.market, STRATEGY.model_copy(update={"horizon_weights": weights}), found)
    assert score.names == NAMES
    universe = [plan.market.index_of(symbol) for symbol in plan.market.universe]
    for t in range(0, len(found.dates), 17):
        total = np.zeros(len(universe))
        for horizon, weight in weights.items():
            mean, spread = (
                found.values[t, universe, found.names.index(f"trees.{name}_{horizon}")].astype(float)
                for name in ("expected_return", "dispersion")
            )
            unit = mean / spread
            if unit.std() > 1e-5 * np.abs(unit).max():
                total += weight * (unit - unit.mean()) / unit.std()
        order = np.argsort(total)
        own = score.values[t, universe, SCORE][order]
        gaps = np.diff(total[order]) > 1e-4
        assert (np.diff(own)[gaps] > 0).all()
        assert score.values[t, universe, ELIGIBLE].all()
    assert score.values[:, :, DECIDES].any(axis=1).sum() == pytest.approx(50, abs=3)


def test_a_horizon_that_says_the_same_of_all_adds_nothing() -> None:
    plan, found = make_plan(), forecast_once()
    flat = found.values.copy()
    for place, spec in enumerate(found.specs):
        if spec.horizon == 20 and spec.quantity == "expected_return":
            spread = found.names.index("trees.dispersion_20")
            flat[:, :, place] = np.float32(0.02) * flat[:, :, spread]  # but for rounding
    without = STRATEGY.model_copy(update={"horizon_weights": {1: 1.0, 5: 1.0, 20: 0.0}})
    one = make_score(plan.market, STRATEGY, replace(found, values=flat))
    other = make_score(plan.market, without, found)
    assert np.array_equal(one.values, other.values)


def test_experiments_share_forecasts() -> None:
    experiments = resolve_experiments(())
    assert len(experiments) == 8
    assert [trees.features for trees in list_forecasters([item.strategy for item in experiments])] == [
        "technical",
        "momentum",
    ]
    assert list_forecasters([StrategySettings(score="momentum")]) == []
