"""What a portfolio earned, risked, traded and paid: plain functions of daily net returns.

Axes legend: T dates, N symbols. Returns are simple and daily. A year has 252 sessions, the risk-free rate is zero, and
standard deviations divide by T - 1. A ratio without a denominator (constant returns, a single day, no drawdown) is NaN
rather than zero or infinite. After ruin (a net return of -1 or less) wealth stays at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.data.market import FloatArray
from alfred.errors import DataError
from alfred.evaluation.backtest import Backtest

DAYS_PER_YEAR = 252


@dataclass(frozen=True)
class PortfolioMetrics:
    """One backtest in numbers; fractions, not per cent.

    Attributes:
        n_days: Sessions T.
        cagr: Compound annual growth rate, net.
        volatility: Annualised standard deviation of net returns.
        sharpe: Annualised Sharpe ratio of net returns, risk-free rate zero.
        sortino: Annualised Sortino ratio, target zero.
        calmar: `cagr` over the depth of the worst drawdown.
        max_drawdown: Worst drawdown, zero or negative.
        turnover: One-way turnover a year (half the sum of absolute weight changes).
        cost: Costs a year, as a fraction of wealth.
        win_rate: Share of days above the benchmark.
        win_rate_months: Share of calendar months above the benchmark.
        win_rate_years: Share of calendar years above the benchmark.
        beta: Slope of net returns on the benchmark's.
        alpha: Annualised mean return that beta does not explain.
        tracking_error: Annualised standard deviation of net returns less the benchmark's.
        information_ratio: Annualised mean of net returns less the benchmark's, over `tracking_error`.
        gross_exposure: Mean sum of absolute weights, cash left out.
        concentration: Mean Herfindahl index of the shares in the invested part, between 1 / N and 1.
        effective_names: Mean of one over that index: how many equal positions would be as concentrated.
        cash: Mean weight of cash.
    """

    n_days: int
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown: float
    turnover: float
    cost: float
    win_rate: float
    win_rate_months: float
    win_rate_years: float
    beta: float
    alpha: float
    tracking_error: float
    information_ratio: float
    gross_exposure: float
    concentration: float
    effective_names: float
    cash: float


def compute_portfolio_metrics(backtest: Backtest, benchmark: FloatArray | None = None) -> PortfolioMetrics:
    """Compute every metric of a backtest.

    Args:
        backtest: The record.
        benchmark: Daily returns to compare with, `[T]`; `backtest.benchmark` when left out.

    Raises:
        DataError: There is no day, a return is not finite, or the benchmark has another length.
    """
    net, rival = backtest.net, backtest.benchmark if benchmark is None else benchmark
    if not len(net) or rival.shape != net.shape:
        raise DataError(
            f"backtest '{backtest.name}' has {len(net)} days and its benchmark {len(rival)}: both need the same, "
            "at least one; backtest them over the same dates"
        )
    for label, series in (("net return", net), ("benchmark return", rival)):
        if not np.isfinite(series).all():
            row = int(np.argmin(np.isfinite(series)))
            raise DataError(
                f"{label} of backtest '{backtest.name}' is {series[row]} on {backtest.dates[row].date()}: it must be "
                "a finite number; correct the price behind it"
            )
    shares, effective = _compute_concentration(backtest.weights[:, :-1])
    beta = compute_beta(net, rival)
    return PortfolioMetrics(
        n_days=len(net),
        cagr=compute_cagr(net),
        volatility=compute_volatility(net),
        sharpe=compute_sharpe(net),
        sortino=compute_sortino(net),
        calmar=compute_calmar(net),
        max_drawdown=compute_max_drawdown(net),
        turnover=float(backtest.turnover.mean() * DAYS_PER_YEAR),
        cost=float(backtest.costs.mean() * DAYS_PER_YEAR),
        win_rate=float((net > rival).mean()),
        win_rate_months=compute_win_rate(net, rival, backtest.dates, "M"),
        win_rate_years=compute_win_rate(net, rival, backtest.dates, "Y"),
        beta=beta,
        alpha=float((net.mean() - beta * rival.mean()) * DAYS_PER_YEAR),
        tracking_error=compute_volatility(net - rival),
        information_ratio=compute_sharpe(net - rival),
        gross_exposure=float(np.abs(backtest.weights[:, :-1]).sum(axis=1).mean()),
        concentration=shares,
        effective_names=effective,
        cash=float(backtest.weights[:, -1].mean()),
    )


def compute_wealth(returns: FloatArray) -> FloatArray:
    """Return wealth from one unit before the first day, `[T]`; zero from a return of -1 or less onwards."""
    return np.cumprod(np.maximum(1.0 + returns, 0.0), axis=0)


def compute_drawdowns(returns: FloatArray) -> FloatArray:
    """Return wealth over its running maximum, less one, along the first axis: zero or negative, the same shape.

    The one unit before the first day counts as a maximum, so that a loss on day one is a drawdown.
    """
    wealth = compute_wealth(returns)
    return wealth / np.maximum(np.maximum.accumulate(wealth, axis=0), 1.0) - 1.0


def compute_max_drawdown(returns: FloatArray) -> float:
    """Return the worst drawdown, zero or negative."""
    return float(compute_drawdowns(returns).min())


def compute_cagr(returns: FloatArray) -> float:
    """Return the compound annual growth rate, -1 after ruin; a single day is compounded to a year like any other."""
    with np.errstate(over="ignore"):
        return float(compute_wealth(returns)[-1] ** (DAYS_PER_YEAR / len(returns)) - 1.0)


def compute_volatility(returns: FloatArray) -> float:
    """Return the annualised standard deviation; NaN for a single day."""
    return float(returns.std(ddof=1) * np.sqrt(DAYS_PER_YEAR)) if len(returns) > 1 else float("nan")


def compute_sharpe(returns: FloatArray) -> float:
    """Return the annualised Sharpe ratio, sqrt(252) mean / standard deviation; NaN for constant returns."""
    if is_constant(returns):
        return float("nan")
    return float(np.sqrt(DAYS_PER_YEAR) * returns.mean() / returns.std(ddof=1))


def compute_sortino(returns: FloatArray) -> float:
    """Return the annualised Sortino ratio: mean over the root mean square of losses; NaN when no day lost."""
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))
    return float(np.sqrt(DAYS_PER_YEAR) * returns.mean() / downside) if downside > 0 else float("nan")


def compute_calmar(returns: FloatArray) -> float:
    """Return CAGR over the depth of the worst drawdown; NaN without a drawdown."""
    depth = -compute_max_drawdown(returns)
    return compute_cagr(returns) / depth if depth > 0 else float("nan")


def compute_beta(returns: FloatArray, benchmark: FloatArray) -> float:
    """Return the slope of the regression on the benchmark; NaN when the benchmark is constant."""
    if is_constant(benchmark):
        return float("nan")
    centred = benchmark - benchmark.mean()
    return float(centred @ returns / (centred @ centred))


def compute_period_returns(returns: FloatArray, dates: pd.DatetimeIndex, period: str) -> pd.Series:
    """Compound daily returns over calendar periods.

    Args:
        returns: Daily returns, `[T]`.
        dates: Their dates, `[T]`.
        period: A pandas period alias: `M` for months, `Y` for years. The first and last may be incomplete.
    """
    return pd.Series(1.0 + returns).groupby(dates.to_period(period)).prod() - 1.0


def compute_win_rate(returns: FloatArray, benchmark: FloatArray, dates: pd.DatetimeIndex, period: str) -> float:
    """Return the share of calendar periods in which the compounded return is above the benchmark's."""
    own, rival = (compute_period_returns(series, dates, period) for series in (returns, benchmark))
    return float((own > rival).mean())


def is_constant(returns: FloatArray) -> bool:
    """Whether a series has no spread to divide by: fewer than two values, or all of them equal."""
    return len(returns) < 2 or bool(np.ptp(returns) == 0)


def _compute_concentration(weights: FloatArray) -> tuple[float, float]:
    """Return the mean Herfindahl index of the invested part and its mean inverse, over days that hold something."""
    size = np.abs(weights)
    exposure = size.sum(axis=1)
    held = exposure > 1e-12
    if not held.any():
        return float("nan"), float("nan")
    index = ((size[held] / exposure[held, None]) ** 2).sum(axis=1)
    return float(index.mean()), float((1.0 / index).mean())
