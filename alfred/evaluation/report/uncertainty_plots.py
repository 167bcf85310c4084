"""Interactive figures of how sure the numbers are, in plotly.

Axes legend: T dates, R replicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.report.figure_style import (
    NEUTRAL,
    colour_at,
    fade,
    find_point_ends,
    finish,
    label,
    make_curve,
    shrink,
    write_days,
)
from alfred.evaluation.results import ResultRow
from alfred.typing import FloatArray

_NORMAL_95 = 1.96
# The few replicates further out are not drawn: they would only squeeze the rest.
_TAILS = (0.001, 0.999)


def plot_sharpe_gains(rows: Sequence[ResultRow]) -> go.Figure:
    """Draw the Sharpe ratio of every strategy less each baseline's, with paired intervals.

    Args:
        rows: What `compute_results` returned.
    """
    figure = go.Figure()
    for position, kind in enumerate(("versus_benchmark", "versus_equal_weight"), start=1):
        pairs = [(row.name, verdict) for row in rows if (verdict := getattr(row, kind)) is not None]
        shown = [(name, pair) for name, pair in pairs if name != pair.baseline and np.isfinite(pair.interval[0])]
        if not shown:
            continue
        points = [pair.difference for _, pair in shown]
        below = [pair.difference - pair.interval[0] for _, pair in shown]
        above = [pair.interval[1] - pair.difference for _, pair in shown]
        names, title = [label(name) for name, _ in shown], f"less {label(shown[0][1].baseline)}"
        figure.add_trace(_make_points(points, names, below, above, title, position, "%{x:+.2f}"))
    figure.update_yaxes(categoryorder="array", categoryarray=[label(row.name) for row in rows])
    return _finish_points(figure, len(rows), "annual Sharpe ratio less the baseline's")


def plot_rolling_sharpe(backtest: Backtest, baselines: Sequence[Backtest], n_days: int | None = None) -> go.Figure:
    """Draw the Sharpe ratio of trailing windows less each baseline's, with a band of 1.96 standard errors.

    Sharpe ratios are in excess of cash. The error is sqrt(2 (1 - rho) / T), annualised: the leading term of Jobson and
    Korkie (1981), enough for a picture.

    Args:
        backtest: The strategy.
        baselines: What it is compared with, at most a few.
        n_days: Length of a window, in sessions; a year when left out.
    """
    figure = go.Figure()
    periods = backtest.periods_per_year
    n_days = n_days or periods
    own = pd.Series(backtest.excess)
    ends = find_point_ends(backtest.dates)
    ends = ends[ends >= n_days - 1]
    days = write_days(backtest.dates[ends])
    for position, baseline in enumerate(baselines, start=1):
        other = pd.Series(baseline.excess)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = [series.rolling(n_days).mean() / series.rolling(n_days).std() for series in (own, other)]
            difference = ((ratios[0] - ratios[1]) * np.sqrt(periods)).to_numpy()[ends]
            correlation = own.rolling(n_days).corr(other).clip(-1, 1).to_numpy()[ends]
        reach = _NORMAL_95 * np.sqrt(2 * (1 - correlation) / n_days * periods)
        title, group = f"less {baseline.name}", {"legendgroup": label(baseline.name)}
        edge = {"showlegend": False, "hoverinfo": "skip", "line": {"width": 0}, **group}
        fill = {"fill": "tonexty", "fillcolor": fade(colour_at(position))}
        figure.add_trace(make_curve(days, difference + reach, title, position, "", **edge))
        figure.add_trace(make_curve(days, difference - reach, title, position, "", **edge, **fill))
        figure.add_trace(make_curve(days, difference, title, position, "%{y:+.2f}", **group))
    figure.add_hline(y=0, line={"width": 1, "color": NEUTRAL, "dash": "dot"})
    figure.update_yaxes(title_text="Sharpe difference")
    return finish(figure, height=330)


def plot_sharpe_difference(replicates: Mapping[str, FloatArray], level: float = 0.95) -> go.Figure:
    """Draw the true Sharpe differences that resampled histories point to, with the ends of their intervals.

    Args:
        replicates: What `resample_sharpe_differences` returned, by the name of the baseline, each `[R]`; NaN is left
            out.
        level: Coverage of the interval whose ends are marked.
    """
    figure = go.Figure()
    for position, (name, values) in enumerate(replicates.items(), start=1):
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        low, high = np.quantile(finite, _TAILS)
        counts, edges = np.histogram(finite, bins=50, range=(float(low), float(high)))
        colour = colour_at(position)
        figure.add_trace(
            go.Bar(
                x=shrink((edges[:-1] + edges[1:]) / 2),
                y=shrink(counts / len(finite)),
                width=float(edges[1] - edges[0]),
                name=f"less {label(name)}",
                marker={"color": colour, "opacity": 0.55, "line": {"width": 0}},
                hovertemplate="%{x:+.2f}: %{y:.1%}",
            )
        )
        for end in np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]):
            figure.add_vline(x=float(end), line={"width": 1.5, "color": colour, "dash": "dash"})
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(title_text="annual Sharpe ratio less the baseline's")
    figure.update_yaxes(tickformat=".0%", title_text="share of histories")
    return finish(figure, height=320, unified=False, bottom=46)


def plot_signal_skill(skill: pd.DataFrame) -> go.Figure:
    """Draw the out-of-sample rank correlation of every signal with its interval.

    Args:
        skill: What `compute_signal_skill` returns.
    """
    figure = go.Figure()
    # No signal has both kinds of dates, so that the middle place suits those without a cutoff.
    for period, position in (("before cutoff", 2), ("all", 0), ("after cutoff", 3)):
        shown = skill[(skill["period"] == period) & np.isfinite(skill["low"].astype(float))]
        if shown.empty:
            continue
        points = shown["value"].tolist()
        low, high = (shown["value"] - shown["low"]).tolist(), (shown["high"] - shown["value"]).tolist()
        names = [label(str(name)) for name in shown["signal"]]
        figure.add_trace(_make_points(points, names, low, high, f"{period} dates", position, "%{x:.4f}"))
    figure.update_yaxes(categoryorder="array", categoryarray=[label(str(name)) for name in skill["signal"].unique()])
    return _finish_points(figure, skill["signal"].nunique(), "mean rank correlation by date")


def _make_points(
    points: list[float],
    names: list[str],
    below: list[float],
    above: list[float],
    title: str,
    position: int,
    hover: str,
) -> go.Scatter:
    """Return points by name with the lengths of their interval on both sides."""
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.6, "width": 0}
    return go.Scatter(
        x=points,
        y=names,
        error_x=bars,
        orientation="h",
        offsetgroup=title,
        mode="markers",
        name=title,
        marker={"size": 8, "color": colour_at(position)},
        hovertemplate=f"%{{y}}: {hover}",
    )


def _finish_points(figure: go.Figure, n_names: int, title: str) -> go.Figure:
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_yaxes(autorange="reversed", type="category", automargin=True, ticks="")
    figure.update_xaxes(title_text=title)
    figure.update_layout(scattermode="group", scattergap=0.4)
    return finish(figure, height=100 + 27 * n_names, unified=False, bottom=46)
