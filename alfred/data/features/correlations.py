"""Which features go with a label, and whether that could be luck."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from alfred.data.labels import Labels
from alfred.data.signals import Signals
from alfred.errors import DataError

# Evans (1996), "Straightforward Statistics for the Behavioral Sciences".
_STRENGTHS = ((0.8, "very strong"), (0.6, "strong"), (0.4, "moderate"), (0.2, "weak"), (0.0, "very weak"))
_MIN_DATES = 20


@dataclass(frozen=True)
class FeatureCorrelation:
    """How one feature goes with the label.

    Attributes:
        feature: Name of the signal.
        correlation: Pearson's, over all symbols and the dates that do not overlap.
        strength: very weak, weak, moderate, strong or very strong: by 0.2, 0.4, 0.6 and 0.8.
        p_value: Two-sided, of no correlation, with each date as one observation.
        adjusted_p_value: The same after testing all features (Holm 1979).
        n_values: Pairs of feature and label.
        n_dates: Dates behind them.
    """

    feature: str
    correlation: float
    strength: str
    p_value: float
    adjusted_p_value: float
    n_values: int
    n_dates: int

    def to_dict(self) -> dict[str, object]:
        """Return the correlation as plain values for JSON."""
        return asdict(self)


def rank_correlations(
    signals: Signals, labels: Labels, label: Literal["magnitude", "direction"] = "magnitude"
) -> tuple[FeatureCorrelation, ...]:
    """Rank features by the size of their correlation with a label.

    Labels of neighbouring dates overlap and the symbols of a date move together, so that pooled pairs are far from
    independent. Every `horizon`-th date is used, and the standard error is that of a mean over dates (clustered by
    date), with Student's t for the p-value.

    Args:
        signals: The features.
        labels: Labels on the same dates and symbols.
        label: `magnitude` (per cent) or `direction` (rose or not).

    Raises:
        DataError: The two do not fit each other, or too few dates do not overlap.
    """
    if not signals.dates.equals(labels.dates) or signals.symbols != labels.symbols:
        raise DataError("signals and labels have different dates or symbols; make both from the same market")
    rows = slice(None, None, labels.horizon)
    target = (labels.magnitude if label == "magnitude" else labels.direction)[rows]
    measured = [
        _correlate(signals.values[rows, :, k].astype(np.float64), target, name) for k, name in enumerate(signals.names)
    ]
    adjusted = adjust_p_values(np.array([item[1] for item in measured]))
    ranked = [
        FeatureCorrelation(name, correlation, _name_strength(correlation), p, float(q), n_values, n_dates)
        for name, (correlation, p, n_values, n_dates), q in zip(signals.names, measured, adjusted, strict=True)
    ]
    return tuple(sorted(ranked, key=lambda item: -abs(item.correlation)))


def adjust_p_values(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return p-values that hold for all tests together: Holm's step-down procedure (1979), `[K]`."""
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def _correlate(
    feature: npt.NDArray[np.float64], target: npt.NDArray[np.floating], name: str
) -> tuple[float, float, int, int]:
    """Return correlation, p-value, pairs and dates."""
    # scipy.stats takes half a second to import, and only this needs it.
    from scipy.stats import t as student

    both = np.isfinite(feature) & np.isfinite(target)
    n_values, n_dates = int(both.sum()), int(both.any(axis=1).sum())
    if n_dates < _MIN_DATES:
        raise DataError(
            f"'{name}' and the label share {n_dates} dates that do not overlap; needed are {_MIN_DATES}: use a longer "
            "history or a shorter horizon"
        )
    x, y = (np.where(both, panel - panel[both].mean(), 0.0) for panel in (feature, target))
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    if scale == 0:
        return 0.0, 1.0, n_values, n_dates
    correlation = float((x * y).sum() / scale)
    # Score of each date at zero correlation; their mean is the correlation, their spread its standard error.
    scores = (x * y).sum(axis=1)[both.any(axis=1)] / scale * n_dates
    error = scores.std(ddof=1) / np.sqrt(n_dates)
    p_value = float(2 * student.sf(abs(correlation) / error, n_dates - 1)) if error > 0 else 0.0
    return correlation, p_value, n_values, n_dates


def _name_strength(correlation: float) -> str:
    return next(word for bound, word in _STRENGTHS if abs(correlation) >= bound)
