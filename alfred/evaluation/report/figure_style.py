"""What all figures of a report share: colours, thinning, legends.

Figures bring no theme: the page that shows them sets background, text and grid, for light, dark and print. Names are
escaped, for plotly reads a part of HTML in its texts.

Axes legend: T dates.
"""

from __future__ import annotations

import html

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alfred.typing import FloatArray

MAX_DAILY_POINTS = 500
NEUTRAL = "#7d8794"
# The strategy, the benchmark, equal weight, then everything else. All have a contrast of 3 or more on white and on the
# dark page, and the first three differ for colour-blind readers as well.
COLOURS = ("#3b82f6", NEUTRAL, "#dd6b20", "#0d9488", "#a855f7", "#b7791f", "#db2777", "#4d7c0f", "#0891b2", "#8b5e3c")
# Ticks of a wealth axis in each decade, by the ratio of the highest to the lowest wealth up to which they suit.
_WEALTH_STEPS = {
    3.0: (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    30.0: (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    3e4: (1.0, 2.0, 5.0),
    np.inf: (1.0,),
}


def colour_at(position: int) -> str:
    """Return the colour of the strategy (0), the benchmark (1), equal weight (2) or a later curve."""
    return COLOURS[position % len(COLOURS)]


def fade(colour: str, opacity: float = 0.14) -> str:
    """Return a colour such as `#3b82f6` with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def label(name: str) -> str:
    """Return a name as plotly may show it."""
    return html.escape(name)


def find_point_starts(dates: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return the first row of every point that is drawn: of each day, or of each week of a long history."""
    if len(dates) <= MAX_DAILY_POINTS:
        return np.arange(len(dates))
    weeks = dates.to_period("W").asi8
    return np.flatnonzero(np.diff(weeks, prepend=weeks[0] - 1))


def find_point_ends(dates: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return the last row of every point that is drawn."""
    return np.append(find_point_starts(dates)[1:], len(dates)) - 1


def write_days(dates: pd.DatetimeIndex) -> list[str]:
    """Return dates as text."""
    return list(dates.strftime("%Y-%m-%d"))


def shrink(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return single precision: plotly packs it into 4 bytes a point, and no eye sees the difference."""
    return np.asarray(values, dtype=np.float32)


def make_curve(days: list[str], values: FloatArray, name: str, position: int, hover: str, **more: object) -> go.Scatter:
    """Return a line in the colour of its position.

    Args:
        days: Dates as text, `[T]`.
        values: `[T]`.
        name: Name in the legend, not yet escaped.
        position: See `colour_at`.
        hover: How plotly writes a value, for instance `%{y:.3f}`.
        more: Further properties of the trace.
    """
    style = {"width": 2.2 if position == 0 else 1.6, "color": colour_at(position)}
    properties = {"mode": "lines", "name": label(name), "line": style, "hovertemplate": hover, **more}
    return go.Scatter(x=days, y=shrink(values), **properties)


def make_rows(heights: tuple[float, ...]) -> go.Figure:
    """Return a figure of panels above each other with one time axis."""
    return make_subplots(rows=len(heights), cols=1, shared_xaxes=True, row_heights=list(heights), vertical_spacing=0.06)


def set_wealth_axis(figure: go.Figure, wealth: FloatArray, row: int | None = None) -> None:
    """Make an axis logarithmic, with round ticks that cover the wealth that is shown.

    Args:
        figure: The figure.
        wealth: Every value that is drawn; zero (after ruin) has no place on the axis.
        row: The panel, or None in a figure without panels.
    """
    drawn = wealth[wealth > 0]
    low, high = (float(drawn.min()), float(drawn.max())) if len(drawn) else (1.0, 1.0)
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = next(steps for limit, steps in _WEALTH_STEPS.items() if high <= limit * low)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    where = {} if row is None else {"row": row, "col": 1}
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks], **where)
    figure.update_yaxes(title_text="wealth (log)", **where)


def finish(figure: go.Figure, height: int, *, unified: bool = True, bottom: int = 28) -> go.Figure:
    """Apply what all figures share; colours of page, text and grid belong to the page."""
    return figure.update_layout(
        template="none",
        height=height,
        margin={"l": 58, "r": 14, "t": 36, "b": bottom},
        hovermode="x unified" if unified else "closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
