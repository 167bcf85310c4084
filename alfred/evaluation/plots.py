"""Interactive figures of a report: plotly, without a theme of their own.

The page that shows them sets background, text and grid, for light, dark and print. Curves are thinned to weekly points
when there are more than `MAX_DAILY_POINTS`, so that a page of twenty years stays small; drawdowns keep the worst day of
each week. Names are escaped, for plotly reads a part of HTML in its texts.

Axes legend: T dates, N symbols, R replicates.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alfred.data.market import FloatArray
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import (
    DAYS_PER_YEAR,
    compute_drawdowns,
    compute_period_returns,
    compute_wealth,
)

MAX_DAILY_POINTS = 500
# The strategy, the benchmark, equal weight, then everything else. All have a contrast of 3 or more on white and on the
# dark page, and the first three differ for colour-blind readers as well.
COLOURS = ("#3b82f6", "#7d8794", "#dd6b20", "#0d9488", "#a855f7", "#b7791f", "#db2777", "#4d7c0f", "#0891b2", "#8b5e3c")
CASH_COLOUR = "rgba(125, 135, 148, 0.35)"
OTHER_COLOUR = "rgba(125, 135, 148, 0.70)"
# Losses to gains through a clear centre, which suits a light and a dark page.
_LOSS_TO_GAIN = ((0.0, "rgba(220, 38, 38, 0.85)"), (0.5, "rgba(125, 135, 148, 0.0)"), (1.0, "rgba(22, 130, 90, 0.85)"))
_NORMAL_95 = 1.96


def plot_wealth(backtests: Sequence[Backtest], n_shown: int = 3) -> go.Figure:
    """Draw wealth on a logarithmic axis with drawdowns below.

    Args:
        backtests: The strategy first, then those to compare with.
        n_shown: How many are drawn at once; the others wait in the legend.
    """
    figure = _make_rows(2, (0.68, 0.32))
    for position, backtest in enumerate(backtests):
        starts = _week_starts(backtest.dates)
        ends = np.append(starts[1:], len(backtest.dates)) - 1
        style = _line(position, width=2.4 if position == 0 else 1.5)
        common = {
            "name": html.escape(backtest.name),
            "legendgroup": backtest.name,
            "visible": True if position < n_shown else "legendonly",
            "line": style,
            "mode": "lines",
        }
        wealth, drawdowns = compute_wealth(backtest.net), compute_drawdowns(backtest.net)
        figure.add_trace(
            go.Scatter(
                x=_days(backtest.dates[ends]),
                y=_small(wealth[ends]),
                hovertemplate="%{y:.3f}",
                **common,
            ),
            row=1,
            col=1,
        )
        figure.add_trace(
            go.Scatter(
                x=_days(backtest.dates[ends]),
                y=_small(np.minimum.reduceat(drawdowns, starts)),
                hovertemplate="%{y:.1%}",
                showlegend=False,
                fill="tozeroy" if position == 0 else None,
                fillcolor="rgba(59, 130, 246, 0.15)",
                **common,
            ),
            row=2,
            col=1,
        )
    figure.update_yaxes(type="log", title_text="wealth (log)", dtick="D2", row=1, col=1)
    figure.update_yaxes(tickformat=".0%", title_text="drawdown", row=2, col=1)
    return _finish(figure, height=560)


def plot_weights(backtest: Backtest, n_names: int = 10) -> go.Figure:
    """Draw the weights over time: the largest names, all other names, cash.

    Long-only weights are stacked; a book with short positions is drawn in lines, for stacking would hide them.

    Args:
        backtest: The record.
        n_names: Names drawn one by one, those with the largest mean absolute weight.
    """
    starts = _week_starts(backtest.dates)
    ends = np.append(starts[1:], len(backtest.dates)) - 1
    weights = backtest.weights[ends]
    stacked = bool((backtest.weights >= -1e-9).all())
    order = np.argsort(-np.abs(backtest.weights[:, :-1]).mean(axis=0), kind="stable")
    bands = [
        (html.escape(backtest.symbols[column]), weights[:, column], COLOURS[position % len(COLOURS)])
        for position, column in enumerate(order[:n_names])
    ]
    if len(order) > n_names:
        bands.append((f"{len(order) - n_names} others", weights[:, order[n_names:]].sum(axis=1), OTHER_COLOUR))
    bands.append(("cash", weights[:, -1], CASH_COLOUR))
    figure = go.Figure()
    for name, values, colour in bands:
        figure.add_trace(
            go.Scatter(
                x=_days(backtest.dates[ends]),
                y=_small(values),
                name=name,
                mode="lines",
                stackgroup="weights" if stacked else None,
                line={"width": 0.5 if stacked else 1.5, "color": colour},
                fillcolor=colour if stacked else None,
                hovertemplate="%{y:.1%}",
            )
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1] if stacked else None)
    return _finish(figure, height=380)


def plot_turnover(backtests: Sequence[Backtest]) -> go.Figure:
    """Draw the first backtest's one-way turnover a month, and the costs that each has paid so far."""
    figure = _make_rows(2, (0.5, 0.5))
    first = backtests[0]
    monthly = pd.Series(first.turnover).groupby(first.dates.to_period("M")).sum()
    figure.add_trace(
        go.Bar(
            x=monthly.index.strftime("%Y-%m-15").tolist(),
            y=_small(monthly.to_numpy()),
            name=f"{html.escape(first.name)}: turnover",
            marker={"color": COLOURS[0], "line": {"width": 0}},
            hovertemplate="%{y:.0%}",
            showlegend=False,
        ),
        row=1,
        col=1,
    )
    for position, backtest in enumerate(backtests):
        ends = np.append(_week_starts(backtest.dates)[1:], len(backtest.dates)) - 1
        figure.add_trace(
            go.Scatter(
                x=_days(backtest.dates[ends]),
                y=_small(np.cumsum(backtest.costs)[ends]),
                name=html.escape(backtest.name),
                mode="lines",
                line=_line(position),
                hovertemplate="%{y:.2%}",
            ),
            row=2,
            col=1,
        )
    figure.update_yaxes(tickformat=".0%", title_text="turnover a month", row=1, col=1)
    figure.update_yaxes(tickformat=".1%", title_text="costs so far", row=2, col=1)
    return _finish(figure, height=420)


