"""One panel of a figure: axes, curves, areas, bars and points.

The drawing is stretched to the width that is there, while lines keep their width and texts their size: texts are HTML
beside the SVG, and strokes do not scale. So a figure suits a telephone, a screen and paper alike.

Axes legend: V values.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from alfred.evaluation.report.drawing.scales import Scale, Tick
from alfred.typing import Float

WIDTH, HEIGHT = 2000, 1000
"""Units of a drawing: a curve is right to half a thousandth of the height."""


@dataclass
class Panel:
    """One panel.

    Attributes:
        x: Axis from left to right.
        y: Axis from bottom to top.
        height: In pixels.
        label: What the vertical axis shows.
        x_label: What the horizontal axis shows; empty for time.
        names: Names of rows, from the top, instead of a vertical axis of numbers.
        breaks: Places along a time axis at which another fold begins, with their names.
        show_x: Whether ticks are written below.
        parts: What was drawn so far, as SVG.
    """

    x: Scale
    y: Scale
    height: int
    label: str = ""
    x_label: str = ""
    names: Sequence[str] = ()
    breaks: Sequence[tuple[float, str]] = ()
    show_x: bool = True
    parts: list[str] = field(default_factory=list)

    def add_curve(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        series: int,
        name: str = "",
        *,
        style: str = "",
        key: int | None = None,
    ) -> None:
        """Draw a line; a value that is not finite interrupts it.

        Args:
            x: `[V]`.
            y: `[V]`.
            series: Number of its colour.
            name: What a reader is told when pointing at it; nothing when left out.
            style: Further classes.
            key: Number by which the legend hides it; the number of its colour when left out.
        """
        path = _write_path(self._across(x), self._down(y))
        told = f' data-name="{html.escape(name)}"' if name else ""
        hidden = f" k{series if key is None else key}"
        self.parts.append(f'<path class="curve c{series}{hidden} {style}"{told} d="{path}"/>')

    def add_area(self, x: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, kind: str, name: str = "") -> None:
        """Fill what lies between two lines.

        Args:
            x: `[V]`.
            low: `[V]`.
            high: `[V]`.
            kind: Classes, which say the colour.
            name: What a reader is told when pointing at it.
        """
        across, top, bottom = self._across(x), self._down(high), self._down(low)
        known = np.isfinite(across + top + bottom)
        if not known.any():
            return
        across, top, bottom = (values[known] for values in (across, top, bottom))
        path = _write_path(np.concatenate([across, across[::-1]]), np.concatenate([top, bottom[::-1]]))
        told = f"<title>{html.escape(name)}</title>" if name else ""
        self.parts.append(f'<path class="area {kind}" d="{path}Z">{told}</path>')

    def add_bars(self, left: npt.ArrayLike, right: npt.ArrayLike, top: npt.ArrayLike, kind: str) -> None:
        """Draw bars from zero (or the low end) to `top`, all of one colour, `[V]` each."""
        first, last, high = self._across(left), self._across(right), self._down(top)
        base = float(np.clip(self._down([0.0])[0], 0, HEIGHT))
        corners = np.stack([first, last, high], axis=1)
        bars = "".join(
            f"M{a:.0f} {base:.0f}V{h:.0f}H{b:.0f}V{base:.0f}Z" for a, b, h in corners[np.isfinite(corners).all(axis=1)]
        )
        self.parts.append(f'<path class="bars {kind}" d="{bars}"/>')

    def add_range(self, low: float, middle: float, high: float, row: float, series: int, title: str) -> None:
        """Draw an interval with a point in its middle on a row of `names`."""
        across, down = self._across([low, middle, high]), float(self._down([row])[0])
        if not np.isfinite(across).all():
            return
        # A line of no length with round ends is a point, however the drawing is stretched.
        self.parts.append(
            f'<g class="c{series} k{series}"><title>{html.escape(title)}</title>'
            f'<path class="curve" d="M{across[0]:.0f} {down:.0f}H{across[2]:.0f}"/>'
            f'<path class="point" d="M{across[1]:.0f} {down:.0f}h0"/></g>'
        )

    def add_level(self, value: float, kind: str = "zero", *, upright: bool = False) -> None:
        """Draw a straight line through the panel at a value of one axis."""
        if upright:
            place = float(self._across([value])[0])
            path = f"M{place:.0f} 0V{HEIGHT}"
        else:
            place = float(self._down([value])[0])
            path = f"M0 {place:.0f}H{WIDTH}"
        if np.isfinite(place):
            self.parts.append(f'<path class="{kind}" d="{path}"/>')

    def render(self, alt: str, *, named: bool = True) -> str:
        """Return the panel as HTML.

        Args:
            alt: What it shows, for those who do not see it.
            named: Whether the folds are named.
        """
        y_ticks = [] if self.names else self.y.find_ticks(max(3, self.height // 48))
        x_ticks = self.x.find_ticks(8)
        grid = "".join(f"M0 {HEIGHT * (1 - tick.place):.0f}H{WIDTH}" for tick in y_ticks)
        folds = "".join(f"M{WIDTH * place:.0f} 0V{HEIGHT}" for place, _ in self.breaks)
        reads = "".join(f' data-{name}="{value}"' for name, value in self._describe().items())
        lines = [
            f'<div class="panel{" rows" if self.names else ""}" style="height:{self.height}px">',
            f'<div class="down">{self._write_down(y_ticks)}</div>',
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"'
            f' aria-label="{html.escape(alt)}"{reads}>',
            f'<path class="grid" d="{grid}"/>' if grid else "",
            *self.parts,
            f'<path class="fold" d="{folds}"/>' if folds else "",
            "</svg>",
            *(
                f'<span class="break" style="left:{place:.2%}">{html.escape(name)}</span>'
                for place, name in self.breaks
                if named
            ),
            "</div>",
        ]
        if self.show_x:
            lines.append(
                f'<div class="across{" rows" if self.names else ""}"><div>{_write_across(x_ticks)}</div></div>'
            )
            if self.x_label:
                lines.append(f'<p class="axis">{html.escape(self.x_label)}</p>')
        return "".join(lines)

    def _describe(self) -> dict[str, str]:
        """Return what it takes to read values off the drawing."""
        found = {"x": f"{self.x.low:.9g} {self.x.high:.9g} {self.x.kind}"}
        if not self.names:
            found["y"] = f"{self.y.low:.9g} {self.y.high:.9g} {self.y.kind}"
            found["as"] = f"{self.y.format} {self.y.digits}"
        return found

    def _write_down(self, ticks: Sequence[Tick]) -> str:
        if self.names:
            step = 1.0 / len(self.names)
            return "".join(
                f'<span style="top:{(row + 0.5) * step:.2%}">{html.escape(name)}</span>'
                for row, name in enumerate(self.names)
            )
        label = f"<b>{html.escape(self.label)}</b>" if self.label else ""
        return label + "".join(f'<span style="top:{1 - tick.place:.2%}">{tick.text}</span>' for tick in ticks)

    def _across(self, values: npt.ArrayLike) -> Float:
        return np.asarray(self.x.place(values) * WIDTH)

    def _down(self, values: npt.ArrayLike) -> Float:
        return np.asarray((1.0 - self.y.place(values)) * HEIGHT)


def _write_across(ticks: Sequence[Tick]) -> str:
    return "".join(
        f'<span{" class=odd" if number % 2 else ""} style="left:{tick.place:.2%}">{tick.text}</span>'
        for number, tick in enumerate(ticks)
    )


def _write_path(across: Float, down: Float) -> str:
    """Return points as a path, `[V]` each; one that is not finite interrupts it."""
    known = np.isfinite(across) & np.isfinite(down)
    points = np.round(np.column_stack([across, down])[known]).astype(np.int64)
    # A new stroke begins behind every gap.
    starts = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0)[known] == 1) if len(points) else np.zeros(0, int)
    texts = [f"{a} {b}" for a, b in points.tolist()]
    bounds = [*starts.tolist(), len(texts)]
    return "".join("M" + "L".join(texts[first:stop]) for first, stop in pairwise(bounds))
