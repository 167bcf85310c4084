"""Did the signals know anything: out-of-sample skill against what came.

Axes legend: T dates, N symbols, K signals. A signal of date t and horizon h is judged by the log return from the close
of t to the close h sessions later. Neighbouring outcomes overlap when h > 1 and symbols move together, so that a pooled
count of pairs is no sample size: every interval here is made from one value a date, with a variance that allows for the
overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.errors import SignalError
from alfred.evaluation.statistics.significance import compute_long_run_variance
from alfred.typing import FloatArray

# Quantities that speak of the size of a move rather than of its direction, with the sign that makes more mean riskier.
RISK_QUANTITIES = {"dispersion": 1.0, "cvar_5": -1.0}
# A rank correlation over two symbols is always 1 or -1.
MIN_SYMBOLS = 3
_NAN = float("nan")


class Estimate(NamedTuple):
    """A mean over dates with its uncertainty.

    Attributes:
        value: The estimate.
        low: Lower end of its interval.
        high: Upper end.
        t: The estimate less its value without skill, in standard errors.
        p: Two-sided p-value of no skill.
        n_effective: How many independent dates would be as informative.
    """

    value: float
    low: float
    high: float
    t: float
    p: float
    n_effective: float


_NO_ESTIMATE = Estimate(_NAN, _NAN, _NAN, _NAN, _NAN, 0.0)


def compute_realised_returns(
    market: Market, dates: pd.DatetimeIndex, symbols: tuple[str, ...], horizon: int
) -> FloatArray:
    """Return the log return from the close of each date to the close `horizon` sessions later, `[T, N]`.

    NaN where the outcome lies beyond the market, or where the symbol did not trade on either day.

    Raises:
        SignalError: A date is not a session of the market.
        DataError: A symbol is not in the market.
    """
    rows = market.dates.get_indexer(dates)
    if (rows < 0).any():
        raise SignalError(
            f"the signals have a row for {dates[int(np.argmax(rows < 0))].date()}, which is not a session of "
            "the market; judge them on the market that they were made from"
        )
    columns = [market.index_of(symbol) for symbol in symbols]
    logs = np.full((market.n_dates + horizon, len(columns)), np.nan)
    tradable = market.tradable[:, columns]
    logs[: market.n_dates][tradable] = np.log(market.close[:, columns][tradable])
    return np.asarray(logs[rows + horizon] - logs[rows])


def compute_rank_correlations(signal: FloatArray, outcome: FloatArray) -> FloatArray:
    """Return the rank correlation over symbols on each date (rank IC), `[T]`.

    Args:
        signal: `[T, N]`; NaN where there is none.
        outcome: `[T, N]`; NaN where there is none.

    Returns:
        NaN on dates with fewer than three pairs, or with no spread in one of the two.
    """
    known = np.isfinite(signal) & np.isfinite(outcome)
    first, second = (
        pd.DataFrame(np.where(known, values, np.nan)).rank(axis=1).to_numpy() for values in (signal, outcome)
    )
    return compute_correlations(first, second)


def compute_correlations(signal: FloatArray, outcome: FloatArray) -> FloatArray:
    """Return the correlation over symbols on each date (IC), `[T]`; `compute_rank_correlations` has that of ranks.

    Args:
        signal: `[T, N]`; NaN where there is none.
        outcome: `[T, N]`; NaN where there is none.

    Returns:
        NaN on dates with fewer than three pairs, or with no spread in one of the two.
    """
    known = np.isfinite(signal) & np.isfinite(outcome)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    usable, deviations = known.sum(axis=1) >= MIN_SYMBOLS, []
    for values in (signal, outcome):
        filled = np.where(known, values, 0.0).astype(np.float64)
        deviations.append(np.where(known, filled - filled.sum(axis=1, keepdims=True) / count, 0.0))
        # The mean of equal numbers is rounded; their range is zero all the same.
        highest = np.where(known, values, -np.inf).max(axis=1, initial=-np.inf)
        usable &= highest > np.where(known, values, np.inf).min(axis=1, initial=np.inf)
    first, second = deviations
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    usable &= scale > 0
    return np.where(usable, (first * second).sum(axis=1) / np.where(usable, scale, 1.0), np.nan)


def estimate_mean(
    influence: FloatArray, value: float, *, without_skill: float, horizon: int, level: float = 0.95
) -> Estimate:
    """Put an interval around an estimate, from the influence of every date on it.

    The variance is the larger of two, and never below that of independent dates: Hansen and Hodrick (1980) with
    horizon - 1 lags of equal weight, which is unbiased for outcomes that overlap but can come out negative; and Newey
    and West (1987) with their automatic lags, which sees other persistence. Newey-West with horizon - 1 lags alone
    would find a third too little variance in overlapping outcomes. The p-value and the interval are Student's, with
    the effective number of dates less one.

    Args:
        influence: Contribution of each date, mean zero, such that its mean is the error of the estimate, `[T]`.
        value: The estimate.
        without_skill: What it would be without skill.
        horizon: Sessions that an outcome spans.
        level: Coverage of the interval.
    """
    n = len(influence)
    variance = float(np.mean(influence**2)) if n else 0.0
    if n < 3 or variance == 0:
        return _NO_ESTIMATE._replace(value=value)
    overlap = variance + 2 * sum(float(influence[lag:] @ influence[:-lag]) / n for lag in range(1, min(horizon, n - 1)))
    long_run = max(overlap, compute_long_run_variance(influence), variance)
    n_effective = n * variance / long_run
    if n_effective <= 2:
        return _NO_ESTIMATE._replace(value=value, n_effective=n_effective)
    error = float(np.sqrt(long_run / n))
    t = (value - without_skill) / error
    reach = float(stats.t.ppf((1 + level) / 2, n_effective - 1)) * error
    p = float(2 * stats.t.sf(abs(t), n_effective - 1))
    return Estimate(value, value - reach, value + reach, t, p, n_effective)


def compute_signal_skill(
    signals: Signals,
    market: Market,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Judge every signal on dates that its model had not read.

    A signal of direction is judged by its rank correlation over symbols with the return, and by calling rises and
    falls; one of risk (`dispersion`, `cvar_5`) by its rank correlation with the absolute return. Dates up to the
    knowledge cutoff of a pretrained analyst stand in rows of their own: skill there may be memory.

    Args:
        signals: Out-of-sample signals.
        market: The market with the outcomes.
        start: First date of a signal that counts; the first one when left out.
        end: Last date that an outcome may reach; the end of the market when left out.
        level: Coverage of the intervals.

    Returns:
        One row a signal, or two for an analyst whose knowledge cutoff lies between `start` and `end`:
        `signal`, `analyst`, `horizon`, `period` (`all`, `before cutoff` or `after cutoff`), `measure`, `value` (mean
        rank correlation by date) with `low`, `high`, `t`, `p`, `n_dates`, `n_effective` and `n_pairs`;
        `directional_accuracy` and `base_rate` (share of rises); `balanced_accuracy` (0.5 without skill), `auc` (0.5)
        and `r2` (against a forecast of zero, expected returns only), each with `_low` and `_high`. NaN where a
        measure does not apply.

    Raises:
        SignalError: A date of the signals is not a session of the market.
    """
    rows = []
    last = market.dates[-1] if end is None else pd.Timestamp(end)
    first = signals.dates[0] if start is None else pd.Timestamp(start)
    known = market.until(last)
    inside = np.asarray((signals.dates >= first) & (signals.dates <= known.dates[-1]))
    dates = signals.dates[inside]
    outcomes = {
        horizon: compute_realised_returns(known, dates, signals.symbols, horizon) for horizon in set(signals.horizons)
    }
    for column, (name, spec) in enumerate(zip(signals.names, signals.specs, strict=True)):
        analyst, quantity, horizon = spec.analyst, spec.quantity, spec.horizon
        values = signals.values[inside, :, column].astype(np.float64)
        for period, mask in _split_at_cutoff(dates, signals.knowledge_cutoffs.get(analyst)).items():
            skill = _judge(quantity, values[mask], outcomes[horizon][mask], horizon, level)
            rows.append({"signal": name, "analyst": analyst, "horizon": horizon, "period": period, **skill})
    return pd.DataFrame(rows)


