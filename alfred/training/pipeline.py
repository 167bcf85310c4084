"""The main job, stage by stage: market, signals, agents, evaluation. Every stage goes on from what stands on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alfred.agents.base import AgentSettings, EnsemblePolicy
from alfred.agents.baseline_registry import make_baselines
from alfred.config import Experiment
from alfred.data.features import compute_features
from alfred.data.market import Market
from alfred.data.signals import Signals, concatenate_signals
from alfred.data.sources import compute_market_checksum, load_market
from alfred.data.splits import Fold, make_folds
from alfred.envs.policy import Policy
from alfred.errors import CheckpointError, DataError
from alfred.evaluation.backtest import Backtest, Stage, backtest, make_backtest_env
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.evaluation.report import FoldScore, MarketFacts, ReportInput, write_report
from alfred.evaluation.results import ResultRow
from alfred.training.agent import TrainedAgent, load_trained, locate_training, train_agents
from alfred.training.forecasting import forecast_all
from alfred.training.parallel import count_cores
from alfred.training.progress import Reporter, Silence
from alfred.training.runs import (
    RunFolder,
    list_seeds,
    load_run,
    open_run,
    read_manifest,
    read_versions,
    write_manifest,
)

EQUAL_WEIGHT = "equal weight"


@dataclass(frozen=True)
class Prepared:
    """What all stages after the first stand on.

    Attributes:
        experiment: The configuration.
        run: Where it writes.
        market: The whole market.
        folds: Walk-forward folds over the dates that have signals.
        signals: Joined, unscaled signals of analysts and features.
    """

    experiment: Experiment
    run: RunFolder
    market: Market
    folds: Sequence[Fold]
    signals: Signals

    @property
    def n_jobs(self) -> int:
        """Processes to use."""
        return self.experiment.training.n_jobs or count_cores()


def forecast(
    experiment: Experiment, root: Path | str = "runs", *, fresh: bool = False, reporter: Reporter | None = None
) -> Prepared:
    """Load the market and forecast it walk-forward.

    Args:
        experiment: The configuration.
        root: Folder of all runs.
        fresh: Start over.
        reporter: Hears of the progress.

    Raises:
        AlfredError: The configuration or the data cannot give a run; the text says why.
    """
    listener = reporter or Silence()
    market = load_market(experiment.data)
    # Folds first: a history that is too short should not be found out after an hour of forecasts.
    folds = _cut(market, experiment)
    run = open_run(experiment, root, fresh=fresh)
    checksum = compute_market_checksum(market)
    write_manifest(run, experiment, {"data_checksum": checksum, "folds": [str(fold) for fold in folds]})
    listener.say(
        f"{market.n_symbols} symbols, {market.dates[0].date()} to {market.dates[-1].date()}, benchmark "
        f"{market.benchmark}; {len(folds)} folds, tested from {folds[0].test[0].date()}"
    )
    n_jobs = experiment.training.n_jobs or count_cores()
    schedule = experiment.forecast
    if schedule.cache is not None:
        schedule = schedule.model_copy(update={"cache": Path(root) / schedule.cache})
    parts = forecast_all(market, experiment.analysts, schedule, n_jobs=n_jobs, reporter=listener)
    if experiment.features is not None:
        parts.append(compute_features(market, experiment.features))
    signals = concatenate_signals(parts)
    signals.save(run.signals)
    return Prepared(experiment, run, market, folds, signals)


def reopen(path: Path | str) -> Prepared:
    """Return what a run's later stages stand on, from its directory.

    Raises:
        AlfredError: The directory holds no run, its signals are missing, or its data have changed since.
    """
    run, experiment = load_run(path)
    market = load_market(experiment.data)
    then, now = read_manifest(run).get("data_checksum"), compute_market_checksum(market)
    if then != now:
        raise DataError(
            f"the data of {run.path} have changed since it was made (checksum {str(then)[:12]} then, {now[:12]} now); "
            "restore them, or run again with --fresh"
        )
    return Prepared(experiment, run, market, _cut(market, experiment), Signals.load(run.signals))


def train(prepared: Prepared, *, reporter: Reporter | None = None) -> dict[str, list[TrainedAgent]]:
    """Train every agent on every fold from every seed, by the agent's label; finished trainings are read."""
    experiment = prepared.experiment
    scaled = prepared.signals.scaled()
    return {
        settings.label: train_agents(
            prepared.market,
            scaled,
            prepared.folds,
            settings,
            experiment.env,
            experiment.training,
            seed=experiment.seed,
            n_jobs=prepared.n_jobs,
            folder=prepared.run.agent(settings.label),
            reporter=reporter or Silence(),
        )
        for settings in experiment.agents
    }


