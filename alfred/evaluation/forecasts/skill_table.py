"""Who forecasts best: every analyst beside naive persistence, symbol by symbol, on the same windows.

Axes legend: T dates, N symbols, H horizons, Q quantile levels. A window is a date and a symbol at one horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.errors import ConfigError, SignalError
from alfred.evaluation.forecasts.by_date import estimate_by_date
from alfred.evaluation.forecasts.distributions import compute_distribution_scores
from alfred.evaluation.forecasts.errors import (
    compute_percentage_errors,
    compute_percentage_mae,
    compute_price_mae,
    compute_r2_against_mean,
    compute_r2_against_zero,
    compute_rmse,
    compute_sign_accuracy,
    divide,
)
from alfred.evaluation.forecasts.ic import IcKind, estimate_ic
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.forecasts.shared_windows import (
    ALL,
    MEDIAN,
    NAIVE,
    Point,
    Views,
    Windows,
    count_offered,
    measure_windows,
    read_views,
    share_axes,
)
from alfred.typing import Float

_NAN = float("nan")
_NO_DISTRIBUTION = {"pinball": _NAN, "crps": _NAN, "coverage_90": _NAN}


def compare_forecasts(
    forecasts: Mapping[str, ForecastRecord],
    market: Market,
    *,
    point: Point = "median",
    level: float = 0.95,
) -> pd.DataFrame:
    """Judge analysts and naive persistence on the windows that all of them forecast.

    A measure is given the forecast that makes it smallest (Gneiting, 2011): absolute errors and the sign that of
    `point`, squared errors and correlations the mean. Naive persistence forecasts a log return of zero. A record named
    `naive` gives it a distribution, and has to forecast zero.

    Args:
        forecasts: Records by analyst, with dates, symbols and horizons in common.
        market: The market with what happened; cut it (`market.until`) to leave outcomes out.
        point: `median`, which needs the level 0.5 in every record, or `mean`.
        level: Coverage of the intervals.

    Returns:
        One row an analyst, horizon and symbol: naive persistence first, the symbols by its error at that horizon,
        easiest first, and after them a row `all` of every window. Columns:

        - `analyst`, `horizon`, `symbol`;
        - `n` windows that are judged, and `n_dropped` with a known outcome that this analyst forecast (naive: that
          anybody forecast) and that are not judged, because another one did not;
        - `mae_pct`, the error of the simple return in percentage points, by which analysts are selected;
        - `skill_pct`, `skill_low`, `skill_high`: 100 (1 - MAE / naive MAE), with an interval of the paired difference
          of the two losses by date, in per cent of the naive MAE, which is taken as known; `skill_p` is the two-sided
          p-value of no difference (Diebold and Mariano, 1995), and `n_effective` the number of independent dates that
          would be as informative. The variance allows for overlapping outcomes, see `estimate_mean`;
        - `price_mae` in the unit of prices, `sign_accuracy` as a fraction (NaN without a call), `rmse` in log return,
          `r2_mean` and `r2_zero`;
        - `ic`, `ic_t`, `rank_ic`, `rank_ic_t`: over symbols by date, in the row `all` only;
        - `pinball` and `crps` in log return, `coverage_90` as a fraction; NaN where a record lacks the levels.

        What has no value (a symbol without a window, a constant forecast) is NaN.

    Raises:
        SignalError: The records share no date, symbol or horizon; a date is not a session of the market; a symbol is
            named `all`.
        DataError: A symbol is not in the market.
        ConfigError: `point` is unknown, a record has no median, or the one named `naive` does not forecast zero.
    """
    _check(forecasts, point)
    dates, symbols, horizons = share_axes(forecasts)
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in dict.fromkeys((NAIVE, *forecasts))}
    for horizon in horizons:
        windows = measure_windows(market, dates, symbols, horizon)
        views = {name: read_views(record, dates, symbols, horizon, point) for name, record in forecasts.items()}
        if NAIVE in views and any(np.nan_to_num(part).any() for part in (views[NAIVE].point, views[NAIVE].mean)):
            raise ConfigError(
                f"the record named '{NAIVE}' does not forecast zero at {horizon} sessions, so that it is not naive "
                "persistence; give the analyst another name"
            )
        nothing = np.zeros_like(windows.outcome)
        views.setdefault(NAIVE, Views(nothing, nothing, np.zeros((*nothing.shape, 0)), ()))
        judged = np.isfinite(windows.outcome)
        for view in views.values():
            judged &= view.find()
        windows = windows._replace(outcome=np.where(judged, windows.outcome, np.nan))
        errors = {
            name: np.where(judged, compute_percentage_errors(view.point, windows.outcome), np.nan)
            for name, view in views.items()
        }
        offered = count_offered(forecasts, market, horizon, point)
        difficulty = [compute_percentage_mae(nothing[:, n], windows.outcome[:, n]) for n in range(len(symbols))]
        order = np.argsort(np.asarray(difficulty), kind="stable")  # NaN goes last
        for name, found in rows.items():
            for row in (*order, None):
                symbol, columns = (ALL, slice(None)) if row is None else (symbols[row], slice(row, row + 1))
                scores = _judge(views[name].cut(columns), windows, columns, errors[name], errors[NAIVE], level)
                dropped = offered[name].get(symbol, 0) - int(judged[:, columns].sum())
                found.append({"analyst": name, "horizon": horizon, "symbol": symbol, "n_dropped": dropped, **scores})
    table = pd.DataFrame([row for found in rows.values() for row in found])
    first = ["analyst", "horizon", "symbol", "n", "n_dropped"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def _check(forecasts: Mapping[str, ForecastRecord], point: str) -> None:
    if point not in get_args(Point):
        raise ConfigError(f"point is '{point}'; it must be 'median' or 'mean'")
    if not forecasts:
        raise SignalError("there are no forecasts to compare; give one record at least")
    for name, record in forecasts.items():
        if point == "median" and not np.isclose(record.levels, MEDIAN).any():
            raise ConfigError(f"analyst '{name}' has no quantile level 0.5; add it, or compare with point='mean'")
        if ALL in record.symbols:
            raise SignalError(
                f"a symbol of analyst '{name}' is called '{ALL}', as the row over all symbols is; rename it"
            )


def _judge(
    view: Views, windows: Windows, columns: slice, errors: Float, naive_errors: Float, level: float
) -> dict[str, object]:
    """Return the measures of one row; `view` is cut to its `columns`, everything else is `[T, N]`."""
    outcome, close, sessions = windows.outcome[:, columns], windows.close[:, columns], windows.sessions
    known = np.isfinite(outcome)
    naive_mae = compute_percentage_mae(np.zeros_like(outcome), outcome)
    gains = np.where(known, naive_errors[:, columns] - errors[:, columns], 0.0).sum(axis=1)
    gain = estimate_by_date(gains, known.sum(axis=1), sessions, horizon=windows.horizon, level=level)
    scores: dict[str, object] = {
        "n": int(known.sum()),
        "mae_pct": compute_percentage_mae(view.point, outcome),
        "skill_pct": 100 * divide(gain.value, naive_mae),
        "skill_low": 100 * divide(gain.low, naive_mae),
        "skill_high": 100 * divide(gain.high, naive_mae),
        "skill_p": gain.p,
        "n_effective": gain.n_effective,
        "price_mae": compute_price_mae(view.point, outcome, close),
        "sign_accuracy": compute_sign_accuracy(view.point, outcome),
        "rmse": compute_rmse(view.mean, outcome),
        "r2_mean": compute_r2_against_mean(view.mean, outcome),
        "r2_zero": compute_r2_against_zero(view.mean, outcome),
    }
    kinds: dict[str, IcKind] = {"ic": "pearson", "rank_ic": "rank"}
    for name, kind in kinds.items():
        values = {name: _NAN, f"{name}_t": _NAN}
        if columns == slice(None):
            ic = estimate_ic(
                view.mean,
                outcome,
                windows.horizon,
                kind=kind,
                sessions=sessions,
                level=level,
            )
            values = {name: ic.value, f"{name}_t": ic.t}
        scores |= values
    if len(view.levels) < 2:
        return scores | _NO_DISTRIBUTION
    shape = compute_distribution_scores(view.quantiles, outcome, view.levels)
    return scores | {"pinball": shape.pinball, "crps": shape.crps, "coverage_90": shape.coverage}
