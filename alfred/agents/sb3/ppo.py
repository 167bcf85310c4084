"""Proximal policy optimisation and advantage actor-critic, through stable-baselines3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from alfred.agents.base import NetworkPolicy, TrainingTask, describe_network
from alfred.agents.direct import DirectAgent
from alfred.agents.networks import ScoreNetwork
from alfred.agents.sb3.actor_critic import AssetActorCritic
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.agents.sb3.greedy_baseline import GreedyBaselineVecEnv
from alfred.agents.sb3.learner import LearnerAgent
from alfred.agents.settings import A2cSettings, OnPolicySettings, PpoSettings
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.settings import PortfolioSettings


class OnPolicyAgent(LearnerAgent):
    """What PPO and A2C share."""

    settings: OnPolicySettings

    def adapt(self, settings: PortfolioSettings) -> PortfolioSettings:
        """Return the settings in which a Dirichlet head's draws are read as weights; see the base class."""
        if self.settings.head == "gaussian":
            return settings
        return settings.model_copy(update={"action": settings.action.model_copy(update={"mode": "simplex"})})

    def find_network(self, learner: BaseAlgorithm) -> ScoreNetwork:
        """Return the actor's network; see the base class."""
        network: ScoreNetwork = learner.policy.mlp_extractor.network  # type: ignore[union-attr,assignment]
        return network

    def make_env(self, env: PortfolioVectorEnv) -> Sb3PortfolioVecEnv:
        """Put greedy rollouts beside the portfolios unless the settings forbid it; see the base class."""
        return GreedyBaselineVecEnv(env) if self.settings.greedy_baseline else Sb3PortfolioVecEnv(env)

    def connect(self, env: Sb3PortfolioVecEnv, learner: BaseAlgorithm, task: TrainingTask) -> None:
        """Have the rollouts follow the actor; see the base class."""
        if isinstance(env, GreedyBaselineVecEnv):
            network = self.find_network(learner)
            env.follow(NetworkPolicy(network, task.settings.action, name=self.settings.label))

    def adjust(self, learner: BaseAlgorithm, done: float) -> None:
        """Lower the noise; see the base class."""
        options, policy = self.settings, learner.policy
        if isinstance(policy, AssetActorCritic):
            policy.scale_noise((options.final_noise / options.noise) ** done)

    def close_episodes(
        self, learner: BaseAlgorithm, rewards: npt.NDArray[np.float32], infos: Sequence[dict[str, Any]]
    ) -> None:
        """Add what is expected after the end of a window, for all that end at once; see the base class.

        stable-baselines3 would ask the critic for one window at a time, and all of them end on the same step.
        """
        ended = [index for index, info in enumerate(infos) if info.get("TimeLimit.truncated", False)]
        if not ended:
            return
        last = torch.as_tensor(np.stack([infos[index]["terminal_observation"] for index in ended]))
        policy: Any = learner.policy
        with torch.no_grad():
            rewards[ended] += self.settings.gamma * policy.predict_values(last).flatten().numpy()
        for index in ended:
            infos[index]["TimeLimit.truncated"] = False

    def prepare(self, learner: BaseAlgorithm, task: TrainingTask) -> None:
        """Start from the network of a direct agent when that is asked for; see the base class."""
        if (direct := self.settings.warm_start) is None:
            return
        names = {"network": self.settings.network, "hidden": self.settings.hidden}
        direct = direct.model_copy(update={**names, "temperature": self.settings.temperature})
        # Its last network is taken: validations are those of the training that follows.
        with task.curves.open_below("warm_start") as curves:
            alone = replace(
                task,
                validate=lambda _policy, steps: float(steps),
                folder=task.folder / "warm_start",
                stop=None,
                curves=curves,
            )
            policy = DirectAgent(direct).train(alone)
        self.find_network(learner).load_state_dict(policy.network.state_dict())

    def _shared_arguments(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> dict[str, Any]:
        options, action = self.settings, task.settings.action
        # The noise of the Gaussian head is in units of actions, that of the Dirichlet head has none.
        unit = options.temperature / action.logit_scale if options.head == "gaussian" else 1.0
        return {
            "policy": AssetActorCritic,
            "env": env,
            "n_steps": options.n_steps,
            "learning_rate": options.schedule(),
            "gamma": options.gamma,
            "gae_lambda": options.gae_lambda,
            "ent_coef": options.ent_coef,
            "vf_coef": options.vf_coef,
            "policy_kwargs": {
                "spec": describe_network(task.tape, options, action),
                "head": options.head,
                "logit_scale": action.logit_scale,
                "log_std_init": math.log(options.noise * unit),
            },
            "seed": task.seed,
            "device": "cpu",
        }


class PpoAgent(OnPolicyAgent):
    """Learns with PPO (Schulman et al., 2017)."""

    settings_class = PpoSettings
    settings: PpoSettings

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build PPO; see the base class."""
        options = self.settings
        return PPO(
            **self._shared_arguments(env, task),
            batch_size=min(options.batch_size, options.n_envs * options.n_steps),
            n_epochs=options.n_epochs,
            clip_range=options.clip_range,
        )


class A2cAgent(OnPolicyAgent):
    """Learns with the synchronous advantage actor-critic (Mnih et al., 2016)."""

    settings_class = A2cSettings
    settings: A2cSettings

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build A2C; see the base class."""
        return A2C(**self._shared_arguments(env, task), use_rms_prop=False, normalize_advantage=True)
