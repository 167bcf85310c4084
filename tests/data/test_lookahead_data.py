"""Whatever comes after a date, nothing that the data room computes for it or before may change by a bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alfred.data.features.catalogue import compute_features
from alfred.data.features.momentum import shift
from alfred.data.features.rollup import MACRO_FIELDS
from alfred.data.labels import make_labels
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.point_in_time.fundamentals import JOINED_FIELDS
from alfred.data.settings import DataSettings, FeatureSettings
from alfred.data.sources import compute_market_checksum, load_market
from alfred.data.universe import pick_uncorrelated
from tests.conftest import make_random_market
from tests.data.tables import make_rows, write_rows

Compute = Callable[[Market], np.ndarray]

# In the warm-up of most windows, in the middle of a month, at a month's end, and just before the end.
ROWS = (40, 130, 215, 298)


def features(normalise: str) -> Compute:
    settings = FeatureSettings(names=("technical", "momentum"), normalise=normalise)
    return lambda market: compute_features(market, settings).values


def quarterly(market: Market) -> np.ndarray:
    """The quarterly family on extra fields as reports and series would leave them."""
    rng = np.random.default_rng(4)
    names = (*JOINED_FIELDS, *MACRO_FIELDS)
    extras = {name: market.close * rng.uniform(0.5, 1.5, market.close.shape) for name in names}
    settings = FeatureSettings(names=("quarterly",), normalise="zscore")
    return compute_features(replace(market, extras=extras), settings).values


def known_labels(market: Market) -> np.ndarray:
    """On each row the label that became known there, as a trailing statistic of labels would read it."""
    return shift(make_labels(market, 5).magnitude, 5)


PARTS: dict[str, Compute] = {
    **{f"features {scale}": features(scale) for scale in ("none", "rank", "zscore")},
    "quarterly features": quarterly,
    "known labels": known_labels,
}


def looks_ahead(compute: Compute, market: Market) -> bool:
    """Whether some row up to a date depends on what comes after it, in values or in what is left unknown."""
    true = compute(market)
    for row in ROWS:
        for seed in (1, 2):
            other = compute(scramble_after(market, market.dates[row], seed))
            if not np.array_equal(true[: row + 1], other[: row + 1], equal_nan=True):
                return True
    return False


def test_a_universe_is_chosen_from_the_past() -> None:
    market = make_random_market(seed=9, n_symbols=8)
    for row in ROWS:
        date = market.dates[row]
        chosen = pick_uncorrelated(market.until(date), "S1", 4, min_history_days=20)
        other = pick_uncorrelated(scramble_after(market, date, 1).until(date), "S1", 4, min_history_days=20)
        assert str(chosen) == str(other)  # as text, because NaN differs from itself


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


def test_a_table_that_ends_earlier_is_the_market_cut_there(tmp_path: Path) -> None:
    """Whatever a table holds after a date, the rows up to it make the same market."""
    rows = make_rows(("AAA", "BBB", "SPY"), days=8).sort_values(["symbol", "date"])
    rows = rows[~((rows["symbol"] == "BBB") & (rows["date"] < "2020-01-08"))]
    whole = load_market(DataSettings(path=write_rows(rows, tmp_path / "whole.csv")))
    for date in ("2020-01-09", "2020-01-14"):
        early = load_market(DataSettings(path=write_rows(rows[rows["date"] <= date], tmp_path / "early.csv")))
        assert compute_market_checksum(early) == compute_market_checksum(whole.until(date))
