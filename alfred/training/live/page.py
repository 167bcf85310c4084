"""The page of an account on paper."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alfred.data.files import write_atomically
from alfred.evaluation.report.templating import open_templates
from alfred.training.live.report import PaperReport

PAGE_FILE = "report.html"


def write_page(folder: Path | str, found: PaperReport) -> Path:
    """Write the page into the folder of the account, and return its place.

    Args:
        folder: Of the account.
        found: What it shows.
    """
    text = (
        open_templates("alfred.training.live")
        .get_template("paper.html.jinja")
        .render(
            title=f"{found.terms.agent} on paper since {found.terms.start}",
            sentences=found.sentences,
            alarm=found.drift.alarm is not None,
            rows=found.tabulate(),
            wealth="" if found.realised is None else _render(draw_wealth(found)),
            drift="" if not len(found.drift.evidence) else _render(draw_drift(found)),
        )
    )
    target = Path(folder) / PAGE_FILE
    write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))
    return target


def draw_wealth(found: PaperReport) -> Figure:
    """Draw the wealth of the account, of the same policies walked now, and of the benchmark."""
    figure, axes = _make_figure()
    if found.realised is not None:
        dates = found.realised.dates
        axes.plot(dates, found.terms.capital * found.realised.wealth, label="account", linewidth=1.6)
        if found.expected is not None:
            line = found.terms.capital * found.expected.wealth
            axes.plot(found.expected.dates, line, "--", label="same policies, walked now", linewidth=1.0)
        line = found.terms.capital * np.cumprod(1.0 + found.realised.benchmark)
        axes.plot(dates, line, label="benchmark", linewidth=1.0, color="#7d8794")
    axes.set_ylabel("wealth, in the currency of the prices")
    axes.legend(fontsize="small", frameon=False)
    return figure


def draw_drift(found: PaperReport) -> Figure:
    """Draw the evidence that the account is no longer what was judged, and the level of the alarm."""
    figure, axes = _make_figure()
    if found.realised is not None:
        dates = found.realised.dates[len(found.realised.dates) - found.drift.n_new :]
        axes.plot(dates, found.drift.evidence, linewidth=1.4, label="evidence")
    axes.axhline(1.0 / found.drift.alpha, color="#dd6b20", linewidth=1.0, label="alarm")
    axes.set_yscale("log")
    axes.set_ylabel("evidence against no change")
    axes.legend(fontsize="small", frameon=False)
    return figure


def _make_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _render(figure: Figure) -> str:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.autofmt_xdate()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    return base64.b64encode(content.getvalue()).decode()
