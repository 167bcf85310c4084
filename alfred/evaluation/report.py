"""The report: one page that says honestly whether the strategy beat its benchmark.

The page holds everything it needs (figures, styles, plotly.js) and loads nothing: a content security policy in its
head forbids the network. Every text that comes from outside is escaped.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from alfred.data.files import write_atomically
from alfred.errors import DataError
from alfred.evaluation import plots, uncertainty_plots
from alfred.evaluation.bootstrap import SeedSummary, summarise_seeds
from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, compute_sharpe
from alfred.evaluation.report_format import (
    format_cell,
    format_number,
    format_p_value,
    format_percent,
    format_probability,
    write_headline,
)
from alfred.evaluation.report_input import FoldScore, MarketFacts, ReportInput
from alfred.evaluation.results import ResultRow, compute_results, resample_sharpe_differences

__all__ = ["FoldScore", "MarketFacts", "ReportInput", "render_report", "write_report"]


@dataclass(frozen=True)
class FoldRow:
    """One line of the fold table: annual Sharpe ratios, NaN where there is none."""

    name: str
    period: str
    train: float
    validation: float
    test: float
    benchmark: float
    equal_weight: float


@dataclass(frozen=True)
class SeedTable:
    """The seeds of the strategy, and their interquartile means of Sharpe ratio and of its gains."""

    rows: Sequence[ResultRow]
    sharpe: SeedSummary
    minus_benchmark: SeedSummary
    minus_equal_weight: SeedSummary | None


def write_report(folder: Path | str, report: ReportInput) -> list[ResultRow]:
    """Write `report.html`, and `results.json` with the same numbers beside it.

    Args:
        folder: Where to write; made when missing. Both files appear whole or not at all.
        report: What to tell.

    Returns:
        The numbers of the page, the judged strategy first.

    Raises:
        DataError: A backtest cannot be compared with the others, or a name is unknown.
    """
    rows = compute_results(
        report.backtests,
        benchmark=report.benchmark,
        equal_weight=report.equal_weight,
        n_trials=report.n_trials,
        intervals=report.intervals,
    )
    numbers = json.dumps([row.to_json() for row in rows], indent=2, allow_nan=False)
    page = render_report(report, rows)
    write_atomically(Path(folder) / "results.json", lambda path: path.write_text(numbers, encoding="utf-8"))
    write_atomically(Path(folder) / "report.html", lambda path: path.write_text(page, encoding="utf-8"))
    return rows


def render_report(report: ReportInput, rows: Sequence[ResultRow]) -> str:
    """Return the page as text.

    Args:
        report: What to tell.
        rows: The numbers, from `compute_results` on the same backtests.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("alfred.evaluation"),
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
        "headline": write_headline,
    }
    agent, row = report.backtests[0], rows[0]
    verdicts = [verdict for verdict in (row.versus_benchmark, row.versus_equal_weight) if verdict is not None]
    return environment.get_template("report.html.jinja").render(
        report=report,
        rows=rows,
        row=row,
        agent=agent,
        verdicts=[verdict for verdict in verdicts if verdict.baseline != row.name],
        level=f"{report.intervals.level:.0%}",
        figures={name: _embed_figure(figure) for name, figure in _make_figures(report, rows).items()},
        folds=_compute_folds(report),
        seeds=_compute_seeds(report),
        caveats=[*report.market.notes, *report.caveats, *_find_caveats(report, row)],
        skill=None if report.skill is None else report.skill.to_dict("records"),
        extra_tables={name: table.to_dict("split") for name, table in report.extra_tables.items()},
        library=base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode(),
    )


def _embed_figure(figure: go.Figure) -> Markup:
    """Return a figure as JSON that may stand inside a script element."""
    text = str(figure.to_json())
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, code)
    return Markup(text)  # noqa: S704  every character that HTML knows was replaced above