def _split_at_cutoff(dates: pd.DatetimeIndex, cutoff: pd.Timestamp | None) -> dict[str, npt.NDArray[np.bool_]]:
    if cutoff is None:
        return {"all": np.ones(len(dates), dtype=bool)}
    seen = np.asarray(dates <= cutoff)
    return {name: mask for name, mask in (("before cutoff", seen), ("after cutoff", ~seen)) if mask.any()}


def _judge(quantity: str, signal: FloatArray, outcome: FloatArray, horizon: int, level: float) -> dict[str, object]:
    """Return every measure of one signal on one period; `[T, N]` both."""
    sign = next((sign for risk, sign in RISK_QUANTITIES.items() if quantity.startswith(risk)), None)
    known = np.isfinite(signal) & np.isfinite(outcome)
    target = outcome if sign is None else np.abs(outcome)
    ranked = compute_rank_correlations(signal if sign is None else sign * signal, target)
    ranked = ranked[np.isfinite(ranked)]
    mean = float(ranked.mean()) if len(ranked) else _NAN
    skill = estimate_mean(ranked - mean, mean, without_skill=0.0, horizon=horizon, level=level)
    result: dict[str, object] = {
        "measure": "with the return" if sign is None else "with its size",
        **skill._asdict(),
        "n_dates": int(known.any(axis=1).sum()),
        "n_pairs": int(known.sum()),
    }
    accuracy, base_rate = (_NAN, _NAN) if sign is not None or not known.any() else _count_hits(signal, outcome, known)
    result |= {"directional_accuracy": accuracy, "base_rate": base_rate}
    measures = {
        "balanced_accuracy": (_balanced_accuracy, 0.5, sign is None),
        "auc": (_auc, 0.5, sign is None),
        "r2": (_r2, 0.0, quantity == "expected_return"),
    }
    for name, (measure, without_skill, applies) in measures.items():
        estimate = _NO_ESTIMATE
        if applies and known.any():
            value, influence = measure(signal, outcome, known)
            estimate = estimate_mean(influence, value, without_skill=without_skill, horizon=horizon, level=level)
        result |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return result


