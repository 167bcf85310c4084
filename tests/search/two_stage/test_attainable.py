"""The first stage finds what a market with a known answer allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.metrics import roc_auc_score

from alfred.data.market import Market
from alfred.data.synthetic import compute_attainable_auc, make_autoregressive_market
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.training.search.study import make_sampler, silence_optuna
from alfred.training.search.two_stage.plans import make_space, plan_models
from alfred.training.search.two_stage.segments import Segments, cut_segments
from alfred.training.search.two_stage.selection import Candidate, list_candidates
from tests.search.two_stage.cases import COLUMNS, make_market, make_settings


def run_first_stage(market: Market, **changes: Any) -> tuple[Candidate, Segments]:
    """Return the best model of the first stage alone."""
    settings = make_settings(caution=0.0, **changes)
    segments = cut_segments(market, settings)
    plan = plan_models(
        market, PortfolioSettings(execution="close"), segments, make_space(market, segments, settings), "x"
    )
    silence_optuna()
    study = optuna.create_study(direction="maximize", sampler=make_sampler(plan, 0))
    for anchor in plan.anchors:
        study.enqueue_trial(dict(anchor))
    study.optimize(plan.objective, n_trials=settings.n_model_trials)  # type: ignore[arg-type]
    return list_candidates(study.trials, 0.0)[0], segments


def score_oracle(market: Market, segments: Segments) -> float:
    """Return the mean AUC of the planted signal itself on the same folds."""
    areas = []
    for fold in segments.model_folds:
        dates = market.dates[(market.dates >= fold.validation[0]) & (market.dates < fold.validation[1])]
        signal = market.extras["planted_signal"][market.dates.get_indexer(dates), :-1]
        rises = compute_realised_returns(market, dates, market.universe, 1) > 0
        areas.append(roc_auc_score(rises.ravel(), signal.ravel()))
    return float(np.mean(areas))


def test_the_planted_signal_is_found() -> None:
    market = make_market(0.15, 2000, seed=2)
    best, segments = run_first_stage(market, fixed={"ridge": COLUMNS["ridge"]}, n_model_trials=3)
    # On the same sessions, so that the luck of the draw is the same for both.
    assert best.auc == pytest.approx(score_oracle(market, segments), abs=0.01)


@pytest.mark.slow
def test_the_first_stage_attains_the_closed_form() -> None:
    market = make_market(0.15, 6000, seed=2)
    fixed = {"ridge": COLUMNS["ridge"], "trees": {**COLUMNS["trees"], "n_rounds": 60}}
    best, segments = run_first_stage(
        market, families=["ridge", "trees"], fixed=fixed, n_model_trials=8, n_model_folds=4
    )
    rises = compute_realised_returns(market, market.dates[:-1], market.universe, 1) > 0
    attainable = compute_attainable_auc(0.15, float(rises.mean()))
    assert score_oracle(market, segments) == pytest.approx(attainable, abs=0.01)
    assert best.auc == pytest.approx(attainable, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["hermite", "extractor"])
def test_networks_attain_what_past_returns_allow(family: str) -> None:
    fixed = {family: {"context_length": 16, "fitting": {"steps": 100, "validate_every": 20}}}
    market = make_autoregressive_market(0.2, n_days=4000, seed=1)
    best, _ = run_first_stage(market, families=[family], fixed=fixed, n_model_trials=2)
    assert best.auc == pytest.approx(compute_attainable_auc(0.2), abs=0.01)
