"""Whatever comes after a date, nothing that the data room computes for it or before may change by a bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from alfred.data.features import FeatureSettings, compute_features
from alfred.data.market import Market
from alfred.data.scramble import scramble_after
from tests.conftest import make_random_market

Compute = Callable[[Market], np.ndarray]

# In the warm-up of most windows, in the middle of a month, at a month's end, and just before the end.
ROWS = (40, 130, 215, 298)


def features(normalise: str) -> Compute:
    settings = FeatureSettings(names=("technical", "momentum"), normalise=normalise)
    return lambda market: compute_features(market, settings).values


PARTS: dict[str, Compute] = {f"features {scale}": features(scale) for scale in ("none", "rank", "zscore")}


def looks_ahead(compute: Compute, market: Market) -> bool:
    """Whether some row up to a date depends on what comes after it, in values or in what is left unknown."""
    true = compute(market)
    for row in ROWS:
        for seed in (1, 2):
            other = compute(scramble_after(market, market.dates[row], seed))
            if not np.array_equal(true[: row + 1], other[: row + 1], equal_nan=True):
                return True
    return False


@pytest.mark.parametrize("part", PARTS)
def test_nothing_looks_ahead(part: str) -> None:
    assert not looks_ahead(PARTS[part], make_random_market(seed=9, late_listing=True))


def full_sample_score(market: Market) -> np.ndarray:
    return (market.close - np.nanmean(market.close)) / np.nanstd(market.close)


def centred_mean(market: Market) -> np.ndarray:
    return np.stack([np.convolve(column, np.ones(5) / 5, mode="same") for column in market.close.T], axis=1)


def filled_backwards(market: Market) -> np.ndarray:
    filled = np.array(market.close)
    for t in range(len(filled) - 2, -1, -1):
        filled[t] = np.where(np.isnan(filled[t]), filled[t + 1], filled[t])
    return filled


def label_as_feature(market: Market) -> np.ndarray:
    return np.roll(market.log_returns(), -1, axis=0)


@pytest.mark.parametrize("leak", [full_sample_score, centred_mean, filled_backwards, label_as_feature])
def test_a_planted_leak_is_caught(leak: Compute) -> None:
    assert looks_ahead(leak, make_random_market(seed=9, late_listing=True))
