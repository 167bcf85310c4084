"""SAC, TD3 and DDPG through stable-baselines3, TQC through sb3-contrib, with networks that treat assets alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import nn

from alfred.agents.base import TrainingTask, describe_network
from alfred.agents.networks import NetworkSpec, ObservationShape, ScoreNetwork, make_network, unflatten
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.agents.sb3.learner import LearnerAgent
from alfred.agents.settings import (
    DdpgSettings,
    OffPolicySettings,
    SacSettings,
    Td3Settings,
    TqcSettings,
)
from alfred.envs.differentiable.simulator import compute_weights
from alfred.envs.settings import ActionSettings
from alfred.errors import import_extra


class _Scores(nn.Module):
    """Reads flat observations and gives scores."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.network: ScoreNetwork = make_network(spec)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network(unflatten(features, self.network.spec.shape))[0]
        return scores


class _SharedNoise(nn.Module):
    """One learned noise level for all assets and states."""

    def __init__(self, log_std: float) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.tensor(log_std))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return self.log_std.expand_as(scores)


class _ActionValue(nn.Module):
    """Values of a flat observation and an action: the weights that the action asks for count as a signal more."""

    def __init__(self, spec: NetworkSpec, action: ActionSettings, n_outputs: int) -> None:
        super().__init__()
        shape = spec.shape
        self.shape, self.action = shape, action
        wider = ObservationShape(shape.n_signals + 1, shape.n_market + 1, shape.lookback)
        self.network: ScoreNetwork = make_network(replace(spec, shape=wider))
        self.head = nn.Linear(self.network.summary_width, n_outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        n_actions = self.network.spec.n_assets + 1
        observation = unflatten(inputs[..., :-n_actions], self.shape)
        actions = inputs[..., -n_actions:]
        # What is neither tradable nor held counts as not holdable, which flat observations do not say.
        reachable = (observation["tradable"] > 0.0) | (observation["weights"][..., :-1] != 0.0)
        weights = compute_weights(actions, self.action, reachable.to(actions.dtype))
        asked = (weights[..., :-1] * (n_actions - 1)).unsqueeze(-1)
        signals = [observation["signals"], asked] if "signals" in observation else [asked]
        observation["signals"] = torch.cat(signals, dim=-1)
        observation["market"] = torch.cat([observation["market"], weights[..., -1:]], dim=-1)
        values: torch.Tensor = self.head(self.network(observation)[1])
        return values


class _AssetModules:
    """Puts networks that treat assets alike into the policies of the off-policy algorithms, before their optimisers."""

    def __init__(self, *args: Any, spec: NetworkSpec, action: ActionSettings, log_std: float, **kwargs: Any) -> None:
        self.spec, self.action, self.log_std_start = spec, action, log_std
        super().__init__(*args, **kwargs)

    def make_actor(self, features_extractor: Any = None) -> Any:
        actor: Any = super().make_actor(features_extractor)  # type: ignore[misc]
        if isinstance(self, TD3Policy):
            actor.mu = nn.Sequential(_Scores(self.spec), nn.Tanh())
        else:
            actor.latent_pi, actor.mu = _Scores(self.spec), nn.Identity()
            actor.log_std = _SharedNoise(self.log_std_start)
        return actor

    def make_critic(self, features_extractor: Any = None) -> Any:
        critic: Any = super().make_critic(features_extractor)  # type: ignore[misc]
        for index in range(len(critic.q_networks)):
            network = _ActionValue(self.spec, self.action, getattr(critic, "n_quantiles", 1))
            critic.q_networks[index] = network
            setattr(critic, f"qf{index}", network)
        return critic


class AssetSacPolicy(_AssetModules, SACPolicy):
    """SAC's policy."""


class AssetTd3Policy(_AssetModules, TD3Policy):
    """TD3's and DDPG's policy."""


class OffPolicyAgent(LearnerAgent):
    """What the off-policy agents share."""

    settings: OffPolicySettings

    def find_network(self, learner: BaseAlgorithm) -> ScoreNetwork:
        """Return the actor's network; see the base class."""
        actor: Any = learner.policy.actor
        module = actor.mu[0] if isinstance(learner, TD3) else actor.latent_pi
        network: ScoreNetwork = module.network
        return network

    @property
    def log_interval(self) -> int:
        """Episodes between two points of a curve; see the base class."""
        return self.settings.log_every

    def _shared_arguments(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> dict[str, Any]:
        options, action = self.settings, task.settings.action
        return {
            "env": env,
            "learning_rate": options.schedule(),
            "buffer_size": options.buffer_size,
            # The algorithms' usual warm-up draws actions from the whole box, that is books of one or two names; the
            # policy's own noise around equal weights is a better beginning.
            "learning_starts": 0,
            "batch_size": options.batch_size,
            "tau": options.tau,
            "gamma": options.gamma,
            "train_freq": 1,
            "gradient_steps": options.gradient_steps,
            "policy_kwargs": {
                "spec": describe_network(task.tape, options, action, squashed=True),
                "action": action,
                "log_std": math.log(self._noise(task)),
            },
            "seed": task.seed,
            "device": "cpu",
        }

    def _noise(self, task: TrainingTask) -> float:
        """Return the exploration noise in units of actions."""
        return self.settings.noise * self.settings.temperature / task.settings.action.logit_scale

    def _make_action_noise(self, task: TrainingTask) -> NormalActionNoise:
        width = len(task.tape.symbols) + 1
        return NormalActionNoise(np.zeros(width), np.full(width, self._noise(task)))


class SacAgent(OffPolicyAgent):
    """Learns with the soft actor-critic (Haarnoja et al., 2018)."""

    settings_class = SacSettings
    settings: SacSettings

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build SAC; see the base class."""
        start = f"auto_{self.settings.entropy_start}"
        return SAC(AssetSacPolicy, **self._shared_arguments(env, task), ent_coef=start)


class Td3Agent(OffPolicyAgent):
    """Learns with twin delayed policy gradients (Fujimoto et al., 2018)."""

    settings_class = Td3Settings
    settings: Td3Settings

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build TD3; see the base class."""
        noise = self._noise(task)
        return TD3(
            AssetTd3Policy,
            **self._shared_arguments(env, task),
            action_noise=self._make_action_noise(task),
            target_policy_noise=noise,
            target_noise_clip=2.5 * noise,
        )


class DdpgAgent(OffPolicyAgent):
    """Learns with deterministic policy gradients (Lillicrap et al., 2016)."""

    settings_class = DdpgSettings
    settings: DdpgSettings

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build DDPG; see the base class."""
        noise = self._make_action_noise(task)
        return DDPG(AssetTd3Policy, **self._shared_arguments(env, task), action_noise=noise)


class TqcAgent(OffPolicyAgent):
    """Learns with truncated quantile critics (Kuznetsov et al., 2020), from sb3-contrib.

    Raises:
        MissingExtraError: sb3-contrib is not installed.
    """

    settings_class = TqcSettings
    settings: TqcSettings

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build TQC; see the base class."""
        policies = import_extra("sb3_contrib.tqc.policies", "rl")
        algorithm: Callable[..., BaseAlgorithm] = import_extra("sb3_contrib", "rl").TQC
        policy = type("AssetTqcPolicy", (_AssetModules, policies.TQCPolicy), {})
        arguments = self._shared_arguments(env, task) | {"ent_coef": f"auto_{self.settings.entropy_start}"}
        return algorithm(policy, **arguments)
