"""One page about a search: what was found, how it went, what mattered, and how often it looked."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from optuna import Study

from alfred.data.files import write_atomically
from alfred.errors import ConfigError
from alfred.evaluation.report.templating import open_templates
from alfred.training.search.summary import StudySummary, summarise_study, tabulate_top

PAGE_FILE, TABLE_FILE, CONVERGENCE_FILE, IMPORTANCE_FILE = (
    "report.html",
    "top10.csv",
    "convergence.png",
    "importance.png",
)
_MOST_BARS = 20


def write_search_report(folder: Path, title: str, studies: Sequence[Study]) -> list[Path]:
    """Write `report.html`, `top10.csv`, `convergence.png` and, for enough trials, `importance.png` into a folder.

    Args:
        folder: Of the search.
        title: Its name.
        studies: All its studies.

    Returns:
        The files.

    Raises:
        ConfigError: No trial of any study was finished yet.
    """
    summaries = [summarise_study(study) for study in studies]
    if not any(item.n_finished for item in summaries):
        raise ConfigError(f"no trial of '{title}' was finished yet; run the search first")
    top = pd.concat([tabulate_top(study) for study in studies], ignore_index=True)
    pictures = {CONVERGENCE_FILE: _render(draw_convergence(summaries))}
    importance = average_importance(summaries)
    if importance:
        pictures[IMPORTANCE_FILE] = _render(draw_importance(importance))
    page = _render_page(title, summaries, top, pictures)
    for name, picture in pictures.items():
        write_atomically(folder / name, lambda path, content=picture: path.write_bytes(content))  # type: ignore[misc]
    write_atomically(folder / TABLE_FILE, lambda path: top.to_csv(path, index=False))
    write_atomically(folder / PAGE_FILE, lambda path: path.write_text(page, encoding="utf-8"))
    return [folder / name for name in (PAGE_FILE, TABLE_FILE, *pictures)]


def draw_convergence(summaries: Sequence[StudySummary]) -> Figure:
    """Draw the best value up to each finished trial; of several studies relative to the first finished trial."""
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    many = len(summaries) > 1
    positive = all(value > 0 for item in summaries for value in item.convergence)
    for item in summaries:
        values = np.asarray(item.convergence)
        if not len(values):
            continue
        shown = values if not many else values / values[0] if positive else values - values[0]
        axes.step(np.arange(1, len(values) + 1), shown, where="post", linewidth=1.2, label=item.name)
    axes.set_xlabel("finished trials")
    relative = "best so far, first trial = 1" if positive else "best so far less the first trial"
    axes.set_ylabel(relative if many else "best so far")
    if len(summaries) <= 12:
        axes.legend(fontsize="small", frameon=False)
    axes.grid(alpha=0.3)
    return figure


def average_importance(summaries: Sequence[StudySummary]) -> dict[str, float]:
    """Return the mean importance over studies of each parameter, those of a family behind its name, largest first."""
    found: dict[str, list[float]] = {}
    for item in summaries:
        for family, shares in item.importance.items():
            for name, share in shares.items():
                found.setdefault(name if family == "all" else f"{family}.{name}", []).append(share)
    means = {name: float(np.mean(shares)) for name, shares in found.items()}
    return dict(sorted(means.items(), key=lambda pair: -pair[1])[:_MOST_BARS])


def draw_importance(importance: dict[str, float]) -> Figure:
    """Draw one bar a parameter."""
    figure = Figure(figsize=(8.0, 0.8 + 0.28 * len(importance)), layout="constrained")
    axes = figure.subplots()
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color="#3b82f6")
    axes.set_xlabel("share of importance (PED-ANOVA; within a family, of what only that family has)")
    return figure


def _render(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    return content.getvalue()


def _render_page(title: str, summaries: Sequence[StudySummary], top: pd.DataFrame, pictures: dict[str, bytes]) -> str:
    shown = top[top["rank"] <= (10 if len(summaries) == 1 else 3)].astype(object)
    shown = shown.where(shown.notna(), "")
    encoded = {name: base64.b64encode(picture).decode() for name, picture in pictures.items()}
    return (
        open_templates("alfred.training.search")
        .get_template("search.html.jinja")
        .render(
            title=title,
            summaries=summaries,
            n_looks=sum(item.n_looks for item in summaries),
            columns=list(shown.columns),
            rows=shown.values.tolist(),
            convergence=encoded[CONVERGENCE_FILE],
            importance=encoded.get(IMPORTANCE_FILE),
        )
    )
