"""What the pages of reports share: templates, and the filters that write numbers."""

from __future__ import annotations

from functools import cache

import jinja2

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


@cache
def make_environment() -> jinja2.Environment:
    """Return the environment of the templates: everything is escaped, and an unknown name is an error.

    Templates are compiled once a process.
    """
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
