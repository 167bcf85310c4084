"""The direct agent: a network trained by gradients through the ledger itself.

Prices do not answer to a small investor's trades, and the ledger is known and differentiable, so that nothing about
the environment has to be found out by trial: the gradient of the reward with respect to the network's weights can be
computed (Moody and Saffell, 2001, call this direct reinforcement). It sets the mark for every agent that explores.
"""

from __future__ import annotations

import math

import torch

from alfred.agents.base import Agent, NetworkPolicy, TrainingTask, describe_network
from alfred.agents.networks import ScoreNetwork, make_network
from alfred.agents.selection import Selection, open_checkpoints
from alfred.agents.settings import DirectSettings
from alfred.envs.differentiable.simulator import DifferentiableSimulator, Portfolios, TorchStep, compute_weights
from alfred.learning.checkpoints import Snapshot

_MAX_NORM = 1.0


class DirectAgent(Agent):
    """Learns by gradient ascent on the reward of random windows."""

    settings_class = DirectSettings
    settings: DirectSettings

    def train(self, task: TrainingTask) -> NetworkPolicy:
        """Learn, and return the policy that validated best; see the base class.

        Raises:
            ConfigError: The reward is `differential_sharpe`.
            CheckpointError: The folder holds checkpoints that are damaged or of another training.
        """
        training = _Training(self.settings, task)
        checkpoints = open_checkpoints(self.settings, task)
        if (snapshot := checkpoints.load()) is not None:
            training.restore(snapshot)
            task.curves.resume(training.steps)
        saved_at = training.steps
        while training.steps < self.settings.total_steps and not training.selection.exhausted:
            training.update()
            if training.steps - saved_at >= self.settings.checkpoint_every:
                saved_at = training.steps
                task.curves.flush()
                checkpoints.save(saved_at, training.save())
        training.selection.validate(training.network, training.steps)
        checkpoints.clear()
        return training.selection.finish()


class _Training:
    """One training: everything that changes from update to update."""

    def __init__(self, settings: DirectSettings, task: TrainingTask) -> None:
        self.settings, self.task = settings, task
        self.simulator = DifferentiableSimulator(task.tape, task.settings)
        self.generator = torch.Generator().manual_seed(task.seed)
        with torch.random.fork_rng():
            torch.manual_seed(task.seed)
            self.network: ScoreNetwork = make_network(describe_network(task.tape, settings, task.settings.action))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.selection = Selection(settings, task)
        self.steps = 0
        every = task.settings.rebalance_every
        longest = task.tape.longest_span // every
        self.horizon = min(settings.horizon, longest)
        self.segments = max(min(settings.episode_length, longest) // self.horizon, 1)
        self._starts = torch.as_tensor(task.tape.find_starts(self.segments * self.horizon * every))
        # The first starts are spread over an episode, so that later ones do not fall on the same update.
        self.age = torch.randint(self.segments, (settings.n_portfolios,), generator=self.generator)
        self.portfolios = self._restart(self.simulator.start(torch.zeros_like(self.age)), torch.ones_like(self.age) > 0)
        self.scores = torch.zeros(0)  # of the latest decisions, for the curves

    def update(self) -> None:
        """Walk all portfolios over one horizon and climb the gradient of their mean reward."""
        settings, network = self.settings, self.network
        validated = self.selection.is_due(self.steps)
        if validated:
            self.selection.validate(network, self.steps)
        ended = self.age >= self.segments
        if bool(ended.any()):
            self.age = torch.where(ended, 0, self.age)
            self.portfolios = self._restart(self.portfolios, ended)
        rate = self._find_learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        network.train()
        steps: list[TorchStep] = []
        current = self.portfolios
        for _ in range(self.horizon):
            steps.append(self.simulator.step(current, self._decide(current)))
            current = steps[-1].portfolios
        reward = torch.stack([step.reward for step in steps]).mean()
        self.optimizer.zero_grad()
        (-reward).backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), _MAX_NORM)
        self.optimizer.step()
        self.selection.update_ema(network)
        self.portfolios = current.detach()
        self.age = self.age + 1
        self.steps += self.horizon * settings.n_portfolios
        self.task.progress(min(self.steps, settings.total_steps))
        if self.steps // (self.horizon * settings.n_portfolios) % settings.log_every == 0:
            turnover = torch.stack([step.turnover for step in steps]).mean()
            curves = {"reward": reward, "turnover": turnover, "gradient_norm": norm, "learning_rate": rate}
            scalars = {f"2_train/{name}": float(torch.as_tensor(value).detach()) for name, value in curves.items()}
            self.task.curves.add_scalars(scalars, self.steps)
        if validated and self.task.curves.is_on:
            self.task.curves.add_histogram("5_distributions/actions", self.scores.numpy(), self.steps)

    def save(self) -> Snapshot:
        """Return all that `restore` needs."""
        snapshot = Snapshot(facts={"steps": self.steps})
        snapshot.add("network", self.network.state_dict())
        snapshot.add_optimizer("optimizer", self.optimizer)
        snapshot.add("portfolios", {**self.portfolios._asdict(), "age": self.age})
        snapshot.tensors["generator"] = self.generator.get_state()
        self.selection.save_to(snapshot)
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to the moment of a snapshot."""
        self.steps = int(snapshot.facts["steps"])
        self.network.load_state_dict(snapshot.below("network"))
        snapshot.restore_optimizer("optimizer", self.optimizer)
        state = snapshot.below("portfolios")
        self.age = state.pop("age")
        self.portfolios = Portfolios(**state)
        self.generator.set_state(snapshot.tensors["generator"])
        self.selection.restore_from(snapshot, self.network)

    def _decide(self, portfolios: Portfolios) -> torch.Tensor:
        observation = self.simulator.observe(portfolios)
        if self.settings.noise and "signals" in observation:
            signals = observation["signals"]
            observation["signals"] = signals + self.settings.noise * torch.randn(
                signals.shape, generator=self.generator
            )
        scores = self.network.find_scores(observation)
        self.scores = scores.detach()
        return compute_weights(scores, self.task.settings.action, self.simulator.find_holdable(portfolios.bar))

    def _restart(self, portfolios: Portfolios, which: torch.Tensor) -> Portfolios:
        """Put some portfolios into cash at random bars."""
        bars = self._starts[torch.randint(len(self._starts), which.shape, generator=self.generator)]
        fresh = self.simulator.start(bars)
        return Portfolios(
            *(
                torch.where(which.reshape(-1, *(1,) * (new.dim() - 1)), new, old)
                for new, old in zip(fresh, portfolios, strict=True)
            )
        )

    def _find_learning_rate(self) -> float:
        done = min(self.steps / self.settings.total_steps, 1.0)
        return self.settings.learning_rate * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * done)))
