"""A signal of known strength planted into a real market, and what an oracle that knows it attains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Range
from alfred.data.synthetic.quadratic_program import solve_long_only
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.policy import BaselinePolicy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.typing import Float, Observation

_MEMORY = 0.9  # autocorrelation of the signal from one session to the next: what costs leave worth trading
_N_DISTRACTORS = 2
_LEAST_SESSIONS = 60
_LEAST_VOLATILITY = 1e-6
_LEAST_EIGENVALUE = 1e-4


@dataclass(frozen=True)
class Moments:
    """What is known of growth from one execution to the next, in excess of cash, per session.

    Attributes:
        mean: Its mean, `[N]`.
        volatility: Its standard deviation, `[N]`.
        covariance: Its covariance, `[N, N]`.
    """

    mean: Float
    volatility: Float
    covariance: Float


@dataclass(frozen=True)
class Planted:
    """A planted signal and what is needed to use it best.

    Attributes:
        signals: The signal, of unit variance, and distractors that look like it, `[T, N, 3]`.
        ic: Correlation of the signal with the growth that it foretells.
        moments: What may be known of that growth besides.
    """

    signals: Signals
    ic: float
    moments: Moments

    @property
    def mean(self) -> Float:
        """Mean of growth in excess of cash, `[N]`."""
        return self.moments.mean

    @property
    def volatility(self) -> Float:
        """Its standard deviation, `[N]`."""
        return self.moments.volatility

    @property
    def covariance(self) -> Float:
        """Its covariance, `[N, N]`."""
        return self.moments.covariance


def plant_signal(
    market: Market,
    settings: PortfolioSettings,
    ic: float,
    rng: np.random.Generator,
    *,
    known: Range | None = None,
) -> Planted:
    """Plant a signal that foretells growth from the execution of a decision to the next execution.

    The signal is `w F + sqrt(1 - w^2) e`: F is the exponentially weighted sum of the standardised growth still to
    come, e is noise with the same memory, and w is chosen so that the correlation with the very next growth is `ic`.
    It looks into the future on purpose, and growth is standardised by all sessions on which a symbol was listed, so
    that the correlation is the planted one on any range; an agent has to find out which of the signals it is. Means
    and covariance, which decide what is held without the signal, come from the sessions `known` alone.

    Args:
        market: The user's own.
        settings: The user's own; the execution says what there is to foretell.
        ic: Correlation to plant, below the square root of one less the squared memory, 0.43.
        rng: Draws the noise.
        known: First and last session that the moments may be estimated from; all of them when None.
    """
    tape = prepare_tape(market, None, settings)
    growth = _compute_growth(tape)
    listed = np.where(_find_listed(tape), growth, np.nan)
    mean, volatility, _ = _describe(listed)
    standard = np.nan_to_num((listed - mean) / volatility, nan=0.0)
    coming = np.empty_like(standard)
    total = np.zeros(standard.shape[1])
    scale = np.sqrt(1.0 - _MEMORY**2)
    for row in range(len(standard) - 1, -1, -1):
        total = _MEMORY * total + scale * standard[row]
        coming[row] = total
    share = ic / scale
    noise = [_draw_noise(rng, standard.shape) for _ in range(1 + _N_DISTRACTORS)]
    values = np.stack([share * coming + np.sqrt(1.0 - share**2) * noise[0], *noise[1:]], axis=2)
    # Bar e of the tape executes the decision taken `lag` sessions before, and the tape begins with the market.
    dates = market.dates[: len(values)]
    names = ("planted.signal_1", *(f"planted.distractor_{number + 1}" for number in range(_N_DISTRACTORS)))
    signals = Signals(dates, market.symbols, names, values.astype(np.float32), dates.to_numpy(), (1,) * len(names))
    return Planted(signals, ic, estimate_moments(market, settings, known))


def estimate_moments(market: Market, settings: PortfolioSettings, known: Range | None = None) -> Moments:
    """Estimate what someone knows of growth who has read the sessions `known` and nothing later.

    Only sessions on which a symbol was listed count for it. A symbol with fewer than 60 of them gets the average mean,
    volatility and correlation of the others.

    Args:
        market: The user's own.
        settings: The user's own; the execution says between which prices growth is measured.
        known: First and last session that may be read; all of them when None.
    """
    past = market if known is None else market.until(known[1])
    tape = prepare_tape(past, None, settings)
    # Nothing is earned after the last close, so that a bar on the last session holds no whole growth.
    rows = tape.dates < past.dates[-1]
    if known is not None:
        rows &= tape.dates >= known[0]
    excess = _compute_growth(tape) - (tape.overnight[:, -1:] - 1.0)
    return Moments(*_describe(np.where(_find_listed(tape), excess, np.nan)[rows]))


def _compute_growth(tape: Tape) -> Float:
    """Return simple growth of each symbol from each execution to the next, `[E, N]`."""
    return (tape.overnight if tape.intraday is None else tape.overnight * tape.intraday)[:, :-1] - 1.0


def _find_listed(tape: Tape) -> npt.NDArray[np.bool_]:
    """Return the bars from the first to the last trade of each symbol, halts included, `[E, N]`."""
    traded = tape.tradable[:, :-1]
    return np.logical_or.accumulate(traded, axis=0) & np.logical_or.accumulate(traded[::-1], axis=0)[::-1]


def _describe(growth: Float) -> tuple[Float, Float, Float]:
    """Return mean `[N]`, standard deviation `[N]` and covariance `[N, N]` of growth `[E, N]` with gaps."""
    table = pd.DataFrame(growth)
    least = min(_LEAST_SESSIONS, len(table) // 2)
    covariance = table.cov(min_periods=least).to_numpy(copy=True)
    known = table.count().to_numpy() >= max(least, 2)
    mean = np.where(known, table.mean().to_numpy(), table.mean()[known].mean())
    volatility = np.where(known, table.std(ddof=0).to_numpy(), table.std(ddof=0)[known].mean())
    volatility = np.maximum(volatility, _LEAST_VOLATILITY)
    if growth.shape[1] > 1 and np.isnan(growth).any():
        covariance = _complete(covariance, volatility)
    return mean, volatility, covariance


def _complete(covariance: Float, volatility: Float) -> Float:
    """Give pairs without a covariance the average correlation, and make the matrix positive definite."""
    correlation = covariance / np.outer(volatility, volatility)
    off = correlation[np.isfinite(correlation) & ~np.eye(len(volatility), dtype=bool)]
    correlation = np.where(np.isfinite(correlation), correlation, off.mean() if len(off) else 0.0)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    root = np.sqrt(np.diag(correlation))
    return np.asarray(correlation / np.outer(root, root) * np.outer(volatility, volatility))


def shuffle_signals(signals: Signals, rng: np.random.Generator) -> Signals:
    """Return the same signals with their dates in another order: whatever they foretold is gone."""
    order = rng.permutation(len(signals.dates))
    return Signals(
        signals.dates, signals.symbols, signals.names, signals.values[order], signals.trained_until, signals.horizons
    )


class Oracle(BaselinePolicy):
    """Trades a share of the way to the long-only mean-variance optimum under the known model of the signal.

    Args:
        planted: The model; its signals are read from observations.
        risk_aversion: Price of variance.
        adjustment: Share of the way that it trades at a decision.
        knows: Whether it reads the signal; without it, it is the best that can be done with no skill.
    """

    rebalance_every: int | None = None
    # It shows what an agent could attain, so that it keeps to what agents keep to.
    under_mandate = True
    long_only = False

    def __init__(self, planted: Planted, risk_aversion: float, adjustment: float, *, knows: bool = True) -> None:
        """Keep the model."""
        self.name = f"oracle {adjustment:g}" if knows else "no skill"
        self.planted, self.risk_aversion, self.adjustment = planted, risk_aversion, adjustment
        self.ic = planted.ic if knows else 0.0

    def predict(self, observation: Observation) -> Float:
        """Return the weights; see `Policy`."""
        planted = self.planted
        means = planted.mean + self.ic * planted.volatility * observation["signals"][:, :, 0].astype(np.float64)
        tradable = observation["tradable"] > 0
        # A symbol that cannot be bought is made unattractive rather than left out, which keeps one covariance for all.
        means = np.where(tradable, means, -1.0)
        target = solve_long_only(means, planted.covariance, self.risk_aversion, tolerance=1e-5)
        held = observation["weights"][:, :-1].astype(np.float64)
        weights = np.maximum(held + self.adjustment * (target - held), 0.0)
        return np.hstack([weights, 1.0 - weights.sum(axis=1, keepdims=True)])


def _draw_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    from alfred.data.synthetic.world import draw_autoregressive

    return draw_autoregressive(rng, shape, _MEMORY)
