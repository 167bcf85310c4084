"""The agent interface: tasks, agents, and the policies that they return."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from alfred.agents.networks import (
    AssetNetwork,
    NetworkSpec,
    ObservationShape,
    ScoreNetwork,
    TiltNetwork,
    make_network,
)
from alfred.agents.recurrent import BURN_IN, RecurrentNetwork, RecurrentState, build_network, forget
from alfred.agents.settings import AgentSettings
from alfred.data.files import read_json, require_file, write_atomically
from alfred.envs.actions import compute_weights
from alfred.envs.policy import Policy
from alfred.envs.settings import ActionSettings, PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import CheckpointError, ConfigError
from alfred.learning.events import EventFile
from alfred.typing import Float, Observation, Tensors

# Logit of cash below those of the assets at the start: less than a thousandth of wealth, and still a gradient.
_START_CASH_LOGIT = 7.0


@dataclass(frozen=True)
class TrainingTask:
    """One agent, one fold, one seed.

    Attributes:
        tape: The training range. Nothing after it can be reached from here.
        settings: Costs, execution and reward.
        seed: Seed of every random choice.
        folder: Where checkpoints go.
        validate: Scores a policy on the validation range after a number of steps, higher is better; it also writes what
            the policy did there into the curves.
        progress: Told the steps done so far.
        stop: Steps after which training may end, its schedules running on to the end of it; None trains to the end.
        curves: Event file of TensorBoard for how the training goes; one that writes nothing when left out.
    """

    tape: Tape
    settings: PortfolioSettings
    seed: int
    folder: Path
    validate: Callable[[Policy, int], float]
    progress: Callable[[int], None]
    stop: int | None = None
    curves: EventFile = field(default_factory=lambda: EventFile(None))


class Agent(ABC):
    """An agent that learns: `train` turns a task into a policy."""

    settings_class: ClassVar[type[AgentSettings]]

    def __init__(self, settings: AgentSettings) -> None:
        """Store the settings."""
        self.settings = settings

    @abstractmethod
    def train(self, task: TrainingTask) -> NetworkPolicy:
        """Learn, and return the policy that validated best."""

    def start(self, tape: Tape, settings: PortfolioSettings) -> NetworkPolicy:
        """Return the untrained policy: equal weights of what may be held."""
        with torch.random.fork_rng():  # what it draws has no effect, and must have none on others
            network = make_network(describe_network(tape, self.settings, settings.action))
        return NetworkPolicy(
            network,
            settings.action,
            name=self.settings.label,
            rebalance_every=settings.rebalance_every,
            trained_on=TrainedOn.from_tape(tape),
        )


@dataclass(frozen=True)
class TrainedOn:
    """What the numbers of a network's observations stood for in its training.

    Attributes:
        signals: Names of the signals, `[K]`.
        symbols: Names of the assets, `[N]`.
    """

    signals: tuple[str, ...]
    symbols: tuple[str, ...]

    @classmethod
    def from_tape(cls, tape: Tape) -> TrainedOn:
        """Read them off the tape of a training."""
        return cls(tape.signal_names, tape.symbols)


class NetworkPolicy:
    """A trained network as a `Policy`.

    All networks but the flat one run on a universe of any size.

    Args:
        network: Scores in units of actions.
        action: How scores become weights.
        name: Name in tables.
        rebalance_every: Sessions between decisions that it was trained for.
        trained_on: What its observations stood for; None where nobody recorded it.
    """

    def __init__(
        self,
        network: ScoreNetwork,
        action: ActionSettings,
        *,
        name: str,
        rebalance_every: int | None = None,
        trained_on: TrainedOn | None = None,
    ) -> None:
        """Store the network in eval mode."""
        self.trained_on = trained_on
        self.network = network.eval()
        self.action = action
        self.name = name
        self.rebalance_every = rebalance_every
        self.lookback = network.spec.shape.lookback
        self.burn_in = BURN_IN if network.spec.state_size else 0
        self.recurrent_state: RecurrentState | None = None
        # What the network started with, and what the start alone stands for, at what traded last.
        self._traded = b""
        self._start: torch.Tensor | None = None
        self._still: Float | None = None

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Empty the recurrent state of some portfolios, or of all; see `Policy`."""
        if rows is None or self.recurrent_state is None:
            self.recurrent_state = None
        else:
            began = torch.zeros(self.recurrent_state[0].shape[1], dtype=torch.bool)
            began[torch.as_tensor(rows)] = True
            self.recurrent_state = forget(self.recurrent_state, began)

    def check_fit(self, tape: Tape, settings: PortfolioSettings) -> None:
        """Refuse a range that says something else than the training did with the same numbers; see `Policy`.

        Raises:
            ConfigError: The signals, the actions, or the assets of a network that is bound to them are others.
        """
        if settings.action != self.action:
            raise ConfigError(
                f"'{self.name}' was trained with the actions {_list_differences(self.action, settings.action)}; pass "
                "the settings of its training"
            )
        expected = self.network.spec.shape.n_signals
        known = self.trained_on
        if tape.signals.shape[2] != expected or (known is not None and tape.signal_names != known.signals):
            told = f"{expected}" if known is None else f"{expected} ({', '.join(known.signals) or 'none'})"
            raise ConfigError(
                f"'{self.name}' was trained on other signals: {told} there, {tape.signals.shape[2]} "
                f"({', '.join(tape.signal_names) or 'none'}) here; pass those of its training, in their order"
            )
        if self.network.spec.kind == "flat" and known is not None and tape.symbols != known.symbols:
            raise ConfigError(
                f"'{self.name}' has a flat network, which is bound to its assets in their order, "
                f"{_name(known.symbols)}, and is shown {_name(tape.symbols)}; select those, or "
                "train with network=shared, which runs on any"
            )

    def predict(self, observation: Observation) -> Float:
        """Return the weights of the mean action; see `Policy`.

        Raises:
            ConfigError: The network is bound to another number of assets.
        """
        spec, n = self.network.spec, observation["tradable"].shape[-1]
        if spec.kind == "flat" and n != spec.n_assets:
            raise ConfigError(
                f"'{self.name}' has a flat network trained on {spec.n_assets} assets and is shown {n}; train it on "
                "this universe, or train with network=shared, which runs on any"
            )
        network = self.network
        if isinstance(network, (AssetNetwork, TiltNetwork)) and network.learnt_nothing:
            return self._predict_start(observation)
        if isinstance(network, TiltNetwork):
            return compute_weights(network.answer(observation), self.action, observation.get("holdable"))
        tensors = {key: torch.as_tensor(value) for key, value in observation.items() if key != "holdable"}
        if "returns" in tensors:
            tensors["returns"] = tensors["returns"][..., tensors["returns"].shape[-1] - self.lookback :]
        if self.lookback == 0:
            tensors.pop("returns", None)
        with torch.no_grad():
            if isinstance(network, AssetNetwork):
                scores = network.score(tensors) * spec.score_scale + self._find_start(observation)
            else:
                scores = self._score(tensors)
        return self._to_weights(scores, observation)

    def _find_start(self, observation: Observation) -> torch.Tensor:
        """Return the scores of the start: they follow from what trades, which seldom changes."""
        tradable, holdable = observation["tradable"], observation.get("holdable")
        traded = tradable.tobytes() + (b"" if holdable is None else holdable.tobytes())
        if self._start is None or traded != self._traded or len(self._start) != len(tradable):
            self._start = self.network.find_start(torch.as_tensor(tradable))
            self._traded, self._still = traded, None
        return self._start

    def _predict_start(self, observation: Observation) -> Float:
        """Return the weights of a network that learnt nothing, whatever else it is shown."""
        start = self._find_start(observation)
        if self._still is None:
            self._still = self._to_weights(start, observation)
        return self._still.copy()

    def _to_weights(self, scores: torch.Tensor, observation: Observation) -> Float:
        actions = (torch.tanh(scores) if self.network.spec.squashed else scores).double().numpy()
        return compute_weights(actions, self.action, observation.get("holdable"))

    def _score(self, tensors: Tensors) -> torch.Tensor:
        if not isinstance(self.network, RecurrentNetwork):
            scores: torch.Tensor = self.network(tensors)[0]
            return scores
        count = len(tensors["weights"])
        if self.recurrent_state is None or self.recurrent_state[0].shape[1] != count:
            self.recurrent_state = self.network.start(count)
        scores, self.recurrent_state = self.network.step(tensors, self.recurrent_state)
        return scores

    def save(self, folder: Path | str) -> None:
        """Write `policy.json` and `policy.safetensors` into a folder, atomically."""
        target = Path(folder)
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        write_atomically(target / "policy.safetensors", lambda path: save_file(tensors, path))
        description = {
            "name": self.name,
            "rebalance_every": self.rebalance_every,
            "network": asdict(self.network.spec),
            "action": self.action.model_dump(),
            "trained_on": None if self.trained_on is None else asdict(self.trained_on),
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
            raw = read_json(source / "policy.json")
            spec = NetworkSpec(**raw["network"])
            spec = replace(spec, shape=ObservationShape(**raw["network"]["shape"]), hidden=tuple(spec.hidden))
            tensors = load_file(require_file(source / "policy.safetensors"))
            _check_sizes(spec, tensors)
            network = build_network(spec)
            network.load_state_dict(tensors)
            action = ActionSettings.model_validate(raw["action"])
            facts = {key: raw[key] for key in ("name", "rebalance_every")}
            told = raw.get("trained_on")  # runs of earlier versions do not say
            if told is not None:
                facts["trained_on"] = TrainedOn(**{key: tuple(map(str, names)) for key, names in told.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"{source} does not hold a saved policy ({error}); restore it, or train it again with `alfred run`"
            ) from error
        return cls(network, action, **facts)


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
        self.burn_in = max(getattr(member, "burn_in", 0) for member in members)

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Reset every member; see `Policy`."""
        for member in self.members:
            member.reset(rows)

    def check_fit(self, tape: Tape, settings: PortfolioSettings) -> None:
        """Ask every member that can tell; see `Policy`."""
        for member in self.members:
            if callable(check := getattr(member, "check_fit", None)):
                check(tape, settings)

    def predict(self, observation: Observation) -> Float:
        """Return the mean of the members' weights; see `Policy`."""
        return np.asarray(np.mean([member.predict(observation) for member in self.members], axis=0))


def describe_network(
    tape: Tape, settings: AgentSettings, action: ActionSettings, *, squashed: bool = False
) -> NetworkSpec:
    """Return the specification of the network that an agent learns on a tape; see `NetworkSpec` for `squashed`."""
    asset, cash = _find_start(action)
    return NetworkSpec(
        shape=ObservationShape(tape.signals.shape[2], tape.features.shape[1], tape.lookback),
        kind=settings.network,
        hidden=settings.hidden,
        # Actions are multiplied by `logit_scale` on their way to weights.
        score_scale=settings.temperature / action.logit_scale,
        n_assets=len(tape.symbols),
        start_asset=asset,
        start_cash=cash,
        squashed=squashed,
        logit_scale=action.logit_scale if action.mode == "softmax" else 0.0,
        leverage=action.max_leverage if action.mode == "long_short" else 0.0,
    )


def _check_sizes(spec: NetworkSpec, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse a network of other sizes than the weights that stand beside it, before it takes any memory.

    Raises:
        ValueError: It has.
    """
    if len(spec.hidden) > len(tensors):
        raise ValueError(f"policy.json names {len(spec.hidden)} hidden layers, which its weights do not have")
    with torch.device("meta"):
        named = {name: tensor.shape for name, tensor in build_network(spec).state_dict().items()}
    for name, shape in named.items():
        if name not in tensors or tensors[name].shape != shape:
            raise ValueError(f"policy.json names a network whose '{name}' is {tuple(shape)}, which its weights are not")


def _list_differences(theirs: ActionSettings, ours: ActionSettings) -> str:
    names = [name for name in type(theirs).model_fields if getattr(theirs, name) != getattr(ours, name)]
    told = [", ".join(f"{name}={getattr(action, name)}" for name in names) for action in (theirs, ours)]
    return f"{told[0]}, and here they are {told[1]}"


def _name(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:6]) + (", ..." if len(symbols) > 6 else "")


def _find_start(action: ActionSettings) -> tuple[float, float]:
    """Return the scores of assets (all together) and cash that stand for equal weights without cash."""
    if action.mode == "long_short":
        # An action is a share of the leverage, and the rest is cash: equal weights without a loan.
        return min(1.0 / action.max_leverage, 1.0), 0.0
    # Cash that starts with no weight at all would have no gradient to come back by.
    return 0.0, -1.0 if action.mode == "simplex" else -min(_START_CASH_LOGIT / action.logit_scale, 1.0)
