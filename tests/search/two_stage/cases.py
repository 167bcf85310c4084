"""Small markets and searches: what the tests of the two-stage search share."""

from __future__ import annotations

from typing import Any

from alfred.config import Experiment, parse_experiment
from alfred.data.market import Market
from alfred.data.synthetic import make_planted_market, show_signals
from alfred.training.search.two_stage.settings import TwoStageSettings, read_settings

COLUMNS = {"ridge": {"columns": ["planted_signal"]}, "trees": {"columns": ["planted_signal"], "n_rounds": 10}}


def make_market(ic: float = 0.15, n_days: int = 1200, seed: int = 0) -> Market:
    """A planted signal where analysts may read it, that foretells the next session."""
    return show_signals(make_planted_market(ic, n_days=n_days, execution_lag=0, seed=seed))


def make_settings(**changes: Any) -> TwoStageSettings:
    """A search of seconds: one family that is fitted in closed form, few trials, few folds."""
    small: dict[str, Any] = {
        "families": ["ridge"],
        "horizon": 1,
        "n_model_trials": 4,
        "n_strategy_trials": 4,
        "top_k": 2,
        "n_model_folds": 2,
        "n_strategy_folds": 2,
        "fixed": COLUMNS,
        "prune": False,
    }
    return read_settings((), small | changes)


def make_experiment(**changes: Any) -> Experiment:
    """The terms of the planted market: the signal of a close foretells the return from that close."""
    raw = {"features": None, "env": {"execution": "close"}, "agents": [{"kind": "direct"}], "baselines": []}
    return parse_experiment(raw | {"intervals": {"n_replicates": 200}} | changes)
