"""Two regimes of volatility: fitted on the past by maximum likelihood, filtered through a window, never smoothed.

Axes legend: B windows, L returns of a window.
"""

from __future__ import annotations

import warnings
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np

from alfred.errors import import_extra
from alfred.typing import Float

FEWEST_RETURNS = 250
"""Returns that a fit needs: a year."""

_PER_CENT = 100.0  # Likelihoods are climbed more surely with numbers near one.
_LEAST_STAY = 0.5  # A regime that lasts less than two sessions is a fat tail and no regime.
_FURTHER = 3  # numbers that one regime more costs


@dataclass(frozen=True)
class Regimes:
    """A Markov chain of a calm and a volatile regime with one mean (Hamilton, 1989, with switching variance).

    r_t = mean + sigma_{s_t} e_t, e_t standard normal, s_t in {calm, volatile}, a first-order Markov chain.

    Attributes:
        stay_calm: Probability that a calm session is followed by a calm one.
        stay_volatile: Probability that a volatile session is followed by a volatile one.
        mean: Mean return, in per cent a session.
        calm: Variance of the calm regime, in squared per cent.
        volatile: Variance of the volatile regime.
    """

    stay_calm: float
    stay_volatile: float
    mean: float
    calm: float
    volatile: float

    @classmethod
    def fit(cls, returns: Float) -> Self | None:
        """Return the regimes of a history, or None where two cannot be told apart.

        Two are taken only where the Bayesian information criterion prefers them to one normal distribution, and where
        each lasts two sessions or more in the mean.

        Args:
            returns: Log returns, ascending in time, `[L]`; NaN is left out.

        Raises:
            MissingExtraError: `statsmodels` is not installed.
        """
        module = import_extra("statsmodels.tsa.regime_switching.markov_regression", "macro")
        known = _PER_CENT * returns[np.isfinite(returns)]
        if len(known) < FEWEST_RETURNS or float(known.std()) < 1e-6:
            return None
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            model = module.MarkovRegression(known, k_regimes=2, switching_trend=False, switching_variance=True)
            try:
                # No random searches for a start: the same history gives the same regimes.
                found = model.fit(search_reps=0, em_iter=20, maxiter=200, disp=False, cov_type="none")
                values = dict(zip(model.param_names, np.asarray(found.params, dtype=np.float64), strict=True))
            except (np.linalg.LinAlgError, ValueError):
                return None
        if not np.isfinite(list(values.values())).all():
            return None
        stay, leave = float(values["p[0->0]"]), float(values["p[1->0]"])
        first, second = float(values["sigma2[0]"]), float(values["sigma2[1]"])
        if min(first, second) <= 0 or not (0 < stay < 1 and 0 < leave < 1):
            return None
        alone = -0.5 * len(known) * (np.log(2 * np.pi * known.var()) + 1.0)
        if float(found.llf) - alone <= 0.5 * _FURTHER * np.log(len(known)) or min(stay, 1.0 - leave) < _LEAST_STAY:
            return None
        mean = float(values["const"])
        if first <= second:
            return cls(stay, 1.0 - leave, mean, first, second)
        return cls(1.0 - leave, stay, mean, second, first)

    def filter(self, returns: Float) -> Float:
        """Return the probability of the volatile regime at the end of each window, `[B]`, by the window alone.

        Hamilton's filter, begun with the long-run shares of the regimes. A missing return tells nothing.

        Args:
            returns: Log returns, `[B, L]`; NaN where missing.
        """
        leave_calm, leave_volatile = 1.0 - self.stay_calm, 1.0 - self.stay_volatile
        ahead = np.full(len(returns), leave_calm / (leave_calm + leave_volatile))
        now = ahead
        for column in _PER_CENT * returns.T:
            apart = (column - self.mean) ** 2
            # The ratio of the two densities, calm over volatile; its logarithm is bounded lest it overflow.
            log_ratio = 0.5 * (np.log(self.volatile / self.calm) + apart * (1.0 / self.volatile - 1.0 / self.calm))
            calm = (1.0 - ahead) * np.exp(np.clip(log_ratio, -500.0, 500.0))
            now = np.where(np.isfinite(column), ahead / np.where(np.isfinite(column), ahead + calm, 1.0), ahead)
            ahead = now * self.stay_volatile + (1.0 - now) * leave_calm
        return np.asarray(now)

    def to_array(self) -> Float:
        """Return the five numbers."""
        return np.array(astuple(self))
