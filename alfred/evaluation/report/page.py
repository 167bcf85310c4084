"""The report: one page that says honestly whether the strategy beat its benchmark.

The page holds everything it needs (figures, styles) and loads nothing: a content security policy in its head forbids
the network. No script is needed to read it; a small one tells the values under the pointer. Every text that comes from
outside is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alfred.data.files import write_atomically
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.formatting import format_level, write_verdict
from alfred.evaluation.headline import find_tone
from alfred.evaluation.report.drawing.figure import Figure
from alfred.evaluation.report.figures import curves, holdings, uncertainty
from alfred.evaluation.report.figures.timeline import Timeline
from alfred.evaluation.report.grids.months import tabulate_months
from alfred.evaluation.report.grids.policy import tabulate_policy
from alfred.evaluation.report.grids.skill import tabulate_skill
from alfred.evaluation.report.inputs import FoldScore, MarketFacts, ReportInput
from alfred.evaluation.report.numbers import Numbers, compute_numbers
from alfred.evaluation.report.templating import make_environment
from alfred.evaluation.results import ResultRow
from alfred.evaluation.statistics.significance import Verdict

__all__ = ["FoldScore", "MarketFacts", "ReportInput", "render_report", "write_report"]

# A year of fewer sessions has no Sharpe ratio worth a picture.
_FEWEST_POINTS = 12
# Sessions below which autocorrelation is hardly seen by blocks of a twentieth of them.
_FEW_SESSIONS = 120
_NOTHING = 5e-5  # of weight: what is written as zero


def write_report(folder: Path | str, report: ReportInput, numbers: Numbers | None = None) -> list[ResultRow]:
    """Write `report.html`, and `results.json` with the same numbers beside it.

    Args:
        folder: Where to write; made when missing. Both files appear whole or not at all.
        report: What to tell.
        numbers: What `compute_numbers` returned for it before; computed when left out.

    Returns:
        The numbers of the page, the judged strategy first.

    Raises:
        DataError: A backtest cannot be compared with the others, or a name is unknown.
    """
    found = compute_numbers(report) if numbers is None else numbers
    plain = json.dumps([row.to_json() for row in found.rows], indent=2, allow_nan=False)
    page = render_report(report, found)
    write_atomically(Path(folder) / "results.json", lambda path: path.write_text(plain, encoding="utf-8"))
    write_atomically(Path(folder) / "report.html", lambda path: path.write_text(page, encoding="utf-8"))
    return found.rows


def render_report(report: ReportInput, numbers: Numbers) -> str:
    """Return the page as text.

    Args:
        report: What to tell.
        numbers: From `compute_numbers` on the same report.
    """
    rows = numbers.rows
    agent, row = report.backtests[0], rows[0]
    verdicts = [verdict for verdict in (row.versus_benchmark, row.versus_equal_weight) if verdict is not None]
    broken = report.breakdown
    return (
        make_environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            numbers=numbers,
            rows=rows,
            row=row,
            agent=agent,
            together=[agent.name, *(baseline.name for baseline in report.baselines)],
            verdicts=_describe_verdicts(row, [verdict for verdict in verdicts if verdict.baseline != row.name]),
            trainings=[(item.name, item.versus_benchmark.trainings, item.trainings) for item in rows if item.trainings],
            level=format_level(report.intervals.level),
            figures=_make_figures(report, numbers),
            months=tabulate_months(agent),
            folds=numbers.folds,
            seeds=numbers.seeds,
            table_notes=numbers.table_notes,
            behaviours=list(report.behaviours.items()),
            explained=report.explained,
            broken=broken,
            policy=None if broken is None or broken.policy is None else tabulate_policy(broken.policy),
            holdings=_list_holdings(report),
            cash_rate=_compute_cash_rate(agent),
            caveats=[*report.market.notes, *report.caveats, *_find_caveats(report, row, rows)],
            skill=None if report.skill is None else report.skill.to_dict("records"),
            skill_grid=None if report.skill is None or not len(report.skill) else tabulate_skill(report.skill),
            extra_tables={name: table.to_dict("split") for name, table in report.extra_tables.items()},
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


def _list_holdings(report: ReportInput) -> list[tuple[str, float, float]]:
    """Return symbol, weight and weight of equal weight at the last close, the largest first; cash stands last."""
    agent = report.backtests[0]
    if not agent.knows_holdings:
        return []
    equal = next((item for item in report.backtests if item.name == report.equal_weight), None)
    held = agent.weights[-1]
    other = np.full(len(held), np.nan) if equal is None or equal.symbols != agent.symbols else equal.weights[-1]
    names = [*agent.symbols, "cash"]
    order = [*np.argsort(-np.abs(held[:-1]), kind="stable").tolist(), len(held) - 1]
    return [
        (names[i], float(held[i]), float(other[i]))
        for i in order
        if i == order[-1] or abs(held[i]) > _NOTHING or abs(other[i]) > _NOTHING
    ]


def _make_figures(report: ReportInput, numbers: Numbers) -> dict[str, Figure]:
    """Return the figures by the name under which the template places them."""
    agent, baselines, rows = report.backtests[0], report.baselines, numbers.rows
    leading = [agent, *baselines]
    ordered = [*leading, *(backtest for backtest in report.backtests if backtest not in leading)]
    timeline = Timeline.make(agent.dates, report.folds)
    figures = {"wealth": curves.plot_wealth(ordered, timeline, n_shown=len(leading))}
    equal = next((item for item in baselines if item.name == report.equal_weight), None)
    year = agent.periods_per_year
    rolls = year >= _FEWEST_POINTS and len(agent.dates) > year
    if agent.knows_holdings:
        figures |= {
            "weights": holdings.plot_weights(agent, timeline),
            "turnover": holdings.plot_turnover(leading, timeline),
        }
        if equal is not None and equal.symbols == agent.symbols:
            figures["active"] = holdings.plot_active_weights(agent, equal, timeline)
    if baselines:
        figures["difference"] = uncertainty.plot_sharpe_difference(numbers.histograms)
    if baselines and rolls:
        figures["rolling"] = curves.plot_rolling_sharpe(agent, baselines, timeline)
        figures["risk"] = curves.plot_rolling_risk(leading, timeline, baselines[0].excess)
    if len(rows) > 1:
        figures["gains"] = uncertainty.plot_sharpe_gains(rows, report.intervals.level)
    if report.seed_backtests:
        figures["seeds"] = curves.plot_seed_fan(report.seed_backtests, leading, timeline)
    if report.skill is not None and len(report.skill):
        figures["skill"] = uncertainty.plot_signal_skill(report.skill)
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
