"""Interactive figures of what portfolios did, in plotly.

Curves are thinned to weekly points when there are more than 500 days, so that a page of twenty years stays small;
drawdowns keep the worst day of each week.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_drawdowns, compute_period_returns, compute_wealth
from alfred.evaluation.report.figure_style import (
    COLOURS,
    fade,
    find_point_ends,
    find_point_starts,
    finish,
    label,
    make_curve,
    make_rows,
    set_wealth_axis,
    shrink,
    write_days,
)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Neighbours in a stack of weights differ in hue and in lightness; greys are left to the other names and to cash.
_BANDS = ("#3b82f6", "#f59e0b", "#14b8a6", "#ef6f6c", "#8b5cf6", "#84a83a", "#ec4899", "#0ea5e9", "#b7791f", "#2f9e62")
_OTHERS, _CASH = "rgba(125, 135, 148, 0.60)", "rgba(125, 135, 148, 0.22)"
# Losses to gains through a clear centre, which suits a light and a dark page.
_LOSS_TO_GAIN = ((0.0, "rgba(220, 60, 60, 0.70)"), (0.5, "rgba(125, 135, 148, 0.0)"), (1.0, "rgba(30, 150, 100, 0.70)"))


def plot_wealth(backtests: Sequence[Backtest], n_shown: int = 3) -> go.Figure:
    """Draw wealth on a logarithmic axis with drawdowns below.

    Args:
        backtests: The strategy first, then those to compare with.
        n_shown: How many are drawn at once; the others wait in the legend.
    """
    figure = make_rows((0.68, 0.32))
    for position, backtest in enumerate(backtests):
        starts, ends = find_point_starts(backtest.dates), find_point_ends(backtest.dates)
        days = write_days(backtest.dates[ends])
        group = {"legendgroup": label(backtest.name), "visible": True if position < n_shown else "legendonly"}
        wealth = compute_wealth(backtest.net)[ends]
        worst = np.minimum.reduceat(compute_drawdowns(backtest.net), starts)
        area = {"fill": "tozeroy", "fillcolor": fade(COLOURS[0])} if position == 0 else {}
        figure.add_trace(make_curve(days, wealth, backtest.name, position, "%{y:.3f}", **group), row=1, col=1)
        figure.add_trace(
            make_curve(days, worst, backtest.name, position, "%{y:.1%}", showlegend=False, **group, **area),
            row=2,
            col=1,
        )
    set_wealth_axis(figure, np.concatenate([compute_wealth(backtest.net) for backtest in backtests]), row=1)
    figure.update_yaxes(tickformat=".0%", title_text="drawdown", row=2, col=1)
    return finish(figure, height=540)


def plot_weights(backtest: Backtest, n_names: int = 10) -> go.Figure:
    """Draw the weights over time: the largest names, all other names, cash.

    Long-only weights are stacked; a book with short positions is drawn in lines, for stacking would hide them.

    Args:
        backtest: The record.
        n_names: Names drawn one by one, those with the largest mean absolute weight.
    """
    ends = find_point_ends(backtest.dates)
    weights, days = backtest.weights[ends], write_days(backtest.dates[ends])
    stacked = bool((backtest.weights >= -1e-9).all())
    order = np.argsort(-np.abs(backtest.weights[:, :-1]).mean(axis=0), kind="stable")
    bands = [
        (label(backtest.symbols[column]), weights[:, column], _BANDS[position % len(_BANDS)])
        for position, column in enumerate(order[:n_names])
    ]
    if len(order) > n_names:
        bands.append((f"{len(order) - n_names} others", weights[:, order[n_names:]].sum(axis=1), _OTHERS))
    bands.append(("cash", weights[:, -1], _CASH))
    figure = go.Figure()
    for name, values, colour in bands:
        style = {"stackgroup": "weights", "fillcolor": colour} if stacked else {}
        line = {"width": 0 if stacked else 1.6, "color": colour}
        figure.add_trace(
            go.Scatter(x=days, y=shrink(values), name=name, mode="lines", line=line, hovertemplate="%{y:.1%}", **style)
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1] if stacked else None)
    return finish(figure, height=380).update_layout(legend_traceorder="normal")


def plot_turnover(backtests: Sequence[Backtest]) -> go.Figure:
    """Draw the first backtest's one-way turnover a month, and the costs that each has paid so far."""
    figure = make_rows((0.5, 0.5))
    first = backtests[0]
    monthly = pd.Series(first.turnover).groupby(first.dates.to_period("M")).sum()
    bars = go.Bar(
        x=monthly.index.strftime("%Y-%m-15").tolist(),
        y=shrink(monthly.to_numpy()),
        name="turnover",
        marker={"color": COLOURS[0], "line": {"width": 0}},
        hovertemplate="%{y:.0%}",
        showlegend=False,
    )
    figure.add_trace(bars, row=1, col=1)
    for position, backtest in enumerate(backtests):
        ends = find_point_ends(backtest.dates)
        paid = np.cumsum(backtest.costs)[ends]
        curve = make_curve(write_days(backtest.dates[ends]), paid, backtest.name, position, "%{y:.2%}")
        figure.add_trace(curve, row=2, col=1)
    figure.update_yaxes(tickformat=".0%", title_text="turnover", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(tickformat=".1%", title_text="costs so far", rangemode="tozero", row=2, col=1)
    return finish(figure, height=400)


def plot_return_heatmap(backtest: Backtest) -> go.Figure:
    """Draw the compounded return of every month and year; incomplete ones count as far as they go."""
    months = compute_period_returns(backtest.net, backtest.dates, "M")
    years = compute_period_returns(backtest.net, backtest.dates, "Y")
    grid = np.full((len(years), 14), np.nan)
    for period, value in months.items():
        grid[years.index.get_loc(period.asfreq("Y")), period.month - 1] = value
    # An empty column keeps the years apart from the months.
    grid[:, 13] = years.to_numpy()
    limit = float(np.nanquantile(np.abs(grid[:, :12]), 0.95)) or 0.01
    heat = go.Heatmap(
        x=[*_MONTHS, " ", "<b>year</b>"],
        y=[str(period.year) for period in years.index],
        z=[[None if np.isnan(value) else round(float(value), 5) for value in row] for row in grid],
        text=[["" if np.isnan(value) else _write_percent(value) for value in row] for row in grid],
        texttemplate="%{text}",
        zmin=-limit,
        zmax=limit,
        colorscale=_LOSS_TO_GAIN,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{x} %{y}: %{z:.2%}<extra></extra>",
    )
    figure = go.Figure(heat)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, ticks="")
    figure.update_xaxes(side="top", showgrid=False, type="category", ticks="")
    return finish(figure, height=64 + 27 * len(years), unified=False, bottom=8)


def plot_seed_fan(seeds: Sequence[Backtest], references: Sequence[Backtest]) -> go.Figure:
    """Draw the wealth of every training seed, and of some references, on a logarithmic axis.

    Args:
        seeds: One backtest for each seed.
        references: Drawn thicker: the strategy itself first, then its baselines.
    """
    figure = go.Figure()
    thin = {"showlegend": False, "line": {"width": 1, "color": fade(COLOURS[0], 0.5)}}
    curves = [(0, seed, thin) for seed in seeds] + [(place, one, {}) for place, one in enumerate(references)]
    for position, backtest, style in curves:
        ends = find_point_ends(backtest.dates)
        wealth = compute_wealth(backtest.net)[ends]
        days = write_days(backtest.dates[ends])
        figure.add_trace(make_curve(days, wealth, backtest.name, position, "%{y:.3f}", **style))
    set_wealth_axis(figure, np.concatenate([compute_wealth(one.net) for _, one, _ in curves]))
    return finish(figure, height=380)


def _write_percent(value: float) -> str:
    """Return per cent with one digit and a true minus sign, without a minus before zero."""
    return f"{round(value * 100, 1) + 0.0:.1f}".replace("-", "−")
