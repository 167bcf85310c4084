"""What is optimised: the quality of a model, the strategy on a model's forecasts, or both in one stage.

Each objective holds the part of the market that it may see, cut and in memory of its own, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optuna import Trial
from optuna.trial import BaseTrial

from alfred.agents.strategies.signals import KellySettings
from alfred.analysts.settings import AnalystSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Range
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.search.study import STOPPED
from alfred.training.search.two_stage.forecasts import forecast_fold, name_probability
from alfred.training.search.two_stage.scoring import FoldScore, mix_hybrid
from alfred.training.search.two_stage.segments import ModelFold
from alfred.training.search.two_stage.settings import Objective, TwoStageSettings
from alfred.training.search.two_stage.spaces import ModelSpace
from alfred.training.search.two_stage.strategy import (
    DEFAULTS,
    StrategyScore,
    aggregate,
    build_strategy,
    find_sharpe,
    has_traded,
    score_equal_weight,
    suggest_strategy,
    walk,
)

MODEL, STRATEGY, FOLDS = "model", "strategy", "folds"
"""User attributes of a trial: its settings, its scores by fold, and how many folds it had when it was stopped."""

SHARPE, TRADED, EXCESS = "sharpe", "traded", "excess"
"""User attributes: Sharpe ratio in excess of cash over all folds, whether it traded, excess over equal weights."""

PREFIX = "strategy."
"""Begins the names of the parameters of a strategy in a one-stage study."""


@dataclass(frozen=True, eq=False)
class FoldEvaluator:
    """Fits and scores models on the folds of the first stage.

    Attributes:
        market: The part that the first stage may see.
        env: Terms of the market.
        folds: Its folds, F.
        reference: Sharpe ratio of equal weights on each validation range, `[F]`.
        horizon: Sessions ahead that are scored.
    """

    market: Market
    env: PortfolioSettings
    folds: tuple[ModelFold, ...]
    reference: tuple[float, ...]
    horizon: int

    def order(self, seed: int) -> list[int]:
        """Return the order in which all trials take the folds: mixed, so that a pruner sees early and late ones."""
        return [int(place) for place in np.random.default_rng(seed).permutation(len(self.folds))]

    def score(self, model: AnalystSettings, strategy: KellySettings, place: int) -> FoldScore:
        """Return the score of a model on a fold, with the Sharpe ratio of a strategy beside it.

        Raises:
            DataError: The model cannot be fitted there.
        """
        fold = self.folds[place]
        found = forecast_fold(self.market, model, fold, self.horizon)
        record = walk(self.market, found.signals.scaled(), self.env, strategy, fold.validation)
        excess = find_sharpe(record) - self.reference[place]
        return replace(found.score, sharpe=excess, traded=has_traded(record))


@dataclass(frozen=True, eq=False)
class ModelObjective:
    """The first stage: mean over folds of 0.7 AUC + 0.3 balanced accuracy.

    Attributes:
        evaluator: Fits and scores.
        space: What is varied.
    """

    evaluator: FoldEvaluator
    space: ModelSpace

    def __call__(self, trial: Trial) -> float:
        """Return the score of a trial."""
        return self.evaluate(trial, self.suggest(trial))

    def suggest(self, trial: BaseTrial) -> AnalystSettings:
        """Return the model of a trial."""
        return self.space.suggest(trial)

    def evaluate(self, trial: Trial, chosen: AnalystSettings) -> float:
        """Return the mean score over folds, or over those until the pruner stopped it.

        A stopped trial returns what it has, as Optuna advises for this pruner, so that the sampler learns from it; it
        says so in its attributes and is never chosen.
        """
        strategy = build_strategy(dict(DEFAULTS), name_probability(chosen, self.evaluator.horizon))
        scores: list[FoldScore] = []
        order = self.evaluator.order(self.space.settings.seed)
        for place in order:
            scores.append(self.evaluator.score(chosen, strategy, place))
            trial.report(scores[-1].score, place)
            if len(scores) < len(order) and trial.should_prune():
                trial.set_user_attr(STOPPED, len(scores))
                break
        _note_model(trial, chosen, scores)
        return float(np.mean([score.score for score in scores]))


@dataclass(frozen=True, eq=False)
class StrategyObjective:
    """The second stage: the Sharpe ratio in excess of equal weights over folds that the first stage has not seen.

    Attributes:
        market: The market until the end of the second stage.
        signals: Walk-forward forecasts of one model, scaled by their past.
        signal: Name of the one that is traded on.
        env: Terms of the market.
        folds: Ranges, F.
        reference: Sharpe ratio of equal weights on each, `[F]`.
        how: How folds become one number; see `aggregate`.
    """

    market: Market
    signals: Signals
    signal: str
    env: PortfolioSettings
    folds: tuple[Range, ...]
    reference: tuple[float, ...]
    how: str

    def __call__(self, trial: Trial) -> float:
        """Return the score of a trial."""
        return self.evaluate(trial, self.suggest(trial))

    def suggest(self, trial: BaseTrial) -> KellySettings:
        """Return the strategy of a trial."""
        return suggest_strategy(trial, self.signal)

    def evaluate(self, trial: Trial, chosen: KellySettings) -> float:
        """Return the aggregated excess; never NaN."""
        score, sharpe = self.score(chosen)
        trial.set_user_attr(STRATEGY, chosen.model_dump(mode="json"))
        trial.set_user_attr(EXCESS, list(score.excess))
        trial.set_user_attr(TRADED, score.traded)
        trial.set_user_attr(SHARPE, sharpe)
        trial.set_user_attr("turnover", score.turnover)
        return aggregate(score.excess, self.how, traded=score.traded)

    def score(self, strategy: KellySettings) -> tuple[StrategyScore, float]:
        """Return the scores by fold, and the Sharpe ratio in excess of cash over all folds together."""
        records = [walk(self.market, self.signals, self.env, strategy, fold) for fold in self.folds]
        sharpes = tuple(map(find_sharpe, records))
        excess = tuple(own - other for own, other in zip(sharpes, self.reference, strict=True))
        turnover = float(np.mean(np.concatenate([record.turnover for record in records])))
        traded = any(map(has_traded, records))
        whole = compute_sharpe(np.concatenate([record.excess for record in records]), records[0].periods_per_year)
        return StrategyScore(sharpes, excess, turnover, traded), float(np.nan_to_num(whole))


@dataclass(frozen=True, eq=False)
class JointObjective:
    """One stage for both: the hybrid score, or AUC and Sharpe ratio in excess as two objectives.

    Attributes:
        evaluator: Fits and scores.
        space: What is varied in the model.
        kind: `hybrid` or `pareto`.
    """

    evaluator: FoldEvaluator
    space: ModelSpace
    kind: Objective

    def __call__(self, trial: Trial) -> float | Sequence[float]:
        """Return the value or the values of a trial."""
        return self.evaluate(trial, self.suggest(trial))

    def suggest(self, trial: BaseTrial) -> tuple[AnalystSettings, KellySettings]:
        """Return model and strategy of a trial."""
        model = self.space.suggest(trial)
        return model, suggest_strategy(trial, name_probability(model, self.evaluator.horizon), PREFIX)

    def evaluate(self, trial: Trial, chosen: tuple[AnalystSettings, KellySettings]) -> float | Sequence[float]:
        """Return the mean hybrid score over folds; or mean AUC and aggregated excess Sharpe ratio."""
        model, strategy = chosen
        scores: list[FoldScore] = []
        order = self.evaluator.order(self.space.settings.seed)
        for place in order:
            scores.append(self.evaluator.score(model, strategy, place))
            if self.kind == "hybrid":
                trial.report(_mix(scores[-1]), place)
                if len(scores) < len(order) and trial.should_prune():
                    trial.set_user_attr(STOPPED, len(scores))
                    break
        _note_model(trial, model, scores)
        trial.set_user_attr(STRATEGY, strategy.model_dump(mode="json"))
        if self.kind == "hybrid":
            return float(np.mean([_mix(score) for score in scores]))
        excess = [score.sharpe for score in scores]
        traded = any(score.traded for score in scores)
        value = aggregate(excess, self.space.settings.fold_score, traded=traded)
        return float(np.mean([score.auc for score in scores])), value


def make_evaluator(
    market: Market, env: PortfolioSettings, folds: tuple[ModelFold, ...], settings: TwoStageSettings
) -> FoldEvaluator:
    """Return what fits and scores models on folds.

    Args:
        market: Cut at the end of the first stage.
        env: Terms of the market.
        folds: The folds.
        settings: The search.
    """
    reference = score_equal_weight(market, env, [fold.validation for fold in folds])
    return FoldEvaluator(market, env, folds, reference, settings.horizon)


def _mix(score: FoldScore) -> float:
    return mix_hybrid(score.auc, score.accuracy, score.sharpe, traded=score.traded)


def _note_model(trial: Trial, model: AnalystSettings, scores: Sequence[FoldScore]) -> None:
    """Keep what a model was and how it did on each fold, for the report."""
    trial.set_user_attr(MODEL, model.model_dump(mode="json"))
    trial.set_user_attr(FOLDS, [score.to_json() for score in scores])
    trial.set_user_attr(TRADED, any(score.traded for score in scores))
