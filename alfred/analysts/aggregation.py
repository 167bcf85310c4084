"""One number from many samples."""

from __future__ import annotations

import re

import numpy as np
from scipy import stats

from alfred.analysts.settings import AGGREGATIONS
from alfred.errors import ConfigError
from alfred.typing import FloatArray


def aggregate_samples(samples: FloatArray, method: str = "mean", axis: int = 1) -> FloatArray:
    """Reduce samples along one axis.

    Args:
        samples: Any shape, for instance `[B, S, H]` with S samples.
        method: `mean`, `median`, or `trimmed_P`: the mean without the lowest and the highest P per cent.
        axis: The axis of the samples.

    Raises:
        ConfigError: The method is unknown.
    """
    if method == "mean":
        return np.asarray(samples.mean(axis=axis))
    if method == "median":
        return np.asarray(np.median(samples, axis=axis))
    if method in AGGREGATIONS and (match := re.fullmatch(r"trimmed_(\d+)", method)):
        return np.asarray(stats.trim_mean(samples, int(match.group(1)) / 100, axis=axis))
    raise ConfigError(f"unknown aggregation '{method}'; known: {', '.join(AGGREGATIONS)}")
