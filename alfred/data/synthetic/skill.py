"""How well a rise can be told from a fall where the information coefficient is known, and markets that show it.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alfred.data.market import Market
from alfred.data.synthetic.world import BENCHMARK, SyntheticMarket, draw_autoregressive, make_dates
from alfred.errors import DataError

_REACH = 9.0  # standard deviations on each side of the integral; beyond, a normal holds less than a float can tell
_POINTS = 4001
_FIRST_PRICE = 100.0


def compute_attainable_auc(ic: float, base_rate: float = 0.5) -> float:
    """Return the area under the ROC curve of the best forecast of direction.

    Forecast and outcome are standard normal with correlation `ic`, and an outcome above -Phi^-1(base_rate) is a rise.
    The area is the chance that a rise had the higher forecast than a fall,
    `integral of f_rise(x) F_fall(x) dx`, with f_rise(x) = phi(x) Phi((ic x - c) / sqrt(1 - ic^2)) / base_rate. At a
    base rate of one half it is 1/2 + (2 / pi) arcsin(ic / sqrt 2), an orthant probability (Sheppard, 1899).

    Any forecast that rises with the conditional mean attains it, and none exceeds it: by Neyman and Pearson the
    likelihood ratio, which rises with the mean here, has the highest curve.

    Args:
        ic: Correlation of the best forecast with the outcome, between -1 and 1.
        base_rate: Share of rises, between 0 and 1.

    Raises:
        DataError: A number is out of its range.
    """
    if not -1 < ic < 1 or not 0 < base_rate < 1:
        raise DataError(f"ic is {ic} and base_rate {base_rate}; they must lie between -1 and 1, and between 0 and 1")
    if base_rate == 0.5:
        return float(0.5 + 2 / np.pi * np.arcsin(ic / np.sqrt(2)))
    # scipy.special takes a while to import, and only this function of the room needs it.
    from scipy.special import ndtr, ndtri

    x, step = np.linspace(-_REACH, _REACH, _POINTS, retstep=True)
    density = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    rise = density * ndtr((ic * x + ndtri(base_rate)) / np.sqrt(1 - ic**2))
    fall = density - rise
    # The trapezium rule: with steps of 0.0045 it is off by less than 1e-6.
    below = np.cumsum(fall) - fall / 2
    return float(rise @ below * step**2 / (base_rate * (1 - base_rate)))


def show_signals(world: SyntheticMarket) -> Market:
    """Return the market of a synthetic world with its signals as extra fields, where analysts may read them.

    A field is called like its signal with `_` for the dot: `planted_signal`.
    """
    names = [name.replace(".", "_") for name in world.signals.names]
    extras = {name: world.signals.values[:, :, k].astype(np.float64) for k, name in enumerate(names)}
    return replace(world.market, extras={**world.market.extras, **extras})


def make_autoregressive_market(
    ic: float, *, n_assets: int = 10, n_days: int = 2600, volatility: float = 0.015, seed: int = 0
) -> Market:
    """Draw assets whose last log return is all that is known about the next one: an information coefficient in prices.

    log returns are AR(1) with coefficient `ic`, zero mean and the given standard deviation, independent across assets,
    so that the last return has the correlation `ic` with the next, and nothing older adds to it.

    Args:
        ic: Correlation of a return with the next one, between -1 and 1.
        n_assets: Assets, without the benchmark, their daily rebalanced equal weight.
        n_days: Sessions T.
        volatility: Standard deviation of each log return a session.
        seed: Seed of the draw.

    Raises:
        DataError: The coefficient is out of its range.
    """
    if not -1 < ic < 1:
        raise DataError(f"ic is {ic}; it must lie between -1 and 1")
    logs = volatility * draw_autoregressive(np.random.default_rng(seed), (n_days, n_assets), ic)
    benchmark = np.log1p(np.expm1(logs).mean(axis=1))
    close = _FIRST_PRICE * np.exp(np.cumsum(np.column_stack([logs, benchmark]), axis=0))
    return Market.from_arrays(
        make_dates(n_days),
        [*(f"A{n}" for n in range(n_assets)), BENCHMARK],
        close,
        benchmark=BENCHMARK,
        notes=(f"Synthetic: each return foretells the next one with an information coefficient of {ic}.",),
    )
