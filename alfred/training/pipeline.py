"""The main job, stage by stage: market, signals, agents, evaluation.

Every stage goes on from what stands on disk, while that was made from what the configuration, the data and the code say
now; what was not is made again, and a line says why.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from alfred.agents.strategies.registry import make_baselines
from alfred.analysts.forecast import list_signals
from alfred.analysts.settings import AnalystSettings
from alfred.config import Experiment
from alfred.data.features.catalogue import compute_features, list_features
from alfred.data.market import Market
from alfred.data.prices.rates import resolve_cash_rate
from alfred.data.settings import PREFIX
from alfred.data.signals import Signals, SignalSpec, concatenate_signals
from alfred.data.sources import compute_market_checksum, load_market
from alfred.data.splits import Fold
from alfred.errors import CheckpointError, ConfigError, DataError
from alfred.evaluation.results import ResultRow
from alfred.training.blending.stage import explain_blend, make_blend
from alfred.training.blending.walk import can_blend, find_blended, name_blend
from alfred.training.catalogue.status import Command, record_judgement, record_outcome
from alfred.training.cross_fitting.folds import TrainedAgent, plan_trainings
from alfred.training.effort.count import Effort, count_effort, expect_forecasts, expect_training
from alfred.training.effort.timings import write_timing
from alfred.training.forecasting import forecast_all, specialise
from alfred.training.jobs import count_workers, open_executor, run_jobs
from alfred.training.judging.judge import EQUAL_WEIGHT, Trained, load_trainings, write_run_tearsheet
from alfred.training.judging.judge import evaluate as walk_and_report
from alfred.training.judging.judge import rewrite_report as write_report_again
from alfred.training.locks import hold_run
from alfred.training.prepared import Prepared, cut_folds, find_observed
from alfred.training.progress import Reporter, Silence, record_progress
from alfred.training.provenance.stages import (
    describe_forecast,
    digest_calibration,
    explain_change,
    fingerprint_agent,
    fingerprint_analyst,
    read_stage,
)
from alfred.training.runs import (
    EVALUATION_KEYS,
    REPORT_KEYS,
    RunFolder,
    load_run,
    locate_run,
    open_run,
    read_manifest,
    write_manifest,
)
from alfred.training.tensorboard.run import write_plan

__all__ = [
    "EQUAL_WEIGHT",
    "EVALUATION_KEYS",
    "REPORT_KEYS",
    "Prepared",
    "evaluate",
    "forecast",
    "load_trainings",
    "make_signals",
    "reopen",
    "rewrite_report",
    "run_all",
    "train",
    "write_run_tearsheet",
]


@dataclass(frozen=True)
class _Plan:
    """What is known before anything is written."""

    experiment: Experiment
    root: Path
    market: Market
    folds: Sequence[Fold]


def forecast(
    experiment: Experiment, root: Path | str = "runs", *, fresh: bool = False, reporter: Reporter | None = None
) -> Prepared:
    """Load the market and forecast it walk-forward.

    Args:
        experiment: The configuration.
        root: Folder of all runs.
        fresh: Start over.
        reporter: Progress callback.

    Raises:
        AlfredError: The configuration or the data cannot give a run; the text says why.
    """
    plan = _make_plan(experiment, root)
    with hold_run(locate_run(experiment, root).path), open_executor(experiment.training, root):
        run = _open(plan, fresh)
        with record_outcome(run, "forecast"), record_progress(run.path, reporter or Silence()) as told:
            return _forecast(plan, run, fresh, told)


def run_all(
    experiment: Experiment,
    root: Path | str = "runs",
    *,
    fresh: bool = False,
    judge: bool = True,
    check: Callable[[Effort], None] = lambda _effort: None,
    reporter: Reporter | None = None,
) -> tuple[Prepared, dict[str, list[TrainedAgent]], list[ResultRow]]:
    """Forecast, train and judge; no other process can write to the run in between.

    Args:
        experiment: The configuration.
        root: Folder of all runs.
        fresh: Start over.
        judge: Whether to go on to the evaluation; without it there are no rows.
        check: Told how much work it is before anything is written; it may refuse.
        reporter: Progress callback.

    Raises:
        AlfredError: The configuration or the data cannot give a run, or another process writes to it.
    """
    plan = _make_plan(experiment, root)
    with open_executor(experiment.training, root):
        effort = count_effort(experiment, plan.market, plan.folds, plan.root)
        check(effort)
        with hold_run(locate_run(experiment, root).path):
            run = _open(plan, fresh)
            command: Command = "run" if judge else "train"
            with record_outcome(run, command), record_progress(run.path, reporter or Silence()) as told:
                prepared = _forecast(plan, run, fresh, told, effort)
                trained = train(prepared, reporter=told)
                return prepared, trained, walk_and_report(prepared, trained, reporter=told) if judge else []


def evaluate(prepared: Prepared, trained: Trained, *, reporter: Reporter | None = None) -> list[ResultRow]:
    """Judge a trained run; see `alfred.training.judging.judge.evaluate`."""
    folder = prepared.run.path
    with (
        hold_run(folder),
        record_outcome(prepared.run, "evaluate"),
        record_progress(folder, reporter or Silence()) as told,
    ):
        return walk_and_report(prepared, trained, reporter=told)


def rewrite_report(prepared: Prepared) -> list[ResultRow]:
    """Write the page of a run again; see `alfred.training.judging.judge.rewrite_report`."""
    with hold_run(prepared.run.path):
        rows = write_report_again(prepared)
        record_judgement(prepared.run, "report")
        return rows


def reopen(path: Path | str, overrides: Sequence[str] = (), accepted: Sequence[str] = EVALUATION_KEYS) -> Prepared:
    """Return what a run's later stages stand on, from its directory.

    Args:
        path: The directory.
        overrides: `a.b=value` each, for keys that need no new training.
        accepted: Those keys.

    Raises:
        AlfredError: The directory holds no run, its signals are missing, or were made from anything but what stands in
            it now.
    """
    run, experiment = load_run(path, overrides, accepted)
    market = load_market(experiment.data)
    then, now = read_manifest(run).get("data_checksum"), compute_market_checksum(market)
    if then != now:
        raise DataError(
            f"the data of {run.path} have changed since it was made (checksum {str(then)[:12]} then, {now[:12]} now); "
            f"restore them, say where they are with --set data.path=..., or make again what they concern with "
            f"`alfred run {run.config}`"
        )
    signals = Signals.load(run.signals)
    _check_signals(run, experiment, market, now, signals)
    return Prepared(experiment, run, market, cut_folds(market, experiment), signals)


def train(prepared: Prepared, *, reporter: Reporter | None = None) -> dict[str, list[TrainedAgent]]:
    """Train every agent on every fold from every seed, by the agent's label; finished trainings are read."""
    experiment = prepared.experiment
    scaled = prepared.observed.scaled()
    with hold_run(prepared.run.path), open_executor(experiment.training, prepared.run.root):
        write_plan(prepared)
        plans = {
            settings.label: plan_trainings(
                prepared.market,
                scaled,
                prepared.folds,
                settings,
                experiment.env,
                experiment.training,
                seed=experiment.seed,
                folder=prepared.run.agent(settings.label),
                reporter=reporter or Silence(),
                timed=partial(write_timing, prepared.run.root, f"agent {settings.kind}", expect_training(settings)),
            )
            for settings in experiment.agents
        }
        # All at once, so that no core waits while the last training of one agent goes on.
        jobs = [job for plan in plans.values() for job in plan.jobs]
        done = iter(run_jobs(jobs, prepared.n_jobs, reporter or Silence()))
        return {label: plan.finish(list(itertools.islice(done, len(plan.jobs)))) for label, plan in plans.items()}


