"""Which of the networks that a training passes through is kept: the one that validates best."""

from __future__ import annotations

import copy
import hashlib
import math

import numpy as np
import torch

from alfred.agents.base import NetworkPolicy, TrainedOn, TrainingTask
from alfred.agents.networks import ScoreNetwork
from alfred.agents.settings import AgentSettings
from alfred.learning.checkpoints import CheckpointFolder, Snapshot

_BEST, _AVERAGE = "best", "average"
_WARM_UP = 10  # a young average follows faster, so that it does not hang on to the untrained network


class Selection:
    """Validates every so often, keeps the best network, and says when there is no more to be had.

    Args:
        settings: How often, and how long to wait for a new best.
        task: Holds the validation.
    """

    def __init__(self, settings: AgentSettings, task: TrainingTask) -> None:
        """Begin without a best."""
        self.settings, self.task = settings, task
        self._best: NetworkPolicy | None = None
        self._score = -math.inf
        self._next = 0
        self._stale = 0
        self._average: ScoreNetwork | None = None
        self._updates = 0

    @property
    def exhausted(self) -> bool:
        """Whether the patience is used up, or the step is reached at which the task stops."""
        if self.task.stop is not None and self._next - self.settings.validate_every >= self.task.stop:
            return True
        return self.settings.patience is not None and self._stale >= self.settings.patience

    def is_due(self, step: int) -> bool:
        """Say whether a validation is due after `step` environment steps."""
        return step >= self._next

    def update_ema(self, network: ScoreNetwork) -> None:
        """Take a network into the average after an update."""
        if self._average is None:
            self._average = copy.deepcopy(network)
        kept = min(self.settings.averaging, self._updates / (_WARM_UP + self._updates))
        self._updates += 1
        with torch.no_grad():
            for average, current in zip(self._average.parameters(), network.parameters(), strict=True):
                average.lerp_(current, 1.0 - kept)

    def validate(self, network: ScoreNetwork, step: int) -> None:
        """Validate the average, or the network itself before the first update; keep a copy of the best so far."""
        self._next = step + self.settings.validate_every
        policy = self._wrap(copy.deepcopy(self._average or network))
        score = self.task.validate(policy, step)
        self._stale += 1
        if score > self._score:
            self._best, self._score, self._stale = policy, score, 0

    def finish(self) -> NetworkPolicy:
        """Return the policy that validated best.

        Raises:
            RuntimeError: There was no validation, or none gave a number: a bug, not a user's mistake.
        """
        if self._best is None:
            raise RuntimeError("training ended without a validation that gave a number")
        self._best.reset()
        return self._best

    def save_to(self, snapshot: Snapshot) -> None:
        """Put the best network and the counters into a checkpoint."""
        snapshot.facts[_BEST] = [self._score, self._next, self._stale, self._updates]
        if self._best is not None:
            snapshot.add(_BEST, self._best.network.state_dict())
        if self._average is not None:
            snapshot.add(_AVERAGE, self._average.state_dict())

    def restore_from(self, snapshot: Snapshot, network: ScoreNetwork) -> None:
        """Take up what `save_to` put in; `network` says what the best one is built like."""
        self._score, self._next, self._stale, self._updates = snapshot.facts[_BEST]
        if best := snapshot.below(_BEST):
            copied = copy.deepcopy(network)
            copied.load_state_dict(best)
            self._best = self._wrap(copied)
        if average := snapshot.below(_AVERAGE):
            self._average = copy.deepcopy(network)
            self._average.load_state_dict(average)

    def _wrap(self, network: ScoreNetwork) -> NetworkPolicy:
        return NetworkPolicy(
            network,
            self.task.settings.action,
            name=self.settings.label,
            rebalance_every=self.task.settings.rebalance_every,
            trained_on=TrainedOn.from_tape(self.task.tape),
        )


def open_checkpoints(settings: AgentSettings, task: TrainingTask) -> CheckpointFolder:
    """Return the checkpoints of a training; its identity is its settings, its seed and the data that it learns from."""
    tape = task.tape
    content = hashlib.sha256()
    for panel in (tape.overnight, tape.intraday, tape.tradable, tape.delisted, tape.signals, tape.features):
        if panel is not None:
            content.update(np.ascontiguousarray(panel).data)
    parts = (
        settings.model_dump_json(exclude={"checkpoint_every"}),
        task.settings.model_dump_json(),
        str(task.seed),
        f"{tape.dates[0]} {tape.dates[-1]} {','.join(tape.symbols)} {','.join(tape.signal_names)}",
        f"{tape.spans}",
        content.hexdigest(),
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return CheckpointFolder(task.folder / "checkpoints", f"{settings.label} seed {task.seed} {digest}")
