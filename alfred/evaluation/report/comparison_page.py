"""The page that shows runs side by side, in the style of the report and as self-contained."""

from __future__ import annotations

from alfred.evaluation.formatting import format_level
from alfred.evaluation.report.figures import curves, uncertainty
from alfred.evaluation.report.figures.timeline import Timeline
from alfred.evaluation.report.templating import make_environment
from alfred.evaluation.side_by_side.comparison import Comparison

# More names than this are shown by a click in the legend.
_MOST_CURVES = 10


def render_comparison(found: Comparison, title: str | None = None) -> str:
    """Return the page as text.

    Args:
        found: What is compared.
        title: Heading of the page; the names of up to three runs when left out.
    """
    held = [record for record in found.records if record.name in found.held]
    others = [record for record in found.records if record.name not in found.held]
    # The colours of a report: the strategy, the benchmark in grey, equal weight, all others.
    ordered = [*others[:1], *held[:2], *others[1:], *held[2:]] if others else held
    figures = {
        "wealth": curves.plot_wealth(ordered, Timeline.make(found.dates), n_shown=_MOST_CURVES),
        "gains": uncertainty.plot_sharpe_gains([row.numbers for row in found.rows], found.intervals.level),
    }
    return (
        make_environment()
        .get_template("compare.html.jinja")
        .render(
            title=title or write_title(found),
            found=found,
            level=format_level(found.intervals.level),
            figures=figures,
        )
    )


def write_title(found: Comparison) -> str:
    """Return a heading for a comparison."""
    names = list(found.runs)
    if len(names) == 1:
        return f"{names[0]}: all strategies"
    shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
