"""Too good to be true: figures that no honest forecast of daily prices has ever had."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.evaluation.formatting import format_number, format_percent

MOST_IC = 0.2
"""Daily rank correlation of a forecast with returns above which something reads the future."""
MOST_SHARPE = 4.0
"""Annual Sharpe ratio, net of costs, above which a backtest is wrong."""

MOST_HITS = 0.08
"""Share of rises and falls called rightly beyond the base rate above which something reads the future."""

_ENOUGH_PAIRS = 500  # two standard errors of a share are 0.045 then
_FEWEST_DATES = 20
_DAILY = 200  # sessions a year from which a market counts as daily
_CERTAIN = 1.0 - 1e-9


def find_signal_warnings(skill: pd.DataFrame | None, periods_per_year: int) -> list[str]:
    """Say which signals foretell returns better than any forecast can.

    Args:
        skill: What `compute_signal_skill` returned, or None.
        periods_per_year: Sessions a year; slower bars than daily ones are not judged.
    """
    if skill is None or not len(skill):
        return []
    found = []
    for row in skill.itertuples():
        value, hits = float(row.value), float(row.directional_accuracy)
        # Of a few sessions the nearer end of the interval says how high it is at least.
        least = max(float(row.low), -float(row.high)) if np.isfinite(row.low) else abs(value)
        if abs(value) >= _CERTAIN and row.n_dates >= _FEWEST_DATES:
            found.append(
                f"The rank correlation of {row.signal} with what came is {format_number(value)}: it is the outcome "
                "itself, and no p-value exists."
            )
        elif periods_per_year < _DAILY:
            continue
        elif row.measure == "with the return" and least > MOST_IC:
            found.append(
                f"The daily rank correlation of {row.signal} with what came is {format_number(value, sign=True)}: "
                f"forecasts of daily prices stay below {MOST_IC:g}, and most below 0.05. Look for the future in it "
                "(`alfred audit`)."
            )
        # A forecast of one asset, or of the whole market, has no correlation across symbols.
        elif row.n_pairs >= _ENOUGH_PAIRS and hits - max(row.base_rate, 1.0 - row.base_rate) > MOST_HITS:
            found.append(
                f"{row.signal} calls {format_percent(hits, 0)} of rises and falls rightly: forecasts of daily prices "
                "are right a few times in a hundred more often than a coin. Look for the future in it (`alfred audit`)."
            )
    return found


def find_sharpe_warning(sharpe: float, error: float = 0.0) -> list[str]:
    """Say when a Sharpe ratio is one that no strategy of daily bars has kept.

    Args:
        sharpe: A year, net of costs, in excess of cash.
        error: Its standard error: what two of them may explain is not warned of.
    """
    if np.isnan(sharpe) or sharpe - 2.0 * (error if np.isfinite(error) else 0.0) <= MOST_SHARPE:
        return []
    return [
        f"A Sharpe ratio of {format_number(sharpe)} net of costs is above {MOST_SHARPE:g}: look for the future in the "
        "data, the signals or the execution (`alfred audit`)."
    ]
