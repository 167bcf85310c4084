"""The model behind a planted signal: means and covariances are known, so that its optimum can be computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.data.synthetic.world import SESSIONS_A_YEAR, draw_autoregressive
from alfred.errors import DataError

Panel = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlantedModel:
    """Returns with one common factor and one predictive signal an asset.

    r[t+1+lag, i] = mean_i + ic x sigma_i x s[t, i] + beta_i x f[t+1+lag] + e[t+1+lag, i], where s is AR(1) of unit
    variance, independent across assets, and e is Gaussian with what is left of the idiosyncratic variance, so that
    the total volatility sigma_i does not depend on the information coefficient.

    The defaults are those of a market whose equal weight has a Sharpe ratio of 0.74 at 14.5 % volatility.

    Attributes:
        ic: Information coefficient: correlation of the signal with the return that it foretells.
        n_assets: Assets N, without the benchmark.
        n_distractors: Series that look like the signal and foretell nothing.
        autocorrelation: Of signal and distractors, from one session to the next.
        factor_volatility: Standard deviation of the common factor a session.
        own_volatility: Standard deviation of the rest of an asset's return a session.
        beta_spread: Betas run evenly from 1 - spread to 1 + spread.
        sharpe: Sharpe ratio a year of the equal weight of all assets.
    """

    ic: float = 0.05
    n_assets: int = 10
    n_distractors: int = 4
    autocorrelation: float = 0.9
    factor_volatility: float = 0.008
    own_volatility: float = 0.014
    beta_spread: float = 0.0
    sharpe: float = 0.74

    def __post_init__(self) -> None:
        """Refuse a model that cannot be drawn.

        Raises:
            DataError: A number is out of its range.
        """
        if not 0 <= self.autocorrelation < 1:
            raise DataError(f"autocorrelation is {self.autocorrelation}; it must be at least 0 and below 1")
        if self.n_assets < 1 or self.n_distractors < 0:
            raise DataError(f"n_assets is {self.n_assets} and n_distractors {self.n_distractors}: too few")
        if (self.ic * self.volatilities >= self.own_volatility).any():
            limit = self.own_volatility / self.volatilities.max()
            raise DataError(f"ic is {self.ic}; it must stay below {limit:.3f}, the share of risk that is not common")

    @property
    def half_life_days(self) -> float:
        """Sessions after which half of a signal is gone; 0 for no memory."""
        return float(np.log(0.5) / np.log(self.autocorrelation)) if self.autocorrelation > 0 else 0.0

    @property
    def betas(self) -> Panel:
        """Loadings on the factor, `[N]`."""
        return np.linspace(1 - self.beta_spread, 1 + self.beta_spread, self.n_assets)

    @property
    def volatilities(self) -> Panel:
        """Total standard deviation of each asset a session, sigma_i, `[N]`."""
        total: Panel = np.sqrt((self.betas * self.factor_volatility) ** 2 + self.own_volatility**2)
        return total

    @property
    def unconditional_covariance(self) -> Panel:
        """Covariance of returns for someone without the signal, `[N, N]`."""
        common = np.outer(self.betas, self.betas) * self.factor_volatility**2
        return common + np.eye(self.n_assets) * self.own_volatility**2

    @property
    def covariance(self) -> Panel:
        """Covariance of returns given the signal, `[N, N]`."""
        return self.unconditional_covariance - np.diag((self.ic * self.volatilities) ** 2)

    @property
    def means(self) -> Panel:
        """Unconditional expected returns, proportional to beta, `[N]`."""
        equal = np.full(self.n_assets, 1 / self.n_assets)
        risk = np.sqrt(equal @ self.unconditional_covariance @ equal)
        return self.betas * float(self.sharpe * risk / np.sqrt(SESSIONS_A_YEAR))

    def expect(self, signal: Panel) -> Panel:
        """Return the expected returns given signals, `[..., N]`."""
        return self.means + self.ic * self.volatilities * signal

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Panel, Panel]:
        """Draw signals and the returns that they foretell, both `[*shape, N]`; time is the first axis."""
        signal = draw_autoregressive(rng, (*shape, self.n_assets), self.autocorrelation)
        common = self.factor_volatility * rng.standard_normal((*shape, 1)) * self.betas
        rest = np.sqrt(self.own_volatility**2 - (self.ic * self.volatilities) ** 2)
        return signal, self.expect(signal) + common + rest * rng.standard_normal(signal.shape)