def _check_signals(run: RunFolder, experiment: Experiment, market: Market, checksum: str, signals: Signals) -> None:
    """Refuse signals that are not those of the configuration.

    Raises:
        CheckpointError: An analyst forecast from something else, or the signals have other names.
    """
    for settings in experiment.analysts:
        stage = describe_forecast(checksum, settings, specialise(experiment.forecast, settings))
        if reason := explain_change(read_stage(run.forecasts / settings.label), stage):
            raise CheckpointError(
                f"the signals of {settings.label} in {run.path} were made from something else: {reason}; "
                f"`alfred run {run.config}` makes them again"
            )
    if reason := explain_blend(checksum, signals, experiment, run.forecasts):
        raise CheckpointError(
            f"the blend in {run.path} was made from something else: {reason}; `alfred run {run.config}` makes it again"
        )
    if list(signals.names) != _name_signals(experiment, market):
        raise CheckpointError(
            f"{run.signals} holds other signals than the configuration names; `alfred run {run.config}` makes them "
            "again"
        )


def _make_plan(experiment: Experiment, root: Path | str) -> _Plan:
    """Load the market and cut it.

    Folds come first: a history that is too short should not be found out after an hour of forecasts.
    """
    # Read now, while the sources are what was imported: they may be edited while a long run goes on.
    for analyst in experiment.analysts:
        fingerprint_analyst(analyst)
        digest_calibration(analyst)
    for agent in experiment.agents:
        fingerprint_agent(agent, experiment.env.reward)
    market = load_market(experiment.data)
    _check_names(experiment, market)
    resolve_cash_rate(market, experiment.env.cash_rate_pct)  # a file of rates that cannot be read is told now
    return _Plan(experiment, Path(root), market, cut_folds(market, experiment))


