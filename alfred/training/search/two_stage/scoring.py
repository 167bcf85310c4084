"""How well a model forecasts: what the first stage maximises, and what it only notes.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from alfred.evaluation.forecasts.classification import compute_classification_scores
from alfred.evaluation.forecasts.ic import estimate_ic
from alfred.training.search.two_stage.settings import AUC_WEIGHT, HYBRID_WEIGHTS
from alfred.typing import FloatArray

NO_SKILL = 0.5
_LEAST = 1e-6


@dataclass(frozen=True)
class FoldScore:
    """One model on one fold, out of sample.

    Attributes:
        auc: Chance that a rise was given a higher probability than a fall.
        accuracy: Balanced directional accuracy: the mean of the share of rises and of the share of falls that were
            called. Whoever calls everything a rise, or everything a fall, has 0.5, whatever the base rate.
        hit_rate: Plain share of right calls.
        base_rate: Share of rises.
        ic: Mean correlation with the outcome over the symbols of a date.
        rank_ic: The same of ranks.
        n: Forecasts with a known outcome.
        sharpe: Annual Sharpe ratio of the default strategy on the fold, net, less that of equal weights. It is noted,
            never maximised in the first stage.
        traded: Whether that strategy traded at all.
    """

    auc: float
    accuracy: float
    hit_rate: float
    base_rate: float
    ic: float
    rank_ic: float
    n: int
    sharpe: float = 0.0
    traded: bool = False

    @property
    def score(self) -> float:
        """Return 0.7 AUC + 0.3 balanced accuracy; 0.5 without skill."""
        return AUC_WEIGHT * self.auc + (1 - AUC_WEIGHT) * self.accuracy

    def to_json(self) -> dict[str, float | int | bool]:
        """Return the numbers by name."""
        return asdict(self)


def find_call(probability: FloatArray, outcome: FloatArray) -> float:
    """Return the probability above which a rise is called, so that as many rises are called as there were.

    It is read off forecasts and outcomes of the tail of the training range, which the model was not fitted on. A
    constant bias of the model towards rises or falls, learnt or inherited from the base rate, is thereby taken out.

    Args:
        probability: `[T, N]`; NaN where there is no forecast.
        outcome: Log returns, `[T, N]`; NaN where unknown.
    """
    known = np.isfinite(probability) & np.isfinite(outcome)
    if not known.any():
        return NO_SKILL
    falls = float((outcome[known] <= 0).mean())
    return float(np.clip(np.quantile(probability[known], falls), _LEAST, 1 - _LEAST))


def score_forecasts(probability: FloatArray, outcome: FloatArray, call: float, horizon: int) -> FoldScore:
    """Judge forecasts of direction; a number that does not exist counts as no skill.

    Args:
        probability: Probability of a rise, `[T, N]`; NaN where there is no forecast.
        outcome: Log returns, `[T, N]`; NaN where unknown.
        call: Probability above which a rise is called.
        horizon: Sessions that an outcome spans.
    """
    # The metric calls at one half: a piecewise linear map that keeps the order takes the call there.
    low, high = 0.5 * probability / call, 0.5 + 0.5 * (probability - call) / (1 - call)
    shifted = np.clip(np.where(probability <= call, low, high), 0.0, 1.0)
    found = compute_classification_scores(np.where(np.isfinite(probability), shifted, np.nan), outcome)
    if not found.n or not 0 < found.base_rate < 1:
        return FoldScore(NO_SKILL, NO_SKILL, NO_SKILL, float(np.nan_to_num(found.base_rate)), 0.0, 0.0, found.n)
    specificity = (found.accuracy - found.recall * found.base_rate) / (1 - found.base_rate)
    # The AUC of the probabilities themselves: two that differ by a rounding would tie after the map.
    raw = compute_classification_scores(probability, outcome)
    signal = probability - NO_SKILL
    ics = [estimate_ic(signal, outcome, horizon, kind=kind).value for kind in ("pearson", "rank")]
    return FoldScore(
        auc=raw.auc,
        accuracy=(found.recall + specificity) / 2,
        hit_rate=found.accuracy,
        base_rate=found.base_rate,
        ic=float(np.nan_to_num(ics[0])),
        rank_ic=float(np.nan_to_num(ics[1])),
        n=found.n,
    )


def squash_sharpe(sharpe: float) -> float:
    """Return a Sharpe ratio on the scale of an AUC, 1 / (1 + exp(-sharpe)): 0.5 for none, between 0 and 1."""
    return float(0.5 + 0.5 * np.tanh(sharpe / 2))


def mix_hybrid(auc: float, accuracy: float, sharpe: float, *, traded: bool) -> float:
    """Return the score of the one-stage search, 0.4 AUC + 0.3 accuracy + 0.3 squashed Sharpe ratio in excess.

    A strategy that never trades gets nothing for its Sharpe ratio, which is worse than the worst ratio.
    """
    parts = (auc, accuracy, squash_sharpe(sharpe) if traded else 0.0)
    return float(np.dot(HYBRID_WEIGHTS, parts))


def find_error(values: Sequence[float]) -> float:
    """Return the standard error of a mean over folds; 0 for a single fold.

    Folds share symbols and, through expanding training ranges, most of their training data: it is a lower bound.
    """
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
