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


def open_templates(package: str) -> jinja2.Environment:
    """Return the templates of a package for any page: everything is escaped, and an unknown name is an error.

    Args:
        package: What `templates` stands in.
    """
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def make_environment() -> jinja2.Environment:
    """Return the templates of reports, with their filters; they are compiled once a process."""
    environment = open_templates("alfred.evaluation.report")
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
