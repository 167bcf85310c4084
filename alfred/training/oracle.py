"""A signal of known strength planted into a real market, and what someone who knows it attains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.synthetic.quadratic_program import solve_long_only
from alfred.envs.episodes import prepare_tape
from alfred.envs.ledger import Float
from alfred.envs.observations import Observation
from alfred.envs.settings import PortfolioSettings

_MEMORY = 0.9  # autocorrelation of the signal from one session to the next: what costs leave worth trading
_N_DISTRACTORS = 2


@dataclass(frozen=True)
class Planted:
    """A planted signal and what is needed to use it best.

    Attributes:
        signals: The signal, of unit variance, and distractors that look like it, `[T, N, 3]`.
        ic: Correlation of the signal with the growth that it foretells.
        volatility: Standard deviation of that growth by symbol, `[N]`.
        mean: Its mean, `[N]`.
        covariance: Its covariance, `[N, N]`.
    """

    signals: Signals
    ic: float
    volatility: Float
    mean: Float
    covariance: Float


def plant_signal(market: Market, settings: PortfolioSettings, ic: float, rng: np.random.Generator) -> Planted:
    """Plant a signal that foretells growth from the execution of a decision to the next execution.

    The signal is `w F + sqrt(1 - w^2) e`: F is the exponentially weighted sum of the standardised growth still to
    come, e is noise with the same memory, and w is chosen so that the correlation with the very next growth is `ic`.
    It looks into the future on purpose; an agent has to find out which of the signals it is.

    Args:
        market: The user's own.
        settings: The user's own; the execution says what there is to foretell.
        ic: Correlation to plant, below the square root of one less the squared memory, 0.43.
        rng: Draws the noise.
    """
    tape = prepare_tape(market, None, settings)
    growth = (tape.overnight if tape.intraday is None else tape.overnight * tape.intraday)[:, :-1] - 1.0
    mean, volatility = growth.mean(axis=0), np.maximum(growth.std(axis=0), 1e-6)
    standard = (growth - mean) / volatility
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
    return Planted(signals, ic, volatility, mean, np.cov(growth.T).reshape(market.n_symbols, -1))


def shuffle_signals(signals: Signals, rng: np.random.Generator) -> Signals:
    """Return the same signals with their dates in another order: whatever they foretold is gone."""
    order = rng.permutation(len(signals.dates))
    return Signals(
        signals.dates, signals.symbols, signals.names, signals.values[order], signals.trained_until, signals.horizons
    )


class Oracle:
    """Trades a share of the way to the long-only mean-variance optimum under the true model of the signal.

    Args:
        planted: The model; its signals are read from observations.
        risk_aversion: Price of variance.
        adjustment: Share of the way that it trades at a decision.
        knows: Whether it reads the signal; without it, it is the best that can be done with no skill.
    """

    lookback = 0
    rebalance_every: int | None = None

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
