"""What all stages after the first stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alfred.config import ALL_SIGNALS, Experiment
from alfred.data.market import Market
from alfred.data.settings import PREFIX as FEATURE_PREFIX
from alfred.data.signals import Signals
from alfred.data.splits import Fold, make_folds
from alfred.errors import ConfigError, suggest
from alfred.training.jobs import count_workers
from alfred.training.runs import RunFolder

BLEND = "blend"
"""What `observe` calls the blend, whatever its name is."""


@dataclass(frozen=True)
class Prepared:
    """What all stages after the first stand on.

    Attributes:
        experiment: The configuration.
        run: Where it writes.
        market: The whole market.
        folds: Walk-forward folds over the dates that have signals.
        signals: Joined, unscaled signals of analysts, blend and features.
    """

    experiment: Experiment
    run: RunFolder
    market: Market
    folds: Sequence[Fold]
    signals: Signals

    @property
    def observed(self) -> Signals:
        """The signals that agents see, unscaled."""
        return select_observed(self.signals, self.experiment)

    @property
    def n_jobs(self) -> int:
        """Processes to use."""
        return count_workers(self.experiment.training)


def select_observed(signals: Signals, experiment: Experiment) -> Signals:
    """Return the signals that agents see; see `find_observed`."""
    return signals.select(find_observed(signals.names, experiment))


def find_observed(names: Sequence[str], experiment: Experiment) -> list[str]:
    """Return the signals that agents see, in the order of all signals.

    Args:
        names: Of all signals.
        experiment: Its `observe` chooses among them. Left out, agents see the blend and the features, or all where
            there is no blend.

    Raises:
        ConfigError: `observe` names nothing that there is.
    """
    own = {name: (name, name.partition(".")[0]) for name in names}
    observe = experiment.observe
    blend = experiment.blend.label if experiment.blend else ""
    if observe is None:
        blended = any(group == blend for _, group in own.values())
        return [name for name, (_, group) in own.items() if not blended or group in (blend, FEATURE_PREFIX)]
    known = list(dict.fromkeys(group for _, group in own.values()))
    # The blend may have a name of its own, and is the blend even so.
    wanted = [blend if item == BLEND and BLEND not in known and blend in known else item for item in observe]
    for item in wanted:
        if item != ALL_SIGNALS and not any(item in parts for parts in own.values()):
            missing = " (there is no blend: no analyst forecasts a return, or blend is null)" * (item == BLEND)
            raise ConfigError(
                f"observe names '{item}', and no signal is called so{missing}; known: {', '.join(known)}, "
                f"'{ALL_SIGNALS}', or the full name of a signal such as {names[0]}.{suggest(item, [*known, *names])}"
            )
    if ALL_SIGNALS in wanted:
        return list(names)
    return [name for name, parts in own.items() if any(part in wanted for part in parts)]


def cut_folds(market: Market, experiment: Experiment) -> list[Fold]:
    """Cut the sessions that have signals into folds."""
    known = market.dates[experiment.forecast.min_train_days :]
    return make_folds(known, experiment.splits, find_longest_horizon(experiment))


def find_longest_horizon(experiment: Experiment) -> int:
    """Return the sessions that the longest label, or decision, of an experiment reaches ahead."""
    horizon = max(max(settings.horizons) for settings in experiment.analysts)
    return max(horizon, experiment.env.rebalance_every)
