"""What a run as a whole shows: its configuration, signals and verdict, and its lines of the hparams tab."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from alfred.agents.settings import AgentSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, Range
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.evaluation.headline import count_untrained, describe_trainings
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.results import ResultRow
from alfred.learning.events import EventFile
from alfred.training.cross_fitting.folds import TrainedAgent, locate_training
from alfred.training.judging.seeds import name_seed
from alfred.training.prepared import Prepared
from alfred.training.tensorboard.layout import LAYOUT, RESULT

_TEST_METRICS = ("test_sharpe", "test_sharpe_beyond_equal_weight", "test_turnover_a_year")


def write_plan(prepared: Prepared) -> None:
    """Write what is known before anything is trained, in place of that of an earlier command.

    The layout of the custom scalars tab; the configuration and the dates of the folds as texts; `3_signals/...`, the
    mean daily rank correlation of each signal with what it foretells, on the validation range of each fold.
    """
    with EventFile(prepared.run.summary, "plan") as events:
        events.add_layout(LAYOUT)
        events.add_text("3_configuration", _fence(prepared.experiment.to_yaml()))
        events.add_text("2_folds", _tabulate_folds(prepared.folds))
        for fold in prepared.folds:
            known = prepared.market.until(fold.validation[1])
            skill = _measure_skill(prepared.observed.until(fold.validation[1]), known, fold.validation)
            events.add_scalars({f"3_signals/{name}": value for name, value in skill.items()}, fold.index)


def write_verdict(folder: Path, rows: Sequence[ResultRow]) -> None:
    """Write the verdicts of a run, in place of those of an earlier evaluation.

    `1_verdict` is a text; `4_result/sharpe_beyond_...`, its `_low` and `_high`, are of the judged strategy and have one
    point; so has `4_result/untrained_share_...` of each agent.

    Args:
        folder: Of the event file.
        rows: The numbers of the report, the judged strategy first.
    """
    row = rows[0]
    versus = {"benchmark": row.versus_benchmark, "equal_weight": row.versus_equal_weight}
    scalars: dict[str, float] = {}
    for label, verdict in versus.items():
        if verdict is not None:
            ends = zip(("", "_low", "_high"), (verdict.difference, *verdict.interval), strict=True)
            scalars |= {f"{RESULT}/sharpe_beyond_{label}{end}": value for end, value in ends}
    for item in rows:
        if item.trainings:
            share = count_untrained(item.trainings) / len(item.trainings)
            scalars[f"{RESULT}/untrained_share_{item.name.replace(' ', '_')}"] = share
    lines = [f"- **{item.name}**: {item.headline.text} ({item.headline.tone})" for item in rows if item.headline]
    told = [f"{row.name} and {verdict.baseline}: {verdict.explain()}" for verdict in versus.values() if verdict]
    told += [f"{item.name}: {describe_trainings(item.trainings)}" for item in rows if item.trainings]
    with EventFile(folder, "verdict") as events:
        events.add_text("1_verdict", "\n\n".join(["\n".join(lines), *told, *row.warnings]))
        events.add_scalars(scalars)


def write_lines(
    prepared: Prepared, trained: Mapping[str, Sequence[TrainedAgent]], seeds: Sequence[Backtest], equal_weight: Backtest
) -> None:
    """Write a line of the hparams tab for every training, in place of those of an earlier evaluation.

    All settings are written: which of them differ depends on runs that are not made yet, and is found out when they are
    served (`links`).

    Args:
        prepared: The run.
        trained: Its trainings by agent.
        seeds: Record of every seed of every agent on the test, over all folds.
        equal_weight: The record of equal weights.
    """
    by_name = {record.name: record for record in seeds}
    for settings in prepared.experiment.agents:
        told = _describe_settings(prepared, settings)
        for item in trained[settings.label]:
            test = prepared.folds[item.fold].test
            scores = _score(by_name[name_seed(settings.label, item.seed)], equal_weight, test)
            place = locate_training(prepared.run.agent(settings.label), item.fold, item.seed)
            with EventFile(place, "line") as events:
                events.add_line({"fold": item.fold, "seed": item.seed, **told})
                events.add_scalars({f"{RESULT}/{name}": value for name, value in scores.items()})


def _score(record: Backtest, equal_weight: Backtest, span: Range) -> dict[str, float]:
    """Return what a seed scored on the test of one fold."""
    inside = (record.dates >= span[0]) & (record.dates <= span[1])
    periods = record.periods_per_year
    sharpe = compute_sharpe(record.excess[inside], periods)
    beyond = sharpe - compute_sharpe(equal_weight.excess[inside], periods)
    return dict(zip(_TEST_METRICS, (sharpe, beyond, float(record.turnover[inside].mean() * periods)), strict=True))


def _describe_settings(prepared: Prepared, settings: AgentSettings) -> dict[str, bool | int | float | str]:
    """Return what may differ between runs, as the tab knows it: numbers, and texts."""
    experiment = prepared.experiment
    nested = {
        "run": prepared.run.name,
        "agent": settings.label,
        "analysts": ", ".join(item.label for item in experiment.analysts),
        "blend": experiment.blend is not None,
        "n_symbols": prepared.market.n_symbols,
        **settings.model_dump(mode="json", exclude={"name", "checkpoint_every", "log_every"}),
        "env": experiment.env.model_dump(mode="json"),
    }
    return dict(_flatten(nested))


def _flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}", json.dumps(value)


def _measure_skill(signals: Signals, market: Market, span: Range) -> dict[str, float]:
    """Return the mean daily rank correlation of each signal with what it foretells, by its name."""
    skill = compute_signal_skill(signals, market, *span)
    return {
        f"{row.signal}_{row.period}".removesuffix("_all").replace(" ", "_"): row.value for row in skill.itertuples()
    }


def _tabulate_folds(folds: Sequence[Fold]) -> str:
    lines = ["fold | train | validation | test", "--- | --- | --- | ---"]
    for fold in folds:
        spans = [f"{first.date()} to {last.date()}" for first, last in (fold.train, fold.validation, fold.test)]
        lines.append(" | ".join([str(fold.index), *spans]))
    return "\n".join(lines)


def _fence(text: str) -> str:
    return f"```\n{text}```"
