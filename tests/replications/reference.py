"""The strategies of the literature and their wealth in plain loops over days, from the papers alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# From the portfolio of yesterday and the relatives so far, the portfolio of today.
Update = Callable[[np.ndarray, np.ndarray], np.ndarray]


def walk(relatives: np.ndarray, update: Update) -> np.ndarray:
    """Portfolio of each day, uniform on the first, `[T, N]`."""
    portfolios = [np.full(relatives.shape[1], 1.0 / relatives.shape[1])]
    for day in range(1, len(relatives)):
        portfolios.append(update(portfolios[-1], relatives[:day]))
    return np.array(portfolios)


def compute_wealth(
    relatives: np.ndarray, portfolios: np.ndarray, cost_bps: float = 0.0, *, exact: bool = True
) -> float:
    """Wealth at the end; the first portfolio is there already, and costs nothing.

    The literature charges `c sum |b - drifted|` of the wealth before the trade. Exactly, what is left of it, v, has to
    pay for the trade to `b v`: `v = 1 - c sum |b v - drifted|`.
    """
    rate, wealth, drifted = cost_bps / 1e4, 1.0, portfolios[0]
    for x, portfolio in zip(relatives, portfolios, strict=True):
        left = 1.0 - rate * np.abs(portfolio - drifted).sum()
        if exact and rate:
            for _ in range(12):
                left = 1.0 - rate * np.abs(portfolio * left - drifted).sum()
        growth = portfolio @ x
        wealth *= left * growth
        drifted = portfolio * x / growth
    return float(wealth)


def project(point: np.ndarray) -> np.ndarray:
    """Nearest point of the simplex: what falls below zero leaves, and the others share what is missing (Michelot)."""
    active = np.ones(len(point), dtype=bool)
    while True:
        level = (point[active].sum() - 1.0) / active.sum()
        leaving = active & (point < level)
        if not leaving.any():
            return np.where(active, point - level, 0.0)
        active &= ~leaving


def exponentiated_gradient(portfolio: np.ndarray, past: np.ndarray) -> np.ndarray:
    grown = portfolio * np.exp(0.05 * past[-1] / (portfolio @ past[-1]))
    return grown / grown.sum()


def pamr(portfolio: np.ndarray, past: np.ndarray) -> np.ndarray:
    deviation = past[-1] - past[-1].mean()
    if not deviation.any():  # a holiday stands in `msci` as a day on which no price moved
        return portfolio
    loss = max(0.0, portfolio @ past[-1] - 0.5)
    return project(portfolio - loss / (deviation @ deviation) * deviation)


def olmar(portfolio: np.ndarray, past: np.ndarray) -> np.ndarray:
    if len(past) < 2:
        return portfolio
    if len(past) <= 5:
        expected = past[-1]
    else:
        prices = np.cumprod(past[-5:], axis=0)
        expected = prices.mean(axis=0) / prices[-1]
    deviation = expected - expected.mean()
    loss = max(0.0, 10.0 - portfolio @ expected)
    return project(portfolio + loss / (deviation @ deviation) * deviation)


def uniform(portfolio: np.ndarray, past: np.ndarray) -> np.ndarray:
    return portfolio


def compute_universal_wealth(pair: np.ndarray, points: int = 21) -> float:
    """Wealth split over the mixes of a grid, each left to itself."""
    return float(np.mean([np.prod(pair @ np.array([b, 1.0 - b])) for b in np.linspace(0.0, 1.0, points)]))
