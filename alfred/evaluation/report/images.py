"""Still pictures of backtests, for TensorBoard: matplotlib without a window and without global state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_drawdowns, compute_wealth

_SIZE_INCHES = (8.0, 4.5)


def draw_wealth(backtests: Sequence[Backtest], title: str = "") -> Figure:
    """Draw wealth on a logarithmic axis, drawdowns below, and turnover at the bottom, one curve a backtest.

    Args:
        backtests: The strategy first; the turnover is its own.
        title: Above everything.

    Returns:
        A figure that is rendered by Agg; `SummaryWriter.add_figure` takes it as it is.
    """
    figure = _make_figure(title)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    for backtest in backtests:
        dates = backtest.dates.to_numpy()
        wealth = compute_wealth(backtest.net)
        # A ruined portfolio has no place on a logarithmic axis: its curve ends there.
        top.plot(dates, np.where(wealth > 0, wealth, np.nan), label=backtest.name, linewidth=1.2)
        middle.plot(dates, compute_drawdowns(backtest.net), linewidth=1.0)
    top.set_yscale("log")
    # Round numbers: powers of ten say nothing about a year, and take as long to draw as all the rest.
    top.yaxis.set_major_locator(MaxNLocator(6))
    top.yaxis.set_major_formatter("{x:g}")
    top.yaxis.set_minor_locator(NullLocator())
    top.set_ylabel("wealth")
    middle.set_ylabel("drawdown")
    bottom.fill_between(backtests[0].dates.to_numpy(), backtests[0].turnover, linewidth=0.5)
    bottom.set_ylabel("turnover")
    figure.align_ylabels()
    top.legend(loc="upper left", fontsize="small", frameon=False)
    return figure


def draw_weights(backtest: Backtest, n_names: int = 8, title: str = "") -> Figure:
    """Draw the weights of the largest names, of all others together, and of cash.

    Args:
        backtest: The record.
        n_names: Names drawn one by one, those with the largest mean absolute weight.
        title: Above everything.
    """
    figure = _make_figure(title)
    axes = figure.subplots()
    weights = backtest.weights
    order = np.argsort(-np.abs(weights[:, :-1]).mean(axis=0), kind="stable")
    names = [backtest.symbols[column] for column in order[:n_names]]
    bands = [weights[:, column] for column in order[:n_names]]
    if len(order) > n_names:
        names.append("others")
        bands.append(weights[:, order[n_names:]].sum(axis=1))
    names.append("cash")
    bands.append(weights[:, -1])
    dates = backtest.dates.to_numpy()
    if (weights >= -1e-9).all():
        axes.stackplot(dates, *bands, labels=names, linewidth=0)
    else:
        for name, band in zip(names, bands, strict=True):
            axes.plot(dates, band, label=name, linewidth=1.0)
    axes.set_ylabel("weight")
    axes.legend(loc="upper left", fontsize="x-small", ncols=2)
    return figure


def _make_figure(title: str) -> Figure:
    # Fixed margins: looking for the best ones draws everything three times.
    figure = Figure(figsize=_SIZE_INCHES)
    figure.subplots_adjust(left=0.09, right=0.98, top=0.93 if title else 0.97, bottom=0.07, hspace=0.1)
    figure.suptitle(title, fontsize="medium")
    FigureCanvasAgg(figure)
    return figure
