"""Figures of what a portfolio held and traded.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.report.drawing.figure import Figure, Key
from alfred.evaluation.report.drawing.raster import colour_cells, encode_png
from alfred.evaluation.report.drawing.scales import Scale, fit, to_seconds
from alfred.evaluation.report.figures.timeline import Timeline
from alfred.typing import FloatArray

_N_BANDS = 10  # colours of the style sheet
_ROW_PX = 15


def plot_weights(backtest: Backtest, timeline: Timeline, n_names: int = _N_BANDS) -> Figure:
    """Draw the weights over time: the largest names, all other names, cash.

    Long-only weights are stacked; a book with short positions is drawn in lines, for stacking would hide them.

    Args:
        backtest: The record.
        timeline: Of its dates.
        n_names: Names drawn one by one, those with the largest mean absolute weight.
    """
    weights = backtest.weights[timeline.ends]
    stacked = bool((backtest.weights >= -1e-9).all())
    order = np.argsort(-np.abs(backtest.weights[:, :-1]).mean(axis=0), kind="stable")
    bands = [
        (backtest.symbols[column], weights[:, column], f"b{position % _N_BANDS}")
        for position, column in enumerate(order[:n_names])
    ]
    if len(order) > n_names:
        bands.append((f"{len(order) - n_names} others", weights[:, order[n_names:]].sum(axis=1), "others"))
    bands.append(("cash", weights[:, -1], "cash"))
    scale = Scale(0.0, 1.0, format="percent", digits=1) if stacked else fit([w for _, w, _ in bands], format="percent")
    panel = timeline.make_panel(scale, 320, "weights")
    level = np.zeros(len(weights))
    for number, (name, values, kind) in enumerate(bands):
        if stacked:
            panel.add_area(timeline.seconds, level, level + values, kind, name)
            level = level + values
        else:
            panel.add_curve(timeline.seconds, values, number, name, style=kind)
    return Figure("Weights at the close.", [panel], [Key(name, kind) for name, _, kind in bands])


def compute_active_weights(backtest: Backtest, reference: Backtest, timeline: Timeline) -> FloatArray:
    """Return the mean weight less the reference's within each point that is drawn, `[V, N]`."""
    active = backtest.weights[:, :-1] - reference.weights[:, :-1]
    sums = np.add.reduceat(active, timeline.starts, axis=0)
    return np.asarray(sums / np.diff(np.append(timeline.starts, len(active)))[:, None])


def plot_active_weights(backtest: Backtest, reference: Backtest, timeline: Timeline) -> Figure:
    """Draw the weights less those of equal weight, symbol by symbol, the most overweighted first.

    Args:
        backtest: The strategy.
        reference: Equal weight.
        timeline: Of their dates.
    """
    active = compute_active_weights(backtest, reference, timeline)
    order = np.argsort(-active.mean(axis=0), kind="stable")
    order = order[np.abs(active).max(axis=0)[order] > 0.0] if active.any() else order
    limit = float(np.quantile(np.abs(active[:, order]), 0.99)) or float(np.abs(active).max()) or 1.0
    # Points are a week each, and weeks are equally wide.
    address = encode_png(colour_cells(active[:, order].T, limit))
    names = [backtest.symbols[column] for column in order]
    panel = timeline.make_panel(Scale(0.0, 1.0), _ROW_PX * len(names) + 2, "")
    panel.names = names
    text = f"Weights less those of {reference.name}: blue above, orange below, full colour at {limit:.1%} of wealth."
    panel.parts.append(
        f'<image href="{address}" width="2000" height="1000" preserveAspectRatio="none" class="cells">'
        f"<title>{html.escape(text)}</title></image>"
    )
    keys = [
        Key(f"{_sign(limit)} or more above", "above"),
        Key(f"{_sign(limit)} or more below", "below"),
    ]
    return Figure(f"Active weights against {reference.name}.", [panel], keys)


def plot_turnover(backtests: Sequence[Backtest], timeline: Timeline) -> Figure:
    """Draw the first backtest's one-way turnover a month, and the costs that each has paid so far."""
    first = backtests[0]
    monthly = pd.Series(first.turnover).groupby(first.dates.to_period("M")).sum()
    months = pd.PeriodIndex(monthly.index)
    left, right = to_seconds(months.to_timestamp()), to_seconds((months + 1).to_timestamp())
    gap = 0.15 * (right - left)
    first_edge, last_edge = timeline.scale.low, timeline.scale.high
    opening, closing = (np.clip(side, first_edge, last_edge) for side in (left + gap, right - gap))
    paid = [np.cumsum(backtest.costs)[timeline.ends] for backtest in backtests]
    top = timeline.make_panel(fit([monthly], zero=True, format="percent", digits=0), 150, "turnover", show_x=False)
    top.add_bars(opening, closing, monthly.to_numpy(), "f0")
    bottom = timeline.make_panel(fit(paid, zero=True, format="percent", digits=2), 170, "costs so far")
    for number in reversed(range(len(backtests))):
        bottom.add_curve(
            timeline.seconds, paid[number], number, backtests[number].name, style="own" if number == 0 else ""
        )
    keys = [Key(item.name, f"c{number}", number) for number, item in enumerate(backtests)]
    return Figure("Turnover and costs.", [top, bottom], keys)


def _sign(limit: float) -> str:
    return f"{100 * limit:.1f} points"
