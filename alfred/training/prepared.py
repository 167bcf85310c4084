"""What all stages after the first stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, make_folds
from alfred.training.jobs import count_cores
from alfred.training.runs import RunFolder


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


def cut_folds(market: Market, experiment: Experiment) -> list[Fold]:
    """Cut the sessions that have signals into folds."""
    known = market.dates[experiment.forecast.min_train_days :]
    horizon = max(max(settings.horizons) for settings in experiment.analysts)
    return make_folds(known, experiment.splits, max(horizon, experiment.env.rebalance_every))
