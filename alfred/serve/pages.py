"""The pages as text: templates, how numbers and times are written, and lines that are drawn without a script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import jinja2
import numpy as np

from alfred.evaluation.formatting import format_percent
from alfred.evaluation.report.templating import open_templates
from alfred.serve.studies import format_value

_MOST_POINTS = 400
WIDTH, HEIGHT = 640, 140


@cache
def make_environment() -> jinja2.Environment:
    """Return the templates of the server, with their filters; they are compiled once a process."""
    environment = open_templates("alfred.serve")
    environment.filters |= {
        "when": format_time,
        "size": format_size,
        "value": format_value,
        "pct": format_percent,
        "points": draw_line,
    }
    environment.globals |= {"width": WIDTH, "height": HEIGHT}
    return environment


def render(template: str, **parts: object) -> bytes:
    """Return a page; what cannot be written as UTF-8, such as half of a character, is replaced."""
    return make_environment().get_template(f"{template}.html.jinja").render(**parts).encode("utf-8", errors="replace")


@cache
def read_style() -> bytes:
    """Return the style of the pages: that of the report, and what a report has no need of."""
    report = files("alfred.evaluation.report") / "templates" / "report.css"
    own = files("alfred.serve") / "templates" / "serve.css"
    return report.read_bytes() + b"\n" + own.read_bytes()


@cache
def read_script() -> bytes:
    """Return the script of the pages."""
    return (files("alfred.serve") / "templates" / "live.js").read_bytes()


def draw_line(values: Sequence[float]) -> str:
    """Return the points of a polyline of `WIDTH` by `HEIGHT` through values in order; empty for fewer than two."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if len(array) < 2:
        return ""
    if len(array) > _MOST_POINTS:
        array = array[np.linspace(0, len(array) - 1, _MOST_POINTS).round().astype(int)]
    low, high = float(array.min()), float(array.max())
    shares = (array - low) / (high - low) if high > low else np.full(len(array), 0.5)
    xs = np.linspace(0.0, WIDTH, len(array))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, HEIGHT * (1.0 - shares), strict=True))


def format_time(text: str) -> str:
    """Return a time in ISO format as people read it, to the minute, in universal time."""
    return text[:16].replace("T", " ")


def format_size(n_bytes: int) -> str:
    """Return bytes with a unit."""
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
