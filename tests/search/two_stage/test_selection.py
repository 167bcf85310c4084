"""Which trials go on, plateaus and ends of ranges, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from alfred.training.search.summary import find_importance
from alfred.training.search.two_stage.diagnostics import correlate, find_convergence, find_traded_share
from alfred.training.search.two_stage.objectives import STOPPED
from alfred.training.search.two_stage.scoring import FoldScore
from alfred.training.search.two_stage.selection import (
    Candidate,
    choose_models,
    find_edges,
    find_plateau,
    list_candidates,
    list_finished,
)
from alfred.training.search.two_stage.spaces import Parameter
from tests.search.two_stage.cases import make_settings

X = Parameter("x", 0.0, 10.0)
RATE = Parameter("rate", 1e-4, 1e-2, log=True)
DEPTH = Parameter("depth", 2, 8)
KIND = Parameter("kind", choices=("a", "b"))


def make_trial(value: float, number: int = 0, **params: object) -> FrozenTrial:
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        "x": optuna.distributions.FloatDistribution(0, 10),
        "y": optuna.distributions.FloatDistribution(0, 10),
        "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
    }
    trial = create_trial(
        value=value,
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs={"strategy": {}, "traded": value > 0},
    )
    trial.number = number
    return trial


def make_candidate(number: int, family: str, score: float, **changes: float) -> Candidate:
    base = Candidate(number, family, {"kind": family}, score, 0.0, score, score, score, 0.0, 0.0, 0.0, True)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_plateau_is_the_mean_of_the_nearest() -> None:
    trials = [
        make_trial(v, x=x, kind=k) for v, x, k in [(9, 5, "a"), (1, 5.1, "a"), (2, 4.8, "a"), (7, 5, "b"), (8, 9, "a")]
    ]
    assert find_plateau(trials[0], trials, [X, KIND], 3) == pytest.approx((9 + 1 + 2) / 3)
    assert find_plateau(trials[0], trials, [X, KIND], 1) == 9
    # A choice that differs is as far as the whole range: (8, x = 9) is nearer than (7, b).
    assert find_plateau(trials[0], trials, [X, KIND], 4) == pytest.approx((9 + 1 + 2 + 8) / 4)
    assert find_plateau(trials[0], trials, [X, KIND], 50) == pytest.approx(np.mean([9, 1, 2, 7, 8]))


def test_ends_of_ranges_are_named() -> None:
    found = find_edges({"x": 9.95, "rate": 1e-3, "depth": 8, "kind": "a", "other": 0.0}, [X, RATE, DEPTH, KIND])
    assert [edge.name for edge in found] == ["x", "depth"]
    assert found[1].sentence == (
        "the best depth is 8, on the upper end of its range 2 to 8: what is best may lie beyond it"
    )
    low = find_edges({"rate": 1.02e-4, "depth": 3}, [RATE, DEPTH])
    assert [edge.name for edge in low] == ["rate"]
    assert "lower end" in low[0].sentence


def test_the_best_of_each_family_goes_on() -> None:
    ranked = [make_candidate(n, "hermite", 0.6 - n / 100) for n in range(6)] + [make_candidate(9, "extractor", 0.5)]
    chosen = choose_models(ranked, make_settings(families=["hermite", "extractor"], top_k=3))
    assert [item.number for item in chosen] == [0, 1, 9]
    assert [item.number for item in choose_models(ranked, make_settings(families=["hermite"], top_k=3))] == [0, 1, 2]
    assert [item.number for item in choose_models(ranked[:2], make_settings(families=["hermite"], top_k=5))] == [0, 1]
    both = make_settings(families=["hermite", "extractor"], top_k=1)
    assert [item.number for item in choose_models(ranked, both)] == [0]


def test_models_are_ranked_with_caution() -> None:
    def trial(number: int, aucs: list[float]) -> FrozenTrial:
        folds = [
            FoldScore(auc=a, accuracy=a, hit_rate=a, base_rate=0.5, ic=0.0, rank_ic=0.0, n=9).to_json() for a in aucs
        ]
        made = make_trial(float(np.mean(aucs)), number, x=float(number))
        made.user_attrs |= {"model": {"kind": "ridge"}, "folds": folds, "traded": True}
        return made

    trials = [trial(0, [0.50, 0.70]), trial(1, [0.58, 0.60])]
    assert [item.number for item in list_candidates(trials, 0.0)] == [0, 1]
    assert [item.number for item in list_candidates(trials, 1.0)] == [1, 0]
    assert list_candidates(trials, 1.0)[1].error == pytest.approx(0.1)


def test_only_whole_trials_count_and_each_once() -> None:
    trials = [make_trial(float(n), n, x=float(n)) for n in range(3)] + [make_trial(2.0, 3, x=2.0)]
    trials[0].user_attrs[STOPPED] = 1
    trials[1].state = TrialState.PRUNED
    assert [trial.number for trial in list_finished(trials)] == [2]


def test_convergence_traded_share_and_importance() -> None:
    trials = [make_trial(v, n, x=float(n)) for n, v in enumerate([1.0, -3.0, 4.0, 2.0])]
    assert find_convergence(trials) == [1.0, 1.0, 4.0, 4.0]
    assert find_traded_share(trials) == 0.75
    assert find_traded_share([]) == 0.0 and find_convergence([]) == []
    assert find_importance(trials, prefix="") == {}  # too few to tell
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 10, (60, 2))
    many = [make_trial(float(-((x - 5) ** 2)), n, x=float(x), y=float(y)) for n, (x, y) in enumerate(points)]
    found = find_importance(many, prefix="")
    assert found["x"] > 0.8 and math.isclose(sum(found.values()), 1.0)
    assert find_importance(many, prefix="z") == {}


def test_correlations_over_models() -> None:
    models = [make_candidate(n, "ridge", 0.5 + n / 100, sharpe=float(n), ic=-float(n)) for n in range(5)]
    found = correlate(models, [])
    assert found["score"] == {"first stage": pytest.approx(1.0), "second stage": None}
    assert found["ic"]["first stage"] == pytest.approx(-1.0)
    assert correlate(models[:3], [])["score"]["first stage"] is None
