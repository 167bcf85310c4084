from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from alfred.errors import DataError
from alfred.evaluation.forecasts.classification import compute_binned_auc, compute_classification_scores


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    outcome = rng.normal(0.002, 0.02, (120, 6))
    probability = np.round(1 / (1 + np.exp(-(20 * outcome + rng.normal(0, 1, outcome.shape)))), 2)
    outcome[rng.random(outcome.shape) < 0.1] = np.nan
    probability[rng.random(outcome.shape) < 0.1] = np.nan
    return probability, outcome


def test_scores_equal_scikit_learn_on_the_known_pairs() -> None:
    probability, outcome = draw()
    known = np.isfinite(probability) & np.isfinite(outcome)
    chance, rise = probability[known], outcome[known] > 0
    scores = compute_classification_scores(probability, outcome)
    assert scores.n == known.sum() and scores.base_rate == rise.mean()
    assert scores.accuracy == pytest.approx(accuracy_score(rise, chance > 0.5))
    assert scores.precision == pytest.approx(precision_score(rise, chance > 0.5))
    assert scores.recall == pytest.approx(recall_score(rise, chance > 0.5))
    assert scores.f1 == pytest.approx(f1_score(rise, chance > 0.5))
    assert scores.auc == pytest.approx(roc_auc_score(rise, chance))
    assert scores.brier == pytest.approx(brier_score_loss(rise, chance)) == pytest.approx(((chance - rise) ** 2).mean())


def test_what_is_not_defined_is_nan() -> None:
    rises = np.array([0.01, 0.02])
    never = compute_classification_scores(np.full(2, 0.4), rises)
    assert np.isnan(never.precision) and never.recall == 0 and never.f1 == 0 and np.isnan(never.auc)
    falls = compute_classification_scores(np.full(2, 0.4), -rises)
    assert falls.accuracy == 1 and np.isnan(falls.recall) and np.isnan(falls.f1)
    nothing = compute_classification_scores(np.full(2, np.nan), rises)
    assert nothing.n == 0 and np.isnan(nothing[1:]).all()


def test_one_half_is_no_call_and_has_a_brier_of_a_quarter() -> None:
    scores = compute_classification_scores(np.full(4, 0.5), np.array([1.0, -1.0, 0.0, 1.0]))
    assert scores.accuracy == 0.5 and scores.brier == 0.25 and scores.auc == 0.5 and scores.base_rate == 0.5


def test_probabilities_less_one_half_are_refused() -> None:
    with pytest.raises(DataError, match=r"rise is -0\.2; it must be in \[0, 1\]"):
        compute_classification_scores(np.array([0.3, -0.2]), np.array([0.1, 0.1]))


@pytest.mark.parametrize("n_bins", [2, 7, 50])
def test_the_binned_area_stays_within_its_bound(n_bins: int) -> None:
    rng = np.random.default_rng(n_bins)
    rise = rng.random(500) < 0.55
    chance = np.clip(rng.normal(0.5 + 0.1 * rise, 0.15), 0, 1)
    bins = np.minimum((chance * n_bins).astype(int), n_bins - 1)
    area, bound = compute_binned_auc(*(np.bincount(bins[rise == kind], minlength=n_bins) for kind in (False, True)))
    assert abs(area - roc_auc_score(rise, chance)) <= bound
    # What is counted in bins is exact for the bins themselves.
    assert area == pytest.approx(roc_auc_score(rise, bins))
