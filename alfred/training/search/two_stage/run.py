"""The search from end to end: models, strategies, the locked part, and what is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optuna import Study

from alfred.agents.strategies.signals import KellySettings
from alfred.config import Experiment
from alfred.data.files import write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.statistics.deflation import Trials
from alfred.settings import check_name
from alfred.training.progress import Reporter, Silence
from alfred.training.provenance.stages import compute_digest
from alfred.training.provenance.trials import DataIdentity, TrialLog
from alfred.training.search.crew import run_studies
from alfred.training.search.curves import write_trial
from alfred.training.search.storage import JOURNAL_FILE
from alfred.training.search.study import StudyPlan, count_trials
from alfred.training.search.two_stage.choosing import (
    choose_from_front,
    choose_from_hybrid,
    choose_from_strategies,
    list_all_parameters,
)
from alfred.training.search.two_stage.diagnostics import diagnose, list_warnings
from alfred.training.search.two_stage.forecasts import name_probability
from alfred.training.search.two_stage.locked import DEFAULT, LockedLedger, LockedVerdict, judge_locked
from alfred.training.search.two_stage.objectives import SHARPE
from alfred.training.search.two_stage.plans import forecast_models, make_space, plan_models, plan_strategies
from alfred.training.search.two_stage.result import Row, StrategyResult, TwoStageResult, tabulate_best, write_csv
from alfred.training.search.two_stage.segments import Segments, cut_copy, cut_segments
from alfred.training.search.two_stage.selection import (
    Candidate,
    Edge,
    choose_models,
    find_edges,
    list_candidates,
    list_finished,
    name_parameters,
)
from alfred.training.search.two_stage.settings import TwoStageSettings
from alfred.training.search.two_stage.spaces import ModelSpace
from alfred.training.search.two_stage.strategy import DEFAULTS, NAME, STRATEGY_SPACE, build_strategy

REPORT_FILE, BEST_FILE, TABLE_FILE = "report.json", "best.yaml", "top10.csv"
_CACHE = ".cache"


@dataclass(frozen=True, eq=False)
class _Search:
    """All that the steps share."""

    market: Market
    experiment: Experiment
    settings: TwoStageSettings
    folder: Path
    name: str
    storage: str
    n_workers: int
    fresh: bool
    reporter: Reporter
    segments: Segments
    space: ModelSpace
    root: Path | None

    def run(self, plans: Sequence[StudyPlan]) -> list[Study]:
        """Run studies; one whose model came into the second stage of another search on other data begins again."""
        return run_studies(
            plans,
            self.storage,
            self.folder,
            n_workers=self.n_workers,
            fresh=self.fresh,
            finished=partial(write_trial, self.folder / "tensorboard"),
        )


def search_models(
    market: Market,
    experiment: Experiment,
    settings: TwoStageSettings,
    folder: Path,
    *,
    name: str = "two-stage",
    storage: str | None = None,
    n_workers: int = 1,
    fresh: bool = False,
    root: Path | None = None,
    reporter: Reporter | None = None,
) -> TwoStageResult:
    """Search for a model and a strategy, judge the winner on the locked part, and write what was found.

    The same call goes on after an interruption: finished trials, forecasts and the verdict are read again.

    Args:
        market: The searched market, cut before the test: see `load_searched`.
        experiment: Terms of the market, intervals, and what the best configuration is made from.
        settings: The search.
        folder: Where everything is written: `report.json`, `best.yaml`, `top10.csv`, `locked.json`, the journal.
        name: What people call the search; it begins the names of its studies.
        storage: Journal file or address of a database; a journal in `folder` when left out.
        n_workers: Processes.
        fresh: Begin studies again that were made from something else, instead of refusing.
        root: Folder of all runs, in whose log of trials the winner is entered; it is entered nowhere when left out.
        reporter: Progress callback.

    Raises:
        DataError: The history is too short.
        CheckpointError: A study of the name was begun with something else.
        AlfredError: No trial succeeded.
    """
    check_name(name, "search")
    segments = cut_segments(market, settings)
    search = _Search(
        market=market,
        experiment=experiment,
        settings=settings,
        folder=folder,
        name=name,
        storage=storage or str(folder / JOURNAL_FILE),
        n_workers=n_workers,
        fresh=fresh,
        reporter=reporter or Silence(),
        segments=segments,
        space=make_space(market, segments, settings),
        root=root,
    )
    plan = plan_models(market, experiment.env, segments, search.space, name)
    search.reporter.say(f"first stage: {plan.n_trials} trials on {len(segments.model_folds)} folds")
    models = search.run([plan])[0]
    candidates = list_candidates(models.get_trials(deepcopy=False), settings.caution)
    results, studies, front = _find_strategies(search, models, candidates)
    verdict = _judge(search, plan, results[0], candidates, [models, *studies])
    strategy_trials = {study.study_name: study.get_trials(deepcopy=False) for study in studies}
    diagnostics = diagnose(models.get_trials(deepcopy=False), strategy_trials, candidates, results)
    edges = _find_edges(search, models, results[0])
    result = TwoStageResult(
        objective=settings.objective,
        segments=segments.describe(),
        models=tuple(candidates),
        strategies=tuple(results),
        winner=results[0],
        front=tuple(front),
        edges=tuple(edges),
        verdict=verdict,
        diagnostics=diagnostics,
        warnings=tuple(
            list_warnings(diagnostics, results[0], edges, verdict, is_default=_is_default(search, results[0]))
        ),
    )
    _write(search, result)
    return result


def make_best_experiment(
    experiment: Experiment, winner: StrategyResult, *, n_trials: int, refit_every_days: int
) -> Experiment:
    """Return the experiment with the winner in it: its model as the only analyst, its strategy among the baselines.

    The trials of the search count among those that the report deflates for.

    Args:
        experiment: What the search began with.
        winner: Model and strategy.
        n_trials: Trials of the search.
        refit_every_days: Sessions between refits with which the strategy was chosen.
    """
    model = winner.candidate.read_settings().model_copy(update={"refit_every_days": refit_every_days})
    strategy = KellySettings.model_validate(dict(winner.strategy))
    others = [item for item in experiment.baselines if item.label != NAME]
    return Experiment.model_validate(
        {
            **{field: getattr(experiment, field) for field in Experiment.model_fields},
            "name": f"{experiment.name}-tuned",
            "analysts": (model,),
            # They speak of analysts that are not there any more.
            "blend": None,
            "observe": None,
            "baselines": (*others, strategy),
            "n_trials": experiment.n_trials + n_trials,
        }
    )


def _find_strategies(
    search: _Search, models: Study, candidates: Sequence[Candidate]
) -> tuple[list[StrategyResult], list[Study], list[Row]]:
    """Return models with their strategies, the studies of the second stage, and the front."""
    settings, segments = search.settings, search.segments
    if settings.objective == "hybrid":
        return choose_from_hybrid(candidates, models, search.space), [], []
    if settings.objective == "pareto":
        results, front = choose_from_front(candidates, models)
        return results, [], front
    chosen = choose_models(candidates, settings)
    search.reporter.say(f"second stage: {settings.n_strategy_trials} trials on each of {len(chosen)} models")
    signals = _forecast(search, chosen, cut_copy(search.market, segments.strategy[1]))
    pairs = list(zip(chosen, signals, strict=True))
    plans = plan_strategies(search.market, search.experiment.env, segments, pairs, settings, search.name)
    studies = search.run(plans)
    return choose_from_strategies(chosen, studies, settings), studies, []


def _forecast(search: _Search, models: Sequence[Candidate], market: Market) -> list[Signals]:
    return forecast_models(
        market,
        models,
        search.segments,
        search.settings,
        cache=search.folder / _CACHE,
        n_workers=search.n_workers,
        reporter=search.reporter,
    )


def _judge(
    search: _Search,
    plan: StudyPlan,
    winner: StrategyResult,
    candidates: Sequence[Candidate],
    studies: Sequence[Study],
) -> LockedVerdict:
    """Return the verdict on the winner: a stored one, or a new look at the locked part."""
    segments, ledger = search.segments, LockedLedger(search.folder.parent, DataIdentity.from_market(search.market))
    digest, study = compute_digest(dict(winner.candidate.settings), dict(winner.strategy)), plan.digest
    if (known := ledger.find(digest, study)) is not None:
        return known
    # The first trial is the default configuration; where it failed, or won, there is nothing to compare with.
    default = next((item for item in candidates if item.number == 0), None)
    if default is not None and _is_default(search, winner):
        default = None
    models = [winner.candidate, *([] if default is None else [default])]
    search.reporter.say(f"locked part: {segments.locked[0].date()} to {segments.locked[1].date()}, the winner alone")
    signals = _forecast(search, models, search.market)
    entries = [(NAME, signals[0], KellySettings.model_validate(dict(winner.strategy)))]
    if default is not None:
        entries.append((DEFAULT, signals[1], _make_default(search, default)))
    # One that was cut off showed nothing, and was made again.
    n_made = sum(count_trials(item.get_trials(deepcopy=False)) for item in studies)
    sharpes = [
        float(t.user_attrs[SHARPE]) for item in studies for t in list_finished(item.trials) if SHARPE in t.user_attrs
    ]
    looks, earlier = ledger.count_earlier(digest, study, *segments.describe()["locked"])
    verdict = judge_locked(
        search.market,
        search.experiment.env,
        segments,
        entries,
        winner=digest,
        study=study,
        trials=Trials.declare(n_made + earlier, sharpes),
        looks=looks + 1,
        intervals=search.experiment.intervals,
        note=None if search.root is None else partial(_log, search.root, search.market, digest, search.name),
    )
    ledger.add(verdict)
    return verdict


def _log(root: Path, market: Market, config: str, name: str, record: Backtest) -> None:
    """Enter the winner in the log of trials: later verdicts on these sessions pay for it."""
    TrialLog(root).add(record, market, config, name)


def _make_default(search: _Search, candidate: Candidate) -> KellySettings:
    """Return the strategy that nobody searched, on the forecasts of a model."""
    return build_strategy(dict(DEFAULTS), name_probability(candidate.read_settings(), search.settings.horizon))


def _is_default(search: _Search, winner: StrategyResult) -> bool:
    """Return whether the winner is the configuration that the search began with."""
    strategy = KellySettings.model_validate(dict(winner.strategy))
    return winner.candidate.number == 0 and strategy == _make_default(search, winner.candidate)


def _find_edges(search: _Search, models: Study, winner: StrategyResult) -> list[Edge]:
    family = winner.candidate.family
    if search.settings.objective != "two_stage":
        return find_edges(winner.params, list_all_parameters(search.space, family))
    model = next(trial for trial in models.get_trials(deepcopy=False) if trial.number == winner.candidate.number)
    found = find_edges(model.params, name_parameters(search.space, family))
    return [*found, *find_edges(winner.params, STRATEGY_SPACE)]


def _write(search: _Search, result: TwoStageResult) -> None:
    best = make_best_experiment(
        search.experiment,
        result.winner,
        n_trials=result.verdict.n_trials,
        refit_every_days=search.segments.refit_every_days,
    )
    texts = {
        REPORT_FILE: json.dumps(result.to_json(), indent=2, allow_nan=False),
        BEST_FILE: best.to_yaml(),
        TABLE_FILE: write_csv(tabulate_best(result)),
    }
    for file, text in texts.items():
        write_atomically(search.folder / file, partial(_write_text, text))


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
