"""Strategies: never NaN, idleness is worst, and the ledger's own numbers."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from alfred.agents.strategies.prices import MixSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.search.two_stage.objectives import STRATEGY, TRADED, StrategyObjective
from alfred.training.search.two_stage.segments import cut_segments
from alfred.training.search.two_stage.strategy import (
    DEFAULTS,
    WORST,
    aggregate,
    build_strategy,
    score_equal_weight,
    suggest_strategy,
    walk,
)
from tests.search.two_stage.cases import make_market, make_settings

SIGNAL = "tuned.probability_up_1"
ENV = PortfolioSettings(execution="close")


def make_objective(market: Market, values: np.ndarray, how: str = "mean_less_half_sd") -> StrategyObjective:
    segments = cut_segments(market, make_settings())
    signals = Signals(
        dates=market.dates,
        symbols=market.symbols,
        names=(SIGNAL,),
        values=values[:, :, None].astype(np.float32),
        trained_until=np.full(market.n_dates, market.dates[0].to_datetime64()),
        horizons=(1,),
    ).scaled()
    folds = segments.strategy_folds
    return StrategyObjective(market, signals, SIGNAL, ENV, folds, score_equal_weight(market, ENV, folds), how)


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(0.3)


@pytest.mark.parametrize("how", ["mean_less_half_sd", "median"])
def test_a_strategy_that_never_trades_scores_worst(market: Market, how: str) -> None:
    idle = make_objective(market, -np.ones((market.n_dates, market.n_symbols)), how)
    busy = make_objective(market, market.extras["planted_signal"], how)
    opposite = make_objective(market, -market.extras["planted_signal"], how)
    study = optuna.create_study(direction="maximize")
    for objective in (idle, busy, opposite):
        study.enqueue_trial(dict(DEFAULTS))
        study.optimize(objective, n_trials=1)
    values = [trial.value for trial in study.trials]
    assert values[0] == WORST
    assert not study.trials[0].user_attrs[TRADED]
    assert WORST < values[2] < values[1]
    assert np.isfinite(values).all()


def test_idle_signals_of_every_kind_are_never_nan(market: Market) -> None:
    for values in (np.full((market.n_dates, market.n_symbols), np.nan), np.zeros((market.n_dates, market.n_symbols))):
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(make_objective(market, values), n_trials=3)
        assert [trial.value for trial in study.trials] == [WORST] * 3


def test_aggregates_by_hand() -> None:
    assert aggregate([1.0, 2.0, 6.0], "median", traded=True) == 2.0
    assert aggregate([1.0, 3.0], "mean_less_half_sd", traded=True) == pytest.approx(2.0 - 0.5 * np.sqrt(2.0))
    assert aggregate([1.5], "mean_less_half_sd", traded=True) == 1.5
    assert aggregate([1.0, 3.0], "median", traded=False) == WORST
    assert aggregate([], "median", traded=True) == WORST
    assert aggregate([np.nan, 1.0], "mean_less_half_sd", traded=True) == WORST
    # However bad, a strategy that traded is above one that did not.
    assert aggregate([-1e6, -1e6], "median", traded=True) > WORST


def test_folds_are_walks_of_the_ledger_in_excess_of_equal_weights(market: Market) -> None:
    objective = make_objective(market, market.extras["planted_signal"])
    strategy = build_strategy({**DEFAULTS, "threshold": 0.6, "batch": 3}, SIGNAL)
    score, sharpe = objective.score(strategy)
    records = [walk(market, objective.signals, ENV, strategy, fold) for fold in objective.folds]
    for record, own, fold in zip(records, score.sharpes, objective.folds, strict=True):
        assert own == compute_sharpe(record.excess, 252)
        assert record.dates[0] >= fold[0] and record.dates[-1] <= fold[1]
    equal = [walk(market, None, ENV, MixSettings(), fold) for fold in objective.folds]
    expected = [
        compute_sharpe(record.excess, 252) - compute_sharpe(other.excess, 252)
        for record, other in zip(records, equal, strict=True)
    ]
    assert score.excess == pytest.approx(expected)
    assert sharpe == pytest.approx(compute_sharpe(np.concatenate([record.excess for record in records]), 252))
    # The batch is what lies between two trades: no weight is changed in between.
    trades = np.flatnonzero(records[0].turnover > 1e-9)
    assert set(np.diff(trades) % 3) == {0}


def test_costs_are_paid(market: Market) -> None:
    objective = make_objective(market, market.extras["planted_signal"])
    strategy = build_strategy({**DEFAULTS, "batch": 1}, SIGNAL)
    free = PortfolioSettings(execution="close", cost_bps=0, slippage_bps=0)
    fold = objective.folds[0]
    paid, gross = (walk(market, objective.signals, env, strategy, fold) for env in (ENV, free))
    assert paid.costs.sum() > 0 == gross.costs.sum()
    assert compute_sharpe(paid.excess, 252) < compute_sharpe(gross.excess, 252)


def test_a_trial_says_which_strategy_it_was(market: Market) -> None:
    objective = make_objective(market, market.extras["planted_signal"])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=2))
    study.optimize(objective, n_trials=2)
    for trial in study.trials:
        fixed = suggest_strategy(optuna.trial.FixedTrial(trial.params), SIGNAL)
        assert trial.user_attrs[STRATEGY] == fixed.model_dump(mode="json")
        assert (fixed.rebalance_every, fixed.signal) == (trial.params["batch"], SIGNAL)
