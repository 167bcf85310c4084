"""Judging: everyone is walked through the test range once, and the records become numbers and a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.agents.settings import AgentSettings
from alfred.agents.strategies.registry import make_baselines
from alfred.config import Experiment
from alfred.data.signals import Signals
from alfred.envs.policy import Policy
from alfred.errors import CheckpointError
from alfred.evaluation.backtest import Backtest, Walk, backtest, make_slug, make_walk
from alfred.evaluation.behaviour import Behaviour, describe_behaviour
from alfred.evaluation.breakdown.breakdown import break_down
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.evaluation.report.numbers import compute_numbers
from alfred.evaluation.report.page import FoldScore, MarketFacts, ReportInput, write_report
from alfred.evaluation.report.tearsheet import write_tearsheet
from alfred.evaluation.results import ResultRow
from alfred.training.cross_fitting.folds import TrainedAgent, load_trained, locate_training
from alfred.training.judging.caveats import find_execution_caveat, find_knowledge_caveat, find_payout_caveat
from alfred.training.judging.explain import read_explanation
from alfred.training.judging.findings import Findings, make_key, read_findings, write_findings
from alfred.training.judging.kept import list_trainings
from alfred.training.judging.seeds import HEADING, name_seed, tabulate_seeds
from alfred.training.judging.walking import Book, find_first_decision, list_seed_books, make_stages, walk_books
from alfred.training.locks import hold_run
from alfred.training.prepared import Prepared
from alfred.training.progress import Reporter, Silence
from alfred.training.provenance.stages import (
    STAGE_FILE,
    Parts,
    describe_evaluation,
    describe_trainings,
    explain_change,
    hash_choice,
    read_stage,
    write_stage,
)
from alfred.training.provenance.trials import DataIdentity, Trial, TrialLog, select_trials
from alfred.training.runs import list_seeds, read_versions, write_config
from alfred.training.tensorboard.run import write_lines, write_plan, write_verdict

EQUAL_WEIGHT = "equal weight"
Trained = Mapping[str, Sequence[TrainedAgent]]
"""The trainings of every agent by its label."""

_SLUG_LENGTH = 60  # letters of a name in the name of a file


def evaluate(prepared: Prepared, trained: Trained, *, reporter: Reporter | None = None) -> list[ResultRow]:
    """Walk everyone through the test range once, and write the records, the numbers, the page and the log of trials.

    Records of an evaluation of the same policies, baselines and data are read again.
    """
    listener = reporter or Silence()
    run, experiment = prepared.run, prepared.experiment
    with hold_run(run.path):
        write_config(run, experiment)
        now = _describe_stage(prepared)
        stored = _read_records(prepared, now, listener)
        records, seeds = stored or _walk_all(prepared, trained, now, listener)
        log = TrialLog(run.root)
        # The records of the agents come first.
        for settings, record in zip(experiment.agents, records[: len(experiment.agents)], strict=True):
            log.add(record, prepared.market, hash_choice(experiment, settings), run.name)
        return _report(prepared, records, seeds, trained)


def rewrite_report(prepared: Prepared) -> list[ResultRow]:
    """Write the page again from the records of the last evaluation.

    Raises:
        CheckpointError: The run was not evaluated, its records or trainings were made from anything but what stands in
            it, or a record is missing or damaged.
    """
    run, experiment = prepared.run, prepared.experiment
    with hold_run(run.path):
        earlier = read_stage(run.backtests)
        if earlier is None:
            raise CheckpointError(f"{run.path} was not evaluated yet; run `alfred evaluate {run.path}`")
        trained = load_trainings(prepared)
        if reason := explain_change(earlier, _describe_stage(prepared)):
            raise CheckpointError(
                f"the records of {run.path} were made from something else: {reason}; run `alfred evaluate {run.path}` "
                "first"
            )
        records, seeds = _load_records(prepared)
        write_config(run, experiment)
        return _report(prepared, records, seeds, trained)


def write_run_tearsheet(prepared: Prepared) -> Path:
    """Write the page of quantstats about the first agent of an evaluated run beside its report; return the file.

    Raises:
        CheckpointError: A record is missing or damaged.
        ConfigError: quantstats is not installed.
    """
    records, _ = _load_records(prepared)
    benchmark = next(record for record in records if record.name == prepared.market.benchmark)
    return write_tearsheet(prepared.run.path, records[0], benchmark, f"alfred: {prepared.experiment.name}")


def load_trainings(prepared: Prepared) -> dict[str, list[TrainedAgent]]:
    """Read every training of a run.

    Raises:
        CheckpointError: One of them is not finished, or was trained on anything but what stands in the run.
    """
    scaled = prepared.observed.scaled()
    for fold in prepared.folds:
        known, known_signals = prepared.market.until(fold.validation[1]), scaled.until(fold.validation[1])
        for settings in prepared.experiment.agents:
            now = describe_trainings(known, known_signals, fold, settings, prepared.experiment.env)
            for seed in list_seeds(prepared.experiment):
                place = locate_training(prepared.run.agent(settings.label), fold.index, seed)
                earlier = read_stage(place)
                if earlier is not None and (reason := explain_change(earlier, now)):
                    raise CheckpointError(
                        f"{settings.label} fold {fold.index} seed {seed} was trained on something else: {reason}; "
                        "`alfred run` trains it again"
                    )
    return {settings.label: _load_all(prepared, settings) for settings in prepared.experiment.agents}


def _describe_stage(prepared: Prepared) -> Parts:
    """Return what the records of a run are computed from, as it stands now."""
    return describe_evaluation(
        prepared.market,
        prepared.signals,
        prepared.folds,
        prepared.experiment,
        {settings.label: _list_trainings(prepared, settings) for settings in prepared.experiment.agents},
    )


def _load_all(prepared: Prepared, settings: AgentSettings) -> list[TrainedAgent]:
    seeds = list_seeds(prepared.experiment)
    numbers = [(fold.index, seed) for fold in prepared.folds for seed in seeds]
    places = _list_trainings(prepared, settings)
    return [load_trained(place, fold, seed) for place, (fold, seed) in zip(places, numbers, strict=True)]


def _list_trainings(prepared: Prepared, settings: AgentSettings) -> list[Path]:
    folder = prepared.run.agent(settings.label)
    seeds = list_seeds(prepared.experiment)
    return [locate_training(folder, fold.index, seed) for fold in prepared.folds for seed in seeds]


def _read_records(prepared: Prepared, now: Parts, reporter: Reporter) -> tuple[list[Backtest], list[Backtest]] | None:
    """Return the records of the last evaluation, or None, with the reason, when they hold no more."""
    folder = prepared.run.backtests
    if not folder.exists():
        return None
    reason = explain_change(read_stage(folder), now)
    if not reason:
        try:
            return _load_records(prepared)
        except CheckpointError:
            reason = "its records are damaged"
    reporter.say(f"evaluation: made again, {reason}")
    return None


def _load_records(prepared: Prepared) -> tuple[list[Backtest], list[Backtest]]:
    """Read the records of an evaluation: these and no others.

    Raises:
        CheckpointError: One is missing or damaged, or there are others.
    """
    run, experiment = prepared.run, prepared.experiment
    baselines = make_baselines(experiment.baselines, prepared.market, prepared.signals.names)
    names = [*(settings.label for settings in experiment.agents), *(policy.name for policy in baselines)]
    seeds = [name_seed(settings.label, seed) for settings in experiment.agents for seed in list_seeds(experiment)]
    return _load_named(run.backtests, names, run.path), _load_named(run.seed_backtests, seeds, run.path)


def _load_named(folder: Path, names: Sequence[str], run: Path) -> list[Backtest]:
    files = _name_files(names)
    if sorted(files) != sorted(path.name for path in folder.glob("*.parquet")):
        raise CheckpointError(f"{folder} does not hold the records of its run alone; run `alfred evaluate {run}`")
    records = [Backtest.load(folder / file) for file in files]
    if [record.name for record in records] != list(names):
        raise CheckpointError(f"{folder} holds records under wrong names; run `alfred evaluate {run}`")
    return records


def _name_files(names: Sequence[str]) -> list[str]:
    """Return the files of the records of strategies, in their order."""
    return [f"{number:02d}-{make_slug(name)[:_SLUG_LENGTH]}.parquet" for number, name in enumerate(names)]


def _walk_all(
    prepared: Prepared, trained: Trained, now: Parts, reporter: Reporter
) -> tuple[list[Backtest], list[Backtest]]:
    """Walk everyone through the test range; return the records of all strategies, and those of every seed."""
    experiment, market, folds = prepared.experiment, prepared.market, prepared.folds
    # Rules name the signals that they follow; agents see those that they were trained on.
    scaled = prepared.signals.scaled()
    observed = scaled.select(prepared.observed.names)
    start = find_first_decision(prepared)

    def prepare(shown: Signals, policy: Policy, n_books: int) -> Walk:
        end = folds[-1].test[1]
        return make_walk(market, shown, experiment.env, policy, start=start, end=end, n_books=n_books)

    baselines = make_baselines(experiment.baselines, market, prepared.signals.names)
    books = [
        Book(settings.label, make_stages(settings, trained[settings.label], folds)) for settings in experiment.agents
    ]
    n_agents = len(books)
    for settings in experiment.agents:
        books += list_seed_books(settings, trained[settings.label], folds)
    update = reporter.begin("evaluation", len(books) + len(baselines) + 1)
    walked = walk_books(books, market.n_symbols, partial(prepare, observed), update)
    agents, seeds = walked[:n_agents], walked[n_agents:]
    held = []
    for policy in baselines:
        held.append(backtest(policy, prepare(scaled, policy, 1)))
        update(len(books) + len(held))
    records = [*agents, *held]
    # First what says that they are whole; then those that are not overwritten.
    (prepared.run.backtests / STAGE_FILE).unlink(missing_ok=True)
    _save_records(records, prepared.run.backtests)
    _save_records(seeds, prepared.run.seed_backtests)
    write_stage(prepared.run.backtests, now)
    update(len(books) + len(baselines) + 1)
    return records, seeds


def _save_records(records: Sequence[Backtest], folder: Path) -> None:
    """Write records in their order, and delete what else was there."""
    names = _name_files([record.name for record in records])
    for name, record in zip(names, records, strict=True):
        record.save(folder / name)
    for path in folder.glob("*.parquet"):
        if path.name not in names:
            path.unlink()


def _report(
    prepared: Prepared, records: Sequence[Backtest], seeds: Sequence[Backtest], trained: Trained
) -> list[ResultRow]:
    report, found = _describe(prepared, records, seeds, trained)
    rows = write_report(prepared.run.path, report, found.numbers)
    write_plan(prepared)
    write_verdict(prepared.run.summary, rows)
    write_lines(prepared, trained, seeds, next(record for record in records if record.name == EQUAL_WEIGHT))
    return rows


def _list_trials(prepared: Prepared, records: Sequence[Backtest]) -> list[Trial]:
    """Return the logged trials that this run's verdict pays for, its own agents among them."""
    first, last = records[0].dates[0], records[0].dates[-1]
    log = TrialLog(prepared.run.root)
    return select_trials(log.read(), DataIdentity.from_market(prepared.market), first, last)


