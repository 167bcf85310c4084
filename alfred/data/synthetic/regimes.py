"""Daily bars with volatility clustering and a hidden regime, as real markets have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.data.synthetic.world import Optimum, SyntheticMarket, annualise, assemble, draw_autoregressive

Panel = npt.NDArray[np.float64]

_STEPS_A_DAY = 13


@dataclass(frozen=True)
class RegimeModel:
    """The return of the equal weight: two hidden regimes over a GARCH(1, 1) variance.

    In regime S the return is N(mean_S, scale_S^2 h_t), and
    h_{t+1} = omega + alpha (r_t - mean of the means)^2 + beta h_t is known at the close of t. Only the regime is
    hidden, so that the filter of Hamilton (1989) is exact. Assets are the equal weight plus own noise that sums to
    zero.

    Attributes:
        means: Mean simple return a session in the calm and the stormy regime.
        scales: Factor on the standard deviation in the two.
        stay: Probability of staying in each regime for another session.
        omega: Constant of the variance.
        alpha: Weight of the last squared return.
        beta: Weight of the last variance.
        own_volatility: Standard deviation of an asset around the equal weight.
    """

    means: tuple[float, float] = (8e-4, -6e-4)
    scales: tuple[float, float] = (0.9, 1.2)
    stay: tuple[float, float] = (0.99, 0.97)
    omega: float = 2e-6
    alpha: float = 0.08
    beta: float = 0.88
    own_volatility: float = 0.01

    @property
    def long_run(self) -> Panel:
        """Share of sessions in each regime, `[2]`."""
        leave = 1 - np.array(self.stay)
        share: Panel = leave[::-1] / leave.sum()
        return share

    def draw(self, rng: np.random.Generator, n_days: int) -> tuple[Panel, Panel, Panel]:
        """Draw returns `[T]`, variances known before each of them `[T]`, and regimes `[T]` (0 or 1)."""
        uniform, normal = rng.random(n_days), rng.standard_normal(n_days)
        returns, variances, regimes = np.empty(n_days), np.empty(n_days), np.empty(n_days)
        middle = float(np.mean(self.means))
        regime = int(uniform[0] > self.long_run[0])
        variance = self.omega / (1 - self.alpha - self.beta)
        for t in range(n_days):
            if t and uniform[t] > self.stay[regime]:
                regime = 1 - regime
            returns[t] = self.means[regime] + self.scales[regime] * np.sqrt(variance) * normal[t]
            variances[t], regimes[t] = variance, regime
            variance = self.omega + self.alpha * (returns[t] - middle) ** 2 + self.beta * variance
        return returns, variances, regimes

    def filter(self, returns: Panel, variances: Panel) -> Panel:
        """Return the probability of the calm regime at t + 1 given returns up to t, `[T]` (Hamilton 1989)."""
        means, scales = np.array(self.means), np.array(self.scales)
        moves = np.array([[self.stay[0], 1 - self.stay[0]], [1 - self.stay[1], self.stay[1]]])
        ahead = self.long_run
        result = np.empty(len(returns))
        for t, (value, variance) in enumerate(zip(returns, variances, strict=True)):
            deviation = scales * np.sqrt(variance)
            now = ahead * np.exp(-0.5 * ((value - means) / deviation) ** 2) / deviation
            ahead = now / now.sum() @ moves
            result[t] = ahead[0]
        return result

    def expect(self, calm: Panel, next_variances: Panel) -> tuple[Panel, Panel]:
        """Return mean and variance of the next return given the probability of calm, each `[T]`."""
        share = np.stack([calm, 1 - calm])
        means, squares = np.array(self.means)[:, None], np.array(self.scales)[:, None] ** 2
        mean = (share * means).sum(axis=0)
        variance: Panel = (share * (squares * next_variances + means**2)).sum(axis=0) - mean**2
        return mean, variance


def make_regime_market(
    *,
    n_assets: int = 5,
    n_days: int = 2600,
    seed: int = 0,
    risk_aversion: float = 10.0,
    model: RegimeModel | None = None,
) -> SyntheticMarket:
    """Draw bars with volatility clustering and a regime switch.

    Args:
        n_assets: Assets, without the benchmark.
        n_days: Sessions T.
        seed: Seed of the draw.
        risk_aversion: Price of variance in the optimum.
        model: The rest.

    Returns:
        The market with OHLCV; the signals `regime.calm_1`, `regime.mean_1` and `regime.volatility_1` of the exact
        filter, the same for every asset; and the long-only optimum without costs. By symmetry it holds all assets
        equally, in all min(1, max(0, mean / (risk_aversion x variance))). Its Sharpe ratio and utility come from the
        known moments along a long draw, the no-skill ones from the moments of the same draw.
    """
    model = model or RegimeModel()
    rng = np.random.default_rng(seed)
    core, variances, _ = model.draw(rng, n_days + 1)
    own = model.own_volatility * rng.standard_normal((n_days, n_assets))
    returns = core[:n_days, None] + own - own.mean(axis=1, keepdims=True)
    calm = model.filter(core[:n_days], variances[:n_days])
    mean, variance = model.expect(calm, variances[1:])
    total = np.clip(mean / (risk_aversion * variance), 0.0, 1.0)
    bars, volume = _draw_bars(rng, returns)
    values = np.stack([calm, mean, np.sqrt(variance)], axis=-1)[:, None, :].repeat(n_assets, axis=1)
    names = ("regime.calm_1", "regime.mean_1", "regime.volatility_1")
    sharpe, error, no_skill, utility = _measure(model, risk_aversion)
    optimum = Optimum(
        weights=np.repeat(total[:, None] / n_assets, n_assets, axis=1),
        sharpe=sharpe,
        sharpe_error=error,
        no_skill_sharpe=no_skill,
        utility=utility,
        risk_aversion=risk_aversion,
    )
    note = "Synthetic: bars with volatility clustering and a hidden regime."
    return assemble(returns, values, names, optimum, horizon=1, note=note, bars=bars, volume=volume)


def _measure(model: RegimeModel, risk_aversion: float, n_days: int = 100_000) -> tuple[float, float, float, float]:
    """Return Sharpe ratio, its error over 50 blocks, that of the fixed holding, and utility, on a long draw."""
    returns, variances, _ = model.draw(np.random.default_rng(20_140_711), n_days + 1)
    mean, variance = model.expect(model.filter(returns[:-1], variances[:-1]), variances[1:])
    total = np.clip(mean / (risk_aversion * variance), 0.0, 1.0)

    def combine(holding: Panel, rows: slice) -> tuple[float, float]:
        gain = holding[rows] * mean[rows]
        return float(gain.mean()), float(gain.var() + (holding[rows] ** 2 * variance[rows]).mean())

    every = slice(None)
    gain, spread = combine(total, every)
    size = n_days // 50
    blocks = [annualise(*combine(total, slice(k * size, (k + 1) * size))) for k in range(50)]
    fixed = annualise(*combine(np.ones(n_days), every))
    error = float(np.std(blocks, ddof=1) / np.sqrt(len(blocks)))
    return annualise(gain, spread), error, fixed, gain - risk_aversion / 2 * spread


def _draw_bars(rng: np.random.Generator, returns: Panel) -> tuple[dict[str, Panel], Panel]:
    """Return open, high and low over the close `[T, N]` and volume, benchmark last, that fit the daily returns.

    The day's path is a Brownian bridge in the logarithm from the last close to the close; its first step is the night.
    """
    logs = np.log1p(np.column_stack([returns, returns.mean(axis=1)]))
    size = np.abs(logs).mean(axis=0)
    steps = rng.standard_normal((_STEPS_A_DAY, *logs.shape)) * size / np.sqrt(_STEPS_A_DAY)
    share = (np.arange(1, _STEPS_A_DAY + 1) / _STEPS_A_DAY)[:, None, None]
    walk = np.cumsum(steps, axis=0)
    path = walk - share * walk[-1] + share * logs
    path -= logs  # relative to the close of the day
    bars = {"open": path[0], "high": path.max(axis=0), "low": path.min(axis=0)}
    busy = 0.5 * draw_autoregressive(rng, logs.shape, 0.9) + 0.5 * np.abs(logs) / size
    return {name: np.exp(panel) for name, panel in bars.items()}, np.round(1e6 * np.exp(busy))
