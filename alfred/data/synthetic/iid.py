"""Returns without memory: what is optimal is a closed form, and every signal is noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.data.synthetic.world import Optimum, SyntheticMarket, annualise, assemble
from alfred.errors import DataError

Panel = npt.NDArray[np.float64]


def make_lognormal_market(
    drifts: npt.ArrayLike = (-0.00003, -0.00001, -0.00003),
    covariance: npt.ArrayLike = ((4e-4, 1e-4, 1e-4), (1e-4, 3e-4, 1e-4), (1e-4, 1e-4, 3e-4)),
    *,
    n_days: int = 2600,
    n_signals: int = 2,
    seed: int = 0,
) -> SyntheticMarket:
    """Draw iid log-normal returns, whose growth-optimal weights are known.

    With simple drift m = drifts + diag(S) / 2 a session and covariance S of the log returns, the weights S^-1 m
    maximise the growth rate w'm - w'Sw / 2 of a portfolio that is rebalanced continuously (Merton 1969); rebalanced
    daily, it is the same up to terms of the order of one session's variance squared. Nothing bounds the weights:
    choose drifts for which they are positive and sum to less than 1 when the policy to be judged may neither borrow
    nor go short. By default they are 0.3, 0.3 and 0.2: each asset alone shrinks, the portfolio grows.

    Args:
        drifts: Mean log return a session, `[N]`.
        covariance: Covariance of log returns a session, `[N, N]`.
        n_days: Sessions T.
        n_signals: Signals, all noise, K.
        seed: Seed of the draw.

    Returns:
        The market, signals `noise.signal_1`, ..., and the optimum in closed form, its utility the growth rate.

    Raises:
        DataError: The covariance does not fit the drifts, or is not positive definite.
    """
    drift: Panel = np.asarray(drifts, dtype=np.float64)
    cov: Panel = np.asarray(covariance, dtype=np.float64)
    if cov.shape != (len(drift), len(drift)) or not (np.linalg.eigvalsh(cov) > 0).all():
        raise DataError(f"the covariance must be positive definite with shape {(len(drift),) * 2}, not {cov.shape}")
    rng = np.random.default_rng(seed)
    returns = np.expm1(rng.multivariate_normal(drift, cov, n_days, method="cholesky"))
    means = drift + np.diag(cov) / 2
    weights = np.linalg.solve(cov, means).astype(np.float64)
    return _finish(returns, rng, n_signals, "Synthetic: independent log-normal returns.", weights, drift, cov)


def make_noise_market(
    *, n_assets: int = 10, volatility: float = 0.015, n_days: int = 2600, n_signals: int = 5, seed: int = 0
) -> SyntheticMarket:
    """Draw martingales: no simple return can be foretold and none is expected, so that cash is optimal.

    Args:
        n_assets: Assets, without the benchmark.
        volatility: Standard deviation of each log return a session.
        n_days: Sessions T.
        n_signals: Signals, all noise, K.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    cov: Panel = np.eye(n_assets) * volatility**2
    drift: Panel = np.full(n_assets, -(volatility**2) / 2)
    returns = np.expm1(drift + volatility * rng.standard_normal((n_days, n_assets)))
    return _finish(returns, rng, n_signals, "Synthetic: pure noise.", np.zeros(n_assets), drift, cov)


def _finish(
    returns: Panel, rng: np.random.Generator, n_signals: int, note: str, weights: Panel, drift: Panel, cov: Panel
) -> SyntheticMarket:
    values = rng.standard_normal((*returns.shape, n_signals))
    names = tuple(f"noise.signal_{k + 1}" for k in range(n_signals))
    # The exact mean and covariance of simple returns: moments of the log-normal distribution.
    growth = np.exp(drift + np.diag(cov) / 2)
    mean, variance = weights @ (growth - 1), weights @ (np.outer(growth, growth) * np.expm1(cov)) @ weights
    sharpe = annualise(float(mean), float(variance))
    optimum = Optimum(
        weights=np.tile(weights, (len(returns), 1)),
        sharpe=sharpe,
        sharpe_error=0.0,
        no_skill_sharpe=sharpe,
        utility=float(weights @ (drift + np.diag(cov) / 2) - weights @ cov @ weights / 2),
        risk_aversion=1.0,
    )
    return assemble(returns, values, names, optimum, horizon=1, note=note)
