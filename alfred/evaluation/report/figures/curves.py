"""Figures of what portfolios earned and risked.

Curves are thinned to weekly points when there are more than 500 days, so that a page of twenty years stays small;
drawdowns keep the worst day of each week.

Axes legend: T dates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_drawdowns, compute_wealth
from alfred.evaluation.report.drawing.figure import Figure, Key
from alfred.evaluation.report.drawing.scales import fit, fit_wealth
from alfred.evaluation.report.figures.timeline import Timeline
from alfred.typing import FloatArray

_NORMAL_95 = 1.96


def plot_wealth(backtests: Sequence[Backtest], timeline: Timeline, n_shown: int = 3) -> Figure:
    """Draw wealth on a logarithmic axis with drawdowns below.

    Args:
        backtests: The strategy first, then those to compare with.
        timeline: Of their dates.
        n_shown: How many are drawn at once; the others wait in the legend.
    """
    wealth = [compute_wealth(backtest.net) for backtest in backtests]
    falls = [np.minimum.reduceat(compute_drawdowns(backtest.net), timeline.starts) for backtest in backtests]
    top = timeline.make_panel(fit_wealth(wealth), 340, "wealth (log)", show_x=False)
    bottom = timeline.make_panel(fit(falls, zero=True, format="percent", digits=1), 150, "drawdown")
    # The strategy is drawn last, above all others.
    for number in reversed(range(len(backtests))):
        name = backtests[number].name
        top.add_curve(timeline.seconds, wealth[number][timeline.ends], number, name, style=_weigh(number))
        if number == 0:
            bottom.add_area(timeline.seconds, falls[0], np.zeros(len(falls[0])), "f0 k0")
        bottom.add_curve(timeline.seconds, falls[number], number, name, style=_weigh(number))
    keys = [Key(item.name, f"c{number}", number, number < n_shown) for number, item in enumerate(backtests)]
    return Figure("Wealth from one unit, and drawdown.", [top, bottom], keys)


def plot_seed_fan(seeds: Sequence[Backtest], references: Sequence[Backtest], timeline: Timeline) -> Figure:
    """Draw the wealth of every training seed, and of some references, on a logarithmic axis.

    Args:
        seeds: One backtest for each seed.
        references: Drawn thicker: the strategy itself first, then its baselines.
        timeline: Of their dates.
    """
    wealth = [compute_wealth(backtest.net) for backtest in (*seeds, *references)]
    panel = timeline.make_panel(fit_wealth(wealth), 300, "wealth (log)")
    for series in wealth[: len(seeds)]:
        panel.add_curve(timeline.seconds, series[timeline.ends], 0, style="thin", key=90)
    for number in reversed(range(len(references))):
        series = wealth[len(seeds) + number]
        panel.add_curve(timeline.seconds, series[timeline.ends], number, references[number].name, style=_weigh(number))
    keys = [Key(item.name, f"c{number}", number) for number, item in enumerate(references)]
    return Figure("Every seed, with the strategy and its baselines.", [panel], [*keys, Key("one seed each", "c0 thin")])


def plot_rolling_sharpe(
    backtest: Backtest, baselines: Sequence[Backtest], timeline: Timeline, n_days: int | None = None
) -> Figure:
    """Draw the Sharpe ratio of trailing windows less each baseline's, with a band of 1.96 standard errors.

    Sharpe ratios are in excess of cash. The error is sqrt(2 (1 - rho) / T), annualised: the leading term of Jobson and
    Korkie (1981), enough for a picture.

    Args:
        backtest: The strategy.
        baselines: What it is compared with, at most a few.
        timeline: Of their dates.
        n_days: Length of a window, in sessions; a year when left out.
    """
    periods = backtest.periods_per_year
    n_days = n_days or periods
    own = pd.Series(backtest.excess)
    bands = []
    for baseline in baselines:
        other = pd.Series(baseline.excess)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = [series.rolling(n_days).mean() / series.rolling(n_days).std() for series in (own, other)]
            difference = ((ratios[0] - ratios[1]) * np.sqrt(periods)).to_numpy()[timeline.ends]
            correlation = own.rolling(n_days).corr(other).clip(-1, 1).to_numpy()[timeline.ends]
        bands.append((difference, _NORMAL_95 * np.sqrt(2 * (1 - correlation) / n_days * periods)))
    edges = [middle + sign * reach for middle, reach in bands for sign in (-1, 1)]
    panel = timeline.make_panel(fit(edges, zero=True), 300, "Sharpe difference")
    for number, (middle, reach) in enumerate(bands, start=1):
        panel.add_area(timeline.seconds, middle - reach, middle + reach, f"f{number} k{number}")
        panel.add_curve(timeline.seconds, middle, number, f"less {baselines[number - 1].name}")
    panel.add_level(0.0)
    keys = [Key(f"less {item.name}", f"c{number}", number) for number, item in enumerate(baselines, start=1)]
    return Figure("Sharpe difference over the last year.", [panel], keys)


def plot_rolling_risk(
    backtests: Sequence[Backtest], timeline: Timeline, market: FloatArray, n_days: int | None = None
) -> Figure:
    """Draw volatility and beta of trailing windows.

    Args:
        backtests: The strategy first.
        timeline: Of their dates.
        market: Returns of the benchmark, in excess of cash, `[T]`.
        n_days: Length of a window, in sessions; a year when left out.
    """
    periods = backtests[0].periods_per_year
    n_days = n_days or periods
    reference = pd.Series(market)
    spread = reference.rolling(n_days).var()
    volatility, beta = [], []
    for backtest in backtests:
        volatility.append((pd.Series(backtest.net).rolling(n_days).std() * np.sqrt(periods)).to_numpy()[timeline.ends])
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = pd.Series(backtest.excess).rolling(n_days).cov(reference) / spread
        beta.append(slope.to_numpy()[timeline.ends])
    top = timeline.make_panel(fit(volatility, zero=True, format="percent", digits=1), 190, "volatility", show_x=False)
    bottom = timeline.make_panel(fit(beta, format="number"), 190, "beta")
    for number in reversed(range(len(backtests))):
        name = backtests[number].name
        top.add_curve(timeline.seconds, volatility[number], number, name, style=_weigh(number))
        bottom.add_curve(timeline.seconds, beta[number], number, name, style=_weigh(number))
    keys = [Key(item.name, f"c{number}", number) for number, item in enumerate(backtests)]
    return Figure("Volatility and beta over the last year.", [top, bottom], keys)


def _weigh(number: int) -> str:
    return "own" if number == 0 else ""
