"""How far the numbers of a search can be trusted: importance, convergence, correlations, and what to warn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from alfred.training.search.claims import is_cut_off
from alfred.training.search.study import STOPPED, count_trials
from alfred.training.search.summary import find_importance
from alfred.training.search.two_stage.locked import DEFAULT, LockedVerdict
from alfred.training.search.two_stage.objectives import PREFIX, TRADED
from alfred.training.search.two_stage.result import Diagnostics, StrategyResult
from alfred.training.search.two_stage.selection import Candidate, Edge, list_finished
from alfred.training.search.two_stage.settings import FAMILIES

FEWEST_MODELS = 4
"""Models from which on correlations are told."""

LEAST_CORRELATION = 0.3
"""Below it, what the first stage maximises says little about what trades."""

_SCORES = ("score", "auc", "accuracy", "ic", "rank_ic")


def diagnose(
    model_trials: Sequence[FrozenTrial],
    strategy_trials: Mapping[str, Sequence[FrozenTrial]],
    candidates: Sequence[Candidate],
    strategies: Sequence[StrategyResult],
) -> Diagnostics:
    """Return what says how far to trust a search.

    Args:
        model_trials: All trials of the first stage, or of the only one.
        strategy_trials: All trials of the second, by study.
        candidates: Finished models.
        strategies: Models that went on, with their best strategies.
    """
    finished = list_finished(model_trials)
    importance: dict[str, dict[str, float]] = {}
    for family in FAMILIES:
        own = [trial for trial in finished if trial.user_attrs["model"]["kind"] == family]
        if shares := find_importance(own, prefix=f"{family}."):
            importance[family] = shares
    pooled = [trial for trials in strategy_trials.values() for trial in list_finished(trials)]
    if shares := find_importance(pooled or finished, prefix="" if pooled else PREFIX):
        importance["strategy"] = shares
    stages = {"first": list(model_trials)}
    if strategy_trials:
        stages["second"] = [trial for trials in strategy_trials.values() for trial in trials]
    convergence = {"first": find_convergence(model_trials)}
    convergence |= {name: find_convergence(trials) for name, trials in strategy_trials.items()}
    return Diagnostics(
        importance=importance,
        convergence=convergence,
        correlations=correlate(candidates, strategies),
        traded_share={name: find_traded_share(trials) for name, trials in stages.items()},
        n_trials={name: count_trials(trials) for name, trials in stages.items()},
        n_stopped=sum(STOPPED in trial.user_attrs for trial in model_trials),
        n_failed={
            name: sum(t.state == TrialState.FAIL and not is_cut_off(t) for t in trials)
            for name, trials in stages.items()
        },
    )


def find_convergence(trials: Sequence[FrozenTrial]) -> list[float]:
    """Return the best first value up to each finished trial, in the order of the trials."""
    values = [trial.values[0] for trial in list_finished(trials)]
    return [float(value) for value in np.maximum.accumulate(values)] if values else []


def find_traded_share(trials: Sequence[FrozenTrial]) -> float:
    """Return the share of finished trials whose strategy traded at all; 0 without any."""
    finished = list_finished(trials)
    return float(np.mean([bool(trial.user_attrs.get(TRADED)) for trial in finished])) if finished else 0.0


def correlate(
    candidates: Sequence[Candidate], strategies: Sequence[StrategyResult]
) -> dict[str, dict[str, float | None]]:
    """Return the rank correlations of each score with the Sharpe ratio over models; None for too few of them."""
    noted = [item.sharpe for item in candidates]
    later = [item.value for item in strategies]
    return {
        name: {
            "first stage": _correlate([getattr(item, name) for item in candidates], noted),
            "second stage": _correlate([getattr(item.candidate, name) for item in strategies], later),
        }
        for name in _SCORES
    }


def _correlate(one: Sequence[float], other: Sequence[float]) -> float | None:
    if len(one) < FEWEST_MODELS or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(stats.spearmanr(one, other).statistic)


def list_warnings(
    diagnostics: Diagnostics,
    winner: StrategyResult,
    edges: Sequence[Edge],
    verdict: LockedVerdict,
    *,
    is_default: bool = False,
) -> list[str]:
    """Return what a reader must know, one sentence each."""
    found = ["The winner is the default configuration: the search found nothing better."] if is_default else []
    found += [f"{edge.sentence[0].upper()}{edge.sentence[1:]}." for edge in edges]
    if not winner.traded:
        found.append("No strategy traded: every one found stays in cash.")
    elif winner.plateau <= 0 < winner.value:
        found.append(
            f"The best trial ({winner.value:.2f}) stands alone: with its nearest neighbours the mean is "
            f"{winner.plateau:.2f}."
        )
    low = {stage: share for stage, share in diagnostics.traded_share.items() if share < 0.5}
    found += [f"Only {share:.0%} of the trials of the {stage} stage traded." for stage, share in low.items()]
    related = diagnostics.correlations["score"]["first stage"]
    if related is not None and related < LEAST_CORRELATION:
        found.append(
            f"Over models, the score of the first stage and the Sharpe ratio have a rank correlation of {related:.2f}: "
            "what it maximises says little about what trades."
        )
    if verdict.looks > 1:
        found.append(
            f"The locked part was looked at {verdict.looks} times: it is no longer unseen, and the verdict pays for it."
        )
    for comparison in verdict.comparisons:
        if comparison.baseline == DEFAULT and comparison.difference < 0:
            found.append(
                f"On the locked part the default configuration had the higher Sharpe ratio ({comparison.sharpe:.2f} "
                f"against {verdict.sharpe:.2f}): prefer it."
            )
    return found
