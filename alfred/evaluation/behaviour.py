"""What a strategy did: how far it was from equal weights, what its gain came from, and which weights it used.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from alfred.data.market import Market
from alfred.data.point_in_time.members import find_members
from alfred.envs.actions import compute_weights
from alfred.envs.settings import ActionSettings
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.statistics.significance import compute_long_run_variance
from alfred.typing import FloatArray

_SAME = 1e-4  # weights that differ by less than a basis point count as the same
_RUIN = 1e-6  # of wealth
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True)
class GainSplit:
    """Where the mean return beyond a reference came from, in per cent a year; the three parts add up to `total`.

    With x and y the returns of strategy and reference in excess of cash, the regression x = alpha + beta y + e and c
    the mean weight of cash, the mean of x - y is `-c mean(y)` (cash) plus `(beta - 1 + c) mean(y)` (the exposure of
    what was not cash) plus `alpha` (what neither explains).

    Attributes:
        reference: Name of the reference.
        total: Mean of x - y.
        cash: Lost or saved by holding cash.
        beta: From holding what moves more or less than the reference.
        rest: What choosing and timing made of it, costs included.
        rest_ci: Interval of `rest`, serial correlation allowed for.
    """

    reference: str
    total: float
    cash: float
    beta: float
    rest: float
    rest_ci: tuple[float, float]


@dataclass(frozen=True)
class ActionMap:
    """Which weights can be reached, and which were.

    Attributes:
        asset_reach: Least and largest weight that an action can give one asset.
        cash_reach: The same of cash.
        asset_used: Least, 5 %, median, 95 % and largest weight that any asset had at a close.
        cash_used: The same of cash.
        n_distinct: Different weights at closes, to a basis point.
        n_closes: Closes.
    """

    asset_reach: tuple[float, float]
    cash_reach: tuple[float, float]
    asset_used: tuple[float, ...]
    cash_used: tuple[float, ...]
    n_distinct: int
    n_closes: int


@dataclass(frozen=True)
class Behaviour:
    """What a strategy did.

    Attributes:
        active_share: Mean of half the sum of absolute differences to equal weights: 0 is equal weight, 1 has nothing in
            common with it.
        active_share_by_year: The same by calendar year.
        gains: Where its return beyond the benchmark and beyond equal weight came from.
        actions: Which weights it could reach and did reach.
        not_investable: Symbols that it held although they are not investable.
    """

    active_share: float
    active_share_by_year: dict[int, float]
    gains: tuple[GainSplit, ...]
    actions: ActionMap
    not_investable: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain values without NaN."""
        return {
            "active_share": self.active_share,
            "active_share_by_year": {str(year): value for year, value in self.active_share_by_year.items()},
            "gains": [
                {
                    "reference": item.reference,
                    "total_pct": _clean(item.total),
                    "cash_pct": _clean(item.cash),
                    "beta_pct": _clean(item.beta),
                    "rest_pct": _clean(item.rest),
                    "rest_pct_ci": [_clean(end) for end in item.rest_ci],
                }
                for item in self.gains
            ],
            "actions": {
                "asset_reach": list(self.actions.asset_reach),
                "cash_reach": list(self.actions.cash_reach),
                "asset_used": list(self.actions.asset_used),
                "cash_used": list(self.actions.cash_used),
                "n_distinct": self.actions.n_distinct,
                "n_closes": self.actions.n_closes,
            },
            "not_investable": list(self.not_investable),
        }


def describe_behaviour(
    record: Backtest,
    references: Sequence[Backtest],
    market: Market,
    action: ActionSettings,
    level: float = 0.95,
) -> Behaviour:
    """Describe what a strategy did.

    Args:
        record: Its record.
        references: Records of the benchmark and of equal weight on the same dates.
        market: Says what may be held, and what traded when.
        action: How its actions became weights.
        level: Coverage of the intervals.
    """
    distance = 0.5 * np.abs(record.weights - make_equal_weights(market, record.dates, record.weights)).sum(axis=1)
    by_year = pd.Series(distance, index=record.dates.year).groupby(level=0).mean()
    allowed = np.isin(record.symbols, market.universe)
    outside = np.abs(record.weights[:, :-1]).max(axis=0) > _SAME
    return Behaviour(
        active_share=float(distance.mean()),
        active_share_by_year={int(year): float(value) for year, value in by_year.items()},
        gains=tuple(split_gain(record, reference, level) for reference in references),
        actions=map_actions(record.weights, allowed, action),
        not_investable=tuple(np.asarray(record.symbols)[outside & ~allowed].tolist()),
    )


