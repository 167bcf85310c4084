"""How well a rise is told from a fall.

Axes legend: T dates, N symbols. A probability is that of a positive log return, `[T, N]` or any other shape that it
shares with the outcome, NaN where unknown. An outcome of exactly zero is no rise. A rise is called where the
probability is above one half.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alfred.errors import DataError
from alfred.evaluation.forecasts.errors import divide, select_pairs
from alfred.typing import BoolArray, Float, FloatArray

CALL = 0.5
"""Probability above which a rise is called."""

_NAN = float("nan")


class ClassificationScores(NamedTuple):
    """Forecasts of direction in numbers; a rise is the positive class.

    Attributes:
        n: Pairs of a probability and an outcome.
        base_rate: Share of rises.
        accuracy: Share of right calls.
        precision: Share of rises among the calls of a rise; NaN where there was no call.
        recall: Share of the rises that were called; NaN where there was no rise.
        f1: Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); NaN where there was neither call nor rise.
        auc: Probability that a rise was given a higher probability than a fall, ties counting half; NaN where all
            outcomes are of one kind.
        brier: Mean squared error of the probability (Brier, 1950); 0.25 for one half throughout.
    """

    n: int
    base_rate: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    brier: float


def compute_classification_scores(probability: FloatArray, outcome: FloatArray) -> ClassificationScores:
    """Judge the probability of a rise.

    Args:
        probability: Probability of a positive log return, in [0, 1], `[T, N]`.
        outcome: Log returns, `[T, N]`.

    Raises:
        DataError: The shapes differ, or a probability is outside [0, 1].
    """
    # scikit-learn takes a second to import, and only this function needs it.
    from sklearn.metrics import (
        accuracy_score,
        brier_score_loss,
        f1_score,
        precision_score,
        recall_score,
        roc_auc_score,
    )

    chances, rises = select_calls(probability, outcome)
    if not len(rises):
        return ClassificationScores(0, *[_NAN] * 7)
    calls, one_kind = chances > CALL, bool(rises.all() or not rises.any())
    return ClassificationScores(
        n=len(rises),
        base_rate=float(rises.mean()),
        accuracy=float(accuracy_score(rises, calls)),
        precision=float(precision_score(rises, calls, zero_division=np.nan)),
        recall=float(recall_score(rises, calls, zero_division=np.nan)),
        f1=float(f1_score(rises, calls, zero_division=np.nan)),
        auc=_NAN if one_kind else float(roc_auc_score(rises, chances)),
        brier=float(brier_score_loss(rises, chances, pos_label=True)),
    )


def select_calls(probability: FloatArray, outcome: FloatArray) -> tuple[Float, BoolArray]:
    """Return the probabilities of the known pairs and whether a rise came, each `[pairs]`.

    Raises:
        DataError: The shapes differ, or a probability is outside [0, 1].
    """
    chances, returns = select_pairs(probability, outcome)
    wrong = (chances < 0) | (chances > 1)
    if wrong.any():
        raise DataError(
            f"the probability of a rise is {chances[int(np.argmax(wrong))]:.6g}; it must be in [0, 1], and not less "
            "one half as the signal of that name is"
        )
    return chances, returns > 0


def compute_binned_auc(falls: FloatArray, rises: FloatArray) -> tuple[float, float]:
    """Return the area under the ROC curve from two histograms of the probability, and a bound of its error.

    A rise and a fall in different bins are ordered exactly; within a bin they count as a tie, one half, where the truth
    is between 0 and 1. With r_b rises and f_b falls in the bin b, R and F in all,
    `AUC = sum_b r_b (sum_{a<b} f_a + f_b / 2) / (R F)`, and it is off by at most `sum_b r_b f_b / (2 R F)`.

    Args:
        falls: Falls by bin, in ascending order of the probability, `[bins]`.
        rises: Rises by bin, `[bins]`.

    Returns:
        The area and the bound; both NaN where all outcomes are of one kind.
    """
    below = np.cumsum(falls) - falls
    pairs = float(rises.sum()) * float(falls.sum())
    return divide(float(rises @ (below + falls / 2)), pairs), divide(float(rises @ falls) / 2, pairs)
