"""Actor and critic for stable-baselines3's on-policy algorithms, built from the networks that treat assets alike."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from alfred.agents.dirichlet import DirichletWeights
from alfred.agents.networks import NetworkSpec, ScoreNetwork, make_network, unflatten


class Latents(nn.Module):
    """Gives stable-baselines3 scores as the policy's latent and a summary of the observation as the value's."""

    def __init__(self, spec: NetworkSpec) -> None:
        """Build both networks."""
        super().__init__()
        self.shape = spec.shape
        self.network: ScoreNetwork = make_network(spec)
        self.critic: ScoreNetwork = make_network(spec)
        self.latent_dim_pi = spec.n_assets + 1
        self.latent_dim_vf = self.critic.summary_width

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both latents of flat observations."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Return the scores, `[P, N+1]`."""
        scores: torch.Tensor = self.network(unflatten(features, self.shape))[0]
        return scores

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """Return the summary, `[P, summary_width]`."""
        summary: torch.Tensor = self.critic(unflatten(features, self.shape))[1]
        return summary


class AssetActorCritic(ActorCriticPolicy):
    """Actor and critic of one shape, with one noise level for all assets.

    The mean action is the network's score itself; a single noise parameter keeps the policy equivariant and
    independent of the number of assets.

    Args:
        spec: The networks.
        head: `gaussian` adds noise to scores; `dirichlet` draws the weights themselves.
        logit_scale: Logits per unit of score, of the Dirichlet head.
    """

    def __init__(self, *args: Any, spec: NetworkSpec, head: str = "gaussian", logit_scale: float = 1.0, **kwargs: Any):
        """Keep the sizes for `_build_mlp_extractor`, which the base class calls."""
        self.spec, self.head, self.logit_scale = spec, head, logit_scale
        super().__init__(*args, ortho_init=False, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = Latents(self.spec)  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()
        self.log_std = nn.Parameter(torch.full((1,), self.log_std_init))
        if self.head == "dirichlet":
            self.action_dist = DirichletWeights(self.spec.n_assets + 1, self.logit_scale)
        # The base class made its optimiser before the lines above.
        settings = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **settings)

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Any:
        return self.action_dist.proba_distribution(self.action_net(latent_pi), self.log_std)  # type: ignore[call-arg]