def _count_hits(signal: FloatArray, outcome: FloatArray, known: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the share of calls with the right sign (a signal of zero calls a fall), and the share of rises."""
    rises, calls = outcome[known] > 0, signal[known] > 0
    return float((rises == calls).mean()), float(rises.mean())


def _ratio(top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
    """Return sum(top) / sum(bottom) with the influence of each date, `[T]`."""
    if bottom.sum() == 0:
        return _NAN, np.zeros(len(top))
    value = float(top.sum() / bottom.sum())
    return value, (top - value * bottom) / float(bottom.mean())


def _count(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return how many symbols are true on each date, `[T]`."""
    return np.asarray(mask.sum(axis=1), dtype=np.float64)


def _balanced_accuracy(
    signal: FloatArray, outcome: FloatArray, known: npt.NDArray[np.bool_]
) -> tuple[float, FloatArray]:
    """Return the mean of the hit rates among rises and among falls, with the influence of each date."""
    dated = known.any(axis=1)
    rises, falls, calls = (mask[dated] for mask in (known & (outcome > 0), known & (outcome <= 0), signal > 0))
    up, up_influence = _ratio(_count(rises & calls), _count(rises))
    down, down_influence = _ratio(_count(falls & ~calls), _count(falls))
    return (up + down) / 2, (up_influence + down_influence) / 2


def _auc(signal: FloatArray, outcome: FloatArray, known: npt.NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Return the chance that a rise had the higher signal than a fall, with influences (DeLong et al., 1988)."""
    dates, _ = np.nonzero(known)
    values, rises = signal[known], outcome[known] > 0
    n_up, n_down = int(rises.sum()), int((~rises).sum())
    if not n_up or not n_down:
        return _NAN, np.zeros(0)
    # Sorted once: what is left of an order when some are taken out is the order of the rest.
    order = np.argsort(values, kind="stable")
    up = rises[order]
    ranks, placement = np.empty(len(values)), np.empty(len(values))
    ranks[order] = _rank_sorted(values[order])
    for some, sign, count in ((order[up], 1.0, n_down), (order[~up], -1.0, n_up)):
        placement[some] = (1.0 - sign) / 2.0 + sign * ((ranks[some] - _rank_sorted(values[some])) / count)
    area = float(placement[rises].mean())
    share = (placement - area) / np.where(rises, n_up, n_down)
    by_date = np.bincount(dates, weights=share, minlength=len(known))[known.any(axis=1)]
    return area, by_date.astype(np.float64) * len(by_date)


def _rank_sorted(values: FloatArray) -> FloatArray:
    """Return the ranks of ascending values from 1 on, equal ones at the mean of theirs."""
    begins = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    ends = np.append(begins[1:], len(values))
    return np.repeat((begins + ends + 1) / 2.0, ends - begins)


def _r2(signal: FloatArray, outcome: FloatArray, known: npt.NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Return one less the squared error over that of a forecast of zero, with the influence of each date."""
    dated = known.any(axis=1)
    errors = np.where(known, outcome - signal, 0.0).astype(np.float64)[dated]
    moves = np.where(known, outcome, 0.0).astype(np.float64)[dated]
    ratio, influence = _ratio((errors**2).sum(axis=1), (moves**2).sum(axis=1))
    return 1.0 - ratio, -influence
