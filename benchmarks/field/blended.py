"""Two portfolios on the forecasts of the blend: mean-variance, and the aim portfolio of Garleanu and Pedersen.

Every signal is taken for the forecast of an analyst of its own, features with the sign that the literature gives them,
and the blend (`alfred.training.blending`) with its usual settings says how much of each to believe. What it says of all
assets alike is left out: a book that is never in cash has no use for it.

Mean-variance (Markowitz, 1952): argmax of w'm - g / 2 w'Sw, where m is the blend's forecast, S the covariance of the
two years before the refit (Ledoit and Wolf, 2004) and g the risk aversion of the environment; it trades all the way.

Aim (Garleanu and Pedersen, 2013, propositions 2 to 4, costs proportional to risk, no discounting): the same portfolio
of the forecast damped by how fast it fades, approached by a constant share a session. Their costs are quadratic and
the ledger's proportional: the two are made equal for the trade of one equal weight.

Different in both: no short positions, no cash and no leverage.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.covariance import LedoitWolf

from alfred.config import BlendSettings
from alfred.data.signals import Signals
from alfred.data.synthetic.quadratic import solve_quadratic
from alfred.data.synthetic.quadratic_program import solve_long_only
from alfred.envs.policy import Policy
from alfred.training.blending.panels import MEAN, make_panel, measure_volatility
from alfred.training.blending.walk import fit_weights
from alfred.typing import Float, Observation

from .past import Past

SETTINGS = BlendSettings()
# Last month's winners lose (Jegadeesh, 1990), and volatile stocks earn less (Ang, Hodrick, Xing and Zhang, 2006).
AGAINST = ("feature.momentum_1", "feature.roc_5", "feature.volatility_60")
COVARIANCE_DAYS, TOLERANCE, ALL_IN = 504, 1e-9, 1.0


class BlendPolicy:
    """Approaches the long-only portfolio of what the blend forecasts.

    Args:
        name: Name in tables.
        forecast: Expected returns a session from signals, `[P, N, K] -> [P, N]`.
        covariance: Of the symbols a session, `[N, N]`.
        risk_aversion: Price of variance.
        pace: Share of the way that one decision goes.
        rebalance_every: Sessions from one decision to the next.
    """

    lookback = 0

    def __init__(
        self,
        name: str,
        forecast: Callable[[Float], Float],
        covariance: Float,
        risk_aversion: float,
        pace: float,
        rebalance_every: int | None,
    ) -> None:
        self.name, self.rebalance_every = name, rebalance_every
        self.forecast, self.covariance, self.risk_aversion, self.pace = forecast, covariance, risk_aversion, pace

    def reset(self, rows: object = None) -> None:
        """Forget nothing: there is no state but the weights that are held, which are observed."""

    def predict(self, observation: Observation) -> Float:
        tradable = observation["tradable"] > 0
        means = self.forecast(observation["signals"].astype(np.float64))
        aims = np.zeros(tradable.shape)
        for pattern in np.unique(tradable, axis=0):
            rows, columns = np.flatnonzero((tradable == pattern).all(axis=1)), np.flatnonzero(pattern)
            if len(columns):
                part = self.covariance[np.ix_(columns, columns)]
                # A premium on all assets alike, so that nothing is left in cash.
                found = solve_long_only(means[np.ix_(rows, columns)] + ALL_IN, part, self.risk_aversion, TOLERANCE)
                aims[np.ix_(rows, columns)] = found
        kept = observation["weights"][:, :-1] * tradable * (1.0 - self.pace)
        weights = kept + (1.0 - kept.sum(axis=1, keepdims=True)) * aims  # cash that waits goes in at once
        return np.hstack([weights, 1.0 - weights.sum(axis=1, keepdims=True)])


def fit_mean_variance(past: Past) -> Policy:
    """Trade all the way, once a month on daily forecasts of a month."""
    forecast, covariance, _ = _learn(past)
    risk_aversion = past.environment.reward.risk_aversion
    return BlendPolicy("mean-variance", forecast, covariance, risk_aversion, 1.0, max(past.horizon, 1))


def fit_aim(past: Past) -> Policy:
    """Trade a share of the way towards the damped forecast, every session."""
    forecast, covariance, memory = _learn(past)
    risk_aversion = past.environment.reward.risk_aversion
    n_assets = len(past.market.universe)
    cost = 2.0 * past.cost * n_assets / float(np.mean(np.diag(covariance)))
    pace, scale = solve_quadratic(memory, risk_aversion, cost)
    return BlendPolicy("aim", lambda signals: scale * forecast(signals), covariance, risk_aversion, pace, None)


def _learn(past: Past) -> tuple[Callable[[Float], Float], Float, float]:
    """Return the forecast a session, the covariance a session, and the autocorrelation of the forecast."""
    market, signals, horizon = past.market, past.signals, past.horizon
    volatility = measure_volatility(market)
    rows = market.dates.get_indexer(signals.dates)
    unit = np.nan_to_num(volatility[rows] * np.sqrt(horizon))
    names = tuple(f"s{number}.{MEAN}_{horizon}" for number in range(signals.n_signals))
    signs = np.where(np.isin(signals.names, AGAINST), -1.0, 1.0)
    told = (signals.values * signs * unit[:, :, None]).astype(np.float32)
    forecasts = Signals(
        signals.dates, signals.symbols, names, told, signals.trained_until, (horizon,) * signals.n_signals
    )
    panel = make_panel(market, forecasts, horizon, volatility)
    heard = np.ones(signals.n_signals, dtype=bool)
    _, weights = fit_weights(panel, len(signals.dates) - 1, SETTINGS).read(heard)
    closes = np.log(market.close[-COVARIANCE_DAYS - 1 :].astype(np.float64))
    moves = np.nan_to_num(np.diff(closes, axis=0))
    covariance = np.asarray(LedoitWolf().fit(moves).covariance_)
    universe = [market.index_of(symbol) for symbol in market.universe]
    scale = np.sqrt(np.diag(covariance)) / np.sqrt(horizon)
    forecast = partial(_combine, weights=signs * weights, scale=scale, universe=universe)
    said = forecast(np.nan_to_num(signals.values).astype(np.float64))[:, universe]
    power = float((said**2).mean())
    memory = float((said[1:] * said[:-1]).mean()) / power if power > 0 else 0.0
    return forecast, covariance, float(np.clip(memory, 0.0, 1.0))


def _combine(signals: Float, weights: Float, scale: Float, universe: list[int]) -> Float:
    """Return expected returns a session against those of the others, `[P, N]`, from signals `[P, N, K]`."""
    means = signals[:, universe].mean(axis=1, keepdims=True)
    return np.asarray(((signals - means) @ weights) * scale)