def _make_figures(report: ReportInput, rows: Sequence[ResultRow]) -> dict[str, go.Figure]:
    """Return the figures by the name under which the template places them."""
    agent = report.backtests[0]
    by_name = {backtest.name: backtest for backtest in report.backtests}
    baselines = [
        by_name[name] for name in (report.benchmark, report.equal_weight) if name is not None and name != agent.name
    ]
    leading = [agent, *baselines]
    ordered = [*leading, *(backtest for backtest in report.backtests if backtest not in leading)]
    figures = {
        "wealth": plots.plot_wealth(ordered, n_shown=len(leading)),
        "weights": plots.plot_weights(agent),
        "turnover": plots.plot_turnover(leading),
        "heatmap": plots.plot_return_heatmap(agent),
    }
    if baselines:
        held = np.column_stack([baseline.net for baseline in baselines])
        replicates = resample_sharpe_differences(agent.net, held, report.intervals)
        by_baseline = {baseline.name: replicates[:, column] for column, baseline in enumerate(baselines)}
        figures["difference"] = uncertainty_plots.plot_sharpe_difference(by_baseline, report.intervals.level)
        if len(agent.dates) > DAYS_PER_YEAR:
            figures["rolling"] = uncertainty_plots.plot_rolling_sharpe(agent, baselines)
    if len(rows) > 1:
        figures["gains"] = uncertainty_plots.plot_sharpe_gains(rows)
    if report.seed_backtests:
        figures["seeds"] = plots.plot_seed_fan(report.seed_backtests, leading)
    if report.skill is not None and len(report.skill):
        figures["skill"] = uncertainty_plots.plot_signal_skill(report.skill)
    return figures


def _compute_folds(report: ReportInput) -> list[FoldRow]:
    """Return the Sharpe ratios of each fold; those of the test are read off the backtests."""
    by_name = {backtest.name: backtest for backtest in report.backtests}
    agent = report.backtests[0]
    nan = float("nan")

    def score(name: str | None, fold: FoldScore) -> float:
        if name is None:
            return nan
        inside = (agent.dates >= fold.start) & (agent.dates <= fold.end)
        if not inside.any():
            raise DataError(
                f"fold '{fold.name}' is tested from {fold.start.date()} to {fold.end.date()}, but the backtests run "
                f"from {agent.dates[0].date()} to {agent.dates[-1].date()}; pass the folds of this test"
            )
        return compute_sharpe(by_name[name].net[inside])

    return [
        FoldRow(
            name=fold.name,
            period=f"{fold.start.date()} to {fold.end.date()}",
            train=nan if fold.train_sharpe is None else fold.train_sharpe,
            validation=nan if fold.validation_sharpe is None else fold.validation_sharpe,
            test=score(agent.name, fold),
            benchmark=score(report.benchmark, fold),
            equal_weight=score(report.equal_weight, fold),
        )
        for fold in report.folds
    ]


def _compute_seeds(report: ReportInput) -> SeedTable | None:
    """Return the results of every seed next to the same baselines, or None without seeds."""
    if not report.seed_backtests:
        return None
    by_name = {backtest.name: backtest for backtest in report.backtests}
    names = list(dict.fromkeys(name for name in (report.benchmark, report.equal_weight) if name is not None))
    together = [*report.seed_backtests, *(by_name[name] for name in names)]
    rows = compute_results(
        together,
        benchmark=report.benchmark,
        equal_weight=report.equal_weight,
        n_trials=report.n_trials,
        intervals=report.intervals,
    )[: len(report.seed_backtests)]
    peers = [row.versus_equal_weight.difference for row in rows if row.versus_equal_weight is not None]
    return SeedTable(
        rows=rows,
        sharpe=summarise_seeds([row.sharpe for row in rows], report.intervals),
        minus_benchmark=summarise_seeds([row.sharpe_minus_benchmark for row in rows], report.intervals),
        minus_equal_weight=summarise_seeds(peers, report.intervals) if peers else None,
    )


def _find_caveats(report: ReportInput, row: ResultRow) -> list[str]:
    """Return what the numbers themselves warn of."""
    found = []
    peer = row.versus_equal_weight
    if peer is not None and row.versus_benchmark.outcome == "beats" and peer.outcome != "beats":
        found.append(
            f"{row.name} beats {row.versus_benchmark.baseline}, but equal weight of the same universe may have done so "
            "as well: the gain is the universe's until the strategy beats equal weight, too."
        )
    if np.isfinite(row.versus_benchmark.error):
        found.append(
            f"{row.n_days / DAYS_PER_YEAR:.1f} years of test can only show a Sharpe difference to "
            f"{row.versus_benchmark.baseline} of about {row.versus_benchmark.detectable:.2f} or more (4 chances in 5)."
        )
    if report.n_trials == 1:
        found.append("One trial is declared. If other settings were tried before, the deflated figures are too high.")
    if report.equal_weight is None:
        found.append("Equal weight of the same universe was not backtested: a universe of survivors flatters any rule.")
    if report.skill is not None and "before cutoff" in set(report.skill["period"]):
        names = ", ".join(sorted(set(report.skill.loc[report.skill["period"] == "before cutoff", "analyst"])))
        found.append(
            f"Pretrained models may have seen a part of the test ({names}): only dates after their knowledge cutoff "
            "count as out of sample."
        )
    return found