def make_equal_weights(market: Market, dates: pd.DatetimeIndex, held: FloatArray | None = None) -> FloatArray:
    """Return equal weights of what may be held and traded on each date, cash last, `[T, N+1]`; cash where none did.

    Args:
        market: Says what may be held, and what traded when.
        dates: Closes, `[T]`.
        held: Weights of a book at these closes, `[T, N+1]`: what cannot be sold on a date stays, the rest is shared.
    """
    rows = market.dates.get_indexer(dates)
    able = market.tradable[rows] & find_members(market)[rows] & np.isin(market.symbols, market.universe)
    frozen = np.zeros(able.shape) if held is None else np.where(market.tradable[rows], 0.0, held[:, :-1])
    count = able.sum(axis=1, keepdims=True)
    share = 1.0 - frozen.sum(axis=1, keepdims=True)
    weights = np.divide(able * share, count, out=np.zeros(able.shape), where=count > 0) + frozen
    return np.hstack([weights, 1.0 - weights.sum(axis=1, keepdims=True)])


def split_gain(record: Backtest, reference: Backtest, level: float = 0.95) -> GainSplit:
    """Split the mean return of a record beyond a reference; see `GainSplit`.

    Args:
        record: The strategy.
        reference: On the same dates.
        level: Coverage of the interval.
    """
    own, other = record.excess, reference.excess
    if record.wealth.min() <= _RUIN:  # the mean of the days says nothing of a book that lost everything
        nothing = float("nan")
        return GainSplit(reference.name, nothing, nothing, nothing, nothing, (nothing, nothing))
    centred = other - other.mean()
    squares = float(centred @ centred)
    slope = float(own @ centred) / squares if squares > 0.0 else 0.0
    left = own - slope * other
    rest = float(left.mean())
    spread = 1.0 + (float(other.mean()) ** 2 * len(other) / squares if squares > 0.0 else 0.0)
    error = np.sqrt(max(compute_long_run_variance(left - rest), 0.0) * spread / len(left))
    half = float(ndtri((1 + level) / 2)) * float(error)
    cash = float(record.weights[:, -1].mean())
    unit = 100.0 * record.periods_per_year
    mean = float(other.mean())
    return GainSplit(
        reference=reference.name,
        total=unit * float((own - other).mean()),
        cash=-unit * cash * mean,
        beta=unit * (slope - 1.0 + cash) * mean,
        rest=unit * rest,
        rest_ci=(unit * (rest - half), unit * (rest + half)),
    )


def map_actions(weights: FloatArray, holdable: np.ndarray, action: ActionSettings) -> ActionMap:
    """Return which weights actions can reach and which were reached.

    Args:
        weights: At closes, cash last, `[T, N+1]`.
        holdable: Whether each asset may be held, `[N]`.
        action: How actions become weights.
    """
    n_assets = len(holdable)
    corners = np.vstack([np.where(np.eye(n_assets + 1, dtype=bool), 1.0, -1.0), -np.ones(n_assets + 1)])
    alone = np.eye(n_assets + 1)  # with shorts, one asset has all of the leverage when the others have none of it
    corners = np.vstack([corners, -corners, alone, -alone])
    reached = compute_weights(corners, action, holdable.astype(np.float64))
    assets = reached[:, :-1][:, holdable]
    held = weights[:, :-1][:, holdable]
    distinct = np.unique(np.round(weights / _SAME).astype(np.int64), axis=0)
    return ActionMap(
        asset_reach=(float(assets.min()), float(assets.max())),
        cash_reach=(float(reached[:, -1].min()), float(reached[:, -1].max())),
        asset_used=tuple(float(value) for value in np.quantile(held, _QUANTILES)),
        cash_used=tuple(float(value) for value in np.quantile(weights[:, -1], _QUANTILES)),
        n_distinct=len(distinct),
        n_closes=len(weights),
    )


def _clean(value: float) -> float | None:
    return value if np.isfinite(value) else None
