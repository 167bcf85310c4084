"""Scores of models: against scikit-learn, and what must not be rewarded."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from alfred.training.search.two_stage.scoring import (
    NO_SKILL,
    find_call,
    find_error,
    mix_hybrid,
    score_forecasts,
    squash_sharpe,
)


def draw(n: int = 2000, symbols: int = 5, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    signal = rng.standard_normal((n, symbols))
    outcome = 0.01 * (0.2 * signal + rng.standard_normal((n, symbols)) + drift)
    return ndtr(0.2 * signal), outcome


def test_scores_are_those_of_scikit_learn() -> None:
    probability, outcome = draw()
    probability[:7] = np.nan
    outcome[-3:, 2] = np.nan
    known = np.isfinite(probability) & np.isfinite(outcome)
    found = score_forecasts(probability, outcome, 0.52, 1)
    rises = outcome[known] > 0
    assert found.n == known.sum()
    assert found.auc == pytest.approx(roc_auc_score(rises, probability[known]))
    assert found.accuracy == pytest.approx(balanced_accuracy_score(rises, probability[known] > 0.52))
    assert found.hit_rate == pytest.approx(np.mean(rises == (probability[known] > 0.52)))
    assert found.score == pytest.approx(0.7 * found.auc + 0.3 * found.accuracy)
    assert found.ic > 0.1 and found.rank_ic > 0.1


def test_always_up_is_worth_nothing_where_most_outcomes_are_rises() -> None:
    _, outcome = draw(drift=1.0)
    rng = np.random.default_rng(0)
    always_up = 0.9 + 1e-3 * rng.random(outcome.shape)
    found = score_forecasts(always_up, outcome, 0.5, 1)
    assert found.hit_rate > 0.8  # what a plain hit rate would have rewarded
    assert found.accuracy == pytest.approx(NO_SKILL)
    assert found.score == pytest.approx(NO_SKILL, abs=0.01)


def test_a_constant_bias_of_the_probability_costs_nothing() -> None:
    probability, outcome = draw(drift=0.4)
    half = len(outcome) // 2
    found = []
    for shown in (probability, 0.6 + 0.3 * probability):  # the same order, all of it above one half
        call = find_call(shown[:half], outcome[:half])
        found.append(score_forecasts(shown[half:], outcome[half:], call, 1))
    assert found[1].accuracy == pytest.approx(found[0].accuracy)
    assert found[1].accuracy > 0.52
    assert found[1].auc == pytest.approx(found[0].auc)


def test_as_many_rises_are_called_as_there_were() -> None:
    probability, outcome = draw(drift=0.4)
    call = find_call(probability, outcome)
    assert np.mean(probability > call) == pytest.approx(np.mean(outcome > 0), abs=1e-3)
    assert find_call(np.full((3, 2), np.nan), np.zeros((3, 2))) == NO_SKILL


def test_what_has_no_score_counts_as_no_skill() -> None:
    one_kind = score_forecasts(np.full((30, 2), 0.6), np.full((30, 2), 0.01), 0.5, 1)
    nothing = score_forecasts(np.full((30, 2), np.nan), np.full((30, 2), 0.01), 0.5, 1)
    constant = score_forecasts(np.full((30, 2), 0.6), np.where(np.arange(60).reshape(30, 2) % 3, 0.01, -0.01), 0.5, 1)
    for found in (one_kind, nothing, constant):
        assert found.score == pytest.approx(NO_SKILL)
        assert np.isfinite([found.auc, found.accuracy, found.ic, found.rank_ic]).all()


def test_hybrid_score_by_hand() -> None:
    assert squash_sharpe(0.0) == 0.5
    assert squash_sharpe(1.0) == pytest.approx(1 / (1 + np.exp(-1)))
    assert mix_hybrid(0.6, 0.55, 0.0, traded=True) == pytest.approx(0.4 * 0.6 + 0.3 * 0.55 + 0.3 * 0.5)
    # Not to trade is worse than the worst trade.
    assert mix_hybrid(0.6, 0.55, 0.0, traded=False) < mix_hybrid(0.6, 0.55, -9.0, traded=True)


def test_error_of_a_mean() -> None:
    assert find_error([0.5]) == 0.0
    assert find_error([1.0, 2.0, 3.0]) == pytest.approx(1 / np.sqrt(3))
