"""The report: one page that says honestly whether the strategy beat its benchmark.

The page holds everything it needs (figures, styles, plotly.js) and loads nothing: a content security policy in its
head forbids the network. Every text that comes from outside is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from alfred.data.files import write_atomically
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.formatting import write_verdict
from alfred.evaluation.headline import find_tone
from alfred.evaluation.plausibility import find_signal_warnings
from alfred.evaluation.report import plots, uncertainty_plots
from alfred.evaluation.report.inputs import FoldScore, MarketFacts, ReportInput
from alfred.evaluation.report.tables import compute_folds, compute_seeds, describe_table
from alfred.evaluation.report.templating import embed_figure, make_environment, pack_library
from alfred.evaluation.results import ResultRow, compute_results, resample_sharpe_differences
from alfred.evaluation.statistics.significance import Verdict

__all__ = ["FoldScore", "MarketFacts", "ReportInput", "render_report", "write_report"]

# A year of fewer sessions has no Sharpe ratio worth a picture.
_FEWEST_POINTS = 12
# Sessions below which autocorrelation is hardly seen by blocks of a twentieth of them.
_FEW_SESSIONS = 120


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
        trial_sharpes=report.trial_sharpes,
        intervals=report.intervals,
        trainings=report.trainings,
        behaviours=report.behaviours,
        signal_warnings=find_signal_warnings(report.skill, report.backtests[0].periods_per_year),
        first_warnings=report.warnings,
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
    agent, row = report.backtests[0], rows[0]
    verdicts = [verdict for verdict in (row.versus_benchmark, row.versus_equal_weight) if verdict is not None]
    return (
        make_environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            rows=rows,
            row=row,
            agent=agent,
            verdicts=_describe_verdicts(row, [verdict for verdict in verdicts if verdict.baseline != row.name]),
            trainings=[(item.name, item.versus_benchmark.trainings, item.trainings) for item in rows if item.trainings],
            level=f"{report.intervals.level:.0%}",
            figures={name: embed_figure(figure) for name, figure in _make_figures(report, rows).items()},
            folds=compute_folds(report),
            seeds=compute_seeds(report),
            table_notes=describe_table(report, rows),
            behaviours=list(report.behaviours.items()),
            explained=report.explained,
            cash_rate=_compute_cash_rate(agent),
            caveats=[*report.market.notes, *report.caveats, *_find_caveats(report, row, rows)],
            skill=None if report.skill is None else report.skill.to_dict("records"),
            extra_tables={name: table.to_dict("split") for name, table in report.extra_tables.items()},
            library=pack_library(),
        )
    )


def _describe_verdicts(row: ResultRow, verdicts: Sequence[Verdict]) -> list[tuple[Verdict, str, str]]:
    """Return each comparison of the judged strategy with its line and its tone; the headline is the first one's."""
    if row.headline is None:
        return [(verdict, write_verdict(verdict, row.name), "grey") for verdict in verdicts]
    lines = [row.headline.text, *(write_verdict(verdict, row.name) for verdict in verdicts[1:])]
    tones = [row.headline.tone, *(find_tone(verdict, row.headline) for verdict in verdicts[1:])]
    return list(zip(verdicts, lines, tones, strict=True))


def _compute_cash_rate(record: Backtest) -> float:
    """Return what cash earned a year over a record, compounded; nothing was in it before the first mark."""
    earned = record.cash_return[1:]
    return float(np.expm1(np.log1p(earned).mean() * record.periods_per_year)) if len(earned) else 0.0


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
        "heatmap": plots.plot_return_heatmap(agent),
    }
    if agent.knows_holdings:
        figures |= {"weights": plots.plot_weights(agent), "turnover": plots.plot_turnover(leading)}
    if baselines:
        differences = resample_sharpe_differences(agent, baselines, report.intervals)
        figures["difference"] = uncertainty_plots.plot_sharpe_difference(differences, report.intervals.level)
        year = agent.periods_per_year
        if year >= _FEWEST_POINTS and len(agent.dates) > year:
            figures["rolling"] = uncertainty_plots.plot_rolling_sharpe(agent, baselines)
    if len(rows) > 1:
        figures["gains"] = uncertainty_plots.plot_sharpe_gains(rows)
    if report.seed_backtests:
        figures["seeds"] = plots.plot_seed_fan(report.seed_backtests, leading)
    if report.skill is not None and len(report.skill):
        figures["skill"] = uncertainty_plots.plot_signal_skill(report.skill)
    return figures


def _find_caveats(report: ReportInput, row: ResultRow, rows: Sequence[ResultRow]) -> list[str]:
    """Return what the numbers themselves warn of."""
    found = []
    versus_equal = row.versus_equal_weight
    if versus_equal is not None and row.versus_benchmark.outcome == "beats" and versus_equal.outcome != "beats":
        found.append(
            f"{row.name} beats {row.versus_benchmark.baseline}, but equal weight of the same universe may have done so "
            "as well: the gain is the universe's until the strategy beats equal weight, too."
        )
    found += [
        f"{item.name}: {item.versus_benchmark.trainings}"
        for item in rows
        if any(training.untrained for training in item.trainings)
    ]
    if row.n_days < _FEW_SESSIONS:
        found.append(
            f"{row.n_days} sessions are few. Where returns are autocorrelated, histories this short are called a gain "
            "or a loss more often than the intervals promise (docs/statistics.md)."
        )
    if np.isfinite(row.detectable):
        found.append(
            f"{row.n_days / row.periods_per_year:.1f} years of test can only show a Sharpe difference to "
            f"{row.versus_benchmark.baseline} of about {row.detectable:.2f} or more (4 chances in 5"
            f"{'' if row.n_trials == 1 else f', after {row.n_trials} trials'})."
        )
    if row.n_trials == 1:
        found.append("One trial is declared. If other settings were tried before, the deflated figures are too high.")
    if report.equal_weight is None:
        found.append("Equal weight of the same universe was not backtested: a universe of survivors flatters any rule.")
    return found
