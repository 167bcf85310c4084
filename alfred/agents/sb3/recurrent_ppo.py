"""PPO with a memory of the market, through sb3-contrib."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from alfred.agents.base import TrainingTask
from alfred.agents.networks import unflatten
from alfred.agents.recurrent import MarketMemory, RecurrentNetwork, RecurrentState
from alfred.agents.sb3.actor_critic import AssetActorCritic
from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.agents.sb3.ppo import OnPolicyAgent
from alfred.agents.settings import RecurrentPpoSettings
from alfred.errors import ConfigError, import_extra


class _FlatMemory(nn.Module):
    """The memory as sb3-contrib wants it: flat observations in, the same with what is remembered behind them out."""

    num_layers = 1

    def __init__(self, memory: MarketMemory, network: RecurrentNetwork, width: int) -> None:
        super().__init__()
        self.memory, self.shape = memory, network.spec.shape
        self.input_size, self.hidden_size = width, network.spec.state_size

    def forward(self, features: torch.Tensor, memory: RecurrentState) -> tuple[torch.Tensor, RecurrentState]:
        remembered, after = self.memory(unflatten(features, self.shape), memory)
        return torch.cat([features, remembered], dim=-1), after


class _MemoryLatents(nn.Module):
    """Scores and summaries from flat observations with what is remembered behind them; see `MlpExtractor`."""

    def __init__(self, network: RecurrentNetwork) -> None:
        super().__init__()
        self.network = network
        self.latent_dim_pi = network.spec.n_assets + 1
        self.latent_dim_vf = network.summary_width

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return self._read(features)[0]

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        return self._read(features)[1].detach()

    def _read(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        spec = self.network.spec
        flat, remembered = features[..., : -spec.state_size], features[..., -spec.state_size :]
        return self.network.score(unflatten(flat, spec.shape), remembered)


@functools.cache
def _make_policy_class() -> type[Any]:
    """Return the policy class; its base comes with an extra, so that it cannot stand at the top of the module."""
    base = import_extra("sb3_contrib.common.recurrent.policies", "rl").RecurrentActorCriticPolicy

    class MemoryActorCritic(AssetActorCritic, base):  # type: ignore[misc,valid-type]
        """The on-policy policy with a memory before its networks; the critic reads the actor's memory."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            width = kwargs["spec"].state_size
            super().__init__(*args, **kwargs, lstm_hidden_size=width, shared_lstm=True, enable_critic_lstm=False)
            network: Any = self.mlp_extractor.network
            self.lstm_actor = _FlatMemory(network.memory, network, self.features_dim)
            # The base class made its optimiser with a memory of its own.
            made: Any = self.optimizer_class
            self.optimizer = made(self.parameters(), lr=self.optimizer.defaults["lr"], **self.optimizer_kwargs)

        def _build_mlp_extractor(self) -> None:
            self.mlp_extractor = _MemoryLatents(RecurrentNetwork(self.spec))  # type: ignore[assignment]

    return MemoryActorCritic


class RecurrentPpoAgent(OnPolicyAgent):
    """Learns with PPO over sequences.

    Raises:
        MissingExtraError: sb3-contrib is not installed.
        ConfigError: A warm start is asked for; the direct agent has no memory to start from.
    """

    settings_class = RecurrentPpoSettings
    settings: RecurrentPpoSettings

    def close_episodes(
        self, learner: BaseAlgorithm, rewards: npt.NDArray[np.float32], infos: Sequence[dict[str, Any]]
    ) -> None:
        """Leave it to the learner, whose critic reads the memory; see the base class."""

    def make_learner(self, env: Sb3PortfolioVecEnv, task: TrainingTask) -> BaseAlgorithm:
        """Build RecurrentPPO; see the base class."""
        options = self.settings
        if options.warm_start is not None:
            raise ConfigError("recurrent_ppo cannot take a warm_start: the direct agent has no memory; leave it out")
        algorithm: Callable[..., BaseAlgorithm] = import_extra("sb3_contrib", "rl").RecurrentPPO
        arguments = self._shared_arguments(env, task)
        arguments["policy"] = _make_policy_class()
        chosen = arguments["policy_kwargs"]
        chosen["spec"] = replace(chosen["spec"], state_size=options.state_size)
        return algorithm(
            **arguments,
            batch_size=min(options.batch_size, options.n_envs * options.n_steps),
            n_epochs=options.n_epochs,
            clip_range=options.clip_range,
        )