def plot_rolling_sharpe(backtest: Backtest, baselines: Sequence[Backtest], n_days: int = DAYS_PER_YEAR) -> go.Figure:
    """Draw the Sharpe ratio of trailing windows less each baseline's, with a band of 1.96 standard errors.

    The error is sqrt(2 (1 - rho) / T), annualised: the leading term of Jobson and Korkie (1981), enough for a picture.

    Args:
        backtest: The strategy.
        baselines: What it is compared with, at most a few.
        n_days: Length of a window, in sessions.
    """
    figure = go.Figure()
    own = pd.Series(backtest.net)
    starts = _week_starts(backtest.dates)
    ends = np.append(starts[1:], len(backtest.dates)) - 1
    ends = ends[ends >= n_days - 1]
    for position, baseline in enumerate(baselines, start=1):
        other = pd.Series(baseline.net)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = [series.rolling(n_days).mean() / series.rolling(n_days).std() for series in (own, other)]
            difference = ((ratios[0] - ratios[1]) * np.sqrt(DAYS_PER_YEAR)).to_numpy()[ends]
            correlation = own.rolling(n_days).corr(other).clip(-1, 1).to_numpy()[ends]
        band = _NORMAL_95 * np.sqrt(2 * (1 - correlation) / n_days * DAYS_PER_YEAR)
        colour, days, group = COLOURS[position], _days(backtest.dates[ends]), baseline.name
        for bound, fill in ((difference + band, None), (difference - band, "tonexty")):
            figure.add_trace(
                go.Scatter(
                    x=days,
                    y=_small(bound),
                    mode="lines",
                    line={"width": 0, "color": colour},
                    fill=fill,
                    fillcolor=_fade(colour),
                    legendgroup=group,
                    showlegend=False,
                    hoverinfo="skip",
                )
            )
        figure.add_trace(
            go.Scatter(
                x=days,
                y=_small(difference),
                name=f"less {html.escape(baseline.name)}",
                mode="lines",
                line=_line(position, width=2.0),
                legendgroup=group,
                hovertemplate="%{y:+.2f}",
            )
        )
    figure.add_hline(y=0, line={"width": 1, "color": COLOURS[1], "dash": "dot"})
    figure.update_yaxes(title_text="Sharpe difference")
    return _finish(figure, height=340)


def plot_return_heatmap(backtest: Backtest) -> go.Figure:
    """Draw the compounded return of every month and year; incomplete ones count as far as they go."""
    months = compute_period_returns(backtest.net, backtest.dates, "M")
    years = compute_period_returns(backtest.net, backtest.dates, "Y")
    labels = [str(period.year) for period in years.index]
    grid = np.full((len(years), 13), np.nan)
    for period, value in months.items():
        grid[period.year - years.index[0].year, period.month - 1] = value
    grid[:, 12] = years.to_numpy()
    limit = float(np.nanquantile(np.abs(grid[:, :12]), 0.95)) or 0.01
    columns = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "<b>year</b>"]
    text = [["" if np.isnan(value) else f"{value * 100:.1f}" for value in row] for row in grid]
    figure = go.Figure(
        go.Heatmap(
            x=columns,
            y=labels,
            z=[[None if np.isnan(value) else round(float(value), 5) for value in row] for row in grid],
            text=text,
            texttemplate="%{text}",
            zmin=-limit,
            zmax=limit,
            colorscale=_LOSS_TO_GAIN,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="%{y} %{x}: %{z:.2%}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_xaxes(side="top", showgrid=False, type="category")
    return _finish(figure, height=80 + 26 * len(years), unified=False)


def plot_sharpe_difference(replicates: Mapping[str, FloatArray], level: float = 0.95) -> go.Figure:
    """Draw the bootstrap distribution of Sharpe differences, with the ends of their intervals.

    Args:
        replicates: Differences by the name of the baseline, each `[R]`; NaN replicates are left out.
        level: Coverage of the interval whose ends are marked.
    """
    figure = go.Figure()
    for position, (name, values) in enumerate(replicates.items(), start=1):
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        counts, edges = np.histogram(finite, bins=60)
        colour = COLOURS[position % len(COLOURS)]
        figure.add_trace(
            go.Bar(
                x=_small((edges[:-1] + edges[1:]) / 2),
                y=_small(counts / len(finite)),
                width=float(edges[1] - edges[0]),
                name=f"less {html.escape(name)}",
                marker={"color": colour, "opacity": 0.55, "line": {"width": 0}},
                hovertemplate="%{x:+.2f}: %{y:.1%}",
            )
        )
        for end in np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]):
            figure.add_vline(x=float(end), line={"width": 1.5, "color": colour, "dash": "dash"})
    figure.add_vline(x=0, line={"width": 1.5, "color": COLOURS[1]})
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(title_text="annual Sharpe ratio less the baseline's")
    figure.update_yaxes(tickformat=".0%", title_text="share of resampled histories")
    return _finish(figure, height=340, unified=False)


