"""Figures of how sure the numbers are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alfred.evaluation.formatting import format_interval, format_level, format_number
from alfred.evaluation.report.drawing.figure import Figure, Key
from alfred.evaluation.report.drawing.panel import Panel
from alfred.evaluation.report.drawing.scales import Scale, fit
from alfred.evaluation.report.numbers import Histogram
from alfred.evaluation.results import ResultRow

_ROW_PX = 27
# No signal has both kinds of dates, so that the middle place suits those without a cutoff.
_PERIODS = (("before cutoff", 2), ("all", 0), ("after cutoff", 3))

Range = tuple[str, float, float, float, int, str]
"""Row, low end, middle, high end, number of the colour, what a reader is told."""


def plot_sharpe_gains(rows: Sequence[ResultRow], level: float = 0.95) -> Figure:
    """Draw the Sharpe ratio of every strategy less each baseline's, with paired intervals.

    Args:
        rows: What `compute_results` returned.
        level: Coverage of the intervals.
    """
    ranges: list[Range] = []
    keys = []
    for series, kind in enumerate(("versus_benchmark", "versus_equal_weight"), start=1):
        pairs = [(row.name, verdict) for row in rows if (verdict := getattr(row, kind)) is not None]
        shown = [(name, pair) for name, pair in pairs if name != pair.baseline and np.isfinite(pair.interval[0])]
        for name, pair in shown:
            told = f"{name} less {pair.baseline}: {pair.difference:+.2f} ({format_interval(*pair.interval)})"
            ranges.append((name, pair.interval[0], pair.difference, pair.interval[1], series, told))
        if shown:
            keys.append(Key(f"less {shown[0][1].baseline}", f"c{series}", series))
    panel = _draw(ranges, [row.name for row in rows], "annual Sharpe ratio less the baseline's")
    return Figure(f"Sharpe ratio less each baseline's, with {format_level(level)} intervals.", [panel], keys)


def plot_sharpe_difference(histograms: Sequence[Histogram]) -> Figure:
    """Draw how true Sharpe differences that resampled histories point to are spread, with the ends of intervals."""
    ends = [value for item in histograms for value in (item.low, item.high, *item.ends)]
    x = fit([ends], zero=True)
    panel = Panel(x, fit([item.shares for item in histograms], zero=True, format="percent", digits=1), 260)
    panel.label, panel.x_label = "share of histories", "annual Sharpe ratio less the baseline's"
    for number, item in enumerate(histograms, start=1):
        edges = np.linspace(item.low, item.high, len(item.shares) + 1)
        panel.add_bars(edges[:-1], edges[1:], item.shares, f"f{number} k{number} half")
        for end in item.ends:
            panel.add_level(end, f"end c{number} k{number}", upright=True)
    panel.add_level(0.0, upright=True)
    keys = [Key(f"less {item.baseline}", f"c{number}", number) for number, item in enumerate(histograms, start=1)]
    return Figure("True Sharpe differences that resampled histories point to.", [panel], keys)


def plot_signal_skill(skill: pd.DataFrame) -> Figure:
    """Draw the out-of-sample rank correlation of every signal with its interval.

    Args:
        skill: What `compute_signal_skill` returns.
    """
    ranges: list[Range] = []
    keys = []
    for period, series in _PERIODS:
        shown = skill[(skill["period"] == period) & np.isfinite(skill["low"].astype(float))]
        for line in shown.itertuples():
            name, value = str(line.signal), float(line.value)
            told = f"{name}, {period} dates: {format_number(value, 4, sign=True)}"
            ranges.append((name, float(line.low), value, float(line.high), series, told))
        if len(shown):
            keys.append(Key(f"{period} dates", f"c{series}", series))
    panel = _draw(ranges, [str(name) for name in skill["signal"].unique()], "mean rank correlation by date")
    return Figure("Rank correlation with what came, out of sample.", [panel], keys)


def _draw(ranges: Sequence[Range], names: Sequence[str], title: str) -> Panel:
    """Return intervals by name, the first one on top; those of one name stand below each other."""
    x = fit([[low, high] for _, low, _, high, _, _ in ranges], zero=True)
    panel = Panel(x, Scale(len(names), 0.0), max(_ROW_PX * len(names), 40), x_label=title, names=names)
    panel.add_level(0.0, upright=True)
    for place, name in enumerate(names):
        own = [item for item in ranges if item[0] == name]
        for number, (_, low, middle, high, series, told) in enumerate(own):
            shift = (number - (len(own) - 1) / 2) * 0.3
            panel.add_range(low, middle, high, place + 0.5 + shift, series, told)
    return panel
