"""Still pictures of backtests, for TensorBoard: matplotlib without a window and without global state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_drawdowns, compute_wealth

_SIZE_INCHES = (8.0, 4.5)


def draw_wealth(backtests: Sequence[Backtest]) -> Figure:
    """Draw wealth on a logarithmic axis with drawdowns below, one curve a backtest.

    Args:
        backtests: The strategy first.

    Returns:
        A figure that is rendered by Agg; `SummaryWriter.add_figure` takes it as it is.
    """
    figure = _make_figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for backtest in backtests:
        dates = backtest.dates.to_numpy()
        wealth = compute_wealth(backtest.net)
        # A ruined portfolio has no place on a logarithmic axis: its curve ends there.
        top.plot(dates, np.where(wealth > 0, wealth, np.nan), label=backtest.name, linewidth=1.2)
        bottom.plot(dates, compute_drawdowns(backtest.net), linewidth=1.0)
    top.set_yscale("log")
    top.set_ylabel("wealth")
    bottom.set_ylabel("drawdown")
    top.legend(loc="upper left", fontsize="small", frameon=False)
    return figure


def draw_weights(backtest: Backtest, n_names: int = 8) -> Figure:
    """Draw the weights of the largest names, of all others together, and of cash.

    Args:
        backtest: The record.
        n_names: Names drawn one by one, those with the largest mean absolute weight.
    """
    figure = _make_figure()
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


def _make_figure() -> Figure:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