def plot_seed_fan(seeds: Sequence[Backtest], references: Sequence[Backtest]) -> go.Figure:
    """Draw the wealth of every training seed, and of some references, on a logarithmic axis.

    Args:
        seeds: One backtest for each seed.
        references: Drawn thicker: the strategy itself first, then its baselines.
    """
    figure = go.Figure()
    for position, backtest in enumerate([*seeds, *references]):
        ends = np.append(_week_starts(backtest.dates)[1:], len(backtest.dates)) - 1
        is_seed = position < len(seeds)
        line = {"width": 1, "color": _fade(COLOURS[0], 0.45)} if is_seed else _line(position - len(seeds), width=2.2)
        figure.add_trace(
            go.Scatter(
                x=_days(backtest.dates[ends]),
                y=_small(compute_wealth(backtest.net)[ends]),
                name=html.escape(backtest.name),
                mode="lines",
                line=line,
                showlegend=not is_seed,
                hovertemplate="%{y:.3f}",
            )
        )
    figure.update_yaxes(type="log", title_text="wealth (log)", dtick="D2")
    return _finish(figure, height=380)


def plot_signal_skill(skill: pd.DataFrame) -> go.Figure:
    """Draw the out-of-sample rank correlation of every signal with its interval.

    Args:
        skill: What `compute_signal_skill` returns.
    """
    figure = go.Figure()
    for position, (period, part) in enumerate(skill.groupby("period", sort=False)):
        shown = part[np.isfinite(part["value"])]
        figure.add_trace(
            go.Scatter(
                x=shown["value"].round(5).tolist(),
                y=[html.escape(str(name)) for name in shown["signal"]],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": (shown["high"] - shown["value"]).round(5).tolist(),
                    "arrayminus": (shown["value"] - shown["low"]).round(5).tolist(),
                    "thickness": 1.5,
                    "width": 0,
                },
                mode="markers",
                name=str(period),
                marker={"size": 8, "color": COLOURS[(0, 2, 3)[position % 3]]},
                hovertemplate="%{y}: %{x:.4f}",
            )
        )
    figure.add_vline(x=0, line={"width": 1.5, "color": COLOURS[1]})
    figure.update_yaxes(autorange="reversed", type="category", automargin=True)
    figure.update_xaxes(title_text="mean rank correlation by date")
    figure.update_layout(scattermode="group")
    return _finish(figure, height=110 + 24 * skill["signal"].nunique(), unified=False)


def _make_rows(n_rows: int, heights: tuple[float, ...]) -> go.Figure:
    return make_subplots(rows=n_rows, cols=1, shared_xaxes=True, row_heights=list(heights), vertical_spacing=0.06)


def _finish(figure: go.Figure, height: int, *, unified: bool = True) -> go.Figure:
    """Apply what all figures share; colours of page, text and grid belong to the page."""
    return figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 16, "t": 36, "b": 44},
        hovermode="x unified" if unified else "closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )


def _week_starts(dates: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return the first row of every point that is drawn: of each day, or of each week of a long history."""
    if len(dates) <= MAX_DAILY_POINTS:
        return np.arange(len(dates))
    weeks = dates.to_period("W").asi8
    return np.flatnonzero(np.diff(weeks, prepend=weeks[0] - 1))


def _days(dates: pd.DatetimeIndex) -> list[str]:
    return list(dates.strftime("%Y-%m-%d"))


def _small(values: FloatArray) -> npt.NDArray[np.float32]:
    """Return single precision: plotly packs it into 4 bytes a point, and no eye sees the difference."""
    return np.asarray(values, dtype=np.float32)


def _line(position: int, width: float = 1.5) -> dict[str, object]:
    return {"width": width, "color": COLOURS[position % len(COLOURS)]}


def _fade(colour: str, opacity: float = 0.14) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"
