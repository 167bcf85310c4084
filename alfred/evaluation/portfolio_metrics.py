"""What a portfolio earned, risked, traded and paid: plain functions of its returns by session.

Axes legend: T dates, N symbols. Returns are simple, one a session; a year has `periods_per_year` sessions. Ratios and
regressions (Sharpe, Sortino, alpha, beta) are of returns in excess of cash, which the caller subtracts; growth, wealth,
drawdown and volatility are of net returns. Standard deviations divide by T - 1. A ratio without a denominator (constant
returns, a single session, no drawdown) is NaN rather than zero or infinite. After ruin (a net return of -1 or less)
wealth stays at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.errors import DataError
from alfred.evaluation.backtest import Backtest
from alfred.typing import FloatArray

# Sessions in a year when nothing else is said; a market and every backtest know their own.
DAYS_PER_YEAR = 252
# Simple returns are differences of numbers near one: what spreads less than this is rounding.
_ROUNDING = 1e-12
# The same for a series that hardly changes, as a share of its own size.
_RELATIVE_ROUNDING = 1e-9


@dataclass(frozen=True)
class PortfolioMetrics:
    """One backtest in numbers; fractions, not per cent.

    Attributes:
        n_days: Sessions T.
        periods_per_year: Sessions in a year, by which everything annual is scaled.
        cagr: Compound annual growth rate of net returns.
        volatility: Annualised standard deviation of net returns.
        sharpe: Annualised Sharpe ratio of net returns in excess of cash.
        sortino: Annualised Sortino ratio of net returns, the target is what cash earned.
        calmar: `cagr` over the depth of the worst drawdown.
        max_drawdown: Worst drawdown, zero or negative.
        turnover: One-way turnover a year (half the sum of absolute weight changes).
        cost: Costs a year, as a fraction of wealth.
        win_rate: Share of sessions above the benchmark.
        win_rate_months: Share of calendar months above the benchmark.
        win_rate_years: Share of calendar years above the benchmark.
        beta: Slope of net returns on the benchmark's, both in excess of cash.
        alpha: Annualised mean return in excess of cash that beta does not explain.
        tracking_error: Annualised standard deviation of net returns less the benchmark's.
        information_ratio: Annualised mean of net returns less the benchmark's, over `tracking_error`.
        gross_exposure: Mean sum of absolute weights, cash left out.
        concentration: Mean Herfindahl index of the shares in the invested part, between 1 / N and 1.
        effective_names: Mean of one over that index: how many equal positions would be as concentrated.
        cash: Mean weight of cash.
    """

    n_days: int
    periods_per_year: int
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
        benchmark: Net returns to compare with, `[T]`, cash not yet subtracted; `backtest.benchmark` when left out.

    Raises:
        DataError: There is no day, a return is not finite, or the benchmark has another length.
    """
    net, benchmark_net = backtest.net, backtest.benchmark if benchmark is None else benchmark
    if not len(net) or benchmark_net.shape != net.shape:
        raise DataError(
            f"backtest '{backtest.name}' has {len(net)} days and its benchmark {len(benchmark_net)}: both need "
            "the same, at least one; backtest them over the same dates"
        )
    for label, series in (("net return", net), ("benchmark return", benchmark_net)):
        if not np.isfinite(series).all():
            row = int(np.argmin(np.isfinite(series)))
            raise DataError(
                f"{label} of backtest '{backtest.name}' is {series[row]} on {backtest.dates[row].date()}: it must be "
                "a finite number; correct the price behind it"
            )
    shares, effective = _compute_concentration(backtest.weights[:, :-1])
    periods, excess, benchmark_excess = backtest.periods_per_year, backtest.excess, benchmark_net - backtest.cash_return
    beta = compute_beta(excess, benchmark_excess)
    return PortfolioMetrics(
        n_days=len(net),
        periods_per_year=periods,
        cagr=compute_cagr(net, periods),
        volatility=compute_volatility(net, periods),
        sharpe=compute_sharpe(excess, periods),
        sortino=compute_sortino(excess, periods),
        calmar=compute_calmar(net, periods),
        max_drawdown=compute_max_drawdown(net),
        turnover=float(backtest.turnover.mean() * periods),
        cost=float(backtest.costs.mean() * periods),
        win_rate=float((net > benchmark_net).mean()),
        win_rate_months=compute_win_rate(net, benchmark_net, backtest.dates, "M"),
        win_rate_years=compute_win_rate(net, benchmark_net, backtest.dates, "Y"),
        beta=beta,
        alpha=float((excess.mean() - beta * benchmark_excess.mean()) * periods),
        tracking_error=compute_volatility(net - benchmark_net, periods),
        information_ratio=compute_sharpe(net - benchmark_net, periods),
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


def compute_cagr(returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the compound annual growth rate of net returns, -1 after ruin.

    A single session is compounded to a year like any other.
    """
    with np.errstate(over="ignore"):
        return float(compute_wealth(returns)[-1] ** (periods_per_year / len(returns)) - 1.0)


def compute_volatility(returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the annualised standard deviation; NaN for a single session."""
    return float(returns.std(ddof=1) * np.sqrt(periods_per_year)) if len(returns) > 1 else float("nan")


def compute_sharpe(returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the annualised Sharpe ratio, mean over standard deviation; NaN for constant returns.

    Args:
        returns: Returns in excess of cash, `[T]`.
        periods_per_year: Sessions in a year.
    """
    if is_constant(returns):
        return float("nan")
    return float(np.sqrt(periods_per_year) * returns.mean() / returns.std(ddof=1))


def compute_sortino(returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the annualised Sortino ratio: mean over the root mean square of losses; NaN when no session lost.

    Args:
        returns: Returns in excess of cash, `[T]`.
        periods_per_year: Sessions in a year.
    """
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))
    return float(np.sqrt(periods_per_year) * returns.mean() / downside) if downside > _ROUNDING else float("nan")


def compute_calmar(returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float:
    """Return CAGR over the depth of the worst drawdown, of net returns; NaN without a drawdown."""
    depth = -compute_max_drawdown(returns)
    return compute_cagr(returns, periods_per_year) / depth if depth > _ROUNDING else float("nan")


def compute_beta(returns: FloatArray, benchmark: FloatArray) -> float:
    """Return the slope of the regression on the benchmark, both in excess of cash; NaN for a constant benchmark."""
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
    own, benchmark_net = (compute_period_returns(series, dates, period) for series in (returns, benchmark))
    return float((own > benchmark_net).mean())


def is_constant(returns: FloatArray) -> bool:
    """Whether a series of returns has no spread to divide by.

    That is fewer than two values, or a standard deviation that rounding alone explains: below 1e-12 (returns come from
    ratios of wealth near one, each right to 2e-16), or below 1e-9 of the largest return. Cash in excess of cash is a
    series of such noise; without a bound it would have any Sharpe ratio.
    """
    return len(returns) < 2 or bool(returns.std() <= find_rounding(returns))


def find_rounding(returns: FloatArray) -> FloatArray:
    """Return the standard deviation up to which the spread of returns `[T, ...]` is rounding; one value a series."""
    return np.asarray(np.maximum(_ROUNDING, _RELATIVE_ROUNDING * np.abs(returns).max(axis=0)))


def _compute_concentration(weights: FloatArray) -> tuple[float, float]:
    """Return the mean Herfindahl index of the invested part and its mean inverse, over days that hold something."""
    size = np.abs(weights)
    exposure = size.sum(axis=1)
    held = exposure > 1e-12
    if not held.any():
        return float("nan"), float("nan")
    index = ((size[held] / exposure[held, None]) ** 2).sum(axis=1)
    return float(index.mean()), float((1.0 / index).mean())
