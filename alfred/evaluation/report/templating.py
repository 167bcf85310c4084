"""What the pages of reports share: templates, filters, and figures that stand in the page."""

from __future__ import annotations

import base64
import gzip

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from alfred.evaluation.formatting import (
    format_cell,
    format_difference,
    format_interval,
    format_number,
    format_p_value,
    format_percent,
    format_probability,
    write_verdict,
)


def make_environment() -> jinja2.Environment:
    """Return the environment of the templates: everything is escaped, and an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("alfred.evaluation.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "pvalue": format_p_value,
        "pct": format_percent,
        "num": format_number,
        "prob": format_probability,
        "cell": format_cell,
        "ends": format_interval,
        "difference": format_difference,
        "verdict": write_verdict,
    }
    return environment


def embed_figure(figure: go.Figure) -> Markup:
    """Return a figure as JSON that may stand inside a script element."""
    text = str(figure.to_json())
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, code)
    return Markup(text)  # noqa: S704  every character that HTML knows was replaced above


def pack_library() -> str:
    """Return plotly.js, compressed, as text that a page may hold."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