def _check_names(experiment: Experiment, market: Market) -> None:
    """Refuse what the evaluation would refuse after hours of training.

    Raises:
        ConfigError: An agent has the name of the benchmark or of a baseline, a baseline cannot be built, the blend has
            nothing to combine, or agents are to see a signal that there is not.
    """
    names = _name_signals(experiment, market)
    find_observed(names, experiment)
    baselines = [policy.name for policy in make_baselines(experiment.baselines, market, names)]
    for settings in experiment.agents:
        if settings.label in baselines:
            raise ConfigError(
                f"agent '{settings.label}' has the name of a strategy that it is compared with "
                f"({', '.join(baselines)}); give it another name"
            )


def _name_signals(experiment: Experiment, market: Market) -> list[str]:
    names = [name for item in experiment.analysts for name in list_signals(item)[0]]
    horizons = [horizon for item in experiment.analysts for horizon in list_signals(item)[1]]
    if experiment.blend is not None and can_blend(map(SignalSpec.from_name, names, horizons)):
        names += name_blend(experiment.blend, find_blended(names, horizons, experiment.blend))
    if experiment.features is not None:
        names += [f"{PREFIX}.{name}" for name in list_features(market, experiment.features)]
    return names


def _open(plan: _Plan, fresh: bool) -> RunFolder:
    run = open_run(plan.experiment, plan.root, plan.market, fresh=fresh)
    write_manifest(run, plan.experiment, plan.market, plan.folds)
    return run


def _forecast(plan: _Plan, run: RunFolder, fresh: bool, reporter: Reporter, effort: Effort | None = None) -> Prepared:
    experiment, market, folds = plan.experiment, plan.market, plan.folds
    reporter.say(
        f"{market.n_symbols} symbols, {market.dates[0].date()} to {market.dates[-1].date()}, benchmark "
        f"{market.benchmark}; {len(folds)} folds, tested from {folds[0].test[0].date()}"
    )
    if effort is not None:
        reporter.say(effort.describe())
    signals = make_signals(experiment, market, plan.root, run.forecasts, fresh=fresh, reporter=reporter)
    signals.save(run.signals)
    return Prepared(experiment, run, market, folds, signals)


def make_signals(
    experiment: Experiment, market: Market, root: Path, folder: Path, *, fresh: bool = False, reporter: Reporter
) -> Signals:
    """Return the signals of analysts, blend and features on a market; what stands in folder and cache is used.

    Args:
        experiment: The configuration.
        market: The market.
        root: Folder of all runs, below which the cache stands.
        folder: Where the signals of each analyst and of the blend are kept.
        fresh: Compute everything.
        reporter: Progress callback.
    """
    schedule = experiment.forecast
    if schedule.cache is not None:
        schedule = schedule.model_copy(update={"cache": root / schedule.cache})

    def expect(settings: AnalystSettings) -> float:
        return expect_forecasts(settings, schedule, market)[1]

    def time_analyst(settings: AnalystSettings, seconds: float) -> None:
        write_timing(root, f"analyst {settings.kind}", expect(settings), seconds)

    parts = forecast_all(
        market,
        experiment.analysts,
        schedule,
        n_jobs=count_workers(experiment.training),
        reporter=reporter,
        folder=folder,
        fresh=fresh,
        timed=time_analyst,
        expect=expect,
    )
    joined = concatenate_signals(parts)
    if experiment.blend is not None and can_blend(joined.specs):
        place = folder / experiment.blend.label
        parts.append(make_blend(market, joined, experiment.blend, place, fresh=fresh, reporter=reporter))
    if experiment.features is not None:
        parts.append(compute_features(market, experiment.features))
        known = list_features(market, experiment.features)
        if missing := [name for name in experiment.features.features if name not in known]:
            reporter.say(f"features left out, since the market lacks their fields: {', '.join(missing)}")
    return concatenate_signals(parts)
