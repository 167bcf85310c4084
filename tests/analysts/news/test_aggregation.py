"""Daily values against a plain loop; missing is not zero."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alfred.analysts.news.aggregation import aggregate
from alfred.analysts.news.settings import DAILY_NAMES
from alfred.data.point_in_time.headlines import WindowHeadlines


def make_batch(rows: list[list[tuple[int, float, float]]]) -> tuple[WindowHeadlines, np.ndarray]:
    """Return windows of (age, sentiment, outlook)."""
    flat = [(window, *item) for window, items in enumerate(rows) for item in items]
    window, age = (np.array([item[place] for item in flat], dtype=np.int64) for place in (0, 1))
    scores = np.array([item[2:] for item in flat], dtype=np.float64).reshape(-1, 2)
    texts = np.array([""] * len(flat), dtype=object)
    return WindowHeadlines(len(rows), window, age, texts), scores


def compute_plainly(items: list[tuple[int, float, float]], length: int, half_life: float) -> list[float]:
    def mean(column: int) -> float:
        known = [item[column] for item in items if item[0] == 0 and not math.isnan(item[column])]
        return sum(known) / len(known) if known else math.nan

    def recent(column: int) -> float:
        known = [(0.5 ** (item[0] / half_life), item[column]) for item in items if not math.isnan(item[column])]
        return sum(w * s for w, s in known) / (1 + sum(w for w, _ in known)) if known else math.nan

    today = sum(item[0] == 0 for item in items)
    attention = math.log((1 + today) / (1 + len(items) / length)) if items else math.nan
    return [mean(1), mean(2), attention, recent(1), recent(2)]


def test_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(50):
        count = rng.integers(0, 6)
        outlook = np.where(rng.random(count) < 0.5, np.nan, rng.uniform(-1, 1, count))
        rows.append(list(zip(rng.integers(0, 4, count), rng.uniform(-1, 1, count), outlook, strict=True)))
    headlines, scores = make_batch(rows)
    found = aggregate(headlines, scores, 10, 2.5)
    np.testing.assert_allclose(found, [compute_plainly(items, 10, 2.5) for items in rows], rtol=1e-12)


def test_no_news_is_not_neutral_news() -> None:
    headlines, scores = make_batch([[], [(0, 0.0, math.nan)], [(5, 0.8, 0.8)]])
    nothing, neutral, old = aggregate(headlines, scores, 10, 5.0)
    assert np.isnan(nothing).all()
    assert neutral[DAILY_NAMES.index("sentiment")] == 0.0
    assert np.isnan(neutral[DAILY_NAMES.index("outlook")])
    assert np.isnan(old[:2]).all()
    # One half-life old: weight 1/2 beside one neutral headline.
    assert old[DAILY_NAMES.index("sentiment_recent")] == pytest.approx(0.5 * 0.8 / 1.5)
    assert old[DAILY_NAMES.index("attention")] == pytest.approx(math.log(1 / 1.1))
