"""What all agents of stable-baselines3 have in common: the environment, the loop, selection, checkpoints, curves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from alfred.agents.base import Agent, NetworkPolicy, TrainingTask
from alfred.agents.networks import ScoreNetwork
from alfred.agents.sb3.curves import make_logger
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.agents.sb3.learner_state import restore_learner, save_learner
from alfred.agents.selection import Selection, open_checkpoints
from alfred.agents.settings import LearnerSettings
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.settings import PortfolioSettings
from alfred.learning.checkpoints import CheckpointFolder


class LearnerAgent(Agent):
    """An agent that learns through stable-baselines3 on many random windows at once."""

    settings: LearnerSettings

    @abstractmethod
    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build the algorithm, untrained."""

    @abstractmethod
    def find_network(self, learner: BaseAlgorithm) -> ScoreNetwork:
        """Return the network inside the learner whose scores are the policy."""

    @property
    def log_interval(self) -> int:
        """Updates between two points of a TensorBoard curve; episodes for off-policy agents."""
        return 1

    def adapt(self, settings: PortfolioSettings) -> PortfolioSettings:
        """Return the environment settings that this agent explores in."""
        return settings

    def make_env(self, env: PortfolioVectorEnv) -> Sb3PortfolioVecEnv:
        """Wrap the portfolios for stable-baselines3."""
        return Sb3PortfolioVecEnv(env)

    def connect(self, env: Sb3PortfolioVecEnv, learner: BaseAlgorithm, task: TrainingTask) -> None:
        """Tell the environment of the learner; nothing, unless an agent says otherwise."""

    def adjust(self, learner: BaseAlgorithm, done: float) -> None:
        """Follow a schedule before a rollout, `done` of the training being done; nothing, unless an agent says so."""

    def close_episodes(
        self, learner: BaseAlgorithm, rewards: npt.NDArray[np.float32], infos: Sequence[dict[str, Any]]
    ) -> None:
        """See what a step gave before the learner does; nothing, unless an agent says otherwise."""

    def train(self, task: TrainingTask) -> NetworkPolicy:
        """Learn, and return the policy that validated best; see the base class.

        Raises:
            CheckpointError: The folder holds checkpoints that are damaged or of another training.
        """
        options = self.settings
        longest = task.tape.longest_span // task.settings.rebalance_every
        changes = {"episode_length": min(options.episode_length, longest), "observation": "flat"}
        settings = self.adapt(task.settings.model_copy(update=changes))
        env = self.make_env(PortfolioVectorEnv(options.n_envs, settings=settings, tape=task.tape))
        learner = self.make_learner(env, task)
        self.connect(env, learner, task)
        learner.set_logger(make_logger(task.curves))
        checkpoints = open_checkpoints(options, task)
        selection = Selection(options, task)
        callback = _TrainingCallback(self, task, env, selection, checkpoints)
        snapshot = checkpoints.load()
        if snapshot is None:
            self.prepare(learner, task)
        else:
            selection.restore_from(snapshot, self.find_network(learner))
            restore_learner(snapshot, learner, env)
            callback.saved_at = callback.followed_at = learner.num_timesteps
            task.curves.resume(learner.num_timesteps)
        if learner.num_timesteps < options.total_steps:
            left = options.total_steps - learner.num_timesteps
            learner.learn(left, callback=callback, log_interval=self.log_interval, reset_num_timesteps=snapshot is None)
        selection.update_ema(self.find_network(learner))
        selection.validate(self.find_network(learner), learner.num_timesteps)
        checkpoints.clear()
        return selection.finish()

    def prepare(self, learner: BaseAlgorithm, task: TrainingTask) -> None:
        """Do what comes before the first step of a new training; nothing, unless an agent says otherwise."""


class _TrainingCallback(BaseCallback):
    """Validates and writes checkpoints between rollouts, and logs what a portfolio person wants to see."""

    def __init__(
        self,
        agent: LearnerAgent,
        task: TrainingTask,
        env: Sb3PortfolioVecEnv,
        selection: Selection,
        checkpoints: CheckpointFolder,
    ) -> None:
        super().__init__()
        self.agent, self.task, self.env = agent, task, env
        self.selection, self.checkpoints = selection, checkpoints
        self.saved_at, self.followed_at = 0, -1
        self.draws_actions = False

    def _on_rollout_start(self) -> None:
        self.agent.adjust(self.model, min(self.num_timesteps / self.agent.settings.total_steps, 1.0))
        # The rollout after a checkpoint begins a second time in a training that goes on from it.
        if self.num_timesteps != self.followed_at:
            self.followed_at = self.num_timesteps
            self.selection.update_ema(self.agent.find_network(self.model))
        if self.selection.is_due(self.num_timesteps):
            self.selection.validate(self.agent.find_network(self.model), self.num_timesteps)
            self.draws_actions = self.task.curves.is_on
        if self.num_timesteps - self.saved_at >= self.agent.settings.checkpoint_every:
            self.saved_at = self.num_timesteps
            self.task.curves.flush()
            snapshot = save_learner(self.model, self.env)
            self.selection.save_to(snapshot)
            self.checkpoints.save(self.num_timesteps, snapshot)

    def _on_rollout_end(self) -> None:
        policy: Any = self.model.policy
        if hasattr(policy, "log_std"):
            self.logger.record("train/noise", float(policy.log_std.detach().exp().mean()))
        self.task.progress(min(self.num_timesteps, self.agent.settings.total_steps))

    def _on_step(self) -> bool:
        self.agent.close_episodes(self.model, self.locals["rewards"], self.locals["infos"])
        if self.draws_actions:
            self.draws_actions = False
            self.task.curves.add_histogram("5_distributions/actions", self.locals["actions"], self.num_timesteps)
        for info in self.locals["infos"]:
            if "turnover" in info:
                self.logger.record_mean("rollout/turnover", info["turnover"])
                self.logger.record_mean("rollout/cost_bps", 1e4 * info["cost"])
        return not self.selection.exhausted
