"""The studies of a search: under which names, on what, from which starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from alfred.analysts.registry import ANALYSTS
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.envs.settings import PortfolioSettings
from alfred.training.jobs import Job, run_jobs
from alfred.training.progress import Reporter
from alfred.training.provenance.fingerprint import fingerprint_code
from alfred.training.provenance.stages import Parts, compute_digest, digest_environment, digest_signals
from alfred.training.search.study import StudyPlan
from alfred.training.search.two_stage.forecasts import forecast_later, name_probability
from alfred.training.search.two_stage.objectives import (
    PREFIX,
    JointObjective,
    ModelObjective,
    StrategyObjective,
    make_evaluator,
)
from alfred.training.search.two_stage.segments import Segments, cut_copy
from alfred.training.search.two_stage.selection import Candidate
from alfred.training.search.two_stage.settings import TwoStageSettings
from alfred.training.search.two_stage.spaces import ModelSpace
from alfred.training.search.two_stage.strategy import DEFAULTS, STRATEGY_SPACE, score_equal_weight

_STARTUP_SHARE = 0.1
# They say how long to search and what to make of it, and change no trial.
_AFTERWARDS = {"n_model_trials", "n_strategy_trials", "top_k", "caution", "choose", "n_neighbours", "prune"}
_SECOND = {"n_strategy_folds", "refit_every_days", "warm_up_days", "fold_score"}


def make_space(market: Market, segments: Segments, settings: TwoStageSettings) -> ModelSpace:
    """Return what models are made of: windows are as long as the first fold can be fitted with.

    An analyst asks for two windows and three horizons; three windows leave it examples for both of its own parts.
    """
    fitted = int(market.dates.searchsorted(segments.model_folds[0].fit_end, side="right"))
    return ModelSpace(settings, max((fitted - 3 * settings.horizon) // 3, 0))


def plan_models(market: Market, env: PortfolioSettings, segments: Segments, space: ModelSpace, name: str) -> StudyPlan:
    """Return the study of the first stage, or of the only one.

    Args:
        market: The searched market; the study is handed the part of the first stage and nothing else.
        env: Terms of the market.
        segments: Its parts.
        space: What is varied.
        name: What people call the search.
    """
    settings = space.settings
    seen = cut_copy(market, segments.model[1])
    evaluator = make_evaluator(seen, env, segments.model_folds, settings)
    joint = settings.objective != "two_stage"
    starts: list[dict[str, object]] = [dict(space.make_default(family)) for family in settings.families]
    if joint:
        starts = [{**start, **{f"{PREFIX}{key}": value for key, value in DEFAULTS.items()}} for start in starts]
    spaces = {family: [str(parameter) for parameter in space.list_parameters(family)] for family in settings.families}
    chosen = settings.model_dump(mode="json", exclude=_AFTERWARDS | (set() if joint else _SECOND))
    parts: Parts = {
        "data": compute_market_checksum(seen),
        "folds": compute_digest([str(fold) for fold in segments.model_folds]),
        "settings": compute_digest(chosen, spaces, [str(p) for p in STRATEGY_SPACE] if joint else []),
        "environment": digest_environment(env, seen),
        "code": fingerprint_code(
            ModelObjective, JointObjective, *(ANALYSTS.load(family) for family in settings.families)
        ),
    }
    return StudyPlan(
        name=f"{name}-{'models' if not joint else settings.objective}",
        parts=parts,
        objective=JointObjective(evaluator, space, settings.objective) if joint else ModelObjective(evaluator, space),
        n_trials=settings.n_model_trials,
        directions=("maximize", "maximize") if settings.objective == "pareto" else ("maximize",),
        seed=settings.seed,
        anchors=tuple(starts),
        n_startup=_count_startup(settings.n_model_trials),
        prune=settings.prune and settings.objective != "pareto",
    )


def plan_strategies(
    market: Market,
    env: PortfolioSettings,
    segments: Segments,
    models: Sequence[tuple[Candidate, Signals]],
    settings: TwoStageSettings,
    name: str,
) -> list[StudyPlan]:
    """Return one study of strategies for each model.

    A trial takes a fraction of a second, so that none is stopped early.

    Args:
        market: The searched market; the studies are handed what ends with the second stage.
        env: Terms of the market.
        segments: Its parts.
        models: Each with its walk-forward forecasts, scaled.
        settings: The search.
        name: What people call the search.
    """
    seen = cut_copy(market, segments.strategy[1])
    reference = score_equal_weight(seen, env, segments.strategy_folds)
    shared = {
        "data": compute_market_checksum(seen),
        "folds": compute_digest([str(fold) for fold in segments.strategy_folds]),
        "settings": compute_digest([str(p) for p in STRATEGY_SPACE], settings.fold_score, settings.seed),
        "environment": digest_environment(env, seen),
        "code": fingerprint_code(StrategyObjective),
    }
    return [
        StudyPlan(
            name=f"{name}-strategies-{candidate.digest}",
            parts={**shared, "signals": digest_signals(signals)},
            objective=StrategyObjective(
                market=seen,
                signals=signals,
                signal=name_probability(candidate.read_settings(), settings.horizon),
                env=env,
                folds=segments.strategy_folds,
                reference=reference,
                how=settings.fold_score,
            ),
            n_trials=settings.n_strategy_trials,
            directions=("maximize",),
            seed=settings.seed,
            anchors=(dict(DEFAULTS),),
            n_startup=_count_startup(settings.n_strategy_trials),
        )
        for candidate, signals in models
    ]


def forecast_models(
    market: Market,
    candidates: Sequence[Candidate],
    segments: Segments,
    settings: TwoStageSettings,
    *,
    cache: Path | None,
    n_workers: int,
    reporter: Reporter,
) -> list[Signals]:
    """Return the walk-forward forecasts of models to the end of a market, scaled by their own past.

    Args:
        market: Cut at the end of the part that is wanted.
        candidates: The models.
        segments: Where their forecasts begin.
        settings: The search.
        cache: Folder that keeps finished pieces.
        n_workers: Processes.
        reporter: Progress callback.
    """
    jobs = [
        Job(
            f"forecasts of model {item.number}",
            partial(_forecast, market, item, segments, settings, cache),
        )
        for item in candidates
    ]
    return [signals.scaled() for signals in run_jobs(jobs, n_workers, reporter)]


def _forecast(
    market: Market,
    candidate: Candidate,
    segments: Segments,
    settings: TwoStageSettings,
    cache: Path | None,
    *,
    progress: Callable[[int], None],
) -> Signals:
    return forecast_later(market, candidate.read_settings(), segments, settings, cache, progress)


def _count_startup(n_trials: int) -> int:
    """Return a tenth of the trials, one at least: those that are drawn before the sampler learns."""
    return max(1, round(_STARTUP_SHARE * n_trials))
