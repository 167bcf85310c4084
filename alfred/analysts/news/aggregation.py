"""From the scores of headlines to the values of a day.

Axes legend: M headlines of all windows, B windows, C context length.
"""

from __future__ import annotations

import numpy as np

from alfred.analysts.news.settings import DAILY_NAMES
from alfred.data.point_in_time.headlines import WindowHeadlines
from alfred.typing import Float


def aggregate(headlines: WindowHeadlines, scores: Float, length: int, half_life: float) -> Float:
    """Return the daily values of each window, `[B, 5]`, in the order of `DAILY_NAMES`.

    With a_i the age of headline i in sessions, s_i its score and w_i = 2^(-a_i / half_life):

    - `sentiment`, `outlook`: the mean score of the headlines of the day (a_i = 0); NaN on a day without one.
    - `attention`: log((1 + n) / (1 + N / C)), n headlines today and N in the window of C sessions: what is usual is 0,
      and that nothing is written today is known; NaN where the whole window has no headline.
    - `sentiment_recent`, `outlook_recent`: sum_i w_i s_i / (1 + sum_i w_i), as if one neutral headline came today, so
      that old news and lone ones fade; NaN where no headline of the window has a score.

    Missing is not zero: a neutral headline scores 0, and no headline is NaN.

    Args:
        headlines: Headlines of each window.
        scores: Sentiment and outlook of each, `[M, 2]`; NaN where there is none.
        length: Sessions of a window, C.
        half_life: Sessions after which a headline counts half as much.
    """
    b = headlines.n_windows
    values = np.full((b, len(DAILY_NAMES)), np.nan)
    today = headlines.age == 0
    weights = np.exp2(-headlines.age / half_life)
    for column in (0, 1):
        score = scores[:, column]
        known = np.isfinite(score)
        fresh = known & today
        count = np.bincount(headlines.window[fresh], minlength=b)
        total = np.bincount(headlines.window[fresh], weights=score[fresh], minlength=b)
        values[:, column] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        window = headlines.window[known]
        weight = np.bincount(window, weights=weights[known], minlength=b)
        total = np.bincount(window, weights=(weights * score)[known], minlength=b)
        values[:, 3 + column] = np.where(np.bincount(window, minlength=b) > 0, total / (1.0 + weight), np.nan)
    now = np.bincount(headlines.window[today], minlength=b)
    every = np.bincount(headlines.window, minlength=b)
    values[:, 2] = np.where(every > 0, np.log((1.0 + now) / (1.0 + every / length)), np.nan)
    return values
