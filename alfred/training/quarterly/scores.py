"""How good forecasts of unseen companies are, with intervals that know that the companies of a quarter move together.

Axes legend: P pairs of a forecast and an outcome, C calendar quarters, R replicates.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.evaluation.forecasts.classification import CALL, compute_classification_scores
from alfred.evaluation.forecasts.errors import compute_pearson, compute_sign_accuracy
from alfred.evaluation.results import Interval
from alfred.evaluation.settings import IntervalSettings
from alfred.typing import Float

FEWEST_QUARTERS = 4
"""Calendar quarters below which there is no interval."""


@dataclass(frozen=True)
class HeadScores:
    """One head, judged on companies that it never learnt from.

    Intervals are percentiles over resampled calendar quarters of the report, each with all its companies; NaN with
    fewer than four quarters.

    Attributes:
        head: What was forecast.
        n: Reports with a known outcome.
        n_quarters: Calendar quarters that they fall in.
        base_rate: Share of rises: the accuracy of saying that everything rises.
        accuracy: Share of right calls, where a rise is called above one half.
        accuracy_ci: Its interval.
        precision: Share of rises among the calls of a rise.
        precision_ci: Its interval.
        recall: Share of the rises that were called.
        recall_ci: Its interval.
        f1: Harmonic mean of the two.
        f1_ci: Its interval.
        auc: Area under the ROC curve.
        sign_accuracy: Share of expected returns on the right side of zero.
        sign_accuracy_ci: Its interval.
        pearson: Correlation of expected and true returns.
        pearson_ci: Its interval.
    """

    head: str
    n: int
    n_quarters: int
    base_rate: float
    accuracy: float
    accuracy_ci: Interval
    precision: float
    precision_ci: Interval
    recall: float
    recall_ci: Interval
    f1: float
    f1_ci: Interval
    auc: float
    sign_accuracy: float
    sign_accuracy_ci: Interval
    pearson: float
    pearson_ci: Interval

    def to_json(self) -> dict[str, object]:
        """Return a flat mapping that JSON can hold; a number that does not exist is None, an interval a pair."""
        return {item.name: _to_plain(getattr(self, item.name)) for item in dataclasses.fields(self)}


def score_head(
    head: str,
    dates: pd.DatetimeIndex,
    probability: Float,
    mean: Float,
    outcome: Float,
    intervals: IntervalSettings,
) -> HeadScores:
    """Judge forecasts of one head.

    Args:
        head: Its name.
        dates: Session of each forecast, `[P]`.
        probability: Of a rise, `[P]`.
        mean: Expected log return, `[P]`.
        outcome: Log return, NaN where it is not known, `[P]`.
        intervals: Level, replicates and seed.
    """
    known = np.isfinite(outcome)
    dates, probability, mean, outcome = dates[known], probability[known], mean[known], outcome[known]
    scores = compute_classification_scores(probability, outcome)
    _, quarters = np.unique(dates.year * 4 + dates.quarter, return_inverse=True)
    n_quarters = int(quarters.max()) + 1 if len(quarters) else 0
    ends = dict.fromkeys(("accuracy", "precision", "recall", "f1", "sign_accuracy", "pearson"), (math.nan, math.nan))
    if n_quarters >= FEWEST_QUARTERS:
        ends = _resample(quarters, probability, mean, outcome, intervals)
    return HeadScores(
        head=head,
        n=scores.n,
        n_quarters=n_quarters,
        base_rate=scores.base_rate,
        accuracy=scores.accuracy,
        accuracy_ci=ends["accuracy"],
        precision=scores.precision,
        precision_ci=ends["precision"],
        recall=scores.recall,
        recall_ci=ends["recall"],
        f1=scores.f1,
        f1_ci=ends["f1"],
        auc=scores.auc,
        sign_accuracy=compute_sign_accuracy(mean, outcome),
        sign_accuracy_ci=ends["sign_accuracy"],
        pearson=compute_pearson(mean, outcome),
        pearson_ci=ends["pearson"],
    )


def _resample(
    quarters: np.ndarray[tuple[int], np.dtype[np.intp]],
    probability: Float,
    mean: Float,
    outcome: Float,
    intervals: IntervalSettings,
) -> dict[str, Interval]:
    """Return the intervals by name. Every score is a ratio of sums over pairs, so that quarters are summed once."""
    called, rose = probability > CALL, outcome > 0
    signed = mean != 0
    # What is taken off first changes no correlation, and keeps the sums of squares precise.
    x, y = mean - mean.mean(), outcome - outcome.mean()
    parts = [
        *(called == rose, np.ones(len(rose)), called & rose, called, rose),
        *(signed & ((mean > 0) == rose), signed, x, y, x * x, y * y, x * y),
    ]
    totals = np.stack([np.bincount(quarters, weights=part.astype(np.float64)) for part in parts])
    rng = np.random.default_rng(intervals.seed)
    n = totals.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=intervals.n_replicates)
    right, count, both, calls, rises, signs, signed_count, sx, sy, sxx, syy, sxy = totals @ weights.T
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = {
            "accuracy": right / count,
            "precision": both / calls,
            "recall": both / rises,
            "f1": 2 * both / (calls + rises),
            "sign_accuracy": signs / signed_count,
            "pearson": (sxy - sx * sy / count) / np.sqrt((sxx - sx**2 / count) * (syy - sy**2 / count)),
        }
    return {name: _find_ends(values, intervals.level) for name, values in drawn.items()}


def _find_ends(values: Float, level: float) -> Interval:
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _to_plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
