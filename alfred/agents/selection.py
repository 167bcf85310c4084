"""Which of the networks that a training passes through is kept: the one that validates best."""

from __future__ import annotations

import copy
import hashlib
import math

from alfred.agents.base import AgentSettings, NetworkPolicy, TrainingTask
from alfred.agents.checkpoints import CheckpointFolder, Snapshot
from alfred.agents.memory import build_network
from alfred.agents.networks import ScoreNetwork

_PREFIX = "best"


class Selection:
    """Validates every so often, keeps the best network, and says when there is no more to be had.

    Args:
        settings: How often, and how long to wait for a new best.
        task: Holds the validation.
        squashed: See `NetworkPolicy`.
    """

    def __init__(self, settings: AgentSettings, task: TrainingTask, *, squashed: bool = False) -> None:
        """Begin without a best."""
        self.settings, self.task, self.squashed = settings, task, squashed
        self._best: NetworkPolicy | None = None
        self._score = -math.inf
        self._next = 0
        self._stale = 0

    @property
    def exhausted(self) -> bool:
        """Whether the patience is used up."""
        return self.settings.patience is not None and self._stale >= self.settings.patience

    def is_due(self, step: int) -> bool:
        """Say whether a validation is due after `step` environment steps."""
        return step >= self._next

    def validate(self, network: ScoreNetwork, step: int) -> None:
        """Validate a network, and keep a copy when it is the best so far."""
        self._next = step + self.settings.validate_every
        policy = self._wrap(copy.deepcopy(network))
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
        return self._best

    def save_to(self, snapshot: Snapshot) -> None:
        """Put the best network and the counters into a checkpoint."""
        snapshot.facts[_PREFIX] = [self._score, self._next, self._stale]
        if self._best is not None:
            snapshot.add(_PREFIX, self._best.network.state_dict())

    def restore_from(self, snapshot: Snapshot, network: ScoreNetwork) -> None:
        """Take up what `save_to` put in; `network` says what the best one is built like."""
        self._score, self._next, self._stale = snapshot.facts[_PREFIX]
        if best := snapshot.below(_PREFIX):
            # Building draws from torch's generator; the caller restores that one last.
            copied = build_network(network.spec)
            copied.load_state_dict(best)
            self._best = self._wrap(copied)

    def _wrap(self, network: ScoreNetwork) -> NetworkPolicy:
        return NetworkPolicy(
            network,
            self.task.settings.action,
            name=self.settings.label,
            rebalance_every=self.task.settings.rebalance_every,
            squashed=self.squashed,
        )


def open_checkpoints(settings: AgentSettings, task: TrainingTask) -> CheckpointFolder:
    """Return the checkpoints of a training; its identity is its settings, its seed and the dates it learns from."""
    tape = task.tape
    parts = (
        settings.model_dump_json(exclude={"checkpoint_every"}),
        task.settings.model_dump_json(),
        str(task.seed),
        f"{tape.dates[0]} {tape.dates[-1]} {','.join(tape.symbols)} {','.join(tape.signal_names)}",
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return CheckpointFolder(task.folder / "checkpoints", f"{settings.label} seed {task.seed} {digest}")