def evaluate(
    prepared: Prepared, trained: dict[str, list[TrainedAgent]], *, reporter: Reporter | None = None
) -> list[ResultRow]:
    """Walk everyone through the test range once, and write the records, the numbers and the page."""
    experiment, market, folds = prepared.experiment, prepared.market, prepared.folds
    scaled = prepared.signals.scaled()
    # The first decision is taken on the session before the test, so that the first execution is its first session.
    start = market.dates[market.dates.get_loc(folds[0].test[0]) - 1]

    def walk(policy: Policy, stages: Sequence[Stage] | None = None) -> Backtest:
        env = make_backtest_env(market, scaled, experiment.env, policy, start=start, end=folds[-1].test[1])
        return backtest(policy if stages is None else stages, env)

    baselines = make_baselines(experiment.baselines, market, prepared.signals.names)
    update = (reporter or Silence()).begin("evaluation", len(trained) + len(baselines) + 1)
    agents, seeds = [], []
    for number, settings in enumerate(experiment.agents):
        stages = _make_stages(settings, trained[settings.label], folds)
        agents.append(walk(stages[0].policy, stages))
        if number == 0:
            seeds = _walk_seeds(trained[settings.label], folds, walk)
        update(number + 1)
    held = []
    for policy in baselines:
        held.append(walk(policy))
        update(len(agents) + len(held))
    records = [*agents, *held]
    for number, record in enumerate(records):
        record.save(prepared.run.backtests / f"{number:02d}-{record.slug}.parquet")
    for number, record in enumerate(seeds):
        record.save(prepared.run.seed_backtests / f"{number:02d}-{record.slug}.parquet")
    rows = _report(prepared, records, seeds, trained[experiment.agents[0].label])
    update(len(trained) + len(baselines) + 1)
    return rows


def rewrite_report(prepared: Prepared) -> list[ResultRow]:
    """Write the page again from the records of the last evaluation.

    Raises:
        CheckpointError: The run was not evaluated, or a record is damaged.
    """
    records = [Backtest.load(path) for path in sorted(prepared.run.backtests.glob("*.parquet"))]
    if not records:
        raise CheckpointError(f"{prepared.run.path} was not evaluated yet; run `alfred evaluate {prepared.run.path}`")
    seeds = [Backtest.load(path) for path in sorted(prepared.run.seed_backtests.glob("*.parquet"))]
    return _report(prepared, records, seeds, load_trainings(prepared)[prepared.experiment.agents[0].label])


def _report(
    prepared: Prepared, records: Sequence[Backtest], seeds: Sequence[Backtest], trained: Sequence[TrainedAgent]
) -> list[ResultRow]:
    return write_report(prepared.run.path, _describe(prepared, records, seeds, trained))


def load_trainings(prepared: Prepared) -> dict[str, list[TrainedAgent]]:
    """Read every training of a run.

    Raises:
        CheckpointError: One of them is not finished.
    """
    return {
        settings.label: [
            load_trained(locate_training(prepared.run.agent(settings.label), fold.index, seed), fold.index, seed)
            for fold in prepared.folds
            for seed in list_seeds(prepared.experiment)
        ]
        for settings in prepared.experiment.agents
    }


def _cut(market: Market, experiment: Experiment) -> list[Fold]:
    """Cut the sessions that have signals into folds."""
    known = market.dates[experiment.forecast.min_train_days :]
    horizon = max(max(settings.horizons) for settings in experiment.analysts)
    return make_folds(known, experiment.splits, max(horizon, experiment.env.rebalance_every))


def _make_stages(settings: AgentSettings, trained: Sequence[TrainedAgent], folds: Sequence[Fold]) -> list[Stage]:
    """Return one ensemble of all seeds a fold, each taking over on the first day of its test."""
    return [
        Stage(
            fold.test[0],
            EnsemblePolicy([item.policy for item in trained if item.fold == fold.index], settings.label),
        )
        for fold in folds
    ]


def _walk_seeds(
    trained: Sequence[TrainedAgent], folds: Sequence[Fold], walk: Callable[[Policy, Sequence[Stage]], Backtest]
) -> list[Backtest]:
    records = []
    for seed in sorted({item.seed for item in trained}):
        policies = {item.fold: item.policy for item in trained if item.seed == seed}
        stages = [Stage(fold.test[0], policies[fold.index]) for fold in folds]
        records.append(replace(walk(stages[0].policy, stages), name=f"{stages[0].policy.name} seed {seed}"))
    return records


def _describe(
    prepared: Prepared, records: Sequence[Backtest], seeds: Sequence[Backtest], trained: Sequence[TrainedAgent]
) -> ReportInput:
    experiment, market, folds = prepared.experiment, prepared.market, prepared.folds
    scores = []
    for fold in folds:
        own = [item for item in trained if item.fold == fold.index]
        scores.append(
            FoldScore(
                name=f"fold {fold.index}",
                start=fold.test[0],
                end=fold.test[1],
                train_sharpe=float(np.mean([item.train_sharpe for item in own])),
                validation_sharpe=float(np.mean([item.validation_sharpe for item in own])),
            )
        )
    caveats = list(prepared.signals.notes)
    if experiment.env.execution == "close":
        caveats.append("Decisions trade at the very close that they are based on: this is optimistic.")
    return ReportInput(
        title=f"alfred: {experiment.name}",
        backtests=records,
        market=MarketFacts.from_market(market),
        benchmark=market.benchmark,
        equal_weight=EQUAL_WEIGHT,
        n_trials=experiment.n_trials + len(experiment.agents),
        seed_backtests=seeds,
        skill=compute_signal_skill(prepared.signals, market, folds[0].test[0], folds[-1].test[1]),
        folds=scores,
        caveats=caveats,
        config=experiment.to_yaml(),
        versions=read_versions(),
        seeds=list_seeds(experiment),
        intervals=experiment.intervals,
    )
