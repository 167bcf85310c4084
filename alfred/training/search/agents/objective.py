"""What is maximised for an agent: its Sharpe ratio less that of equal weights, over folds before the test.

Costs are terms of the market and are not searched: a search over them would find the cheapest.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from optuna import Trial, TrialPruned
from optuna.trial import BaseTrial

from alfred.agents.base import EnsemblePolicy
from alfred.agents.registry import AGENTS
from alfred.agents.settings import AgentSettings
from alfred.agents.strategies.registry import make_baselines
from alfred.data.files import write_array
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, Range
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, Stage, backtest, make_walk
from alfred.evaluation.portfolio_metrics import compute_max_drawdown, compute_sharpe
from alfred.settings import Settings
from alfred.training.cross_fitting.folds import locate_training, train_agent
from alfred.training.provenance.stages import compute_digest
from alfred.training.provenance.trials import TrialLog
from alfred.training.search.space import Choice, Real, Space, Value, Whole, read_defaults, suggest_settings
from alfred.typing import FloatArray

Model = TypeVar("Model", bound=Settings)

ALGORITHM, ENVIRONMENT = "algorithm", "env"
SHARPE, TURNOVER, DRAWDOWN, UNTRAINED = "sharpe", "turnover", "max_drawdown_pct", "untrained_share"
"""User attributes of a trial, of one book through all folds; turnover is that of a year."""

EQUAL_WEIGHT = "equal weight"
_WORST = -100.0

_COMMON: Space = {
    "temperature": Real(low=1.0, high=6.0, log=True),
    "averaging": Choice(options=(0.0, 0.9, 0.95, 0.99)),
    "network": Choice(options=("tilt", "shared", "attention")),
    "validation_blocks": Whole(low=2, high=6),
}
ALGORITHMS: Mapping[str, Space] = {
    "direct": {
        **_COMMON,
        "learning_rate": Real(low=1e-3, high=2e-2, log=True),
        "weight_decay": Real(low=1e-4, high=0.3, log=True),
        "noise": Real(low=0.0, high=1.0),
        "horizon": Choice(options=(8, 16, 32)),
    },
    "ppo": {
        **_COMMON,
        "learning_rate": Real(low=5e-4, high=1e-2, log=True),
        "gamma": Choice(options=(0.0, 0.5, 0.8, 0.95)),
        "noise": Real(low=0.05, high=0.3, log=True),
        "clip_range": Real(low=0.2, high=3.0, log=True),
    },
}
"""What is searched of each agent, by kind."""

ENVIRONMENT_SPACE: Space = {
    "reward.kind": Choice(options=("growth", "excess")),
    "reward.risk_aversion": Real(low=1.0, high=30.0, log=True),
    "reward.turnover_penalty": Real(low=0.0, high=0.01),
    "rebalance_every": Choice(options=(1, 5)),
}


@dataclass(frozen=True)
class Configuration:
    """One point of the search.

    Attributes:
        agent: The agent.
        environment: How it is traded, held back and paid.
    """

    agent: AgentSettings
    environment: PortfolioSettings


@dataclass(frozen=True)
class Limits:
    """What the best configuration has to keep to on the validation folds; a limit that is None does not bind.

    Attributes:
        turnover: Turnover a year at most.
        drawdown_pct: Deepest drawdown at most, in per cent.
    """

    turnover: float | None = None
    drawdown_pct: float | None = None


@dataclass(frozen=True, eq=False)
class AgentObjective:
    """The Sharpe ratio of an agent less that of equal weights, averaged over folds.

    Every trial trains with the same seeds, so that none is lucky in its own; the weights of the seeds are averaged, as
    in a run.

    Attributes:
        market: Cut before the test.
        signals: Scaled, cut at the same date.
        folds: Their test ranges, all before the test, validate.
        agents: Settings that a trial starts from, by kind.
        environment: The same for the environment.
        spaces: What is searched of each agent.
        environment_space: What is searched of the environment.
        seed: First seed.
        n_seeds: Seeds of each trial.
        limits: What the best has to keep to.
        folder: For trainings, and for the returns of each trial.
        root: Folder of all runs, with the log of trials.
        name: Of the search.
        keep: Whether trainings stay on disk.
    """

    market: Market
    signals: Signals
    folds: Sequence[Fold]
    agents: Mapping[str, AgentSettings]
    environment: PortfolioSettings
    spaces: Mapping[str, Space]
    environment_space: Space
    seed: int
    n_seeds: int
    limits: Limits
    folder: Path
    root: Path
    name: str
    keep: bool = False

    def suggest(self, trial: BaseTrial) -> Configuration:
        """Choose an agent and its parameters, and those of the environment."""
        kind = str(trial.suggest_categorical(ALGORITHM, list(self.spaces)))
        told = suggest_settings(trial, self.spaces[kind], f"{kind}.")
        around = suggest_settings(trial, self.environment_space, f"{ENVIRONMENT}.")
        return Configuration(_update(self.agents[kind], told), _update(self.environment, around))

    def evaluate(self, trial: Trial, chosen: Configuration) -> float:
        """Return the mean difference over the folds.

        Raises:
            TrialPruned: The best trial is credibly better on the folds so far.
        """
        place = self.folder / "trainings" / f"trial-{trial.number}"
        policies: dict[int, EnsemblePolicy] = {}
        values, n_untrained = [], 0
        try:
            # Every trial takes the folds in the same order, which is not that of time: the first few are no one era.
            for position in np.random.default_rng(self.seed).permutation(len(self.folds)):
                fold = self.folds[position]
                policies[fold.index], kept_start = self._train(chosen, fold, place)
                n_untrained += kept_start
                values.append(self._compare(policies[fold.index], chosen.environment, fold))
                trial.report(values[-1], step=int(position))
                trial.set_user_attr(UNTRAINED, n_untrained / (len(values) * self.n_seeds))
                if trial.should_prune() and len(values) < len(self.folds):
                    raise TrialPruned
            self._note(trial, chosen, [Stage(fold.test[0], policies[fold.index]) for fold in self.folds])
        finally:
            if not self.keep:
                shutil.rmtree(place, ignore_errors=True)
        return float(np.mean(values))

    def _train(self, chosen: Configuration, fold: Fold, place: Path) -> tuple[EnsemblePolicy, int]:
        """Return the averaged seeds of a fold, and how many kept their start."""
        known, known_signals = (
            self.market.until(fold.validation[1]).copy(),
            self.signals.until(fold.validation[1]).copy(),
        )
        trained = [
            train_agent(
                known,
                known_signals,
                fold,
                chosen.agent,
                chosen.environment,
                self.seed + number,
                locate_training(place, fold.index, self.seed + number),
            )
            for number in range(self.n_seeds)
        ]
        policy = EnsemblePolicy([item.policy for item in trained], chosen.agent.label)
        return policy, sum(item.kept.untrained for item in trained)

    def _compare(self, policy: Policy, environment: PortfolioSettings, fold: Fold) -> float:
        """Return the Sharpe ratio on the test range of a fold less that of equal weights."""
        own = compute_sharpe(self._walk(policy, environment, fold.test, None).excess, self.market.periods_per_year)
        gain = own - self._equal_weight[fold.index]
        # A book that stays in cash has no ratio, and is worse than any that has one.
        return float(gain) if np.isfinite(gain) else _WORST

    @cached_property
    def _equal_weight(self) -> dict[int, float]:
        """Sharpe ratio of equal weights on the test range of each fold: the same for every trial."""
        baselines = make_baselines((), self.market, self.signals.names)
        equal = next(item for item in baselines if item.name == EQUAL_WEIGHT)
        walks = {fold.index: self._walk(equal, self.environment, fold.test, None) for fold in self.folds}
        return {index: compute_sharpe(walk.excess, self.market.periods_per_year) for index, walk in walks.items()}

    def _walk(
        self, policy: Policy, environment: PortfolioSettings, span: Range, stages: Sequence[Stage] | None
    ) -> Backtest:
        # What is decided at the close before is executed on the first session of the range.
        start = self.market.dates[int(self.market.dates.get_loc(span[0])) - 1]
        walk = make_walk(self.market, self.signals, environment, policy, start=start, end=span[1])
        return backtest(policy if stages is None else stages, walk)

    def _note(self, trial: Trial, chosen: Configuration, stages: Sequence[Stage]) -> None:
        """Walk one book through all folds, keep its returns, and enter it in the log of trials."""
        span = (self.folds[0].test[0], self.folds[-1].test[1])
        record = self._walk(stages[0].policy, chosen.environment, span, stages)
        periods = self.market.periods_per_year
        turnover = float(record.turnover.mean()) * periods
        depth = -100 * compute_max_drawdown(record.net)
        sharpe = compute_sharpe(record.excess, periods)
        trial.set_user_attr(SHARPE, float(sharpe) if np.isfinite(sharpe) else None)
        trial.set_user_attr(TURNOVER, turnover)
        trial.set_user_attr(DRAWDOWN, depth)
        if self.limits.turnover is not None:
            trial.set_constraint(TURNOVER, turnover - self.limits.turnover)
        if self.limits.drawdown_pct is not None:
            trial.set_constraint(DRAWDOWN, depth - self.limits.drawdown_pct)
        save_returns(self.folder, trial.number, record.excess)
        named = replace(record, name=f"{chosen.agent.label} {trial.number}")
        TrialLog(self.root).add(named, self.market, compute_digest(_dump(chosen)), self.name)


def save_returns(folder: Path, number: int, excess: FloatArray) -> None:
    """Keep the returns of a trial in excess of cash, `[T]`, for the probability that the choice overfits."""
    write_array(folder / "returns" / f"{number}.npy", np.asarray(excess, dtype=np.float64))


def choose_spaces(kinds: Sequence[str] | None) -> dict[str, Space]:
    """Return what is searched of each kind of agent; one that has no space of its own has the common part.

    Raises:
        ConfigError: A kind is unknown.
    """
    return {kind: ALGORITHMS.get(AGENTS.find(kind), _COMMON) for kind in kinds or ALGORITHMS}


def find_start(configuration: Configuration, spaces: Mapping[str, Space]) -> dict[str, Value]:
    """Return where a configuration lies in the spaces, as the parameters of a trial."""
    kind = configuration.agent.kind
    return {
        ALGORITHM: kind,
        **read_defaults(configuration.agent, spaces[kind], f"{kind}."),
        **read_defaults(configuration.environment, ENVIRONMENT_SPACE, f"{ENVIRONMENT}."),
    }


def _update(settings: Model, told: Mapping[str, object]) -> Model:
    """Return settings with some values replaced, nested ones within their model."""
    raw = settings.model_dump()
    for name, value in told.items():
        raw[name] = {**raw[name], **value} if isinstance(value, dict) else value
    return type(settings).model_validate(raw)


def _dump(chosen: Configuration) -> object:
    return [chosen.agent.model_dump(mode="json", exclude={"name"}), chosen.environment.model_dump(mode="json")]
