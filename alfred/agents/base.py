"""What an agent that learns is handed, and what it hands back."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from alfred.agents.networks import AssetNetwork, ObservationShape
from alfred.data.files import write_atomically
from alfred.envs.actions import ActionSettings, compute_weights
from alfred.envs.ledger import Float
from alfred.envs.observations import Observation
from alfred.envs.policy import Policy
from alfred.envs.portfolio import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import CheckpointError, ConfigError
from alfred.settings import Settings


class AgentSettings(Settings):
    """What every agent that learns can be told; each adds its own.

    Attributes:
        kind: Which agent, a key of the registry.
        name: Name in tables; the kind when left out.
        hidden: Widths of the hidden layers of the per-asset network.
        total_steps: Environment steps to learn from.
        validate_every: Environment steps between two validations; the best one is kept.
    """

    kind: str
    name: str | None = None
    hidden: tuple[int, ...] = Field(default=(32, 32), min_length=1)
    total_steps: int = Field(default=200_000, ge=1)
    validate_every: int = Field(default=32_768, ge=1)

    @property
    def label(self) -> str:
        """The name, or the kind when no name was given."""
        return self.name or self.kind


@dataclass(frozen=True)
class TrainingTask:
    """One agent, one fold, one seed.

    Attributes:
        tape: The training range. Nothing after it can be reached from here.
        settings: Costs, execution and reward.
        seed: Seed of every random choice.
        folder: Where TensorBoard curves and checkpoints go.
        validate: Scores a policy on the validation range after a number of steps, higher is better; it also writes the
            curves that a person wants to see.
        progress: Told the steps done so far.
    """

    tape: Tape
    settings: PortfolioSettings
    seed: int
    folder: Path
    validate: Callable[[Policy, int], float]
    progress: Callable[[int], None]


class Agent(ABC):
    """An agent that learns: `train` turns a task into a policy."""

    settings_class: ClassVar[type[AgentSettings]]

    def __init__(self, settings: AgentSettings) -> None:
        """Store the settings."""
        self.settings = settings

    @abstractmethod
    def train(self, task: TrainingTask) -> NetworkPolicy:
        """Learn, and return the policy that validated best."""


class NetworkPolicy:
    """A trained per-asset network behind the door of every policy; it runs on a universe of any size.

    Args:
        network: Scores in units of actions.
        shape: Sizes that the network was built for.
        action: How scores become weights.
        name: Name in tables.
        rebalance_every: Sessions between decisions that it was trained for.
    """

    def __init__(
        self,
        network: AssetNetwork,
        shape: ObservationShape,
        action: ActionSettings,
        *,
        name: str,
        rebalance_every: int | None = None,
    ) -> None:
        """Store the network in eval mode."""
        self.network = network.eval()
        self.shape = shape
        self.action = action
        self.name = name
        self.rebalance_every = rebalance_every
        self.lookback = shape.lookback

    def predict(self, observation: Observation) -> Float:
        """Return the weights of the mean action; see `Policy`."""
        tensors = {key: torch.as_tensor(value) for key, value in observation.items()}
        if "returns" in tensors:
            tensors["returns"] = tensors["returns"][..., tensors["returns"].shape[-1] - self.lookback :]
        if self.lookback == 0:
            tensors.pop("returns", None)
        with torch.no_grad():
            scores, _ = self.network(tensors)
        return compute_weights(scores.double().numpy(), self.action)

    def save(self, folder: Path | str) -> None:
        """Write `policy.json` and `policy.safetensors` into a folder, atomically."""
        target = Path(folder)
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        write_atomically(target / "policy.safetensors", lambda path: save_file(tensors, path))
        hidden = [layer.out_features for layer in self.network.body if isinstance(layer, torch.nn.Linear)]
        description = {
            "name": self.name,
            "rebalance_every": self.rebalance_every,
            "shape": asdict(self.shape),
            "hidden": hidden,
            "score_scale": self.network.score_scale,
            "action": self.action.model_dump(),
        }
        text = json.dumps(description, indent=2)
        write_atomically(target / "policy.json", lambda path: path.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, folder: Path | str) -> NetworkPolicy:
        """Read what `save` wrote; nothing in the folder is executed.

        Raises:
            CheckpointError: A file is missing or damaged.
        """
        source = Path(folder)
        try:
            raw = json.loads((source / "policy.json").read_text(encoding="utf-8"))
            shape = ObservationShape(**raw["shape"])
            network = AssetNetwork(shape, tuple(raw["hidden"]), raw["score_scale"])
            network.load_state_dict(load_file(source / "policy.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{source} does not hold a saved policy: {error}") from error
        action = ActionSettings.model_validate(raw["action"])
        return cls(network, shape, action, name=raw["name"], rebalance_every=raw["rebalance_every"])


class EnsemblePolicy:
    """Averages the weights of several policies, usually one agent trained with several seeds.

    Raises:
        ConfigError: There is nothing to average, or the members decide at different intervals.
    """

    def __init__(self, members: Sequence[Policy], name: str) -> None:
        """Store the members."""
        if not members or len({member.rebalance_every for member in members}) > 1:
            raise ConfigError("an ensemble needs at least one policy, and all with the same rebalance_every")
        self.members = tuple(members)
        self.name = name
        self.rebalance_every = members[0].rebalance_every
        self.lookback = max(member.lookback for member in members)

    def predict(self, observation: Observation) -> Float:
        """Return the mean of the members' weights; see `Policy`."""
        return np.asarray(np.mean([member.predict(observation) for member in self.members], axis=0))


def describe_tape(tape: Tape) -> ObservationShape:
    """Return the sizes of the observations that a tape gives."""
    return ObservationShape(tape.signals.shape[2], tape.features.shape[1], tape.lookback)