def _describe_agents(prepared: Prepared, records: Sequence[Backtest]) -> dict[str, Behaviour]:
    """Return what every agent did, by its label; the records of the agents come first."""
    experiment, market = prepared.experiment, prepared.market
    by_name = {record.name: record for record in records}
    references = [by_name[name] for name in (market.benchmark, EQUAL_WEIGHT)]
    return {
        settings.label: describe_behaviour(
            record, references, market, experiment.env.action, experiment.intervals.level
        )
        for settings, record in zip(experiment.agents, records[: len(experiment.agents)], strict=True)
    }


def tabulate(prepared: Prepared, seeds: Sequence[Backtest] | None = None) -> pd.DataFrame:
    """Return how far seeds move each agent; the records of seeds are read when they are left out."""
    experiment = prepared.experiment
    records = _load_records(prepared)[1] if seeds is None else seeds
    return tabulate_seeds(records, [settings.label for settings in experiment.agents], list_seeds(experiment))


def _name_first_seeds(experiment: Experiment) -> set[str]:
    return {name_seed(experiment.agents[0].label, seed) for seed in list_seeds(experiment)}


def list_caveats(prepared: Prepared) -> list[str]:
    """Return what a reader must know about how a run's test was traded and what may have known it."""
    market, terms, folds = prepared.market, prepared.experiment.env, prepared.folds
    found = (
        find_execution_caveat(market, terms),
        find_payout_caveat(market, terms, folds[0].test[0], folds[-1].test[1]),
        find_knowledge_caveat(prepared.signals, folds[0].test[0], folds[-1].test[1]),
    )
    return [caveat for caveat in found if caveat]


