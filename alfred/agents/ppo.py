"""Proximal policy optimisation through stable-baselines3, with the per-asset network."""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

import torch
from pydantic import Field
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from alfred.agents.base import Agent, AgentSettings, NetworkPolicy, TrainingTask, describe_tape
from alfred.agents.networks import AssetNetwork, ObservationShape
from alfred.envs.sb3 import Sb3PortfolioVecEnv
from alfred.envs.vector import PortfolioVectorEnv


class PpoSettings(AgentSettings):
    """Settings of `PpoAgent`. The defaults are those that recovered a planted signal; see `docs/design.md`.

    Attributes:
        n_envs: Portfolios stepped in lock-step.
        n_steps: Steps of each portfolio between two updates.
        batch_size: Samples in a gradient step.
        n_epochs: Passes over the samples of an update.
        learning_rate: Of Adam, falling linearly to a tenth.
        gamma: Discount. Actions do not move the market, so that a long horizon only adds noise.
        gae_lambda: Decay of the advantage estimate.
        clip_range: Clip of the probability ratio.
        ent_coef: Weight of the entropy bonus.
        temperature: Logits per unit of score.
        noise: Standard deviation of the exploration noise at the start, in units of score.
        episode_length: Decisions in a training episode.
    """

    kind: Literal["ppo"] = "ppo"
    n_envs: int = Field(default=64, ge=1)
    n_steps: int = Field(default=64, ge=1)
    batch_size: int = Field(default=1024, ge=2)
    n_epochs: int = Field(default=6, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    gamma: float = Field(default=0.5, ge=0, lt=1)
    gae_lambda: float = Field(default=0.9, ge=0, le=1)
    clip_range: float = Field(default=0.2, gt=0)
    ent_coef: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=3.0, gt=0)
    noise: float = Field(default=0.3, gt=0)
    episode_length: int = Field(default=64, ge=2)


class _Identity(BaseFeaturesExtractor):
    """Hands the observation through: the network reads the dictionary itself."""

    def forward(self, observations: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return observations


class _Latents(nn.Module):
    """Gives stable-baselines3 scores as the policy's latent and the summary as the value's."""

    def __init__(self, network: AssetNetwork, critic: AssetNetwork, n_actions: int, hidden: int) -> None:
        super().__init__()
        self.network = network
        self.critic = critic
        self.latent_dim_pi = n_actions
        self.latent_dim_vf = 2 * hidden

    def forward(self, features: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        scores: torch.Tensor = self.network(features)[0]
        return scores

    def forward_critic(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        summary: torch.Tensor = self.critic(features)[1]
        return summary


class AssetActorCritic(ActorCriticPolicy):
    """Actor and critic of one shape, with one noise level for all assets.

    The mean action is the network's score itself; a single `log_std` keeps the policy equivariant and independent of
    the number of assets.
    """

    def __init__(self, *args: Any, shape: ObservationShape, hidden: tuple[int, ...], score_scale: float, **kwargs: Any):
        """Keep the sizes for `_build_mlp_extractor`, which the base class calls."""
        self.shape, self.hidden, self.score_scale = shape, hidden, score_scale
        kwargs |= {
            "features_extractor_class": _Identity,
            "features_extractor_kwargs": {"features_dim": 1},
            "ortho_init": False,
        }
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        n_actions = int(self.action_space.shape[0])  # type: ignore[index]
        self.mlp_extractor = _Latents(  # type: ignore[assignment]
            AssetNetwork(self.shape, self.hidden, self.score_scale),
            AssetNetwork(self.shape, self.hidden),
            n_actions,
            self.hidden[-1],
        )

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()
        self.log_std = nn.Parameter(torch.full((1,), self.log_std_init))
        # The base class made its optimiser before the two lines above.
        settings = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **settings)


class PpoAgent(Agent):
    """Learns with PPO on many random windows at once."""

    settings_class = PpoSettings
    settings: PpoSettings

    def train(self, task: TrainingTask) -> NetworkPolicy:
        """Learn, and return the policy that validated best; see the base class."""
        options = self.settings
        scale = task.settings.action.logit_scale
        shape = describe_tape(task.tape)
        longest = task.tape.n_bars // task.settings.rebalance_every
        windows = task.settings.model_copy(update={"episode_length": min(options.episode_length, longest)})
        env = Sb3PortfolioVecEnv(PortfolioVectorEnv(options.n_envs, settings=windows, tape=task.tape))
        learner = PPO(
            AssetActorCritic,
            env,
            n_steps=options.n_steps,
            batch_size=min(options.batch_size, options.n_envs * options.n_steps),
            n_epochs=options.n_epochs,
            learning_rate=lambda left: options.learning_rate * (0.1 + 0.9 * left),
            gamma=options.gamma,
            gae_lambda=options.gae_lambda,
            clip_range=options.clip_range,
            ent_coef=options.ent_coef,
            policy_kwargs={
                "shape": shape,
                "hidden": options.hidden,
                "score_scale": options.temperature / scale,
                "log_std_init": math.log(options.noise * options.temperature / scale),
            },
            seed=task.seed,
            device="cpu",
        )
        learner.set_logger(configure(str(task.folder), ["tensorboard"]))
        keeper = _BestPolicy(self, task, shape)
        learner.learn(options.total_steps, callback=keeper)
        return keeper.finish()

    def make_policy(self, network: AssetNetwork, task: TrainingTask, shape: ObservationShape) -> NetworkPolicy:
        """Put a copy of a network behind the policies' door."""
        return NetworkPolicy(
            copy.deepcopy(network),
            shape,
            task.settings.action,
            name=self.settings.label,
            rebalance_every=task.settings.rebalance_every,
        )


class _BestPolicy(BaseCallback):
    """Validates every so often and keeps the best network."""

    def __init__(self, agent: PpoAgent, task: TrainingTask, shape: ObservationShape) -> None:
        super().__init__()
        self.agent, self.task, self.shape = agent, task, shape
        self.best: NetworkPolicy | None = None
        self.best_score = -math.inf
        self.next_validation = 0

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.next_validation:
            self.next_validation = self.num_timesteps + self.agent.settings.validate_every
            self._validate()

    def _on_rollout_end(self) -> None:
        self.logger.record("train/noise", float(self.model.policy.log_std.detach().exp().mean()))  # type: ignore[operator]
        self.task.progress(self.num_timesteps)

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "turnover" in info:
                self.logger.record_mean("rollout/turnover", info["turnover"])
                self.logger.record_mean("rollout/cost_bps", 1e4 * info["cost"])
        return True

    def _on_training_end(self) -> None:
        self._validate()

    def _validate(self) -> None:
        network: AssetNetwork = self.model.policy.mlp_extractor.network  # type: ignore[assignment,union-attr]
        policy = self.agent.make_policy(network, self.task, self.shape)
        score = self.task.validate(policy, self.num_timesteps)
        if score > self.best_score:
            self.best, self.best_score = policy, score

    def finish(self) -> NetworkPolicy:
        if self.best is None:
            raise RuntimeError("training ended without a validation")
        return self.best