def _describe(
    prepared: Prepared, records: Sequence[Backtest], seeds: Sequence[Backtest], trained: Trained
) -> tuple[ReportInput, Findings]:
    """Return what the page is made of, and what was found; what was found before is read again."""
    experiment, market, folds = prepared.experiment, prepared.market, prepared.folds
    scores = []
    for fold in folds:
        own = [item for item in trained[experiment.agents[0].label] if item.fold == fold.index]
        scores.append(
            FoldScore(
                name=f"fold {fold.index}",
                start=fold.test[0],
                end=fold.test[1],
                train_sharpe=float(np.mean([item.train_sharpe for item in own])),
                validation_sharpe=float(np.mean([item.validation_sharpe for item in own])),
            )
        )
    trials = _list_trials(prepared, records)
    choices = {hash_choice(experiment, settings) for settings in experiment.agents}
    # A run that was moved away from its log still pays for its own agents.
    missing = len(choices - {trial.config for trial in trials})
    report = ReportInput(
        title=f"alfred: {experiment.name}",
        backtests=records,
        market=MarketFacts.from_market(market),
        benchmark=market.benchmark,
        equal_weight=EQUAL_WEIGHT,
        n_trials=experiment.n_trials + len(trials) + missing + sum(item.n_looks for item in experiment.analysts),
        trial_sharpes=[math.nan if trial.sharpe is None else trial.sharpe for trial in trials],
        seed_backtests=[record for record in seeds if record.name in _name_first_seeds(experiment)],
        extra_tables={HEADING: tabulate(prepared, seeds)},
        trainings=list_trainings(trained),
        explained=read_explanation(prepared),
        folds=scores,
        caveats=[*prepared.signals.notes, *list_caveats(prepared)],
        config=experiment.to_yaml(),
        versions=read_versions(),
        seeds=list_seeds(experiment),
        intervals=experiment.intervals,
    )
    key = _identify(prepared, report)
    found = read_findings(prepared.run.backtests, key)
    if found is None:
        behaviours = _describe_agents(prepared, records)
        dates = (folds[0].test[0], folds[-1].test[1])
        skill = compute_signal_skill(prepared.signals, market, *dates, level=experiment.intervals.level)
        broken = break_down(records[0], report.baselines, market, experiment.env, prepared.observed)
        report = replace(report, behaviours=behaviours, skill=skill, breakdown=broken)
        found = Findings(behaviours, broken, skill, compute_numbers(report))
        write_findings(prepared.run.backtests, key, found)
    return replace(report, behaviours=found.behaviours, skill=found.skill, breakdown=found.breakdown), found


def _identify(prepared: Prepared, report: ReportInput) -> str:
    """Return the key of what is found in the records of a run."""
    judged_by = {
        "n_trials": report.n_trials,
        "trial_sharpes": [str(sharpe) for sharpe in report.trial_sharpes or ()],
        "intervals": report.intervals.model_dump(mode="json"),
        "trainings": {name: [str(item) for item in items] for name, items in report.trainings.items()},
        "folds": [str(fold) for fold in report.folds],
        "observed": prepared.observed.names,
        "cutoffs": {name: str(date) for name, date in prepared.signals.knowledge_cutoffs.items()},
    }
    return make_key(prepared.run.backtests, judged_by)
